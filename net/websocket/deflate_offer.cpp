#include "net/websocket/deflate_offer.h"

#include <algorithm>
#include <utility>

#include "net/websocket/header_list.h"

namespace syncline::net::websocket {

namespace {

constexpr std::string_view kName = "permessage-deflate";
constexpr std::uint8_t kWindowBitsMax = 15;
constexpr std::uint8_t kDeflateBitsMin = 9;  // what zlib's raw deflate can do

struct parameter {
  std::string_view name;
  std::string_view value;
  bool has_value = false;
  bool valid = true;  // false: a value no parameter of ours has
};

// One offer as it stands; each parameter at most once.
struct offer {
  bool acceptable = true;
  bool server_no_takeover = false;
  bool client_no_takeover = false;
  bool client_bits_offered = false;
  std::uint8_t server_bits = 0;  // 0: not named
  std::uint8_t client_bits = 0;  // 0: not named, or without value
};

// Takes a quoted-string whose content must be a token (RFC 6455 section 9.1). An escape is legal but no value
// of ours contains one, so it need not be undone: it makes the value invalid.
[[nodiscard]] bool take_quoted(std::string_view& text, parameter& out) noexcept {
  text.remove_prefix(1);
  std::size_t n = 0;
  for (; n < text.size() && text[n] != '"'; ++n) {
    if (text[n] == '\\') {
      out.valid = false;
      if (++n == text.size()) return false;
    }
    if (!is_token_char(text[n])) return false;
  }
  if (n == 0 || n == text.size()) return false;
  out.value = text.substr(0, n);
  text.remove_prefix(n + 1);
  return true;
}

[[nodiscard]] bool take_parameter(std::string_view& text, parameter& out) noexcept {
  out.name = take_token(text);
  if (out.name.empty()) return false;
  if (!take(text, '=')) return true;
  out.has_value = true;
  if (!text.empty() && text.front() == '"') return take_quoted(text, out);
  out.value = take_token(text);
  return !out.value.empty();
}

// 8 to 15 in decimal without leading zeros (RFC 7692 section 7.1.2), or 0.
std::uint8_t window_bits(const parameter& p) noexcept {
  if (!p.valid) return 0;
  if (p.value == "8") return 8;
  if (p.value == "9") return 9;
  if (p.value.size() != 2 || p.value[0] != '1' || p.value[1] < '0' || p.value[1] > '5') return 0;
  return static_cast<std::uint8_t>(10 + (p.value[1] - '0'));
}

// False: the parameter is unknown, repeated, or has a value it must not have.
[[nodiscard]] bool apply(const parameter& p, offer& out) noexcept {
  if (equals_ignoring_case(p.name, "server_no_context_takeover")) {
    return !p.has_value && !std::exchange(out.server_no_takeover, true);
  }
  if (equals_ignoring_case(p.name, "client_no_context_takeover")) {
    return !p.has_value && !std::exchange(out.client_no_takeover, true);
  }
  if (equals_ignoring_case(p.name, "server_max_window_bits")) {
    const std::uint8_t bits = window_bits(p);
    return bits != 0 && std::exchange(out.server_bits, bits) == 0;
  }
  if (equals_ignoring_case(p.name, "client_max_window_bits")) {
    if (std::exchange(out.client_bits_offered, true)) return false;
    if (!p.has_value) return true;
    out.client_bits = window_bits(p);
    return out.client_bits != 0;
  }
  return false;
}

// Reads one extension with its parameters. False: not the grammar. `out.acceptable` says whether it is ours.
[[nodiscard]] bool take_offer(std::string_view& text, offer& out) noexcept {
  const std::string_view name = take_token(text);
  if (name.empty()) return false;
  out.acceptable = equals_ignoring_case(name, kName);
  while (take(text, ';')) {
    parameter p;
    if (!take_parameter(text, p)) return false;
    if (out.acceptable && !apply(p, out)) out.acceptable = false;
  }
  return text.empty() || text.front() == ',';
}

std::optional<deflate_agreement> agree(const offer& o, const deflate_options& options) noexcept {
  if (!o.acceptable) return std::nullopt;
  deflate_agreement out;
  const std::uint8_t ours = std::clamp(options.server_max_window_bits, kDeflateBitsMin, kWindowBitsMax);
  out.server_window_bits = o.server_bits == 0 ? ours : std::min(ours, o.server_bits);
  if (out.server_window_bits < kDeflateBitsMin) return std::nullopt;
  out.says_server_bits = o.server_bits != 0 || out.server_window_bits < kWindowBitsMax;
  out.server_no_context_takeover = o.server_no_takeover || options.server_no_context_takeover;
  out.client_no_context_takeover = o.client_no_takeover || options.client_no_context_takeover;
  const std::uint8_t theirs = o.client_bits == 0 ? kWindowBitsMax : o.client_bits;
  if (o.client_bits_offered) {
    out.client_window_bits = std::min(theirs, options.client_max_window_bits);
    out.says_client_bits = o.client_bits != 0 || out.client_window_bits < kWindowBitsMax;
  } else if (options.client_max_window_bits < kWindowBitsMax) {
    // A client that did not offer it cannot be told to use less (section 7.1.2.2). The limit is there for the
    // window we would keep for it, so it must not make us keep one.
    out.client_no_context_takeover = true;
  }
  return out;
}

}  // namespace

deflate_choice choose_deflate(std::string_view offers, const deflate_options& options) noexcept {
  deflate_choice out;
  while (true) {
    while (take(offers, ',')) {
    }
    if (offers.empty()) return out;
    offer o;
    if (!take_offer(offers, o)) return {.malformed = true, .agreed = std::nullopt};
    if (options.enabled && !out.agreed) out.agreed = agree(o, options);
  }
}

void append_answer(const deflate_agreement& agreed, std::string& out) {
  out.append(kName);
  if (agreed.server_no_context_takeover) out.append("; server_no_context_takeover");
  if (agreed.client_no_context_takeover) out.append("; client_no_context_takeover");
  if (agreed.says_server_bits) {
    out.append("; server_max_window_bits=").append(std::to_string(agreed.server_window_bits));
  }
  if (agreed.says_client_bits) {
    out.append("; client_max_window_bits=").append(std::to_string(agreed.client_window_bits));
  }
}

std::optional<deflate_agreement> read_deflate_answer(std::string_view answer) noexcept {
  skip_spaces(answer);
  offer o;
  if (!take_offer(answer, o) || !answer.empty() || !o.acceptable) return std::nullopt;
  if (o.client_bits_offered && o.client_bits < kDeflateBitsMin) return std::nullopt;  // no value, or 8
  deflate_agreement out;
  out.server_no_context_takeover = o.server_no_takeover;
  out.client_no_context_takeover = o.client_no_takeover;
  out.says_server_bits = o.server_bits != 0;
  out.says_client_bits = o.client_bits_offered;
  if (o.server_bits != 0) out.server_window_bits = o.server_bits;
  if (o.client_bits != 0) out.client_window_bits = o.client_bits;
  return out;
}

}  // namespace syncline::net::websocket
