#include "net/websocket/handshake.h"

#include <gtest/gtest.h>

#include <array>
#include <string>
#include <string_view>

#include "net/websocket/header_list.h"

namespace syncline::net::websocket {
namespace {

constexpr std::array<std::string_view, 2> kAllowed{"sync.v2", "sync.v1"};

upgrade_request good() {
  upgrade_request r;
  r.method = "GET";
  r.upgrade = "websocket";
  r.connection = "keep-alive, Upgrade";
  r.key = "dGhlIHNhbXBsZSBub25jZQ==";
  r.version = "13";
  return r;
}

upgrade_error verdict(const upgrade_request& r) {
  return check_upgrade(r, kAllowed, {}).error;
}

TEST(WebsocketHandshake, AnswersTheKeyOfRfc6455Section13) {
  EXPECT_EQ(accept_key("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
}

TEST(WebsocketHandshake, WritesTheLinesOfTheAnswer) {
  upgrade_request r = good();
  r.protocols = "chat, sync.v1";
  r.extensions = "permessage-deflate; client_max_window_bits";
  const upgrade_answer answer = check_upgrade(r, kAllowed, {});
  ASSERT_EQ(answer.error, upgrade_error::none);
  std::string lines;
  append_upgrade_lines(r, answer, lines);
  EXPECT_EQ(
      lines,
      "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
      "Sec-WebSocket-Protocol: sync.v1\r\n"
      "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; "
      "client_no_context_takeover\r\n");
  lines.clear();
  append_upgrade_lines(good(), check_upgrade(good(), kAllowed, {}), lines);
  EXPECT_EQ(
      lines,
      "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n");
}

TEST(WebsocketHandshake, TakesTokensInAnyCase) {
  upgrade_request r = good();
  for (const std::string_view upgrade :
       {"WebSocket", "h2c/1, WEBSOCKET", " ,websocket ", "foo/2 ,websocket"}) {
    r.upgrade = upgrade;
    EXPECT_EQ(verdict(r), upgrade_error::none) << upgrade;
  }
  for (const std::string_view connection : {"upgrade", "Upgrade", "close,UPGRADE", "keep-alive , upgrade,"}) {
    r.connection = connection;
    EXPECT_EQ(verdict(r), upgrade_error::none) << connection;
  }
}

TEST(WebsocketHandshake, RefusesWhatIsNoUpgrade) {
  upgrade_request r = good();
  r.method = "POST";
  EXPECT_EQ(verdict(r), upgrade_error::not_get);
  r = good();
  r.http_1_1 = false;
  EXPECT_EQ(verdict(r), upgrade_error::old_http);
  for (const std::string_view upgrade : {"", "h2c", "websocket/14", "websockets", "web socket"}) {
    r = good();
    r.upgrade = upgrade;
    EXPECT_EQ(verdict(r), upgrade_error::not_websocket) << upgrade;
  }
  for (const std::string_view connection : {"", "close", "keep-alive", "upgraded", "not-upgrade"}) {
    r = good();
    r.connection = connection;
    EXPECT_EQ(verdict(r), upgrade_error::no_connection_upgrade) << connection;
  }
  for (const std::string_view key :
       {"", "dGhlIHNhbXBsZSBub25jZQ=", "dGhlIHNhbXBsZSBub25jZQ",
        "dGhlIHNhbXBsZSBub25jZQ===", "dGhlIHNhbXBsZSBub25jZ?==",
        "dGhlIHNhbXBsZSBub25jZQ==, dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZSBub25jZQA="}) {
    r = good();
    r.key = key;
    EXPECT_EQ(verdict(r), upgrade_error::bad_key) << key;
  }
}

TEST(WebsocketHandshake, OtherVersionsLearnWhichOneIsSpoken) {
  for (const std::string_view version : {"", "8", "12", "14", "013", "13, 13", "abc"}) {
    upgrade_request r = good();
    r.version = version;
    EXPECT_EQ(verdict(r), upgrade_error::other_version) << version;
  }
  EXPECT_EQ(describe(upgrade_error::other_version).status, 426);
  EXPECT_NE(describe(upgrade_error::other_version).header_line.find("Sec-WebSocket-Version: 13\r\n"),
            std::string_view::npos);
  EXPECT_EQ(describe(upgrade_error::bad_key).status, 400);
}

TEST(WebsocketHandshake, ChoosesTheClientsFirstSubprotocolThatIsAllowed) {
  upgrade_request r = good();
  const auto chosen = [&](std::string_view offered) {
    r.protocols = offered;
    return check_upgrade(r, kAllowed, {}).protocol;
  };
  EXPECT_EQ(chosen("sync.v1, sync.v2"), "sync.v1");
  EXPECT_EQ(chosen("sync.v2, sync.v1"), "sync.v2");
  EXPECT_EQ(chosen("other,sync.v1"), "sync.v1");
  EXPECT_EQ(chosen("SYNC.V1"), "");
  EXPECT_EQ(chosen(""), "");
  r.protocols = "sync.v1 sync.v2";
  EXPECT_EQ(verdict(r), upgrade_error::bad_protocols);
}

TEST(WebsocketHandshake, MalformedExtensionsFailIt) {
  upgrade_request r = good();
  r.extensions = "permessage-deflate; =5";
  EXPECT_EQ(verdict(r), upgrade_error::bad_extensions);
}

TEST(WebsocketHandshake, AClientChecksTheAnswer) {
  const std::array<std::uint8_t, 16> random{'t', 'h', 'e', ' ', 's', 'a', 'm', 'p',
                                            'l', 'e', ' ', 'n', 'o', 'n', 'c', 'e'};
  const std::string key = make_key(random);
  EXPECT_EQ(key, "dGhlIHNhbXBsZSBub25jZQ==");
  upgrade_response r;
  r.status = 101;
  r.upgrade = "WebSocket";
  r.connection = "upgrade";
  r.accept = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
  EXPECT_TRUE(check_upgrade_response(r, key, "", true).has_value());
  r.protocol = "sync.v1";
  EXPECT_FALSE(check_upgrade_response(r, key, "", true).has_value());
  EXPECT_TRUE(check_upgrade_response(r, key, "x, sync.v1", true).has_value());
  r.extensions = "permessage-deflate; server_no_context_takeover; client_max_window_bits=10";
  const auto agreed = check_upgrade_response(r, key, "sync.v1", true);
  ASSERT_TRUE(agreed && agreed->deflate);
  EXPECT_EQ(agreed->deflate->client_window_bits, 10);
  EXPECT_TRUE(agreed->deflate->server_no_context_takeover);
  EXPECT_FALSE(check_upgrade_response(r, key, "sync.v1", false).has_value());
  r.extensions = "x-unknown";
  EXPECT_FALSE(check_upgrade_response(r, key, "sync.v1", true).has_value());
  r.extensions = {};
  r.accept = "s3pPLMBiTxaQ9kYGzzhZRbK+xOO=";
  EXPECT_FALSE(check_upgrade_response(r, key, "sync.v1", true).has_value());
}

}  // namespace
}  // namespace syncline::net::websocket
