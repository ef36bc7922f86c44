// What answers is no MySQL, or one gone mad: opening ends with an error, whatever comes.
#include <random>
#include <string>

#include <gtest/gtest.h>
#include <x_protocol.pb.h>

#include "net/core/core.h"
#include "storage/mysql/message.h"
#include "storage/mysql/session.h"
#include "tests/net/run_task.h"
#include "tests/storage/mysql/parrot.h"

namespace syncline::storage::mysql {
namespace {

using net::errc;
using net::task;
using net::testing::run_task;
using testing::parrot;
using namespace std::string_literals;

net::error opening(net::core& on, const std::string& said, net::tls_mode tls) {
  const parrot server(said);
  net::error out;
  run_task(on, [&]() -> task<void> {
    net::request_context context(on);
    auto options = std::make_shared<session_options>();
    options->port = server.port;
    options->user = "u";
    options->password = "p";
    options->tls.mode = tls;
    const auto made = co_await session::open(context, options);
    EXPECT_TRUE(made.has_error());
    if (made.has_error()) out = made.error();
  });
  return out;
}

TEST(MysqlNonsense, OtherProtocolsAreNamed) {
  net::core on(0, false);
  on.start();
  for (const net::tls_mode tls : {net::tls_mode::disabled, net::tls_mode::required}) {
    const net::error classic = opening(on, "\x4a\0\0\0\x0a"s + "9.7.0", tls);
    EXPECT_EQ(classic.code, errc::corrupt);
    EXPECT_NE(classic.detail.find("33060"), std::string::npos) << classic.text();
    EXPECT_EQ(opening(on, "HTTP/1.1 400 Bad Request\r\n\r\n", tls).code, errc::too_large);
    EXPECT_EQ(opening(on, "\0\0\0\0"s, tls).code, errc::corrupt);
    EXPECT_EQ(opening(on, "", tls).code, errc::down);
    // An answer in front of TLS could be anybody's.
    if (tls == net::tls_mode::required) {
      EXPECT_EQ(opening(on, "\1\0\0\0\0\1\0\0\0\4"s, tls).code, errc::corrupt);
    }
    EXPECT_EQ(opening(on, "\1\0\0\0\x0d"s, tls).code, errc::corrupt) << "a row";
  }
}

std::string error_frame(std::uint32_t code, const std::string& state, const std::string& text) {
  wire::Error said;
  said.set_code(code);
  said.set_sql_state(state);
  said.set_text(text);
  net::byte_buffer out;
  // The frame of a client has the form of a server's; only the type is another.
  EXPECT_TRUE(append_frame(out, client_message::capabilities_get, said, 1000).has_value());
  std::string bytes(out.view());
  bytes[4] = static_cast<char>(server_message::error);
  return bytes;
}

TEST(MysqlNonsense, AServerWithoutTlsIsRefusedWhenTlsIsRequired) {
  net::core on(0, false);
  on.start();
  const net::error got =
      opening(on, error_frame(5001, "HY000", "Capability prepare failed for 'tls'"), net::tls_mode::required);
  EXPECT_EQ(got.code, errc::unsupported);
  EXPECT_NE(got.text().find("TLS is required"), std::string::npos) << got.text();
}

TEST(MysqlNonsense, AServerThatIsFullSaysSo) {
  net::core on(0, false);
  on.start();
  for (const net::tls_mode tls : {net::tls_mode::disabled, net::tls_mode::required}) {
    EXPECT_EQ(opening(on, error_frame(1040, "HY000", "Too many connections"), tls).code, errc::overloaded);
  }
}

TEST(MysqlNonsense, ArbitraryFramesEndInAnError) {
  const unsigned seed = std::random_device()();
  SCOPED_TRACE(seed);
  std::minstd_rand random(seed);
  net::core on(0, false);
  on.start();
  for (int round = 0; round < 150; ++round) {
    std::string said;
    for (std::uint_fast32_t frames = random() % 4; frames > 0; --frames) {
      const std::uint_fast32_t size = random() % 20;
      said.append({static_cast<char>(size + 1), 0, 0, 0, static_cast<char>(random() % 20)});
      for (std::uint_fast32_t i = 0; i < size; ++i) said.push_back(static_cast<char>(random()));
    }
    // The one thing it may not say by chance is that the login is done.
    if (said.find("\0\0\0\4"s) != std::string::npos) continue;
    const net::error got =
        opening(on, said, round % 2 == 0 ? net::tls_mode::disabled : net::tls_mode::required);
    EXPECT_NE(got.code, errc::timed_out) << got.text();
  }
}

}  // namespace
}  // namespace syncline::storage::mysql
