#include "server/accept_encoding.h"

namespace syncline::server {
namespace {

std::string_view trimmed(std::string_view text) noexcept {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

std::string_view cut(std::string_view& rest, char at) noexcept {
  const auto end = rest.find(at);
  const std::string_view piece = rest.substr(0, end);
  rest = end == std::string_view::npos ? std::string_view() : rest.substr(end + 1);
  return trimmed(piece);
}

// "0", "0.5", "1.000" in thousandths; -1 when it is none of these.
int weight_of(std::string_view text) noexcept {
  if (text.empty() || (text[0] != '0' && text[0] != '1') || text.size() > 5) return -1;
  int thousandths = (text[0] - '0') * 1000;
  if (text.size() == 1) return thousandths;
  if (text[1] != '.') return -1;
  int unit = 100;
  for (const char digit : text.substr(2)) {
    if (digit < '0' || digit > '9') return -1;
    thousandths += (digit - '0') * unit;
    unit /= 10;
  }
  return thousandths > 1000 ? -1 : thousandths;
}

// In thousandths; -1 where a header does not say.
struct weights {
  int gzip = -1;
  int identity = -1;
  int any = -1;

  void take(std::string_view accept_encoding) noexcept {
    while (!accept_encoding.empty()) {
      std::string_view item = cut(accept_encoding, ',');
      const std::string_view coding = cut(item, ';');
      int weight = 1000;
      if (!item.empty()) {
        const std::string_view parameter = cut(item, ';');
        if (parameter.size() < 3 || !net::http::iequals(parameter.substr(0, 2), "q=")) continue;
        weight = weight_of(parameter.substr(2));
        if (weight < 0) continue;
      }
      if (net::http::iequals(coding, "gzip") || net::http::iequals(coding, "x-gzip")) gzip = weight;
      if (net::http::iequals(coding, "identity")) identity = weight;
      if (coding == "*") any = weight;
    }
  }
  // What is not named is the last resort, so only an identity that is named can win.
  [[nodiscard]] bool prefer_gzip() const noexcept {
    const int packed = gzip >= 0 ? gzip : any;
    return packed > 0 && packed >= identity;
  }
};

}  // namespace

bool accepts_gzip(std::string_view accept_encoding) noexcept {
  weights asked;
  asked.take(accept_encoding);
  return asked.prefer_gzip();
}

bool accepts_gzip(const net::http::request_head& head) noexcept {
  weights asked;
  for (const net::http::header_field& line : head.headers) {
    if (net::http::iequals(line.name, "accept-encoding")) asked.take(line.value);
  }
  return asked.prefer_gzip();
}

}  // namespace syncline::server
