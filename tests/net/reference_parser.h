// Requests read as RFC 9110 and RFC 9112 describe them, as plainly as possible: the whole input is one
// string, lines are cut out of it and looked at one after the other. What net/http does incrementally, in
// place and with wide registers must come to the same (tests/net/http_differential_test.cpp,
// tests/fuzz/http_differential_fuzz.cpp).
//
// Where a recipient has a choice, the comment says which one Syncline made (docs/http.md lists them). The
// first wrong line decides the status. Not for servers: it copies everything and knows no time.
#pragma once

#include <algorithm>
#include <cctype>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "net/http/server.h"

namespace syncline::net::http::testing {

struct message {
  std::string method, target, path, query, host;
  int minor = 1;
  std::vector<std::pair<std::string, std::string>> headers;
  bool keep_alive = true, expect_continue = false, chunked = false;
  std::optional<std::uint64_t> length;
  std::string body;
  bool body_complete = false;
  bool operator==(const message&) const = default;
};

// What a connection's bytes mean: requests, then 0 when more bytes are awaited (or the last request closes),
// else the class of the status of the refusal.
struct conversation {
  std::vector<message> messages;
  int refused = 0;
  bool operator==(const conversation&) const = default;
};

class reference_parser {
 public:
  reference_parser(std::string bytes, const limits& bounds) : bytes_(std::move(bytes)), bounds_(bounds) {}

  conversation read() {
    conversation out;
    while (read_head()) {
      read_body();
      out.messages.push_back(now_);
      if (refused_ != 0 || !now_.body_complete || !now_.keep_alive) break;
    }
    out.refused = refused_ / 100;
    return out;
  }

 private:
  using text = std::string;
  static constexpr std::uint64_t kLargestChunk = 0x7fffffffffffffffU;

  static bool is_digit(char c) { return c >= '0' && c <= '9'; }
  static bool is_alpha(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
  static bool is_hex(char c) { return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); }
  // RFC 9110 section 5.6.2: tchar.
  static bool is_tchar(char c) {
    return is_alpha(c) || is_digit(c) || text("!#$%&'*+-.^_`|~").find(c) != text::npos;
  }
  // RFC 9110 section 5.5: VCHAR, obs-text, SP and HTAB.
  static bool is_value_char(char c) {
    const auto byte = static_cast<unsigned char>(c);
    return c == '\t' || (byte >= 0x20 && byte != 0x7f);
  }
  static bool is_token(const text& t) { return !t.empty() && std::all_of(t.begin(), t.end(), is_tchar); }
  static bool is_number(const text& t) { return !t.empty() && std::all_of(t.begin(), t.end(), is_digit); }
  static text lower(text t) {
    for (char& c : t) c = static_cast<char>(is_alpha(c) ? std::tolower(c) : c);
    return t;
  }
  // RFC 9110 section 5.6.3: OWS around something is no part of it.
  static text trimmed(const text& t) {
    const std::size_t first = t.find_first_not_of(" \t");
    return first == text::npos ? text() : t.substr(first, t.find_last_not_of(" \t") - first + 1);
  }
  static std::vector<text> elements(const text& list) {
    std::vector<text> out;
    for (std::size_t from = 0;;) {
      const std::size_t comma = list.find(',', from);
      out.push_back(trimmed(list.substr(from, comma - from)));
      if (comma == text::npos) return out;
      from = comma + 1;
    }
  }

  bool refuse(int status) {
    refused_ = status;
    return false;
  }

  // --- the head ---

  // False when there is none: it is incomplete, or refused.
  bool read_head() {
    now_ = message();
    host_lines_ = length_lines_ = encoding_lines_ = 0;
    close_asked_ = keep_alive_asked_ = false;
    std::vector<text> lines;
    if (!cut_head(lines) || !read_request_line(lines.front())) return false;
    for (std::size_t i = 1; i < lines.size(); ++i) {
      if (i > bounds_.header_count_max) return refuse(431);
      if (!read_field(lines[i])) return false;
    }
    return check_together();
  }

