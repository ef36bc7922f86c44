// The commands `load` and `sync` against a server that says what the test wants, byte by byte, on loopback.
#include <array>
#include <atomic>
#include <fstream>
#include <functional>
#include <thread>

#include <arpa/inet.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/core/gzip.h"
#include "server/command/http_client.h"
#include "server/command/load.h"
#include "server/command/sync.h"
#include "server/command/sync_target.h"
#include "storage/sqlite/connection.h"
#include "tests/temp_directory.h"

namespace syncline::server::command {
namespace {

using syncline::testing::read_text;
using syncline::testing::temp_directory;
using ::testing::HasSubstr;
using ::testing::Not;

// One accepted connection of the scripted server.
class peer {
 public:
  explicit peer(int fd) : fd_(fd) {}
  // Reads until the text has come, at most until the client ends.
  std::string read_until(std::string_view end) {
    std::array<char, 4096> piece;
    while (got_.find(end) == std::string::npos) {
      const ssize_t count = ::recv(fd_, piece.data(), piece.size(), 0);
      if (count <= 0) break;
      got_.append(piece.data(), static_cast<std::size_t>(count));
    }
    return got_;
  }
  void send(std::string_view bytes) {
    static_cast<void>(::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL));
  }
  // Each byte in a packet of its own, as far as the kernel lets us.
  void send_bytewise(std::string_view bytes) {
    for (std::size_t i = 0; i < bytes.size(); ++i) send(bytes.substr(i, 1));
  }

 private:
  int fd_;
  std::string got_;
};

// Answers its connections in the order of the scripts.
class scripted_server {
 public:
  using script = std::function<void(peer&)>;
  explicit scripted_server(std::vector<script> scripts) : scripts_(std::move(scripts)) {
    listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof at;
    if (::bind(listener_, reinterpret_cast<sockaddr*>(&at), size) != 0 || ::listen(listener_, 8) != 0)
      std::abort();
    ::getsockname(listener_, reinterpret_cast<sockaddr*>(&at), &size);
    port_ = ntohs(at.sin_port);
    thread_ = std::thread([this] { run(); });
  }
  ~scripted_server() {
    ::shutdown(listener_, SHUT_RDWR);
    thread_.join();
    ::close(listener_);
  }
  [[nodiscard]] std::string url() const { return fmt::format("http://127.0.0.1:{}", port_); }
  [[nodiscard]] std::size_t served() const { return served_; }

 private:
  void run() {
    for (const script& each : scripts_) {
      const int fd = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
      if (fd < 0) return;
      peer with(fd);
      each(with);
      ::shutdown(fd, SHUT_WR);
      std::array<char, 4096> rest;
      while (::recv(fd, rest.data(), rest.size(), 0) > 0) {
      }
      ::close(fd);
      ++served_;
    }
  }
  std::vector<script> scripts_;
  int listener_ = -1;
  std::uint16_t port_ = 0;
  std::atomic<std::size_t> served_{0};
  std::thread thread_;
};

std::string chunked(std::string_view body, std::string_view headers = "") {
  return fmt::format("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n{}\r\n{:x}\r\n{}\r\n0\r\n\r\n",
                     headers, body.size(), body);
}

constexpr std::string_view kStream =
    "{\"op\":\"put\",\"resource\":\"users\",\"id\":17,\"row\":{\"id\":17,\"score\":12.50,\"name\":"
    "\"a\\u0041\"}}\r\n"
    "\r\n"
    "{\"op\":\"put\",\"resource\":\"users\",\"id\":18,\"row\":{\"id\":18}}\r\n"
    "{\"op\":\"checkpoint\",\"cursor\":\"c1\"}\r\n"
    "{\"op\":\"remove\",\"resource\":\"users\",\"id\":18}\r\n"
    "{\"op\":\"up_to_date\",\"cursor\":\"c2\"}\r\n";

std::string query_database(const std::string& file, const std::string& sql) {
  storage::sqlite::connection_options options;
  options.path = file;
  auto db = storage::sqlite::connection::open(options);
  if (!db) return db.error().text();
  auto text = db->query_text(sql);
  return text ? *text : text.error().text();
}

TEST(SyncLine, KeepsTheBytesOfTheRow) {
  const auto line =
      parse_sync_line(R"({"op":"put","resource":"follows","id":"1,2","row":{"a":1.0,"b":9007199254740993}})");
  ASSERT_TRUE(line);
  EXPECT_EQ(line->op, sync_line::kind::put);
  EXPECT_EQ(line->id, "1,2");
  EXPECT_EQ(line->row, R"({"a":1.0,"b":9007199254740993})");
  EXPECT_EQ(parse_sync_line(R"({"op":"remove","resource":"u","id":"a\"b"})")->id, "a\"b");
  for (const char* broken :
       {"", "{", "[]", R"({"op":"put"})", R"({"op":"put","resource":"u","id":1,"row":{})", R"({"op":1}x)"}) {
    EXPECT_FALSE(parse_sync_line(broken)) << broken;
  }
}

