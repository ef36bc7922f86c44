#include "perf/memory.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <cstddef>
#include <mutex>

#include "perf/metrics.h"

// Weak, so that this library links without jemalloc and finds it where the executable brought it.
extern "C" __attribute__((weak)) int mallctl(const char* name, void* old_value, size_t* old_bytes,
                                             void* new_value, size_t new_bytes);

namespace syncline::perf {
namespace {

using mallctl_function = int (*)(const char*, void*, size_t*, void*, size_t);

// The weak symbol finds a linked jemalloc; dlsym one that came by LD_PRELOAD.
mallctl_function find_mallctl() noexcept {
  if (mallctl != nullptr) return mallctl;
  return reinterpret_cast<mallctl_function>(::dlsym(RTLD_DEFAULT, "mallctl"));
}

std::uint64_t read_figure(mallctl_function ask, const char* name) noexcept {
  std::size_t value = 0;
  std::size_t bytes = sizeof value;
  return ask(name, &value, &bytes, nullptr, 0) == 0 ? value : 0;
}

// The second number of /proc/self/statm: resident pages. Read without allocating.
std::uint64_t read_resident_bytes() noexcept {
  const int fd = ::open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
  if (fd < 0) return 0;
  std::array<char, 128> text{};
  const ssize_t n = ::read(fd, text.data(), text.size());
  ::close(fd);
  if (n <= 0) return 0;
  const char* const end = text.data() + n;
  std::uint64_t pages = 0;
  const auto total = std::from_chars(text.data(), end, pages);
  if (total.ec != std::errc{} || total.ptr == end) return 0;
  const auto resident = std::from_chars(total.ptr + 1, end, pages);
  if (resident.ec != std::errc{}) return 0;
  return pages * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
}

void add_figure(const char* name, const char* help, std::uint64_t memory_figures::*member) {
  // The handle is dropped on purpose: these live as long as the process.
  static_cast<void>(metrics::add_gauge_callback(
      name, help, {}, [member] { return static_cast<double>(read_memory_figures().*member); }));
}

}  // namespace

memory_figures read_memory_figures() noexcept {
  static const mallctl_function ask = find_mallctl();
  memory_figures out;
  out.resident_bytes = read_resident_bytes();
  if (ask == nullptr) return out;
  // jemalloc answers from a snapshot; writing the epoch takes a new one.
  std::uint64_t epoch = 1;
  std::size_t bytes = sizeof epoch;
  if (ask("epoch", &epoch, &bytes, &epoch, sizeof epoch) != 0) return out;
  out.jemalloc = true;
  out.allocated_bytes = read_figure(ask, "stats.allocated");
  out.active_bytes = read_figure(ask, "stats.active");
  out.mapped_bytes = read_figure(ask, "stats.mapped");
  out.retained_bytes = read_figure(ask, "stats.retained");
  return out;
}

void register_memory_metrics() {
  static std::once_flag once;
  std::call_once(once, [] {
    add_figure("syncline_memory_resident_bytes", "Memory of this process that is in RAM (RSS).",
               &memory_figures::resident_bytes);
    add_figure("syncline_memory_allocated_bytes",
               "Bytes the program holds, as jemalloc counts; 0 without jemalloc.",
               &memory_figures::allocated_bytes);
    add_figure("syncline_memory_active_bytes", "Bytes in pages that hold allocations; 0 without jemalloc.",
               &memory_figures::active_bytes);
    add_figure("syncline_memory_mapped_bytes", "Bytes jemalloc has mapped; 0 without jemalloc.",
               &memory_figures::mapped_bytes);
    add_figure("syncline_memory_retained_bytes",
               "Bytes jemalloc keeps unmapped for later; 0 without jemalloc.",
               &memory_figures::retained_bytes);
  });
}

}  // namespace syncline::perf
