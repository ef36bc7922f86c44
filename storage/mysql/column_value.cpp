#include "storage/mysql/column_value.h"

#include <array>
#include <bit>
#include <charconv>
#include <cmath>
#include <limits>
#include <string>

#include "storage/mysql/wire_reader.h"

namespace syncline::storage::mysql {

namespace {

using net::errc;

net::error nonsense(const column& of) {
  return {errc::corrupt, "a value from MySQL makes no sense", of.name};
}

// A varint that is the whole field.
[[nodiscard]] bool whole_varint(std::string_view field, std::uint64_t& out) noexcept {
  const char* at = field.data();
  const char* const end = at + field.size();
  return read_varint(at, end, out) && at == end;
}

cell of_unsigned(std::uint64_t value, text_arena& arena) {
  if (value <= static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()))
    return cell::of_int(static_cast<std::int64_t>(value));
  std::array<char, 20> digits{};
  const auto written = std::to_chars(digits.data(), digits.data() + digits.size(), value);
  return cell::of_text(arena.copy({digits.data(), static_cast<std::size_t>(written.ptr - digits.data())}));
}

std::uint64_t little_endian(std::string_view field) noexcept {
  std::uint64_t out = 0;
  for (std::size_t i = 0; i < field.size(); ++i) {
    out |= static_cast<std::uint64_t>(static_cast<unsigned char>(field[i])) << (8 * i);
  }
  return out;
}

net::result<cell> decode_float(const column& of, std::string_view field) {
  if (field.size() != 4) return nonsense(of);
  const auto value = std::bit_cast<float>(static_cast<std::uint32_t>(little_endian(field)));
  std::array<char, 32> digits{};
  const auto written = std::to_chars(digits.data(), digits.data() + digits.size(), value);
  double out = 0;
  const auto read = std::from_chars(digits.data(), written.ptr, out);
  if (!std::isfinite(value) || read.ec != std::errc()) return nonsense(of);
  return cell::of_real(out);
}

// A byte of scale, then a digit each half byte, then the sign (c: plus, d: minus), then padding.
net::result<cell> decode_decimal(const column& of, std::string_view field, text_arena& arena) {
  constexpr std::size_t kDigitsMax = 65;  // of a DECIMAL; leading zeros of the packed form are none
  if (field.size() < 2 || field.size() > kDigitsMax) return nonsense(of);
  const auto scale = static_cast<std::size_t>(static_cast<unsigned char>(field[0]));
  std::array<char, 2 * kDigitsMax> digits{};
  std::size_t count = 0;
  bool negative = false;
  bool ended = false;
  for (std::size_t half = 0; half < (field.size() - 1) * 2; ++half) {
    const auto byte = static_cast<unsigned char>(field[1 + half / 2]);
    const unsigned nibble = half % 2 == 0 ? byte >> 4U : byte & 0xfU;
    if (ended) {
      if (nibble != 0) return nonsense(of);
    } else if (nibble <= 9) {
      digits[count++] = static_cast<char>('0' + nibble);
    } else if (nibble == 0xc || nibble == 0xd) {
      negative = nibble == 0xd;
      ended = true;
    } else {
      return nonsense(of);
    }
  }
  if (!ended || scale > count) return nonsense(of);
  std::array<char, 2 * kDigitsMax + 3> text{};
  std::size_t size = 0;
  if (negative) text[size++] = '-';
  std::size_t at = 0;
  while (at + 1 < count - scale && digits[at] == '0') ++at;
  if (count == scale) text[size++] = '0';
  for (; at < count - scale; ++at) text[size++] = digits[at];
  if (scale != 0) text[size++] = '.';
  for (; at < count; ++at) text[size++] = digits[at];
  return cell::of_text(arena.copy({text.data(), size}));
}

// Text of a date or time: numbers of a fixed width.
class clock_text {
 public:
  void number(std::uint64_t value, unsigned width) noexcept {
    for (unsigned i = width; i > 0; --i) {
      text_[size_ + i - 1] = static_cast<char>('0' + value % 10);
      value /= 10;
    }
    size_ += width;
  }
  void mark(char c) noexcept { text_[size_++] = c; }
  void fraction(std::uint64_t microseconds, std::uint32_t digits) noexcept {
    // A value finer than its column says is shown whole rather than cut.
    if (digits > 6) digits = microseconds == 0 ? 0 : 6;
    if (digits == 0 && microseconds != 0) digits = 6;
    if (digits == 0) return;
    mark('.');
    number(microseconds, 6);
    size_ -= 6 - digits;
  }
  [[nodiscard]] std::string_view view() const noexcept { return {text_.data(), size_}; }