TEST(HttpUrl, IsTakenApart) {
  const auto url = parse_url("http://example.org:81/base/");
  ASSERT_TRUE(url);
  EXPECT_EQ(url->host, "example.org");
  EXPECT_EQ(url->port, "81");
  EXPECT_EQ(url->path, "/base");
  EXPECT_EQ(parse_url("http://[::1]:8080")->host, "::1");
  EXPECT_EQ(parse_url("http://[::1]")->port, "80");
  EXPECT_FALSE(url->tls);
  const auto safe = parse_url("https://example.org/base");
  ASSERT_TRUE(safe);
  EXPECT_TRUE(safe->tls);
  EXPECT_EQ(safe->port, "443");
  for (const char* wrong : {"ftp://a", "https:/a", "a:1", "http://", "https://", "http://a:", "http://a:x",
                            "http://u@a", "http://[::1"})
    EXPECT_FALSE(parse_url(wrong)) << wrong;
}

TEST(Sync, KeepsACopyInSqliteAndGoesOnFromItsCursor) {
  const temp_directory folder;
  std::string first, second;
  scripted_server server({[&](peer& with) {
                            first = with.read_until("\r\n\r\n");
                            with.send_bytewise(chunked(kStream));
                          },
                          [&](peer& with) {
                            second = with.read_until("\r\n\r\n");
                            with.send(
                                chunked("{\"op\":\"put\",\"resource\":\"users\",\"id\":17,\"row\":{\"id\":17}"
                                        "}\r\n{\"op\":\"up_to_date\",\"cursor\":\"c3\"}\r\n"));
                          }});
  sync_command_options options;
  options.url = server.url();
  options.scope = "user:17";
  options.database = folder.file("copy.db");
  ASSERT_EQ(sync(options), 0);
  EXPECT_THAT(first, HasSubstr("GET /v1/sync?scope=user%3A17 HTTP/1.1"));
  EXPECT_EQ(query_database(options.database, "SELECT group_concat(id || ' ' || row) FROM users"),
            R"(17 {"id":17,"score":12.50,"name":"a\u0041"})");
  EXPECT_EQ(query_database(options.database, "SELECT cursor FROM syncline_cursor"), "c2");
  ASSERT_EQ(sync(options), 0);
  EXPECT_THAT(second, HasSubstr("&since=c2 "));
  EXPECT_EQ(query_database(options.database, "SELECT group_concat(row) FROM users"), R"({"id":17})");
}

TEST(Sync, WhatCameAfterTheLastCheckpointIsNotKeptWhenTheStreamIsCut) {
  const temp_directory folder;
  const std::string cut = fmt::format("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{}",
                                      kStream.size(), kStream.substr(0, kStream.find("{\"op\":\"up")));
  scripted_server server({[&](peer& with) { with.read_until("\r\n\r\n"), with.send(cut); },
                          [&](peer& with) { with.read_until("\r\n\r\n"), with.send(cut); }});
  sync_command_options options;
  options.url = server.url();
  options.scope = "user:17";
  options.database = folder.file("copy.db");
  EXPECT_EQ(sync(options), 1);
  EXPECT_EQ(query_database(options.database, "SELECT group_concat(id) FROM users"), "17,18");
  EXPECT_EQ(query_database(options.database, "SELECT cursor FROM syncline_cursor"), "c1");
  options.database.clear();
  options.out = folder.file("rows.ndjson");
  options.state = folder.file("state");
  EXPECT_EQ(sync(options), 1);
  EXPECT_THAT(read_text(options.out), HasSubstr("\"c1\""));
  EXPECT_THAT(read_text(options.out), Not(HasSubstr("remove")));
  EXPECT_THAT(read_text(options.state), HasSubstr("\"cursor\":\"c1\""));
}

