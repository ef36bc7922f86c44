// Arbitrary bytes from a MySQL server: nothing is read out of bounds, what is read by hand is what protobuf
// reads, and every field decodes as any column type to a value or to an error.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include <x_protocol.pb.h>

#include "storage/mysql/column_value.h"
#include "storage/mysql/message.h"
#include "storage/mysql/server_error.h"
#include "storage/mysql/statement_notes.h"

namespace {

using namespace syncline::storage;
using namespace syncline::storage::mysql;

constexpr std::uint32_t kTypes[] = {1, 2, 5, 6, 7, 10, 12, 15, 16, 17, 18};

void decode_as_every_type(std::string_view field, std::uint32_t details) {
  for (const std::uint32_t type : kTypes) {
    column of;
    of.type = static_cast<column_type>(type);
    of.collation = (details & 1U) != 0 ? kCollationBinary : 45;
    of.fractional_digits = details >> 1U;
    of.content_type = details % 3;
    text_arena arena;
    const auto value = decode_value(of, field, arena);
    if (value.has_value() && field.empty() != (value->k == cell::kind::null)) std::abort();
  }
}

void check_row(std::string_view body) {
  wire::Row by_protobuf;
  const bool parses = by_protobuf.ParsePartialFromArray(body.data(), static_cast<int>(body.size()));
  row_fields fields;
  const auto columns = parses ? static_cast<std::size_t>(by_protobuf.fields_size()) : 3;
  const bool read = read_row(body, columns, fields);
  // Groups are protobuf's alone.
  if (read && parses) {
    for (std::size_t i = 0; i < columns; ++i) {
      if (fields[i] != by_protobuf.fields(static_cast<int>(i))) std::abort();
    }
  }
  if (!read) return;
  for (const std::string_view field : fields)
    decode_as_every_type(field, static_cast<std::uint32_t>(body.size()));
}

void check_column(std::string_view body) {
  const auto read = read_column(body);
  wire::ColumnMetaData by_protobuf;
  if (!by_protobuf.ParsePartialFromArray(body.data(), static_cast<int>(body.size())) || read.has_error())
    return;
  if (read->name != by_protobuf.name() || read->collation != by_protobuf.collation() ||
      read->length != by_protobuf.length() || read->flags != by_protobuf.flags() ||
      read->fractional_digits != by_protobuf.fractional_digits() ||
      read->content_type != by_protobuf.content_type())
    std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view left(reinterpret_cast<const char*>(data), size);
  decode_as_every_type(left, static_cast<std::uint32_t>(size));
  check_row(left);
  check_column(left);
  frame next;
  while (read_frame(left, 1 << 20, next) == frame_state::whole) {
    if (next.bytes() > left.size()) std::abort();
    // A prefix of a whole frame is never another one.
    frame shorter;
    if (read_frame(left.substr(0, next.bytes() - 1), 1 << 20, shorter) != frame_state::incomplete)
      std::abort();
    statement_notes of_statement;
    server_notes of_server;
    bool fatal = false;
    static_cast<void>(read_notice(next.body, of_statement, of_server));
    static_cast<void>(server_code(read_server_error(next.body, fatal)));
    check_row(next.body);
    check_column(next.body);
    left.remove_prefix(next.bytes());
  }
  return 0;
}
