#include "net/http/parser.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>

#include "net/http/characters.h"
#include "net/http/scan.h"
#include "net/http/server.h"
#include "net/http/target.h"

namespace syncline::net::http {

namespace {

constexpr std::size_t kMethodBytesMax = 24;

constexpr std::array<parse_error_text, kParseErrors> kTexts{{
    {200, "none", ""},
    {400, "bare-cr", "A carriage return must be followed by a line feed."},
    {400, "bare-lf", "A line must end with carriage return and line feed."},
    {400, "bad-method", "The request does not start with a method."},
    {400, "bad-request-line", "The request line must be: method, one space, target, one space, version."},
    {400, "bad-version", "The HTTP version is malformed."},
    {505, "unknown-version", "This server speaks HTTP/1.1 and HTTP/1.0."},
    {400, "bad-target", "The request target is not a valid path or URL for this method."},
    {414, "target-too-long", "The request target is longer than this server accepts."},
    {501, "connect", "This server is no proxy: CONNECT is not implemented."},
    {431, "headers-too-large", "Request line and headers together are larger than this server accepts."},
    {431, "too-many-headers", "The request has more header lines than this server accepts."},
    {400, "bad-header-name", "A header line needs a name of token characters, directly followed by a colon."},
    {400, "bad-header-value", "A header value has a control character in it."},
    {400, "folded-header", "A header line must not start with white space (line folding is obsolete)."},
    {400, "missing-host", "An HTTP/1.1 request needs a Host header."},
    {400, "duplicate-host", "The request has more than one Host header."},
    {400, "bad-host", "The Host header is not a host with an optional port."},
    {400, "bad-content-length", "Content-Length must be one decimal number."},
    {400, "duplicate-content-length", "The request has more than one Content-Length header."},
    {400, "length-and-encoding", "Content-Length and Transfer-Encoding exclude each other."},
    {400, "bad-transfer-encoding", "Transfer-Encoding must be exactly one final chunked."},
    {501, "unknown-transfer-encoding", "The only transfer coding this server implements is chunked."},
    {400, "encoding-in-http-1-0", "HTTP/1.0 has no Transfer-Encoding."},
    {417, "unknown-expectation", "The only expectation this server knows is 100-continue."},
}};

method method_of(std::string_view text) noexcept {
  switch (text.size()) {
    case 3:
      if (text == "GET") return method::get;
      if (text == "PUT") return method::put;
      break;
    case 4:
      if (text == "POST") return method::post;
      if (text == "HEAD") return method::head;
      break;
    case 5:
      if (text == "PATCH") return method::patch;
      break;
    case 6:
      if (text == "DELETE") return method::del;
      break;
    case 7:
      if (text == "OPTIONS") return method::options;
      break;
    default:
      break;
  }
  return method::other;
}

std::string_view trim(std::string_view text) noexcept {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

// Calls `each` for every element of a comma-separated list; empty elements are passed too.
template <class Each>
void for_each_element(std::string_view list, Each each) {
  for (;;) {
    const std::size_t comma = list.find(',');
    each(trim(list.substr(0, comma)));
    if (comma == std::string_view::npos) return;
    list.remove_prefix(comma + 1);
  }
}

// What the headers say about framing and the connection, collected while they are parsed.
struct head_facts {
  std::string_view known_host;  // one that was found valid before
  bool host_seen = false;
  bool length_seen = false;
  bool encoding_seen = false;
  bool close = false;
  bool keep_alive = false;
  std::string_view host;
};

// The bytes ran out. Only the first attempt, made before the end of the head is known, can meet it, and what
// that one says is not final.
constexpr parse_error kCut = parse_error::bad_request_line;

parse_error parse_version(std::string_view text, request_head& out) noexcept {
  if (text == "HTTP/1.1") {
    out.minor = 1;
    return parse_error::none;
  }
  if (text == "HTTP/1.0") {
    out.minor = 0;
    return parse_error::none;
  }
  const bool shaped = text.size() == 8 && text.substr(0, 5) == "HTTP/" && is_digit(text[5]) &&
                      text[6] == '.' && is_digit(text[7]);
  return shaped ? parse_error::unknown_version : parse_error::bad_version;
}

// On success `p` is behind the space that follows the method.
template <class Scan>
parse_error parse_method(const char*& p, const char* end, request_head& out) noexcept {
  if (end - p >= 4 && std::memcmp(p, "GET ", 4) == 0) {
    out.method_text = std::string_view(p, 3);
    out.verb = method::get;
    p += 4;
    return parse_error::none;
  }
  const char* const method_end = Scan::token(p, end);
  if (method_end == end) return kCut;
  if (method_end == p) return parse_error::bad_method;
  out.method_text = std::string_view(p, static_cast<std::size_t>(method_end - p));
  if (*method_end != ' ')
    return *method_end == '\r' ? parse_error::bad_request_line : parse_error::bad_method;
  if (out.method_text.size() > kMethodBytesMax) return parse_error::bad_method;
  out.verb = method_of(out.method_text);
  p = method_end + 1;
  return parse_error::none;
}

// On success `p` is at the first header line.
template <class Scan>
parse_error parse_request_line(const char*& p, const char* end, const limits& bounds,
                               request_head& out) noexcept {
  if (const auto e = parse_method<Scan>(p, end, out); e != parse_error::none) return e;
  const char* const target = p;
  const char* const path_end = Scan::path(target, end);
  const bool has_query = path_end != end && *path_end == '?';
  const char* const target_end = has_query ? Scan::target(path_end + 1, end) : path_end;
  if (target_end == end) return kCut;
  out.target = std::string_view(target, static_cast<std::size_t>(target_end - target));
  if (out.target.size() > bounds.target_bytes_max) return parse_error::target_too_long;
  if (*target_end != ' ')
    return *target_end == '\r' ? parse_error::bad_request_line : parse_error::bad_target;
  if (out.target.empty()) return parse_error::bad_request_line;

  const char* const version = target_end + 1;
  if (end - version >= 10 && std::memcmp(version, "HTTP/1.1\r\n", 10) == 0) {
    out.minor = 1;
    p = version + 10;
  } else {
    const char* const version_end = Scan::value(version, end);
    if (end - version_end < 2) return kCut;
    if (*version_end != '\r') return parse_error::bad_version;
    if (version_end[1] != '\n') return parse_error::bare_cr;
    const auto e = parse_version({version, static_cast<std::size_t>(version_end - version)}, out);
    if (e != parse_error::none) return e;
    p = version_end + 2;
  }
  if (*target == '/' && out.verb != method::other) {  // origin-form; other methods may be CONNECT
    out.path = std::string_view(target, static_cast<std::size_t>(path_end - target));
    if (has_query) out.query = out.target.substr(out.path.size() + 1);
    return parse_error::none;
  }
  return split_target(out);
}

parse_error take_content_length(std::string_view value, head_facts& facts, request_head& out) noexcept {
  if (facts.length_seen) return parse_error::duplicate_content_length;
  facts.length_seen = true;
  if (value.empty() || value.size() > 19)
    return parse_error::bad_content_length;  // 19 digits fit into 64 bits
  std::uint64_t length = 0;
  for (const char c : value) {
    if (!is_digit(c)) return parse_error::bad_content_length;
    length = length * 10 + static_cast<std::uint64_t>(c - '0');
  }
  out.content_length = length;
  return parse_error::none;
}

// RFC 9112 section 7: a token with parameters. What these are does not matter for a coding we do not know.
bool is_coding(std::string_view text) noexcept {
  const std::string_view name = trim(text.substr(0, text.find(';')));
  return !name.empty() && std::all_of(name.begin(), name.end(), is_token_char);
}

// RFC 9112 section 6.3: without a final chunked the length of the body is unknowable, so it is 400; a coding
// before it is 501.
parse_error take_transfer_encoding(std::string_view value, head_facts& facts, request_head& out) noexcept {
  if (facts.encoding_seen) return parse_error::bad_transfer_encoding;
  facts.encoding_seen = true;
  if (iequals(value, "chunked")) {
    out.chunked = true;
    return parse_error::none;
  }
  unsigned elements = 0, chunked = 0;
  bool last_is_chunked = false, well_formed = true;
  for_each_element(value, [&](std::string_view element) {
    ++elements;
    last_is_chunked = iequals(element, "chunked");
    chunked += last_is_chunked ? 1U : 0U;
    well_formed = well_formed && is_coding(element);
  });
  const bool unknown_then_chunked = well_formed && last_is_chunked && chunked == 1 && elements > 1;
  return unknown_then_chunked ? parse_error::unknown_transfer_encoding : parse_error::bad_transfer_encoding;
}

// Whether `name`, which has N - 1 token characters, is `lower` without regard to case; `lower` is letters and
// '-'. Bit 5 tells the cases of a letter apart, and no token character becomes '-' by setting it.
template <std::size_t N>
bool is_name(std::string_view name, const char (&lower)[N]) noexcept {
  constexpr std::size_t kSize = N - 1;
  const auto differs = [&](std::size_t at, auto word) {
    auto wanted = word;
    std::memcpy(&word, name.data() + at, sizeof word);
    std::memcpy(&wanted, lower + at, sizeof wanted);
    return ((word | static_cast<decltype(word)>(0x2020202020202020U)) ^ wanted) != 0;
  };
  if constexpr (kSize < 8) {
    return !differs(0, std::uint32_t{}) && !differs(kSize - 4, std::uint32_t{});
  } else {
    for (std::size_t at = 0; at + 8 <= kSize; at += 8) {
      if (differs(at, std::uint64_t{})) return false;
    }
    return !differs(kSize - 8, std::uint64_t{});
  }
}

parse_error take_field(const header_field& field, head_facts& facts, request_head& out) noexcept {
  switch (field.name.size()) {
    case 4:
      if (!is_name(field.name, "host")) break;
      if (facts.host_seen) return parse_error::duplicate_host;
      facts.host_seen = true;
      facts.host = field.value;
      if (!field.value.empty() && field.value == facts.known_host) return parse_error::none;
      return valid_authority(field.value) ? parse_error::none : parse_error::bad_host;
    case 6:
      if (!is_name(field.name, "expect")) break;
      if (!iequals(field.value, "100-continue")) return parse_error::unknown_expectation;
      out.expect_continue = out.minor >= 1;
      break;
    case 10:
      if (!is_name(field.name, "connection")) break;
      for_each_element(field.value, [&facts](std::string_view element) {
        facts.close = facts.close || iequals(element, "close");
        facts.keep_alive = facts.keep_alive || iequals(element, "keep-alive");
      });
      break;
    case 14:
      if (is_name(field.name, "content-length")) return take_content_length(field.value, facts, out);
      break;
    case 17:
      if (is_name(field.name, "transfer-encoding")) return take_transfer_encoding(field.value, facts, out);
      break;
    default:
      break;
  }
  return parse_error::none;
}

// On success `p` is at the next line.
template <class Scan>
parse_error parse_field(const char*& p, const char* end, header_field& field) noexcept {
  if (*p == ' ' || *p == '\t') return parse_error::folded_header;
  const char* const name_end = Scan::token(p, end);
  if (name_end == end) return kCut;
  if (*name_end != ':' || name_end == p) return parse_error::bad_header_name;
  const char* value = name_end + 1;
  if (value != end && *value == ' ') ++value;
  const char* const value_end = Scan::value(value, end);
  if (end - value_end < 2) return kCut;
  if (*value_end != '\r') return parse_error::bad_header_value;
  if (value_end[1] != '\n') return parse_error::bare_cr;
  field.name = std::string_view(p, static_cast<std::size_t>(name_end - p));
  field.value = trim(std::string_view(value, static_cast<std::size_t>(value_end - value)));
  p = value_end + 2;
  return parse_error::none;
}

// On success `p` is behind the empty line.
template <class Scan>
parse_error parse_fields(const char*& p, const char* end, const limits& bounds,
                         std::vector<header_field>& fields, head_facts& facts, request_head& out) {
  for (;;) {
    if (p == end) return kCut;
    if (*p == '\r') break;
    if (fields.size() == bounds.header_count_max) return parse_error::too_many_headers;
    header_field& field = fields.emplace_back();
    if (const auto e = parse_field<Scan>(p, end, field); e != parse_error::none) return e;
    if (const auto e = take_field(field, facts, out); e != parse_error::none) return e;
  }
  if (end - p < 2) return kCut;
  if (p[1] != '\n') return parse_error::bare_cr;
  p += 2;
  return parse_error::none;
}

parse_error check_together(const head_facts& facts, request_head& out) noexcept {
  if (facts.encoding_seen && out.minor == 0) return parse_error::encoding_in_http_1_0;
  if (facts.encoding_seen && facts.length_seen) return parse_error::length_and_encoding;
  if (!facts.host_seen && out.minor >= 1) return parse_error::missing_host;
  if (out.host.data() == nullptr) out.host = facts.host;  // else the absolute target's authority stands
  out.keep_alive = !facts.close && (out.minor >= 1 || facts.keep_alive);
  return parse_error::none;
}

// On success `p` is behind the head.
template <class Scan>
parse_error parse_head(const char*& p, const char* end, const limits& bounds,
                       std::vector<header_field>& fields, std::string_view known_host, request_head& out) {
  head_facts facts;
  facts.known_host = known_host;
  if (const auto e = parse_request_line<Scan>(p, end, bounds, out); e != parse_error::none) return e;
  if (const auto e = parse_fields<Scan>(p, end, bounds, fields, facts, out); e != parse_error::none) return e;
  return check_together(facts, out);
}

}  // namespace

const parse_error_text& describe(parse_error e) noexcept {
  return kTexts[static_cast<std::size_t>(e)];
}

parse_status head_parser::find_end(std::string_view bytes, const limits& bounds) noexcept {
  const char* const base = bytes.data();
  const std::size_t window = std::min<std::size_t>(bytes.size(), bounds.header_bytes_max);
  if (window == 0) return parse_status::incomplete;
  if (scanned_ == 0 &&
      base[0] == '\r') {  // RFC 9112 section 2.2: one empty line before the request line is ignored
    if (window < 2) return parse_status::incomplete;
    if (base[1] != '\n') return fail(parse_error::bare_cr);
    start_ = scanned_ = line_start_ = 2;
  }
  // A wrong first byte (a TLS hello, say) is told at once instead of after the header timeout.
  if (window > start_ && base[start_] != '\n' && !is_token_char(base[start_])) {
    return fail(base[start_] == '\r' ? parse_error::bad_request_line : parse_error::bad_method);
  }
  while (scanned_ < window) {
    const void* const found = std::memchr(base + scanned_, '\n', window - scanned_);
    if (found == nullptr) {
      scanned_ = static_cast<std::uint32_t>(window);
      break;
    }
    const auto at = static_cast<std::uint32_t>(static_cast<const char*>(found) - base);
    if (at == start_ || base[at - 1] != '\r') return fail(parse_error::bare_lf);
    scanned_ = at + 1;
    if (at - line_start_ == 1) {
      size_ = at + 1;
      return parse_status::complete;
    }
    line_start_ = at + 1;
  }
  if (bytes.size() < bounds.header_bytes_max) return parse_status::incomplete;
  return fail(line_start_ == start_ ? parse_error::target_too_long : parse_error::headers_too_large);
}

// Sets size_ when it finds no error.
parse_error head_parser::parse_whole(const char* base, const char* end, const limits& bounds,
                                     std::vector<header_field>& fields, request_head& out) {
  out = request_head();
  fields.clear();
  const char* p = base + start_;
  const bool scalar = active_scan().level == scan_level::scalar;
  const std::string_view known(known_host_.data(), known_host_size_);
  const parse_error e = scalar ? parse_head<byte_scan>(p, end, bounds, fields, known, out)
                               : parse_head<wide_scan>(p, end, bounds, fields, known, out);
  if (e != parse_error::none) return e;
  if (out.host != known && out.host.size() <= known_host_.size()) {
    known_host_size_ = static_cast<std::uint8_t>(out.host.copy(known_host_.data(), known_host_.size()));
  }
  size_ = static_cast<std::uint32_t>(p - base);
  out.headers = fields;
  return e;
}

parse_status head_parser::parse(std::string_view bytes, const limits& bounds,
                                std::vector<header_field>& fields, request_head& out) {
  // Nearly every head is there at once and right, and then one pass is enough. An error seen before the end
  // of the head is known is not final: which error is told must not depend on how much has arrived.
  if (scanned_ == 0) {
    const std::size_t window = std::min<std::size_t>(bytes.size(), bounds.header_bytes_max);
    if (parse_whole(bytes.data(), bytes.data() + window, bounds, fields, out) == parse_error::none) {
      return parse_status::complete;
    }
  }
  if (const auto status = find_end(bytes, bounds); status != parse_status::complete) return status;
  const parse_error e = parse_whole(bytes.data(), bytes.data() + size_, bounds, fields, out);
  return e == parse_error::none ? parse_status::complete : fail(e);
}

}  // namespace syncline::net::http
