// Structured log lines (logfmt: `ts=… level=info msg="…" key=value`) that never block a core.
//
// Use it for events an operator reads. A line for each request is perf/access_log.h.
// Thread: any; each thread writes into a ring of its own, one thread drains all rings in order of time and
// writes them out. Bound: `kRingBytes` per thread; when a ring is full the line is dropped and counted
// (syncline_log_dropped_total). Failure: a destination that cannot be written (full disk, closed pipe) loses
// lines, never stops the server.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>

#include <fmt/format.h>

namespace syncline::perf {

enum class log_level : std::uint8_t { trace, debug, info, warn, error, off };

inline constexpr std::size_t kRingBytes = 256 * 1024;

// One key and its value, already text. Values are quoted and escaped when they need it.
struct log_field {
  std::string_view key;
  std::string value;
  log_field(std::string_view k, std::string_view v) : key(k), value(v) {}
  log_field(std::string_view k, const std::string& v) : key(k), value(v) {}
  log_field(std::string_view k, const char* v) : key(k), value(v) {}
  log_field(std::string_view k, bool v) : key(k), value(v ? "true" : "false") {}
  template <class T>
  requires(std::is_arithmetic_v<T> && !std::is_same_v<T, bool>) log_field(std::string_view k, T v)
      : key(k), value(fmt::to_string(v)) {}
};

// Where lines go: a file that is appended to, or standard error when `path` is empty.
struct log_options {
  std::string path;
  log_level level = log_level::info;
  bool access = false;  // a line for each request, at whatever level (perf/access_log.h)
  std::uint32_t flush_interval_ms = 20;
};

// Starts the draining thread; a second call changes level and destination. Lines logged before are kept in
// the rings. Throws std::system_error when the file cannot be opened: a typing error in the config is found
// at once.
void log_start(const log_options& options);
// Drains what is there and stops the thread.
void log_stop();
// Reopens the file (after rotation) within a flush interval; never blocks.
void log_reopen();
void log_set_level(log_level level) noexcept;
[[nodiscard]] bool log_enabled(log_level level) noexcept;
[[nodiscard]] bool parse_log_level(std::string_view text, log_level& out) noexcept;

// An error line about the exception that is being handled, with its words as `text`; for catch blocks.
void log_caught(std::string_view message, std::string_view key = {}, std::string_view value = {}) noexcept;

void log(log_level level, std::string_view message, std::initializer_list<log_field> fields = {}) noexcept;
inline void log_debug(std::string_view m, std::initializer_list<log_field> f = {}) noexcept {
  log(log_level::debug, m, f);
}
inline void log_info(std::string_view m, std::initializer_list<log_field> f = {}) noexcept {
  log(log_level::info, m, f);
}
inline void log_warn(std::string_view m, std::initializer_list<log_field> f = {}) noexcept {
  log(log_level::warn, m, f);
}
inline void log_error(std::string_view m, std::initializer_list<log_field> f = {}) noexcept {
  log(log_level::error, m, f);
}

}  // namespace syncline::perf
