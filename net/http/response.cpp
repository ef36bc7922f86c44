#include "net/http/response.h"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <ctime>

#include "net/http/characters.h"

namespace syncline::net::http {

namespace {

char* put(char* to, std::string_view text) noexcept {
  if (!text.empty()) std::memcpy(to, text.data(), text.size());
  return to + text.size();
}

char* put_number(char* to, std::uint64_t n) noexcept {
  return std::to_chars(to, to + 20, n).ptr;
}

char* put_two(char* to, int n) noexcept {
  to[0] = static_cast<char>('0' + n / 10 % 10);
  to[1] = static_cast<char>('0' + n % 10);
  return to + 2;
}

}  // namespace

header_block& header_block::add(std::string_view name, std::string_view value) {
  const bool good_name = !name.empty() && std::all_of(name.begin(), name.end(), is_token_char);
  if (!good_name || !std::all_of(value.begin(), value.end(), is_value_char)) return *this;
  text_.append(name).append(": ").append(value).append("\r\n");
  return *this;
}

std::string_view status_text(int status) noexcept {
  switch (status) {
    case 100:
      return "Continue";
    case 101:
      return "Switching Protocols";
    case 200:
      return "OK";
    case 201:
      return "Created";
    case 202:
      return "Accepted";
    case 204:
      return "No Content";
    case 206:
      return "Partial Content";
    case 301:
      return "Moved Permanently";
    case 302:
      return "Found";
    case 303:
      return "See Other";
    case 304:
      return "Not Modified";
    case 307:
      return "Temporary Redirect";
    case 308:
      return "Permanent Redirect";
    case 400:
      return "Bad Request";
    case 401:
      return "Unauthorized";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 406:
      return "Not Acceptable";
    case 408:
      return "Request Timeout";
    case 409:
      return "Conflict";
    case 410:
      return "Gone";
    case 411:
      return "Length Required";
    case 412:
      return "Precondition Failed";
    case 413:
      return "Content Too Large";
    case 414:
      return "URI Too Long";
    case 415:
      return "Unsupported Media Type";
    case 416:
      return "Range Not Satisfiable";
    case 417:
      return "Expectation Failed";
    case 422:
      return "Unprocessable Content";
    case 423:
      return "Locked";
    case 425:
      return "Too Early";
    case 426:
      return "Upgrade Required";
    case 428:
      return "Precondition Required";
    case 429:
      return "Too Many Requests";
    case 431:
      return "Request Header Fields Too Large";
    case 500:
      return "Internal Server Error";
    case 501:
      return "Not Implemented";
    case 502:
      return "Bad Gateway";
    case 503:
      return "Service Unavailable";
    case 504:
      return "Gateway Timeout";
    case 505:
      return "HTTP Version Not Supported";
    case 507:
      return "Insufficient Storage";
    default:
      return {};
  }
}

void standard_headers::renew(std::chrono::steady_clock::time_point now) noexcept {
  static constexpr std::string_view kDays = "SunMonTueWedThuFriSat";
  static constexpr std::string_view kMonths = "JanFebMarAprMayJunJulAugSepOctNovDec";
  timespec wall{};
  clock_gettime(CLOCK_REALTIME, &wall);
  std::tm t{};
  gmtime_r(&wall.tv_sec, &t);
  char* p = put(text_.data(), "Server: syncline\r\nDate: ");
  p = put(p, kDays.substr(static_cast<std::size_t>(t.tm_wday) * 3, 3));
  p = put(p, ", ");
  p = put(put_two(p, t.tm_mday), " ");
  p = put(p, kMonths.substr(static_cast<std::size_t>(t.tm_mon) * 3, 3));
  p = put(p, " ");
  p = put(put_two(put_two(p, (t.tm_year + 1900) / 100), (t.tm_year + 1900) % 100), " ");
  p = put(put_two(p, t.tm_hour), ":");
  p = put(put_two(p, t.tm_min), ":");
  p = put(put_two(p, t.tm_sec), " GMT\r\n");
  size_ = static_cast<std::size_t>(p - text_.data());
  until_ = now + std::chrono::nanoseconds(1'000'000'000 - wall.tv_nsec);
}

std::size_t head_bytes_max(const head_lines& lines) noexcept {
  constexpr std::size_t kFixedBytes = 256;  // status line, names of the lines, a length, the empty line
  return kFixedBytes + lines.standard.size() + lines.request_id.size() + lines.head.content_type.size() +
         lines.head.headers.size();
}

char* write_head(char* to, const head_lines& lines) noexcept {
  const int status = std::clamp(lines.head.status, 100, 999);
  if (status == 200) {
    to = put(to, "HTTP/1.1 200 OK\r\n");
  } else {
    to = put_number(put(to, "HTTP/1.1 "), static_cast<std::uint64_t>(status));
    to = put(put(put(to, " "), status_text(status)), "\r\n");
  }
  to = put(to, lines.standard);
  if (!lines.request_id.empty()) to = put(put(put(to, "X-Request-Id: "), lines.request_id), "\r\n");
  if (!lines.head.content_type.empty())
    to = put(put(put(to, "Content-Type: "), lines.head.content_type), "\r\n");
  switch (lines.framing) {
    case body_framing::length:
      to = put(put_number(put(to, "Content-Length: "), lines.content_length), "\r\n");
      break;
    case body_framing::chunked:
      to = put(to, "Transfer-Encoding: chunked\r\n");
      break;
    case body_framing::none:
    case body_framing::until_close:
      break;
  }
  to = put(to, lines.head.headers);
  switch (lines.connection) {
    case connection_line::close:
      to = put(to, "Connection: close\r\n");
      break;
    case connection_line::keep_alive:
      to = put(to, "Connection: keep-alive\r\n");
      break;
    case connection_line::none:
      break;
  }
  return put(to, "\r\n");
}

}  // namespace syncline::net::http
