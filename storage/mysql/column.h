// What a result set says about one column, and the fields of one row, as they came.
//
// Thread: values. Names are empty in compact results (prepared statements), where the order is known anyway.
// The fields are views into what was received. Failure: errc::corrupt.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "net/core/error.h"

namespace syncline::storage::mysql {

enum class column_type : std::uint8_t {
  signed_integer = 1,
  unsigned_integer = 2,
  double_precision = 5,
  single_precision = 6,
  bytes = 7,
  time = 10,
  datetime = 12,
  set = 15,
  enumeration = 16,
  bits = 17,
  decimal = 18,
};

// content_type means something else for each type.
inline constexpr std::uint32_t kContentGeometry = 1, kContentJson = 2, kContentXml = 3;  // of bytes
inline constexpr std::uint32_t kContentDate = 1, kContentDatetime = 2;                   // of datetime
inline constexpr std::uint64_t kCollationBinary = 63;
inline constexpr std::uint32_t kFlagRightPad = 1;   // of bytes: BINARY(n), CHAR(n) with padding
inline constexpr std::uint32_t kColumnsMax = 4096;  // MySQL's own limit

struct column {
  column_type type = column_type::bytes;
  std::string name;
  std::uint64_t collation = 0;
  std::uint32_t fractional_digits = 0;
  std::uint32_t length = 0;
  std::uint32_t flags = 0;
  std::uint32_t content_type = 0;
  [[nodiscard]] bool binary() const noexcept {
    return collation == kCollationBinary && content_type != kContentJson && content_type != kContentXml;
  }
};

// An empty field is NULL: every value has at least one byte.
using row_fields = std::vector<std::string_view>;

[[nodiscard]] net::result<column> read_column(std::string_view body);
// Fills `out`, which keeps its memory. False when it is no row of `columns` columns.
[[nodiscard]] bool read_row(std::string_view body, std::size_t columns, row_fields& out);

}  // namespace syncline::storage::mysql
