#include "storage/mysql/column.h"

#include "storage/mysql/wire_reader.h"

namespace syncline::storage::mysql {

namespace {

using net::errc;
using net::error;

[[nodiscard]] bool known(std::uint64_t type) noexcept {
  switch (type) {
    case 1:
    case 2:
    case 5:
    case 6:
    case 7:
    case 10:
    case 12:
    case 15:
    case 16:
    case 17:
    case 18:
      return true;
    default:
      return false;
  }
}

}  // namespace

net::result<column> read_column(std::string_view body) {
  column out;
  bool typed = false;
  wire_reader fields(body);
  while (fields.next()) {
    const bool number = fields.type() == wire_reader::kind::varint;
    const auto small = static_cast<std::uint32_t>(fields.varint());
    if (fields.number() == 1 && number) {
      if (!known(fields.varint()))
        return error(errc::corrupt, "a column from MySQL has a type we do not know", std::to_string(small));
      out.type = static_cast<column_type>(fields.varint());
      typed = true;
    } else if (fields.number() == 2 && fields.type() == wire_reader::kind::bytes) {
      out.name = fields.bytes();
    } else if (number) {
      if (fields.number() == 8) out.collation = fields.varint();
      if (fields.number() == 9) out.fractional_digits = small;
      if (fields.number() == 10) out.length = small;
      if (fields.number() == 11) out.flags = small;
      if (fields.number() == 12) out.content_type = small;
    }
  }
  if (!fields.ok() || !typed) return error(errc::corrupt, "a column from MySQL makes no sense");
  return out;
}

bool read_row(std::string_view body, std::size_t columns, row_fields& out) {
  out.clear();
  wire_reader fields(body);
  while (fields.next()) {
    if (fields.number() != 1 || fields.type() != wire_reader::kind::bytes) continue;
    if (out.size() == columns) return false;
    out.push_back(fields.bytes());
  }
  return fields.ok() && out.size() == columns;
}

}  // namespace syncline::storage::mysql