  // Lines end with CRLF and the head with an empty one. Takes the head off bytes_.
  bool cut_head(std::vector<text>& lines) {
    const text window = bytes_.substr(0, bounds_.header_bytes_max);
    std::size_t from = 0;
    if (!window.empty() && window[0] == '\r') {  // section 2.2: an empty line before it is ignored; we: one
      if (window.size() == 1) return false;
      if (window[1] != '\n') return refuse(400);
      from = 2;
    }
    // Told at once, so that another protocol does not wait for the head's time to be over.
    if (from < window.size() && !is_tchar(window[from])) return refuse(400);
    for (;;) {
      const std::size_t lf = window.find('\n', from);
      if (lf == text::npos) break;
      if (lf == from || window[lf - 1] != '\r') return refuse(400);  // section 2.2: we take no bare LF
      const text line = window.substr(from, lf - 1 - from);
      from = lf + 1;
      if (line.empty()) {
        bytes_.erase(0, from);
        return true;
      }
      lines.push_back(line);
    }
    if (bytes_.size() < bounds_.header_bytes_max) return false;
    return refuse(lines.empty() ? 414 : 431);
  }

  // RFC 9112 section 3: method SP request-target SP HTTP-version, and nothing else.
  bool read_request_line(const text& line) {
    const std::size_t first = line.find(' ');
    if (first == text::npos) return refuse(400);
    const std::size_t second = line.find(' ', first + 1);
    if (second == text::npos) return refuse(400);
    now_.method = line.substr(0, first);
    now_.target = line.substr(first + 1, second - first - 1);
    const text version = line.substr(second + 1);
    if (!is_token(now_.method) || now_.method.size() > 24) return refuse(400);
    if (now_.target.size() > bounds_.target_bytes_max) return refuse(414);
    // Visible ASCII, and no fragment (RFC 9110 section 4.2.5: it is never sent).
    const bool visible = std::all_of(now_.target.begin(), now_.target.end(),
                                     [](char c) { return c > 0x20 && c < 0x7f && c != '#'; });
    if (now_.target.empty() || !visible) return refuse(400);
    // RFC 9112 section 2.3: HTTP-name "/" DIGIT "." DIGIT, in this case of letters.
    if (version.size() != 8 || version.substr(0, 5) != "HTTP/" || !is_digit(version[5]) ||
        version[6] != '.' || !is_digit(version[7]))
      return refuse(400);
    if (version != "HTTP/1.1" && version != "HTTP/1.0") return refuse(505);
    now_.minor = version == "HTTP/1.1" ? 1 : 0;
    return read_target();
  }

  // RFC 9112 section 3.2.
  bool read_target() {
    const text& target = now_.target;
    if (now_.method == "CONNECT") {  // authority-form; RFC 9110 section 9.3.6: the port must be there
      const std::size_t colon = target.rfind(':');
      const bool good = colon != text::npos && is_authority(target) && is_number(target.substr(colon + 1));
      return refuse(good ? 501 : 400);
    }
    if (target[0] == '/') {
      cut_query(target);
      return true;
    }
    if (target == "*") {
      now_.path = "*";
      return now_.method == "OPTIONS" || refuse(400);
    }
    for (const text scheme : {"http://", "https://"}) {
      if (lower(target.substr(0, scheme.size())) != scheme) continue;
      const std::size_t end = std::min(target.find_first_of("/?", scheme.size()), target.size());
      now_.host = target.substr(scheme.size(), end - scheme.size());
      if (!is_authority(now_.host)) return refuse(400);
      cut_query(target.substr(end));
      // Section 3.2.4: OPTIONS without path and query is about the server. Else section 3.2.1: "/".
      const bool server_wide = now_.method == "OPTIONS" && end == target.size();
      if (now_.path.empty()) now_.path = server_wide ? "*" : "/";
      return true;
    }
    return refuse(400);
  }

  void cut_query(const text& t) {
    const std::size_t mark = t.find('?');
    now_.path = t.substr(0, mark);
    if (mark != text::npos) now_.query = t.substr(mark + 1);
  }

