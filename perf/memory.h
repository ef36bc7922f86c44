// What the allocator and the kernel say about our memory.
//
// Thread: any. Costs a few microseconds (jemalloc epoch, /proc/self/statm): for scrapes, not requests.
// Without jemalloc (sanitizer builds) the allocator's figures are zero and `jemalloc` is false.
#pragma once

#include <cstdint>

namespace syncline::perf {

struct memory_figures {
  std::uint64_t resident_bytes = 0;   // RSS from /proc/self/statm
  bool jemalloc = false;              // mallctl was found at run time
  std::uint64_t allocated_bytes = 0;  // bytes the program holds
  std::uint64_t active_bytes = 0;     // bytes in pages that hold any of them
  std::uint64_t mapped_bytes = 0;
  std::uint64_t retained_bytes = 0;
};

[[nodiscard]] memory_figures read_memory_figures() noexcept;
// Registers gauges for all of the above (syncline_memory_*_bytes), once per process.
void register_memory_metrics();

}  // namespace syncline::perf
