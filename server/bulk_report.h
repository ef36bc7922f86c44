// What a bulk upload tells its client: a line per batch, a line per rejected row, a summary. Each one JSON
// object and CRLF.
//
// Thread: one core. Memory: appends to a buffer that is sent after each batch. Bound: `rejected_reported_max`
// rejected rows are named; the rest are counted. Golden test: tests/server/bulk_report_test.cpp.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "server/bulk_reader.h"
#include "storage/store.h"

namespace syncline::server {

struct bulk_counters {
  std::uint64_t created = 0, updated = 0, unchanged = 0, skipped = 0, rejected = 0;
  std::int64_t position = 0;
  [[nodiscard]] std::uint64_t rows() const { return created + updated + unchanged + skipped + rejected; }
  void add(const bulk_counters& other);
  // For idempotency::saved: six numbers with spaces between, and back; false when the text is not that.
  [[nodiscard]] std::string text() const;
  [[nodiscard]] bool parse(std::string_view text);
};

// What the store made of the rows of a batch.
[[nodiscard]] bulk_counters counters_of(const storage::write_outcome& outcome);

class bulk_report {
 public:
  explicit bulk_report(std::uint32_t rejected_reported_max) : reportable_(rejected_reported_max) {}

  // The outcome of a batch: its rejected lines in order of line number, then its counters.
  void batch(const bulk_batch& sent, const storage::write_outcome& outcome);
  // The same for a batch of a transaction whose end is not known yet (atomic=1): only what was rejected is
  // told, the rest is counted.
  void undecided(const bulk_batch& sent, const storage::write_outcome& outcome);
  // Lines that were refused before the store saw them (a batch without rows, atomic=1 checks).
  void rejected(const std::vector<rejected_row>& rows);
  // `complete` false: the upload ended early or was rolled back and `reason` says why.
  void summary(bool complete, std::string_view reason);
  // The upload could not go on.
  void failure(std::string_view problem_type, std::string_view detail);
  // Everything stored so far is taken back (atomic=1): what would have been written was not.
  void roll_back();

  [[nodiscard]] std::string& text() noexcept { return text_; }
  [[nodiscard]] bulk_counters& total() noexcept { return total_; }

 private:
  void reject_line(std::uint64_t number, std::string_view code, std::string_view column,
                   std::string_view detail);
  [[nodiscard]] bulk_counters reject_lines(const bulk_batch& sent, const storage::write_outcome& outcome);
  void append_counters(const bulk_counters& counters);

  std::string text_;
  bulk_counters total_;
  std::uint32_t reportable_;
};

}  // namespace syncline::server