  // uri-host [ ":" port ] (RFC 3986 section 3.2.2), without user information. We refuse sub-delims and an
  // empty name, IPvFuture, and ports that do not exist.
  static bool is_authority(const text& t) {
    std::size_t host_end = 0;
    if (!t.empty() && t[0] == '[') {
      host_end = t.find(']');
      if (host_end == text::npos || !is_ipv6(t.substr(1, host_end - 1))) return false;
      ++host_end;
    } else {
      host_end = std::min(t.find(':'), t.size());
      if (!is_reg_name(t.substr(0, host_end))) return false;
    }
    if (host_end == t.size()) return true;
    const text port = t.substr(host_end + 1);
    if (t[host_end] != ':') return false;
    return port.empty() || (is_number(port) && port.size() <= 5 && std::stoul(port) <= 65535);
  }
  static bool is_reg_name(const text& t) {
    for (std::size_t i = 0; i < t.size(); ++i) {
      if (is_alpha(t[i]) || is_digit(t[i]) || text("-._~").find(t[i]) != text::npos) continue;
      if (t[i] != '%' || i + 2 >= t.size() || !is_hex(t[i + 1]) || !is_hex(t[i + 2])) return false;
      i += 2;
    }
    return !t.empty();
  }
  // Eight groups of one to four hexadecimal digits; "::" stands once for one or more groups of zeros; an IPv4
  // address may stand for the last two.
  static bool is_ipv6(const text& t) {
    const std::size_t gap = t.find("::");
    if (gap == text::npos) return groups(t, true) == 8;
    const text left = t.substr(0, gap), right = t.substr(gap + 2);
    const int before = left.empty() ? 0 : groups(left, false);
    const int after = right.empty() ? 0 : groups(right, true);
    return before >= 0 && after >= 0 && before + after <= 7;
  }
  // How many 16-bit groups; -1 when it is no list of them.
  static int groups(const text& t, bool ipv4_may_end_it) {
    int count = 0;
    for (std::size_t from = 0;;) {
      const std::size_t colon = t.find(':', from);
      const text one = t.substr(from, colon - from);
      if (colon == text::npos && ipv4_may_end_it && is_ipv4(one)) return count + 2;
      if (one.empty() || one.size() > 4 || !std::all_of(one.begin(), one.end(), is_hex)) return -1;
      ++count;
      if (colon == text::npos) return count;
      from = colon + 1;
    }
  }
  static bool is_ipv4(const text& t) {
    int parts = 0;
    for (std::size_t from = 0;; ++parts) {
      const std::size_t dot = t.find('.', from);
      const text one = t.substr(from, dot - from);
      if (!is_number(one) || one.size() > 3 || (one.size() > 1 && one[0] == '0') || std::stoi(one) > 255)
        return false;
      if (dot == text::npos) return parts == 3;
      from = dot + 1;
    }
  }

  // RFC 9112 section 5: field-name ":" OWS field-value OWS.
  bool read_field(const text& line) {
    const std::size_t colon = line.find(':');
    if (colon == text::npos) return refuse(400);
    const text name = line.substr(0, colon);  // white space in or before it is no token: 5.1, 5.2
    const text value = trimmed(line.substr(colon + 1));
    if (!is_token(name) ||
        !std::all_of(line.begin() + static_cast<std::ptrdiff_t>(colon), line.end(), is_value_char))
      return refuse(400);
    now_.headers.emplace_back(name, value);
    const text known = lower(name);
    if (known == "host") return read_host(value);
    if (known == "content-length") return read_length(value);
    if (known == "transfer-encoding") return read_encoding(value);
    if (known == "expect") {  // RFC 9110 section 10.1.1
      if (lower(value) != "100-continue") return refuse(417);
      now_.expect_continue = now_.minor == 1;
    }
    if (known == "connection") {
      for (const text& option : elements(value)) {
        close_asked_ = close_asked_ || lower(option) == "close";
        keep_alive_asked_ = keep_alive_asked_ || lower(option) == "keep-alive";
      }
    }
    return true;
  }

  // RFC 9112 section 3.2: one, and valid.
  bool read_host(const text& value) {
    if (++host_lines_ > 1 || !is_authority(value)) return refuse(400);
    if (now_.host.empty()) now_.host = value;  // section 3.2.2: the target's wins
    return true;
  }

  // RFC 9110 section 8.6: 1*DIGIT. We take one line, no list, and what fits into 64 bits for sure.
  bool read_length(const text& value) {
    if (++length_lines_ > 1 || !is_number(value) || value.size() > 19) return refuse(400);
    now_.length = std::stoull(value);
    return true;
  }

  // RFC 9112 section 6.3: chunked must be the last coding, and once (7.1). We implement no other and take no
  // empty element. A coding is a token with parameters; whatever these are, we do not know it.
  bool read_encoding(const text& value) {
    if (++encoding_lines_ > 1) return refuse(400);
    const std::vector<text> codings = elements(value);
    for (std::size_t i = 0; i + 1 < codings.size(); ++i) {
      const text& coding = codings[i];
      const text name = trimmed(coding.substr(0, coding.find(';')));
      if (!is_token(name) || lower(coding) == "chunked") return refuse(400);
    }
    if (lower(codings.back()) != "chunked") return refuse(400);
    if (codings.size() > 1) return refuse(501);
    now_.chunked = true;
    return true;
  }

