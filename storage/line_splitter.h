// Cuts a stream of bytes into lines (NDJSON) or records (CSV, RFC 4180), piece by piece, with flat memory.
//
// Thread: one at a time. Bound: a record longer than `record_bytes_max` is reported once as too long, skipped
// to its end, and memory stays at that bound. Lines end with LF or CRLF; a UTF-8 byte order mark at the start
// is skipped; empty lines are counted but not reported. The last line may lack its end.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "storage/row_reader.h"

namespace syncline::storage {

// One NDJSON line. `next()` is pulled, so that the caller stops after a batch and goes on later.
class line_splitter {
 public:
  explicit line_splitter(std::size_t line_bytes_max);
  // Adds input. Call next() until it gives `need_more` before adding more.
  void feed(std::string_view piece);
  void finish();  // no more input
  enum class got : std::uint8_t { line, too_long, need_more, end };
  // `line` is valid until the next call of feed(); `number` counts from 1.
  [[nodiscard]] got next(std::string_view& line, std::uint64_t& number);

 private:
  std::string buffer_;
  std::size_t at_ = 0;
  std::size_t scanned_ = 0;
  std::size_t line_bytes_max_;
  std::uint64_t number_ = 0;
  bool finished_ = false;
  bool skipping_ = false;
  bool started_ = false;
};

// More fields than any table has columns: a record of commas alone must not become a large vector.
inline constexpr std::size_t kCsvFieldsMax = 4096;

// CSV records. A record of no bytes (an empty line) is skipped, also where it could mean one NULL field. A
// record that is both too long and malformed is too long. After a malformed record splitting goes on behind
// the next line end that is outside quotes.
class csv_splitter {
 public:
  explicit csv_splitter(std::size_t record_bytes_max);
  void feed(std::string_view piece);
  void finish();
  enum class got : std::uint8_t { record, too_long, malformed, need_more, end };
  // Fields are valid until the next call of feed() or next(); `number` is the line on which the record
  // starts, from 1. malformed: a quote inside an unquoted field, text after a closing quote, an unclosed
  // quote at the end, or more than kCsvFieldsMax fields; `detail` says which.
  [[nodiscard]] got next(std::vector<row_reader::csv_field>& fields, std::uint64_t& number,
                         std::string& detail);

 private:
  enum class place : std::uint8_t { field_start, unquoted, quoted, quote_seen, after_quoted, malformed };
  // Offsets from the start of the record, kept while it arrives piece by piece: no byte is looked at twice.
  struct mark {
    std::size_t begin = 0;
    std::size_t end = 0;
    bool quoted = false;
    bool doubled = false;  // has doubled quotes
  };

  [[nodiscard]] bool scan_to_record_end();
  void step(char c);
  void close_field(std::size_t end);
  void mark_malformed(std::string_view why);
  [[nodiscard]] got take_record(std::size_t size, std::vector<row_reader::csv_field>& fields,
                                std::string& detail);
  void start_record();

  std::string buffer_;
  std::string unescaped_;
  std::vector<mark> marks_;
  mark open_;
  std::string_view wrong_;
  place place_ = place::field_start;
  std::size_t at_ = 0;       // where the record starts
  std::size_t scanned_ = 0;  // up to here it was looked at
  std::size_t dropped_ = 0;  // bytes of a record that is too long, already gone
  std::size_t record_bytes_max_;
  std::uint64_t line_ = 1;
  std::uint64_t record_line_ = 1;
  bool finished_ = false;
  bool skipping_ = false;
  bool started_ = false;
};

}  // namespace syncline::storage
