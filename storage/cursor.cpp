#include "storage/cursor.h"

#include "storage/base64.h"

namespace syncline::storage {
namespace {

constexpr std::uint8_t kVersion = 1;
constexpr std::uint8_t kScanning = 1;
constexpr std::uint8_t kBegun = 2;
constexpr std::uint8_t kRowsBeyond = 4;
constexpr std::size_t kFixedBytes = 1 + 1 + 8 + 8 + 8;
constexpr std::size_t kRowsBytes = 8;
constexpr std::size_t kPartBytes = 4;

void append_number(std::uint64_t value, unsigned bytes, std::string& out) {
  for (unsigned i = bytes; i-- > 0;) out.push_back(static_cast<char>((value >> (8U * i)) & 0xFFU));
}

std::uint64_t take_number(std::string_view& from, unsigned bytes) {
  std::uint64_t out = 0;
  for (unsigned i = 0; i < bytes; ++i) out = (out << 8U) | static_cast<unsigned char>(from[i]);
  from.remove_prefix(bytes);
  return out;
}

net::error wrong(std::string detail) {
  return {net::errc::invalid, "the cursor is not one of ours", std::move(detail)};
}

}  // namespace

std::string cursor::text() const {
  std::string bytes;
  bytes.reserve(kFixedBytes + kRowsBytes + kPartBytes + (scanning ? scanning->after_key.size() : 0));
  append_number(kVersion, 1, bytes);
  const bool beyond = rows_upto > seq;
  append_number((scanning ? kScanning | (scanning->begun ? kBegun : 0U) : 0U) | (beyond ? kRowsBeyond : 0U),
                1, bytes);
  append_number(generation, 8, bytes);
  append_number(static_cast<std::uint64_t>(seq), 8, bytes);
  append_number(declaration, 8, bytes);
  if (beyond) append_number(static_cast<std::uint64_t>(rows_upto), kRowsBytes, bytes);
  if (scanning) {
    append_number(scanning->part, kPartBytes, bytes);
    if (scanning->begun) bytes.append(scanning->after_key);
  }
  std::string out;
  append_base64(bytes, base64_form::url, out);
  return out;
}

net::result<cursor> cursor::parse(std::string_view text) {
  if (text.size() > kCursorBytesMax) return wrong("it is too long");
  std::string bytes;
  if (!decode_base64(text, base64_form::url, bytes)) return wrong("it is not base64url without padding");
  if (bytes.size() < kFixedBytes) return wrong("it is cut short");
  std::string_view rest = bytes;
  if (take_number(rest, 1) != kVersion) return wrong("its version is unknown");
  const std::uint64_t flags = take_number(rest, 1);
  if (flags > (kScanning | kBegun | kRowsBeyond) || (flags & (kScanning | kBegun)) == kBegun)
    return wrong("its flags are unknown");
  cursor out;
  out.generation = take_number(rest, 8);
  out.seq = static_cast<std::int64_t>(take_number(rest, 8));
  out.declaration = take_number(rest, 8);
  if (out.seq < 0) return wrong("its position is negative");
  if ((flags & kRowsBeyond) != 0) {
    if (rest.size() < kRowsBytes) return wrong("it is cut short");
    out.rows_upto = static_cast<std::int64_t>(take_number(rest, kRowsBytes));
    if (out.rows_upto <= out.seq) return wrong("its rows are older than its position");
  }
  if ((flags & kScanning) != 0) {
    if (rest.size() < kPartBytes) return wrong("it is cut short");
    out.scanning.emplace();
    out.scanning->part = static_cast<std::uint32_t>(take_number(rest, kPartBytes));
    out.scanning->begun = (flags & kBegun) != 0;
    if (out.scanning->begun) {
      if (rest.size() > kKeyBytesMax) return wrong("its key is too long");
      out.scanning->after_key = rest;
      rest = {};
    }
  }
  if (!rest.empty()) return wrong("it has bytes too many");
  return out;
}

}  // namespace syncline::storage