TEST(Sync, AResetDropsTheCopyAndStartsOverAtOnce) {
  const temp_directory folder;
  std::string third;
  scripted_server server({[&](peer& with) { with.read_until("\r\n\r\n"), with.send(chunked(kStream)); },
                          [&](peer& with) {
                            with.read_until("\r\n\r\n"),
                                with.send(chunked("{\"op\":\"reset\",\"reason\":\"history-purged\"}\r\n"));
                          },
                          [&](peer& with) {
                            third = with.read_until("\r\n\r\n");
                            with.send(
                                chunked("{\"op\":\"put\",\"resource\":\"users\",\"id\":5,\"row\":{}}\r\n{"
                                        "\"op\":\"up_to_date\",\"cursor\":\"d1\"}\r\n"));
                          }});
  sync_command_options options;
  options.url = server.url();
  options.scope = "user:17";
  options.database = folder.file("copy.db");
  ASSERT_EQ(sync(options), 0);
  ASSERT_EQ(sync(options), 0);
  EXPECT_THAT(third, Not(HasSubstr("since=")));
  EXPECT_EQ(query_database(options.database, "SELECT group_concat(id) FROM users"), "5");
}

TEST(Sync, UndoesGzipThatIsFlushedLineByLine) {
  const temp_directory folder;
  net::gzip_encoder zip;
  std::string zipped;
  for (std::size_t at = 0; at < kStream.size();) {
    const std::size_t end = kStream.find('\n', at) + 1;
    zip.append(kStream.substr(at, end - at), true, zipped);
    at = end;
  }
  zip.finish(zipped);
  std::string asked;
  scripted_server server({[&](peer& with) {
    asked = with.read_until("\r\n\r\n");
    with.send_bytewise(chunked(zipped, "Content-Encoding: gzip\r\n"));
  }});
  sync_command_options options;
  options.url = server.url();
  options.resources = "users";
  options.out = folder.file("rows.ndjson");
  ASSERT_EQ(sync(options), 0);
  EXPECT_THAT(asked, HasSubstr("Accept-Encoding: gzip"));
  std::string expected(kStream);
  std::erase(expected, '\r');
  EXPECT_EQ(read_text(options.out), expected.replace(expected.find("\n\n"), 2, "\n"));
}

TEST(Sync, ALineLogIsCutBackToItsCheckpointBeforeItGoesOn) {
  const temp_directory folder;
  std::ofstream(folder.file("rows.ndjson")) << "kept\ntorn li";
  std::ofstream(folder.file("state")) << "{\"cursor\":\"c1\",\"bytes\":5}";
  std::string asked;
  scripted_server server({[&](peer& with) {
    asked = with.read_until("\r\n\r\n");
    with.send(chunked("{\"op\":\"up_to_date\",\"cursor\":\"c2\"}\r\n"));
  }});
  sync_command_options options;
  options.url = server.url();
  options.out = folder.file("rows.ndjson");
  options.state = folder.file("state");
  ASSERT_EQ(sync(options), 0);
  EXPECT_THAT(asked, HasSubstr("since=c1"));
  EXPECT_EQ(read_text(options.out), "kept\n{\"op\":\"up_to_date\",\"cursor\":\"c2\"}\n");
}

TEST(Sync, ALineLogWithoutAStateFileKeepsWhatItHas) {
  const temp_directory folder;
  const std::string cut = fmt::format("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{}",
                                      kStream.size(), kStream.substr(0, kStream.find("{\"op\":\"up")));
  const std::string reset = chunked("{\"op\":\"reset\",\"reason\":\"history-purged\"}\r\n");
  const std::string whole = chunked("{\"op\":\"up_to_date\",\"cursor\":\"d1\"}\r\n");
  std::vector<std::function<void(peer&)>> answers;
  for (const std::string& each : {cut, reset, whole, whole})
    answers.emplace_back([each](peer& with) { with.read_until("\r\n\r\n"), with.send(each); });
  scripted_server server(std::move(answers));
  sync_command_options options;
  options.url = server.url();
  options.out = folder.file("rows.ndjson");
  options.since = "c0";
  std::ofstream(options.out) << "older\n";
  EXPECT_EQ(sync(options), 1);
  const std::string after_cut = read_text(options.out);
  EXPECT_TRUE(after_cut.starts_with("older\n{")) << after_cut;
  EXPECT_THAT(after_cut, HasSubstr("\"c1\""));
  EXPECT_THAT(after_cut, Not(HasSubstr("remove")));
  EXPECT_EQ(sync(options), 0);
  EXPECT_EQ(read_text(options.out), after_cut + "{\"op\":\"reset\",\"reason\":\"history-purged\"}\n" +
                                        "{\"op\":\"up_to_date\",\"cursor\":\"d1\"}\n");
  options.since.clear();
  EXPECT_EQ(sync(options), 0);
  EXPECT_TRUE(read_text(options.out).starts_with(after_cut));
}

