// A strict JSON reader (RFC 8259) over text in memory, pulled token by token: no tree, no recursion, no
// allocation.
//
// Use it where the exact text of a value matters: numbers keep every digit, which a tree of doubles would
// bend. Refuses comments, trailing commas, byte order marks, raw control characters, invalid UTF-8 and
// unpaired surrogates (Swift and Kotlin clients cannot read those). Thread: one at a time. Bound:
// kJsonDepthMax levels. Failure: a call answers false, and fault(), reason() and offset() say what and where;
// the scanner is of no further use then.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace syncline::storage {

inline constexpr unsigned kJsonDepthMax = 64;

enum class json_fault : std::uint8_t { none, malformed, invalid_utf8, too_deep };

struct json_string {
  std::string_view raw;  // between the quotes, as written
  bool escaped = false;  // has backslashes: unescape_json gives its text
};

struct json_number {
  std::string_view text;
  bool integer = false;  // neither fraction nor exponent
};

class json_scanner {
 public:
  explicit json_scanner(std::string_view text) noexcept
      : begin_(text.data()), at_(text.data()), end_(text.data() + text.size()) {}

  // Skips whitespace; the next byte, or '\0' at the end (which no valid JSON has there).
  [[nodiscard]] char peek() noexcept;
  // Takes `expected` as the next byte after whitespace.
  [[nodiscard]] bool take(char expected) noexcept;
  [[nodiscard]] bool take_word(std::string_view word) noexcept;  // true, false, null
  [[nodiscard]] bool read_string(json_string& out) noexcept;     // the next byte must be a quote
  [[nodiscard]] bool read_number(json_number& out) noexcept;
  // Takes one value of any kind and appends its compact text: as written, without whitespace between tokens.
  [[nodiscard]] bool copy_value(std::string& out);
  // Only whitespace is left.
  [[nodiscard]] bool at_end() noexcept;

  [[nodiscard]] json_fault fault() const noexcept { return fault_; }
  [[nodiscard]] std::string_view reason() const noexcept { return reason_; }
  [[nodiscard]] std::size_t offset() const noexcept { return static_cast<std::size_t>(at_ - begin_); }
  // Marks the text as wrong where it was read last; always false.
  bool fail(json_fault what, std::string_view why) noexcept;

 private:
  [[nodiscard]] bool read_escape() noexcept;
  [[nodiscard]] bool read_hex4(unsigned& out) noexcept;
  [[nodiscard]] bool copy_scalar(char first, std::string& out);
  [[nodiscard]] bool copy_member_name(std::string& out);

  const char* begin_;
  const char* at_;
  const char* end_;
  json_fault fault_ = json_fault::none;
  std::string_view reason_;
};

// Appends the text of a string that read_string has accepted.
void unescape_json(std::string_view raw, std::string& out);
// Appends the compact text of a whole JSON document; false, with `out` as before, when it is not valid JSON.
[[nodiscard]] bool append_compact_json(std::string_view text, std::string& out);

}  // namespace syncline::storage