  bool check_together() {
    if (encoding_lines_ > 0 && now_.minor == 0) return refuse(400);  // RFC 9112 section 6.1
    if (encoding_lines_ > 0 && length_lines_ > 0) return refuse(400);
    if (host_lines_ == 0 && now_.minor == 1) return refuse(400);
    now_.keep_alive = !close_asked_ && (now_.minor == 1 || keep_alive_asked_);  // section 9.3
    return true;
  }

  // --- the body (RFC 9112 section 6.3) ---

  void read_body() {
    if (now_.chunked) {
      now_.body_complete = read_chunks();
      return;
    }
    const std::uint64_t length = now_.length.value_or(0);
    now_.body = bytes_.substr(0, length);
    bytes_.erase(0, now_.body.size());
    now_.body_complete = now_.body.size() == length;
  }

  enum class cut { whole, part, wrong };
  // A line without its CRLF; `part` when its end is missing. A CR stands before the LF and nowhere else.
  cut cut_line(text& line) {
    const std::size_t cr = bytes_.find('\r');
    line = bytes_.substr(0, cr);
    if (cr == text::npos || cr + 1 == bytes_.size()) return cut::part;
    if (bytes_[cr + 1] != '\n') return cut::wrong;
    bytes_.erase(0, cr + 2);
    return cut::whole;
  }

  bool read_chunks() {
    std::uint64_t extensions = 0;
    for (;;) {
      text line;
      const bool nothing = bytes_.empty();
      const cut how = cut_line(line);
      if (nothing) return false;
      std::uint64_t size = 0;
      if (!read_chunk_line(line, size, extensions) || how == cut::wrong) return refuse(400);
      if (how == cut::part) return false;
      if (size == 0) return read_trailers();
      now_.body += bytes_.substr(0, size);
      if (bytes_.size() <= size) return false;
      const text end = bytes_.substr(size, 2);
      if (end != text("\r\n").substr(0, end.size())) return refuse(400);
      if (end.size() < 2) return false;
      bytes_.erase(0, size + 2);
    }
  }

  // Section 7.1: 1*HEXDIG [ chunk-ext ]. We take no white space before the semicolon and at most 16 digits.
  // A line that is not whole yet is judged by what is there.
  bool read_chunk_line(const text& line, std::uint64_t& size, std::uint64_t& extensions) const {
    const std::size_t semicolon = line.find(';');
    const text digits = line.substr(0, semicolon);
    if (digits.empty() || digits.size() > 16 || !std::all_of(digits.begin(), digits.end(), is_hex))
      return false;
    size = std::stoull(digits, nullptr, 16);
    if (size > kLargestChunk) return false;
    if (semicolon == text::npos) return true;
    const text extension = line.substr(semicolon + 1);
    extensions += extension.size();
    return extension.size() <= 256 && extensions <= 16 * 1024 + now_.body.size() / 8 &&
           std::all_of(extension.begin(), extension.end(), is_value_char);
  }

  // Section 7.1.2: field lines up to an empty one; we drop them, at most 8 KiB.
  bool read_trailers() {
    std::size_t taken = 0;
    for (;;) {
      text line;
      const std::size_t before = bytes_.size();
      if (before == 0) return false;
      const cut how = cut_line(line);
      const std::size_t used = how == cut::whole ? before - bytes_.size() : before;
      if (how == cut::part && taken + used > 8 * 1024) return refuse(400);
      const std::size_t colon = line.find(':');
      const bool good = line.empty() || (is_token(line.substr(0, colon)) &&
                                         std::all_of(line.begin(), line.end(), is_value_char));
      if (!good || how == cut::wrong) return refuse(400);
      if (how == cut::part) {
        // A CR ends the line, so then the colon must have been there.
        const bool ended = bytes_.size() > line.size();
        return ended && !line.empty() && colon == text::npos ? refuse(400) : false;
      }
      taken += used;
      if (taken > 8 * 1024) return refuse(400);
      if (line.empty()) return true;
      if (colon == text::npos) return refuse(400);
    }
  }

  std::string bytes_;
  const limits& bounds_;
  message now_;
  int refused_ = 0;
  int host_lines_ = 0, length_lines_ = 0, encoding_lines_ = 0;
  bool close_asked_ = false, keep_alive_asked_ = false;
};

}  // namespace syncline::net::http::testing
