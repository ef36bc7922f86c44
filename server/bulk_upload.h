// One bulk upload: rows in as they arrive, batches to the store, a report line back for each.
//
// Two ways. Straight: batches are written while more input arrives, up to kFlightsMax in flight while the
// next is read (one on MySQL when it has an Idempotency-Key), each durable before it is reported, and
// reported in order. Atomic (atomic=1): the decoded upload waits in a spool file until every row is known to
// be well formed, then all of it is written in one transaction. Thread: the core of the exchange. Memory:
// kFlightsMax + 1 batches, one piece of input, the report's unsent lines. Failure: before the first report
// line a problem answer, after it an `error` line; batches that were reported stay.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>

#include "net/core/event.h"
#include "net/http/exchange.h"
#include "server/bulk_reader.h"
#include "server/bulk_report.h"
#include "server/bulk_request.h"
#include "server/services.h"
#include "server/spool_file.h"
#include "server/upload_body.h"

namespace syncline::server {

class bulk_session {
 public:
  // Batches are small, so that an interactive write waits for a short one; several wait in the queue, so that
  // a commit carries a slice of them.
  static constexpr std::size_t kFlightsMax = 8;

  bulk_session(const services& with, net::http::exchange& x, bulk_request request);
  [[nodiscard]] net::task<void> run();

 private:
  struct flight;
  [[nodiscard]] net::task<net::result<void>> run_straight();
  [[nodiscard]] net::task<net::result<void>> feed();
  [[nodiscard]] net::task<net::result<void>> run_atomic();
  [[nodiscard]] net::task<net::result<void>> spool_and_check(bool& all_good);
  [[nodiscard]] net::task<net::result<void>> write_spooled();
  [[nodiscard]] net::task<net::result<void>> write_spooled_rows(std::uint64_t transaction, bool& all_good);
  [[nodiscard]] net::task<net::result<void>> read_spooled(std::uint64_t& offset);
  [[nodiscard]] net::task<net::result<void>> write_spooled_batch(std::uint64_t transaction, bool& all_good);
  // True when the key's upload is already done and its summary was sent again.
  [[nodiscard]] net::task<net::result<bool>> recall();
  [[nodiscard]] net::task<net::result<void>> take_batch();
  [[nodiscard]] net::task<net::result<void>> launch(bulk_batch full);
  [[nodiscard]] net::task<net::result<void>> land_first();
  [[nodiscard]] net::task<net::result<void>> land_all();
  // After an end before its time: what is in the store already is awaited and reported.
  [[nodiscard]] net::task<void> land_rest();
  void report_landed(bulk_batch& batch, const storage::write_outcome& outcome);
  [[nodiscard]] static net::task<void> fly(const services* with, std::shared_ptr<flight> what);
  [[nodiscard]] net::task<net::result<void>> send_report();
  [[nodiscard]] net::task<void> end_with(const net::error& why);
  void remember(bulk_batch& batch, bool complete);
  [[nodiscard]] static auto folding(const bulk_batch& batch)
      -> std::function<std::string(std::string_view, const storage::write_outcome&)>;
  [[nodiscard]] net::task<net::result<void>> remember_completion(std::uint64_t transaction);
  void begin();

  const services* with_;
  net::http::exchange* x_;
  bulk_request request_;
  upload_body body_;
  std::unique_ptr<bulk_reader> reader_;
  bulk_report report_;
  bulk_batch batch_;
  net::request_context landing_;                // of land_rest(): nobody cancels it
  std::deque<std::shared_ptr<flight>> flying_;  // oldest first
  std::shared_ptr<spool_file> spool_;
  std::uint64_t remembered_lines_ = 0;  // lines_done of the latest record
  std::uint64_t settled_lines_ = 0;     // lines_done that was told last
  bool lost_batch_ = false;             // a batch failed: no later line is settled
  std::uint64_t resume_line_ = 0;
  std::uint64_t resume_hash_ = 0;
  bool resume_checked_ = true;
  bool begun_ = false;
};

}  // namespace syncline::server
