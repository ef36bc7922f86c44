#include "net/core/body_files.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <memory>
#include <string>
#include <vector>

#include "tests/net/scripted_server.h"

namespace syncline::net {
namespace {

shared_bytes body_of(std::size_t bytes, char c) {
  return std::make_shared<const std::string>(bytes, c);
}

std::string content(int file) {
  struct stat about {};
  if (::fstat(file, &about) != 0) return "no file";
  std::string out(static_cast<std::size_t>(about.st_size), '\0');
  if (::pread(file, out.data(), out.size(), 0) != about.st_size) return "short";
  return out;
}

int find_often(body_files& files, const shared_bytes& body) {
  int file = -1;
  for (int i = 0; i < 5; ++i) file = files.find(body);
  return file;
}

struct BodyFiles : ::testing::Test {
  perf::gauge total;
};

TEST_F(BodyFiles, ABodyGetsItsFileWhenItIsSentAgain) {
  body_files files(1 << 20, total);
  const shared_bytes body = body_of(100'000, 'x');
  EXPECT_EQ(files.find(body), -1);
  EXPECT_EQ(files.find(body), -1);
  const int file = files.find(body);
  ASSERT_GE(file, 0);
  EXPECT_EQ(content(file), *body);
  EXPECT_EQ(files.find(body), file);
  EXPECT_EQ(total.value(), 100'000);
}

TEST_F(BodyFiles, AnotherBodyAtTheSameAddressIsNotTakenForIt) {
  body_files files(1 << 20, total);
  // The object lives in this memory twice.
  alignas(std::string) std::array<std::byte, sizeof(std::string)> memory{};
  const auto placed = [&](char c) {
    auto* const made = new (memory.data()) std::string(50'000, c);
    return shared_bytes(made, [](const std::string* s) { s->~basic_string(); });
  };
  shared_bytes body = placed('a');
  EXPECT_EQ(content(find_often(files, body)), *body);
  body.reset();
  body = placed('b');
  EXPECT_EQ(files.find(body), -1);
  EXPECT_EQ(content(find_often(files, body)), *body);
  EXPECT_EQ(files.bytes(), 50'000U);
}

TEST_F(BodyFiles, StayBelowTheirBoundAndMakeRoomOfTheDead) {
  body_files files(250'000, total);
  std::vector<shared_bytes> bodies;
  int with_file = 0;
  for (char c = 'a'; c < 'k'; ++c) {
    bodies.push_back(body_of(100'000, c));
    if (find_often(files, bodies.back()) >= 0) ++with_file;
    EXPECT_LE(files.bytes(), 250'000U);
  }
  EXPECT_EQ(with_file, 2);
  bodies.clear();
  const shared_bytes next = body_of(100'000, 'z');
  EXPECT_EQ(content(find_often(files, next)), *next);  // whose place may be that of a dead one, or another
  EXPECT_GE(total.value(), 100'000);
  EXPECT_LE(total.value(), 250'000);
}

TEST_F(BodyFiles, AllDescriptorsAndBytesAreGivenBackAtTheEnd) {
  int file = -1;
  {
    body_files files(1 << 20, total);
    const shared_bytes body = body_of(100'000, 'x');
    file = find_often(files, body);
    ASSERT_GE(file, 0);
  }
  EXPECT_EQ(::fcntl(file, F_GETFD), -1);
  EXPECT_EQ(total.value(), 0);
}

TEST_F(BodyFiles, WithABoundOfNothingThereIsNone) {
  body_files files(0, total);
  EXPECT_EQ(find_often(files, body_of(100'000, 'x')), -1);
}

}  // namespace

namespace http {
namespace {

// Bytes at every place differ from their neighbours, so one that is sent twice or left out shows.
struct large_handler final : handler {
  large_handler() {
    std::string text;
    for (std::size_t i = 0; text.size() < 700'000; ++i) text += std::to_string(i) + ",";
    body = std::make_shared<const std::string>(std::move(text));
  }
  tried try_answer(exchange& x) override {
    x.answer(response_head{200, "text/plain", {}, false}, body);
    return tried::answered;
  }
  task<void> answer(exchange&) override { co_return; }
  shared_bytes body;
};

struct SentBodies : testing::over_each_form {};
INSTANTIATE_TEST_SUITE_P(Over, SentBodies,
                         ::testing::Values(testing::form::tcp, testing::form::unix_socket,
                                           testing::form::tls),
                         testing::form_name);

TEST_P(SentBodies, ALargeBodyIsTheSameHoweverOftenAndHoweverSlowlyItIsRead) {
  server_options options = quick_options();
  options.metrics_label = "large-" + std::to_string(static_cast<int>(GetParam()));
  large_handler handles;
  core_group cores({.cores = 1, .pin = false});
  cores.start();
  server serves(cores, handles, options);
  ASSERT_TRUE(serves.start().has_value());
  const std::string path = options.address.starts_with("unix:") ? options.address.substr(5) : std::string();
  for (const int window : {0, 8192}) {
    testing::raw_client c =
        path.empty() ? testing::raw_client(serves.port(), window) : testing::raw_client(path, window);
    if (options.tls.enabled()) c.start_tls();
    std::string many;
    for (int i = 0; i < 10; ++i) many += "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    c.send(many);
    for (int i = 0; i < 10; ++i) ASSERT_EQ(c.receive_response().body, *handles.body) << i;
  }
  const std::int64_t in_files =
      perf::metrics::add_gauge("syncline_http_body_files_bytes", "", {{"listener", options.metrics_label}})
          .value();
  // With TLS the bytes must be encrypted, so there is nothing that the kernel could send by itself.
  EXPECT_EQ(in_files, options.tls.enabled() ? 0 : static_cast<std::int64_t>(handles.body->size()));
}

}  // namespace
}  // namespace http
}  // namespace syncline::net
