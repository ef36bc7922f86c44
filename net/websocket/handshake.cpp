#include "net/websocket/handshake.h"

#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <stdexcept>

#include "net/websocket/header_list.h"

namespace syncline::net::websocket {

namespace {

constexpr std::string_view kGuid = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
constexpr std::size_t kKeyChars = 24;  // 16 bytes in base64

constexpr bool is_base64_char(char c) noexcept {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '+' || c == '/';
}

// Sixteen bytes in base64. That the unused bits of the last character are zero is not asked for: clients that
// make up 22 characters exist, and nobody decodes them (RFC 4648 section 3.5).
bool is_key(std::string_view key) noexcept {
  return key.size() == kKeyChars && key.ends_with("==") &&
         std::all_of(key.begin(), key.end() - 2, is_base64_char);
}

std::string base64(std::span<const std::uint8_t> bytes) {
  std::string out((bytes.size() + 2) / 3 * 4 + 1, '\0');  // EVP_EncodeBlock writes a NUL, too
  const int n = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(out.data()), bytes.data(),
                                static_cast<int>(bytes.size()));
  out.resize(static_cast<std::size_t>(n));
  return out;
}

// The first of the client's subprotocols that is allowed. False: not a list of tokens.
bool choose_protocol(std::string_view offered, std::span<const std::string_view> allowed,
                     std::string_view& out) noexcept {
  return for_each_token(offered, [&](std::string_view token) {
    // Subprotocol names are compared as they are written (section 11.5). All are read: the list must be
    // valid.
    const auto found = std::find(allowed.begin(), allowed.end(), token);
    if (found != allowed.end() && out.empty()) out = *found;
    return true;
  });
}

// Upgrade lists protocols, which may have versions ("h2c, foo/2, websocket", RFC 9110 section 7.8).
bool offers_websocket(std::string_view upgrade) noexcept {
  while (!upgrade.empty()) {
    skip_spaces(upgrade);
    const std::string_view name = take_token(upgrade);
    skip_spaces(upgrade);
    const bool alone = upgrade.empty() || upgrade.front() == ',';
    if (alone && equals_ignoring_case(name, "websocket")) return true;
    const std::size_t comma = upgrade.find(',');
    upgrade.remove_prefix(comma == std::string_view::npos ? upgrade.size() : comma + 1);
  }
  return false;
}

upgrade_error check(const upgrade_request& r) noexcept {
  if (r.method != "GET") return upgrade_error::not_get;
  if (!r.http_1_1) return upgrade_error::old_http;
  if (!offers_websocket(r.upgrade)) return upgrade_error::not_websocket;
  if (!list_contains(r.connection, "upgrade")) return upgrade_error::no_connection_upgrade;
  if (r.version != "13") return upgrade_error::other_version;
  if (!is_key(r.key)) return upgrade_error::bad_key;
  return upgrade_error::none;
}

}  // namespace

const upgrade_error_text& describe(upgrade_error e) noexcept {
  static constexpr std::array<upgrade_error_text, 11> kTexts{{
      {101, "", ""},
      {405, "Allow: GET\r\n", "a WebSocket is opened with GET"},
      {400, "", "a WebSocket needs HTTP/1.1"},
      {426, "Upgrade: websocket\r\nConnection: Upgrade\r\n",
       "this resource is a WebSocket: send Upgrade: websocket"},
      {400, "", "Connection does not say upgrade"},
      {426, "Sec-WebSocket-Version: 13\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n",
       "only version 13 of the protocol is spoken"},
      {400, "", "Sec-WebSocket-Key is not 16 bytes in base64"},
      {400, "", "Sec-WebSocket-Protocol is not a list of tokens"},
      {400, "", "Sec-WebSocket-Extensions is not well-formed"},
      {400, "", "a request that opens a WebSocket has no body"},
      {503, "Retry-After: 1\r\n", "this server is about to stop"},
  }};
  return kTexts[static_cast<std::size_t>(e)];
}

upgrade_answer check_upgrade(const upgrade_request& request,
                             std::span<const std::string_view> allowed_protocols,
                             const deflate_options& deflate) {
  upgrade_answer out;
  out.error = check(request);
  if (out.error != upgrade_error::none) return out;
  if (!choose_protocol(request.protocols, allowed_protocols, out.protocol)) {
    out.error = upgrade_error::bad_protocols;
    return out;
  }
  const deflate_choice choice = choose_deflate(request.extensions, deflate);
  if (choice.malformed) out.error = upgrade_error::bad_extensions;
  out.deflate = choice.agreed;
  return out;
}

void append_upgrade_lines(const upgrade_request& request, const upgrade_answer& answer, std::string& out) {
  out.append("Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ");
  out.append(accept_key(request.key)).append("\r\n");
  if (!answer.protocol.empty()) out.append("Sec-WebSocket-Protocol: ").append(answer.protocol).append("\r\n");
  if (!answer.deflate) return;
  out.append("Sec-WebSocket-Extensions: ");
  append_answer(*answer.deflate, out);
  out.append("\r\n");
}

std::string accept_key(std::string_view key) {
  std::string text;
  text.reserve(key.size() + kGuid.size());
  text.append(key).append(kGuid);
  std::array<std::uint8_t, EVP_MAX_MD_SIZE> digest;
  unsigned n = 0;
  if (EVP_Digest(text.data(), text.size(), digest.data(), &n, EVP_sha1(), nullptr) != 1) {
    throw std::runtime_error("OpenSSL has no SHA-1, which RFC 6455 needs");
  }
  return base64({digest.data(), n});
}

std::string make_key(std::span<const std::uint8_t, 16> random) {
  return base64(random);
}

std::optional<upgraded> check_upgrade_response(const upgrade_response& response, std::string_view key,
                                               std::string_view protocols, bool offered_deflate) {
  if (response.status != 101 || !equals_ignoring_case(response.upgrade, "websocket")) return std::nullopt;
  if (!list_contains(response.connection, "upgrade")) return std::nullopt;
  if (response.accept != accept_key(key)) return std::nullopt;
  if (!response.protocol.empty()) {
    std::string_view chosen;
    const std::array<std::string_view, 1> answered{response.protocol};
    if (!choose_protocol(protocols, answered, chosen) || chosen.empty()) return std::nullopt;
  }
  upgraded out;
  if (response.extensions.empty()) return out;
  out.deflate = offered_deflate ? read_deflate_answer(response.extensions) : std::nullopt;
  if (!out.deflate) return std::nullopt;
  return out;
}

}  // namespace syncline::net::websocket
