// Compressed sessions with a real server: what travels shrinks and means the same, and what breaks ends as it
// does without. The session's own tests run compressed as well (tests/CMakeLists.txt); here is what they do
// not show.
#include <atomic>
#include <future>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <x_protocol.pb.h>
#include <zstd.h>

#include "storage/mysql/compression.h"
#include "tests/storage/mysql/faulty_proxy.h"
#include "tests/storage/mysql/mysql_fixture.h"
#include "tests/storage/mysql/parrot.h"

namespace syncline::storage::mysql {
namespace {

using namespace testing;
using net::testing::kTestWait;
using net::testing::start_task;

constexpr const char* kManyRows =
    "WITH RECURSIVE n AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM n WHERE i < 150) "
    "SELECT a.i * 1000 + b.i, CONCAT('user-', a.i, '-', b.i, '@example.org'), REPEAT('x', 40) FROM n a, n b";
constexpr std::size_t kManyRowsCount = 150UL * 150;

class MysqlCompressed : public mysql_test {
 protected:
  // Bytes are counted, so TLS is off.
  [[nodiscard]] std::shared_ptr<session_options> through(const faulty_proxy& proxy,
                                                         compression_mode mode) const {
    auto out = tcp_options();
    out->host = "127.0.0.1";
    out->port = proxy.port();
    out->tls.mode = net::tls_mode::disabled;
    out->compression = mode;
    out->limits.drain_timeout_ms = 20'000;
    return out;
  }
  // Rows of kManyRows, summed up so that a wrong byte shows.
  [[nodiscard]] static task<std::size_t> checked_rows(request_context& context, session& with) {
    net::result<answer> sent = with.start_sql(kManyRows);
    EXPECT_TRUE(sent.has_value());
    std::size_t rows = 0;
    text_arena arena;
    for (;;) {
      const auto more = co_await sent->next_row(context);
      EXPECT_TRUE(more.has_value()) << more.error().text();
      if (more.has_error() || !*more) break;
      const std::int64_t number = decode_value(sent->columns()[0], sent->row()[0], arena)->integer;
      const std::string wanted =
          "user-" + std::to_string(number / 1000) + "-" + std::to_string(number % 1000) + "@example.org";
      if (decode_value(sent->columns()[1], sent->row()[1], arena)->text == wanted) ++rows;
    }
    const auto done = co_await sent->finish(context);
    EXPECT_TRUE(done.has_value()) << done.error().text();
    co_return rows;
  }
  [[nodiscard]] static std::string large_statement() {
    std::string out = "SELECT LENGTH('";
    for (int i = 0; i < 30'000; ++i) out += "user-" + std::to_string(i) + "@example.org, ";
    return out + "')";
  }
};

TEST_F(MysqlCompressed, BytesOnTheWireShrinkBothWaysAndMeanTheSame) {
  faulty_proxy proxy(host_, port_);
  long received[2] = {}, sent[2] = {};
  for (const bool packed : {false, true}) {
    run([&]() -> task<void> {
      request_context context(on_);
      const auto mode = packed ? compression_mode::required : compression_mode::disabled;
      const auto with = co_await opened(context, through(proxy, mode));
      EXPECT_EQ(with->compressed(), packed);
      const long forwarded = proxy.forwarded();
      EXPECT_EQ(co_await checked_rows(context, *with), kManyRowsCount);
      received[packed] = proxy.forwarded() - forwarded;
      const long uploaded = proxy.sent();
      const std::string text = large_statement();
      EXPECT_EQ(co_await one(context, *with, text), std::to_string(text.size() - 17));
      sent[packed] = proxy.sent() - uploaded;
    });
  }
  EXPECT_LT(received[1], received[0] / 4);
  EXPECT_LT(sent[1], sent[0] / 3);
}

TEST_F(MysqlCompressed, TheServerCountsWhatWasPacked) {
  run([this]() -> task<void> {
    request_context context(on_);
    auto options = tcp_options();
    options->compression = compression_mode::required;
    const auto with = co_await opened(context, options);
    EXPECT_EQ(co_await checked_rows(context, *with), kManyRowsCount);
    EXPECT_NE(co_await one(context, *with, large_statement()), "");
    const auto got = co_await with->sql(context, "SHOW STATUS LIKE 'Mysqlx_%'");
    EXPECT_TRUE(got.has_value());
    if (got.has_error()) co_return;
    text_arena arena;
    std::map<std::string, std::string, std::less<>> said;
    for (const auto& row : got->rows)
      said.emplace(decode_value(got->columns[0], row[0], arena)->text,
                   decode_value(got->columns[1], row[1], arena)->text);
    EXPECT_EQ(said["Mysqlx_compression_algorithm"], "ZSTD_STREAM");
    EXPECT_EQ(said["Mysqlx_compression_level"], std::to_string(kCompressionLevel));
    const auto number = [&said](const char* of) { return std::stol("0" + said[of]); };
    EXPECT_GT(number("Mysqlx_bytes_sent_compressed_payload"), 1000);
    EXPECT_GT(number("Mysqlx_bytes_sent_uncompressed_frame"),
              4 * number("Mysqlx_bytes_sent_compressed_payload"));
    EXPECT_GT(number("Mysqlx_bytes_received_compressed_payload"), 1000);
    EXPECT_GT(number("Mysqlx_bytes_received_uncompressed_frame"),
              3 * number("Mysqlx_bytes_received_compressed_payload"));
  });
}

TEST_F(MysqlCompressed, ItGoesOnAfterAReset) {
  run([this]() -> task<void> {
    request_context context(on_);
    auto options = unix_options();
    options->compression = compression_mode::required;
    const auto with = co_await opened(context, options);
    for (int i = 0; i < 3; ++i) {
      EXPECT_EQ(co_await checked_rows(context, *with), kManyRowsCount);
      const std::string text = large_statement();
      EXPECT_EQ(co_await one(context, *with, text), std::to_string(text.size() - 17));
      const auto done = co_await with->reset(context);
      EXPECT_TRUE(done.has_value()) << done.error().text();
    }
  });
}

// The answer is held back in the middle of a packed message, given up there, and comes after all.
TEST_F(MysqlCompressed, AnAnswerGivenUpInTheMiddleOfAMessageLeavesAWorkingSession) {
  faulty_proxy proxy(host_, port_);
  std::unique_ptr<session> with;
  run([&]() -> task<void> {
    request_context context(on_);
    auto options = through(proxy, compression_mode::required);
    options->limits.drain_bytes_max = 64UL * 1024 * 1024;
    with = co_await opened(context, options);
    EXPECT_EQ(co_await checked_rows(context, *with), kManyRowsCount);
  });
  for (const long at : {0L, 1L, 4L, 5L, 7L, 100L, 5000L, 20'001L, 40'003L}) {
    proxy.after(at, faulty_proxy::end::hold);
    request_context context(on_);
    std::atomic<bool> cancelled{false};
    std::future<void> ended = start_task(on_, [&]() -> task<void> {
      const auto got = co_await with->sql(context, kManyRows);
      cancelled = got.has_error() && got.error().code == errc::cancelled;
    });
    EXPECT_TRUE(eventually([&] { return proxy.struck(); })) << at;
    on_.post([&context] { context.cancel(); });
    ASSERT_EQ(ended.wait_for(kTestWait), std::future_status::ready);
    EXPECT_TRUE(cancelled) << at;
    proxy.restore();
    run([&]() -> task<void> {
      request_context next(on_);
      EXPECT_EQ(co_await checked_rows(next, *with), kManyRowsCount) << at;
    });
  }
  net::testing::run_on(on_, [&] { with.reset(); });
}

TEST_F(MysqlCompressed, AnAnswerThatIsCutOffInTheMiddleOfAMessageIsAnError) {
  faulty_proxy proxy(host_, port_);
  for (const auto how : {faulty_proxy::end::close, faulty_proxy::end::reset}) {
    for (const long at : {3L, 6L, 300L, 20'001L}) {
      proxy.restore();
      run([&]() -> task<void> {
        request_context context(on_);
        const auto with = co_await opened(context, through(proxy, compression_mode::required));
        proxy.after(at, how);
        const auto got = co_await with->sql(context, kManyRows);
        EXPECT_TRUE(got.has_error()) << at;
        EXPECT_EQ(got.error().code, errc::down) << at;
        EXPECT_FALSE(with->usable());
      });
    }
  }
}

TEST_F(MysqlCompressed, StatementsOfAllSizesShareAFlight) {
  run([this]() -> task<void> {
    request_context context(on_);
    auto options = tcp_options();
    options->compression = compression_mode::required;
    const auto with = co_await opened(context, options);
    for (int round = 0; round < 3; ++round) {
      std::vector<std::string> texts;
      std::vector<answer> sent;
      for (std::size_t i = 0; i < 40; ++i) {
        texts.emplace_back((i * i * 37) % 9000, static_cast<char>('a' + i % 26));
        const std::vector<argument> values = {argument::of_text(texts.back())};
        auto next =
            i % 3 == 0 ? with->start_sql("SELECT ?", values) : with->start_prepared("SELECT ?", values);
        EXPECT_TRUE(next.has_value());
        sent.push_back(std::move(*next));
      }
      text_arena arena;
      for (std::size_t i = 0; i < sent.size(); ++i) {
        const auto row = co_await sent[i].next_row(context);
        EXPECT_TRUE(row.has_value() && *row) << i;
        if (row.has_error()) co_return;
        EXPECT_EQ(decode_value(sent[i].columns()[0], sent[i].row()[0], arena)->text, texts[i]) << i;
        EXPECT_TRUE((co_await sent[i].finish(context)).has_value());
      }
    }
  });
}

TEST_F(MysqlCompressed, AStatementThatIsTooLargeIsRefusedBeforeItIsPacked) {
  run([this]() -> task<void> {
    request_context context(on_);
    auto options = unix_options();
    options->compression = compression_mode::required;
    options->limits.message_bytes_max = 100'000;
    const auto with = co_await opened(context, options);
    const std::string large = "SELECT '" + std::string(200'000, 'x') + "'";
    EXPECT_EQ((co_await with->sql(context, large)).error().code, errc::too_large);
    EXPECT_EQ(co_await one(context, *with, "SELECT 1"), "1") << "nothing was sent";
    // It comes packed into some 100 bytes.
    EXPECT_EQ((co_await with->sql(context, "SELECT REPEAT('x', 200000)")).error().code, errc::too_large);
    EXPECT_FALSE(with->usable());
  });
}

std::string bytes_of(server_message type, const google::protobuf::MessageLite& body) {
  net::byte_buffer out;
  // The frame of a client has the form of a server's; only the type is another.
  EXPECT_TRUE(append_frame(out, client_message::capabilities_get, body, 1 << 20).has_value());
  std::string bytes(out.view());
  bytes[4] = static_cast<char>(type);
  return bytes;
}

// Everything a server says while a session is opened with SHA256_MEMORY, and `then`.
std::string conversation(const std::string& to_compression, const std::string& then) {
  wire::AuthenticateContinue challenge;
  challenge.set_auth_data("01234567890123456789");
  return to_compression + bytes_of(server_message::authenticate_continue, challenge) +
         bytes_of(server_message::authenticate_ok, wire::Ok()) + then;
}

class MysqlCompressionOfStrangers : public ::testing::Test {
 protected:
  void SetUp() override { on_.start(); }
  // The error of opening a session, or of what it does then; nothing when all is well.
  std::optional<net::error> says(const std::string& text, compression_mode mode, bool* compressed = nullptr) {
    const parrot server(text);
    std::optional<net::error> out;
    net::testing::run_task(on_, [&]() -> task<void> {
      request_context context(on_);
      auto options = std::make_shared<session_options>();
      options->port = server.port;
      options->user = "u";
      options->password = "p";
      options->tls.mode = net::tls_mode::disabled;
      options->compression = mode;
      const auto made = co_await session::open(context, options);
      if (made.has_error()) {
        out = made.error();
        co_return;
      }
      if (compressed != nullptr) *compressed = (*made)->compressed();
      const auto got = co_await (*made)->sql(context, "SELECT 1");
      if (got.has_error()) out = got.error();
    });
    return out;
  }
  [[nodiscard]] static std::string refusal() {
    wire::Error said;
    said.set_code(5175);
    said.set_sql_state("HY000");
    said.set_text("Invalid or unsupported value for 'compression.algorithm'");
    return bytes_of(server_message::error, said);
  }
  [[nodiscard]] static std::string agreed() { return bytes_of(server_message::ok, wire::Ok()); }
  [[nodiscard]] static std::string packed(const std::string& inside, std::uint64_t claimed) {
    wire::Compression out;
    std::string& payload = *out.mutable_payload();
    payload.resize(ZSTD_compressBound(inside.size()));
    payload.resize(ZSTD_compress(payload.data(), payload.size(), inside.data(), inside.size(), 1));
    out.set_uncompressed_size(claimed);
    return bytes_of(server_message::compression, out);
  }

  net::core on_{0, false};
};

TEST_F(MysqlCompressionOfStrangers, AServerWithoutItIsRefusedOnlyWhereItIsRequired) {
  const std::string answer = bytes_of(server_message::statement_ok, wire::Ok());
  const auto refused = says(conversation(refusal(), answer), compression_mode::required);
  ASSERT_TRUE(refused.has_value());
  EXPECT_EQ(refused->code, errc::unsupported);
  EXPECT_NE(refused->text().find("zstd_stream"), std::string::npos) << refused->text();
  bool compressed = true;
  // What answers before it is asked cannot be more than a login: the statement fails, the opening does not.
  static_cast<void>(says(conversation(refusal(), ""), compression_mode::preferred, &compressed));
  EXPECT_FALSE(compressed);
  static_cast<void>(says(conversation(agreed(), ""), compression_mode::preferred, &compressed));
  EXPECT_TRUE(compressed);
}

TEST_F(MysqlCompressionOfStrangers, OtherErrorsStayWhatTheyAre) {
  wire::Error said;
  said.set_code(1040);
  said.set_sql_state("HY000");
  said.set_text("Too many connections");
  for (const auto mode : {compression_mode::preferred, compression_mode::required}) {
    const auto got = says(bytes_of(server_message::error, said), mode);
    ASSERT_TRUE(got.has_value());
    EXPECT_EQ(got->code, errc::overloaded);
    EXPECT_EQ(says(bytes_of(server_message::statement_ok, wire::Ok()), mode)->code, errc::corrupt);
  }
}

TEST_F(MysqlCompressionOfStrangers, ABombEndsTheSession) {
  const std::string bomb(200'000'000, '\0');
  EXPECT_EQ(says(conversation(agreed(), packed(bomb, bomb.size())), compression_mode::required)->code,
            errc::too_large);
  EXPECT_EQ(says(conversation(agreed(), packed(bomb, 1000)), compression_mode::required)->code,
            errc::corrupt);
}

TEST_F(MysqlCompressionOfStrangers, APackedMessageNobodyAgreedOnIsNonsense) {
  const std::string inside = bytes_of(server_message::statement_ok, wire::Ok());
  const std::string text = packed(inside, inside.size());
  EXPECT_EQ(says(conversation("", text), compression_mode::disabled)->code, errc::corrupt);
  EXPECT_EQ(says(conversation(refusal(), text), compression_mode::preferred)->code, errc::corrupt);
  EXPECT_EQ(says(agreed() + text, compression_mode::required)->code, errc::corrupt) << "before the login";
}

// Run alone (see tests/CMakeLists.txt): the setting is the whole server's.
class MysqlServerRestartCompression : public mysql_test {};

TEST_F(MysqlServerRestartCompression, AServerThatOffersOnlyOthersIsRefusedWhereItIsRequired) {
  run([this]() -> task<void> {
    request_context context(on_);
    auto options = tcp_options();
    options->compression = compression_mode::disabled;
    const auto admin = co_await opened(context, options);
    for (const char* const others : {"", "LZ4_MESSAGE,DEFLATE_STREAM"}) {
      co_await must(context, *admin,
                    std::string("SET GLOBAL mysqlx_compression_algorithms = '") + others + "'");
      options = tcp_options();
      options->compression = compression_mode::required;
      const auto refused = co_await session::open(context, options);
      EXPECT_TRUE(refused.has_error());
      if (refused.has_error()) {
        EXPECT_EQ(refused.error().code, errc::unsupported) << refused.error().text();
        EXPECT_NE(refused.error().text().find("zstd_stream"), std::string::npos) << refused.error().text();
      }
      options = tcp_options();
      options->compression = compression_mode::preferred;
      const auto plain = co_await opened(context, options);
      EXPECT_FALSE(plain->compressed());
      EXPECT_EQ(co_await one(context, *plain, "SELECT 1"), "1");
    }
    co_await must(context, *admin, "SET GLOBAL mysqlx_compression_algorithms = DEFAULT");
    EXPECT_TRUE((co_await opened(context, options))->compressed());
  });
}

}  // namespace
}  // namespace syncline::storage::mysql