TEST(Sync, AFileAndAStateThatDoNotBelongTogetherAreLeftAlone) {
  const temp_directory folder;
  sync_command_options options;
  options.url = "http://127.0.0.1:1";
  options.out = folder.file("rows.ndjson");
  options.state = folder.file("state");
  std::ofstream(options.out) << "mine\n";
  EXPECT_EQ(sync(options), 1);
  std::ofstream(options.state) << "{\"cursor\":\"c1\",\"bytes\":50}";
  EXPECT_EQ(sync(options), 1);
  EXPECT_EQ(read_text(options.out), "mine\n");
  EXPECT_THAT(read_text(options.state), HasSubstr("50"));
}

TEST(Sync, ARefusalIsNotTriedAgainEvenLive) {
  const std::string body = R"({"type":"/problems/invalid","title":"Bad request","detail":"scope"})";
  scripted_server server({[&](peer& with) {
    with.read_until("\r\n\r\n");
    with.send(fmt::format("HTTP/1.1 400 Bad Request\r\nContent-Length: {}\r\n\r\n{}", body.size(), body));
  }});
  sync_command_options options;
  options.url = server.url();
  options.live = true;
  EXPECT_EQ(sync(options), 1);
}

TEST(Load, StreamsTheFileAndReportsEachRow) {
  const temp_directory folder;
  std::ofstream(folder.file("users.ndjson")) << "{\"id\":1}\n{\"id\":\"x\"}\n";
  std::string asked;
  scripted_server server({[&](peer& with) {
    asked = with.read_until("0\r\n\r\n");
    with.send(
        chunked("{\"line\":\"rejected\",\"number\":2,\"code\":\"wrong-type\",\"column\":\"id\",\"detail\":"
                "\"a number\"}\r\n"
                "{\"line\":\"batch\",\"rows\":2,\"lines_done\":2,\"created\":1,\"updated\":0,\"unchanged\":0,"
                "\"skipped\":0,\"rejected\":1,\"position\":5}\r\n"
                "{\"line\":\"summary\",\"rows\":2,\"created\":1,\"updated\":0,\"unchanged\":0,\"skipped\":0,"
                "\"rejected\":1,\"complete\":true}\r\n"));
  }});
  load_options options;
  options.url = server.url();
  options.file = folder.file("users.ndjson");
  options.resource = "users";
  options.idempotency_key = "k 1";
  EXPECT_EQ(load_file(options), 2);
  EXPECT_THAT(asked,
              HasSubstr("POST /v1/users/bulk?format=ndjson&conflict=upsert&atomic=0&dry_run=0 HTTP/1.1"));
  EXPECT_THAT(asked, HasSubstr("Idempotency-Key: k 1\r\n"));
  EXPECT_THAT(asked, HasSubstr("{\"id\":1}\n{\"id\":\"x\"}\n\r\n0\r\n\r\n"));
}

TEST(Load, EndsWithTheAnswerWhenTheServerRefusesAtOnce) {
  const temp_directory folder;
  std::ofstream(folder.file("users.csv"))
      << std::string(64 * 1024 * 1024, 'x');  // more than the sockets hold
  std::string asked;
  scripted_server server({[&](peer& with) {
    asked = with.read_until("\r\n\r\n");
    with.send("HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\n{}");
  }});
  load_options options;
  options.url = server.url();
  options.file = folder.file("users.csv");
  options.resource = "users";
  EXPECT_EQ(load_file(options), 1);
  EXPECT_THAT(asked, HasSubstr("format=csv"));
}

TEST(Load, AnAnswerWithoutSummaryIsAFailure) {
  const temp_directory folder;
  std::ofstream(folder.file("users.ndjson")) << "{}\n";
  const auto code_for = [&](std::string_view lines) {
    scripted_server server({[&](peer& with) { with.read_until("0\r\n\r\n"), with.send(chunked(lines)); }});
    load_options options;
    options.url = server.url();
    options.file = folder.file("users.ndjson");
    options.resource = "users";
    return load_file(options);
  };
  EXPECT_EQ(code_for("\r\n"), 1);
  EXPECT_EQ(code_for("{\"line\":\"error\",\"type\":\"/problems/down\",\"detail\":\"gone\"}\r\n"), 1);
  EXPECT_EQ(code_for("{\"line\":\"summary\",\"rows\":0,\"rejected\":0,\"complete\":false}\r\n"), 1);
  EXPECT_EQ(code_for("{\"line\":\"summary\",\"rows\":1,\"rejected\":0,\"complete\":true}\r\n"), 0);
}

TEST(Load, NobodyThereIsAFailure) {
  load_options options;
  options.url = "http://127.0.0.1:1";
  options.file = "/dev/null";
  options.resource = "users";
  EXPECT_EQ(load_file(options), 1);
}

}  // namespace
}  // namespace syncline::server::command
