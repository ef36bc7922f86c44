#include "net/http/target.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>
#include <array>

#include "net/http/characters.h"

namespace syncline::net::http {

namespace {

// An IPv6 address; RFC 3986 also has room for later versions of IP, of which there are none.
bool valid_ip_literal(std::string_view text) noexcept {
  std::array<char, INET6_ADDRSTRLEN> terminated{};
  if (text.size() >= terminated.size()) return false;
  text.copy(terminated.data(), text.size());
  in6_addr address;
  return ::inet_pton(AF_INET6, terminated.data(), &address) == 1;
}

// Where the name at the front of `text` ends; percent-encoding is part of it.
std::size_t host_name_end(std::string_view text) noexcept {
  const char* p = text.data();
  const char* const end = p + text.size();
  for (;;) {
    while (p != end && is_host_char(*p)) ++p;
    if (end - p < 3 || *p != '%' || !is_hex_digit(p[1]) || !is_hex_digit(p[2])) break;
    p += 3;
  }
  return static_cast<std::size_t>(p - text.data());
}

bool valid_port(std::string_view text) noexcept {
  unsigned value = 0;
  if (text.size() > 5) return false;
  for (const char c : text) {
    if (!is_digit(c)) return false;
    value = value * 10 + static_cast<unsigned>(c - '0');
  }
  return value <= 65535;
}

void split_query(std::string_view rest, request_head& out) noexcept {
  const std::size_t mark = rest.find('?');
  out.path = rest.substr(0, mark);
  out.query = mark == std::string_view::npos ? std::string_view() : rest.substr(mark + 1);
}

parse_error split_absolute(request_head& out, std::size_t scheme_size) noexcept {
  const std::string_view rest = out.target.substr(scheme_size);
  const std::size_t end = std::min(rest.find_first_of("/?"), rest.size());
  const std::string_view authority = rest.substr(0, end);
  if (!valid_authority(authority)) return parse_error::bad_target;
  out.host = authority;
  split_query(rest.substr(end), out);
  // RFC 9112 section 3.2.4: OPTIONS of an absolute target without path means the server as a whole.
  if (out.path.empty()) out.path = out.verb == method::options && out.query.data() == nullptr ? "*" : "/";
  return parse_error::none;
}

}  // namespace

bool valid_authority(std::string_view text) noexcept {
  std::string_view port;
  if (!text.empty() && text.front() == '[') {
    const std::size_t close = text.find(']');
    if (close == std::string_view::npos || !valid_ip_literal(text.substr(1, close - 1))) return false;
    port = text.substr(close + 1);
  } else {
    const std::size_t end = host_name_end(text);
    if (end == 0) return false;
    port = text.substr(end);
  }
  return port.empty() || (port.front() == ':' && valid_port(port.substr(1)));
}

parse_error split_target(request_head& out) noexcept {
  const std::string_view target = out.target;
  if (out.method_text == "CONNECT") {
    // RFC 9110 section 9.3.6: the port must be there; only then the last byte is one of its digits.
    const bool authority_form =
        target.rfind(':') != std::string_view::npos && is_digit(target.back()) && valid_authority(target);
    return authority_form ? parse_error::connect : parse_error::bad_target;
  }
  if (target.front() == '/') {
    split_query(target, out);
    return parse_error::none;
  }
  if (target == "*") {
    out.path = target;
    return out.verb == method::options ? parse_error::none : parse_error::bad_target;
  }
  for (const std::string_view scheme : {std::string_view("http://"), std::string_view("https://")}) {
    if (iequals(target.substr(0, scheme.size()), scheme)) return split_absolute(out, scheme.size());
  }
  return parse_error::bad_target;
}

}  // namespace syncline::net::http
