// The query of a request target, decoded and checked: every parameter must be expected.
//
// Thread: a value; copies what it decodes. Bound: the target's own limit. Failure: errc::invalid for bad
// percent-encoding, a repeated or an unknown parameter. Decoding is RFC 3986 percent-decoding plus '+' as
// space (application/x-www-form-urlencoded), and the result must be UTF-8.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "net/core/error.h"

namespace syncline::server {

class query {
 public:
  // `allowed` names every parameter the route knows.
  [[nodiscard]] static net::result<query> parse(std::string_view text,
                                                std::initializer_list<std::string_view> allowed);
  [[nodiscard]] const std::string* find(std::string_view name) const noexcept;
  [[nodiscard]] bool has(std::string_view name) const noexcept { return find(name) != nullptr; }
  // 1/true/yes and 0/false/no; absent is false.
  [[nodiscard]] net::result<bool> flag(std::string_view name) const;
  // Decoded, in the order given.
  [[nodiscard]] const std::vector<std::pair<std::string, std::string>>& items() const noexcept {
    return items_;
  }
  [[nodiscard]] net::result<std::uint64_t> number(std::string_view name, std::uint64_t otherwise,
                                                  std::uint64_t min, std::uint64_t max) const;

 private:
  std::vector<std::pair<std::string, std::string>> items_;
};

// Percent-decodes one path segment; errc::invalid for bad encoding or bytes that are no UTF-8.
[[nodiscard]] net::result<std::string> decode_segment(std::string_view segment);
// Percent-encodes everything but unreserved characters.
[[nodiscard]] std::string encode_component(std::string_view text);
// "a,b,c" at the commas; empty parts are kept.
[[nodiscard]] std::vector<std::string_view> split_commas(std::string_view text);

}  // namespace syncline::server
