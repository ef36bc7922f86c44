// Reads protobuf fields in place, for the messages that come once for each row or column.
//
// Generated code would copy each field of a row into a string of its own. Thread: a value. Failure: ok() is
// false, and everything after it is nothing. Groups (wire types 3 and 4) are no part of the X Protocol and
// count as nonsense.
#pragma once

#include <cstdint>
#include <string_view>

namespace syncline::storage::mysql {

class wire_reader {
 public:
  enum class kind : std::uint8_t { varint = 0, fixed64 = 1, bytes = 2, fixed32 = 5 };

  explicit wire_reader(std::string_view message) noexcept
      : at_(message.data()), end_(message.data() + message.size()) {}

  // False at the end, or when what follows is no field: see ok().
  [[nodiscard]] bool next() noexcept;
  [[nodiscard]] bool ok() const noexcept { return ok_; }
  [[nodiscard]] std::uint32_t number() const noexcept { return number_; }
  [[nodiscard]] kind type() const noexcept { return type_; }
  [[nodiscard]] std::uint64_t varint() const noexcept { return varint_; }
  [[nodiscard]] std::string_view bytes() const noexcept { return bytes_; }

 private:
  bool fail() noexcept {
    ok_ = false;
    at_ = end_;
    return false;
  }

  const char* at_;
  const char* end_;
  std::uint64_t varint_ = 0;
  std::string_view bytes_;
  std::uint32_t number_ = 0;
  kind type_ = kind::varint;
  bool ok_ = true;
};

// Base 128, least significant group first; false when it has no end within ten bytes. Bits beyond 64 are
// dropped, as protobuf does.
[[nodiscard]] inline bool read_varint(const char*& at, const char* end, std::uint64_t& out) noexcept {
  std::uint64_t value = 0;
  for (unsigned shift = 0; shift < 70; shift += 7) {
    if (at == end) return false;
    const auto byte = static_cast<unsigned char>(*at++);
    value |= static_cast<std::uint64_t>(byte & 0x7fU) << shift;
    if ((byte & 0x80U) == 0) {
      out = value;
      return true;
    }
  }
  return false;
}

inline bool wire_reader::next() noexcept {
  if (at_ == end_) return false;
  std::uint64_t tag = 0;
  if (!read_varint(at_, end_, tag) || tag > 0xffffffffU || tag < 8) return fail();
  number_ = static_cast<std::uint32_t>(tag >> 3);
  type_ = static_cast<kind>(tag & 7U);
  const auto left = static_cast<std::uint64_t>(end_ - at_);
  switch (type_) {
    case kind::varint:
      return read_varint(at_, end_, varint_) || fail();
    case kind::fixed64:
      if (left < 8) return fail();
      at_ += 8;
      return true;
    case kind::fixed32:
      if (left < 4) return fail();
      at_ += 4;
      return true;
    case kind::bytes: {
      std::uint64_t size = 0;
      if (!read_varint(at_, end_, size) || size > static_cast<std::uint64_t>(end_ - at_)) return fail();
      bytes_ = {at_, static_cast<std::size_t>(size)};
      at_ += size;
      return true;
    }
  }
  return fail();
}

}  // namespace syncline::storage::mysql