 private:
  std::array<char, 32> text_{};
  std::size_t size_ = 0;
};

// The X Plugin leaves fractional_digits out for temporal columns; their display length tells: 19 characters
// of a DATETIME or 10 of a TIME, then a point and the digits.
std::uint32_t digits_of(const column& of, std::uint32_t length_without) noexcept {
  if (of.fractional_digits != 0) return of.fractional_digits;
  return of.length > length_without + 1 ? of.length - length_without - 1 : 0;
}

// Up to N varints; those left out at the end are zero. Each is at most its limit.
template <std::size_t N>
[[nodiscard]] bool read_parts(std::string_view field, const std::array<std::uint64_t, N>& limits,
                              std::array<std::uint64_t, N>& out, std::size_t& count) noexcept {
  const char* at = field.data();
  const char* const end = at + field.size();
  for (count = 0; at != end; ++count) {
    if (count == N || !read_varint(at, end, out[count]) || out[count] > limits[count]) return false;
  }
  return true;
}

net::result<cell> decode_datetime(const column& of, std::string_view field, text_arena& arena) {
  std::array<std::uint64_t, 7> parts{};
  std::size_t count = 0;
  if (!read_parts(field, {9999, 12, 31, 23, 59, 59, 999'999}, parts, count) || count < 3) return nonsense(of);
  clock_text out;
  out.number(parts[0], 4);
  out.mark('-');
  out.number(parts[1], 2);
  out.mark('-');
  out.number(parts[2], 2);
  const bool date_only =
      of.content_type == kContentDate || (of.content_type == 0 && count == 3 && of.length == 10);
  if (!date_only) {
    out.mark(' ');
    out.number(parts[3], 2);
    out.mark(':');
    out.number(parts[4], 2);
    out.mark(':');
    out.number(parts[5], 2);
    out.fraction(parts[6], digits_of(of, 19));
  }
  return cell::of_text(arena.copy(out.view()));
}

// A byte of sign, then hours, minutes, seconds, microseconds.
net::result<cell> decode_time(const column& of, std::string_view field, text_arena& arena) {
  std::array<std::uint64_t, 4> parts{};
  std::size_t count = 0;
  if (static_cast<unsigned char>(field[0]) > 1 ||
      !read_parts(field.substr(1), {9999, 59, 59, 999'999}, parts, count))
    return nonsense(of);
  clock_text out;
  if (field[0] == 1) out.mark('-');
  out.number(parts[0], parts[0] > 999 ? 4 : parts[0] > 99 ? 3 : 2);
  out.mark(':');
  out.number(parts[1], 2);
  out.mark(':');
  out.number(parts[2], 2);
  out.fraction(parts[3], digits_of(of, 10));
  return cell::of_text(arena.copy(out.view()));
}

// Members, each with its length before it. No member at all is a lone 1; a lone 0 is one empty member.
net::result<cell> decode_set(const column& of, std::string_view field, text_arena& arena) {
  if (field == std::string_view("\x01", 1)) return cell::of_text({});
  std::string joined;
  const char* at = field.data();
  const char* const end = at + field.size();
  while (at != end) {
    std::uint64_t size = 0;
    if (!read_varint(at, end, size) || size > static_cast<std::uint64_t>(end - at)) return nonsense(of);
    if (at - field.data() > 1) joined.push_back(',');
    joined.append(at, static_cast<std::size_t>(size));
    at += size;
  }
  return cell::of_text(arena.copy(joined));
}

// A zero byte ends them, so that empty is not NULL.
net::result<cell> decode_bytes(const column& of, std::string_view field) {
  if (field.back() != '\0') return nonsense(of);
  field.remove_suffix(1);
  const bool blob = of.type == column_type::bytes && of.binary();
  return blob ? cell::of_blob(field) : cell::of_text(field);
}

}  // namespace

net::result<cell> decode_value(const column& of, std::string_view field, text_arena& arena) {
  if (field.empty()) return cell::of_null();
  std::uint64_t number = 0;
  switch (of.type) {
    case column_type::signed_integer:
      if (!whole_varint(field, number)) return nonsense(of);
      // Zigzag: the sign is the lowest bit.
      return cell::of_int(static_cast<std::int64_t>((number >> 1) ^ (~(number & 1U) + 1)));
    case column_type::unsigned_integer:
    case column_type::bits:
      if (!whole_varint(field, number)) return nonsense(of);
      return of_unsigned(number, arena);
    case column_type::double_precision: {
      if (field.size() != 8) return nonsense(of);
      const auto value = std::bit_cast<double>(little_endian(field));
      if (!std::isfinite(value)) return nonsense(of);
      return cell::of_real(value);
    }
    case column_type::single_precision:
      return decode_float(of, field);
    case column_type::bytes:
    case column_type::enumeration:
      return decode_bytes(of, field);
    case column_type::time:
      return decode_time(of, field, arena);
    case column_type::datetime:
      return decode_datetime(of, field, arena);
    case column_type::set:
      return decode_set(of, field, arena);
    case column_type::decimal:
      return decode_decimal(of, field, arena);
  }
  return nonsense(of);
}

}  // namespace syncline::storage::mysql
