// What a person sees of an upload: a bar on a terminal, plain lines elsewhere, rejected rows as they come,
// the summary at the end.
//
// Fed with the answer lines of a bulk upload. Thread: sent_bytes() any, the rest one. Failure: a line that is
// none of the protocol's is shown as it is.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include <boost/json/object.hpp>

namespace syncline::server::command {

class upload_progress {
 public:
  // `bytes_total` 0: not known.
  upload_progress(std::uint64_t bytes_total, bool terminal);
  void sent_bytes(std::uint64_t count) noexcept { bytes_sent_.fetch_add(count, std::memory_order_relaxed); }
  void take_line(std::string_view line);
  void end();  // clears the bar

  [[nodiscard]] bool has_summary() const noexcept { return has_summary_; }
  [[nodiscard]] bool complete() const noexcept { return complete_; }
  [[nodiscard]] bool failed() const noexcept { return failed_; }
  [[nodiscard]] std::uint64_t rejected() const noexcept { return rejected_; }

 private:
  void take_batch(const boost::json::object& line);
  void take_rejected(const boost::json::object& line);
  void take_summary(const boost::json::object& line);
  void show_progress();
  void clear_bar();

  std::uint64_t bytes_total_;
  bool terminal_;
  bool bar_shown_ = false;
  bool has_summary_ = false, complete_ = false, failed_ = false;
  std::uint64_t rejected_ = 0, rows_ = 0, lines_done_ = 0;
  std::atomic<std::uint64_t> bytes_sent_{0};
  std::chrono::steady_clock::time_point started_, shown_;
};

}  // namespace syncline::server::command
