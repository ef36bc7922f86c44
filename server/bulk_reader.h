// Turns the bytes of a bulk upload into batches of checked rows, with flat memory.
//
// Bytes go in as they arrive (feed); fill() adds rows to a batch until it is full, the input is used up or
// `pause_after` rows were read, so that the core gets its turn. Rows that break a rule become rejections with
// their line number and never cost a good row. Thread: one core. Memory: one record (`row_bytes_max`), the
// batch, and 8 bytes per row for finding keys given twice, up to `kKeysRemembered` rows; later rows are
// compared with those only, and of two alike among themselves both are written (last one wins). Failure:
// bad_header for a CSV whose first record does not name columns; everything else is a rejection.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "server/config.h"
#include "storage/line_splitter.h"
#include "storage/row_reader.h"
#include "storage/store.h"

namespace syncline::server {

enum class bulk_format : std::uint8_t { ndjson, csv };

struct rejected_row {
  std::uint64_t number = 0;  // line, from 1
  std::string code;
  std::string column;
  std::string detail;
};

// A batch on its way to the store, with what the report needs of it.
struct bulk_batch {
  storage::write_batch rows;
  std::vector<std::uint64_t> numbers;  // line of each row
  std::vector<rejected_row> rejected;  // lines that are no rows
  std::uint64_t lines_done = 0;        // every line up to here is in this batch, before it, or rejected
  std::uint64_t prefix_hash = 0;       // of all lines up to lines_done, to recognise a resumed upload
  [[nodiscard]] bool empty() const { return rows.row_count == 0 && rejected.empty(); }
};

class bulk_reader {
 public:
  static constexpr std::size_t kKeysRemembered = 1u << 20;

  bulk_reader(const storage::resource& of, bulk_format format, storage::write_kind kind,
              const bulk_options& options);
  ~bulk_reader();

  void feed(std::string_view piece);
  void finish();  // the input is complete

  enum class got : std::uint8_t { batch_full, need_more, paused, end, bad_header };
  [[nodiscard]] got fill(bulk_batch& batch, std::uint32_t pause_after);
  // An empty batch for this resource and kind.
  [[nodiscard]] bulk_batch new_batch() const;
  // Rows on lines up to `line` are read but not given out: they are known to be stored (a resumed upload).
  // fill() pauses exactly behind that line.
  void skip_through(std::uint64_t line) noexcept { skip_through_ = line; }
  [[nodiscard]] const std::string& header_fault() const noexcept { return header_fault_; }
  [[nodiscard]] std::uint64_t lines() const noexcept { return lines_; }
  [[nodiscard]] std::uint64_t prefix_hash() const noexcept { return prefix_hash_; }

 private:
  [[nodiscard]] got next_ndjson(bulk_batch& batch);
  [[nodiscard]] got next_csv(bulk_batch& batch);
  [[nodiscard]] bool read_header(const std::vector<storage::row_reader::csv_field>& fields);
  void add_row(bulk_batch& batch, std::uint64_t number, std::optional<storage::row_fault> fault);
  void reject(bulk_batch& batch, std::uint64_t number, std::string_view code, std::string_view column,
              std::string_view detail) const;
  [[nodiscard]] bool remember_key(std::span<const storage::cell> row, std::string& key);
  void note_line(std::uint64_t number, std::string_view text);

  const storage::resource* of_;
  bulk_format format_;
  storage::write_kind kind_;
  bulk_options options_;
  storage::row_reader reader_;
  storage::line_splitter lines_in_;
  storage::csv_splitter records_in_;
  std::vector<std::size_t> header_;
  bool header_read_ = false;
  std::string header_fault_;
  std::vector<storage::row_reader::csv_field> fields_;
  std::vector<storage::cell> row_;
  struct seen_keys;
  std::unique_ptr<seen_keys> seen_;
  std::uint64_t lines_ = 0;
  std::uint64_t skip_through_ = 0;
  std::uint64_t prefix_hash_ = 0;
};

}  // namespace syncline::server
