// Counters, gauges and histograms, written per thread and summed when scraped.
//
// Use it for everything a `/metrics` reader wants to see. Not for values that must be read back on the
// request path: reading sums over all threads. Thread: any. A counter or histogram write is one relaxed load
// and store in a block of memory that only the writing thread writes, so it never takes a lock nor shares a
// cache line with another core. Bound: `kSlotsMax` counters per process (a histogram takes one slot per
// bucket and two more); registering more throws std::length_error, which happens while starting up; an
// illegal name, or one name for two types, throws std::invalid_argument. Registering the same name and labels
// again returns the same slots. Format: Prometheus text exposition 0.0.4.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "perf/metric_slots.h"

namespace syncline::perf {

using labels = std::vector<std::pair<std::string, std::string>>;

class counter {
 public:
  counter() = default;
  void add(std::uint64_t n = 1) const noexcept { add_to_slot(slot_, n); }
  [[nodiscard]] std::uint64_t value() const noexcept;  // summed over all threads

 private:
  friend class metrics;
  explicit counter(std::uint32_t slot) : slot_(slot) {}
  std::uint32_t slot_ = 0;  // slot 0 is never scraped: a default-made counter is a sink
};

// A value that goes up and down; one shared atomic, so not for per-request use.
class gauge {
 public:
  void set(std::int64_t v) noexcept { value_.store(v, std::memory_order_relaxed); }
  void add(std::int64_t n) noexcept { value_.fetch_add(n, std::memory_order_relaxed); }
  [[nodiscard]] std::int64_t value() const noexcept { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::int64_t> value_{0};
};

// Times in microseconds, buckets 1-2-5 from 10 us to 50 s; exported in seconds.
class histogram {
 public:
  histogram() = default;
  void record_us(std::uint64_t us) const noexcept;
  [[nodiscard]] std::uint64_t count() const noexcept;

 private:
  friend class metrics;
  explicit histogram(std::uint32_t first_slot) : first_slot_(first_slot) {}
  std::uint32_t first_slot_ = 0;
};

// The process-wide registry. Registration locks; scraping locks; writing does not.
class metrics {
 public:
  static counter add_counter(std::string_view name, std::string_view help, const labels& with = {});
  static histogram add_histogram(std::string_view name, std::string_view help, const labels& with = {});
  static gauge& add_gauge(std::string_view name, std::string_view help, const labels& with = {});
  // `read` is called at each scrape, on the scraping thread; it must be safe there and may not call this
  // class. Callbacks of the same name and labels are added up (one per core, say). The handle unregisters it;
  // removing returns only when no scrape is calling it any more. One that throws reads as NaN.
  [[nodiscard]] static std::uint64_t add_gauge_callback(std::string_view name, std::string_view help,
                                                        const labels& with, std::function<double()> read);
  static void remove_gauge_callback(std::uint64_t handle);
  // All families, sorted by name, each with HELP and TYPE once.
  [[nodiscard]] static std::string scrape();
};

}  // namespace syncline::perf
