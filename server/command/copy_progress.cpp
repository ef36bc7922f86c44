#include "server/command/copy_progress.h"

#include <algorithm>
#include <cstdio>
#include <string>

#include <fmt/format.h>

namespace syncline::server::command {

namespace {
using std::chrono::steady_clock;
constexpr std::uint64_t kLooksEvery = 256;  // changes between two looks at the clock
}  // namespace

copy_progress::copy_progress(bool shown, bool terminal)
    : shown_(shown), terminal_(terminal), started_(steady_clock::now()), shown_at_(started_) {}

void copy_progress::put() {
  if (++puts_ % kLooksEvery == 0) show();
}

void copy_progress::removed() {
  if (++removes_ % kLooksEvery == 0) show();
}

void copy_progress::show() {
  if (!shown_) return;
  const auto now = steady_clock::now();
  if (now - shown_at_ < std::chrono::milliseconds(terminal_ ? 100 : 1000)) return;
  shown_at_ = now;
  const double spent = std::chrono::duration<double>(now - started_).count();
  const std::string figures = fmt::format("{} rows, {} removed, {:.0f}/s", puts_, removes_,
                                          static_cast<double>(puts_ + removes_) / spent);
  if (!terminal_) {
    fmt::print(stderr, "{}\n", figures);
    return;
  }
  fmt::print(stderr, "\r{}\x1b[K", figures);
  std::fflush(stderr);
  line_shown_ = true;
}

void copy_progress::up_to_date() {
  if (!shown_) return;
  clear();
  const double spent = std::chrono::duration<double>(steady_clock::now() - started_).count();
  fmt::print(stderr, "up to date: {} rows, {} removed; {:.1f} s, {:.0f}/s\n", puts_, removes_, spent,
             static_cast<double>(puts_ + removes_) / std::max(spent, 0.001));
  shown_ = false;
}

void copy_progress::start_over() {
  clear();
  puts_ = removes_ = 0;
  started_ = steady_clock::now();
}

void copy_progress::clear() {
  if (line_shown_) fmt::print(stderr, "\r\x1b[K");
  line_shown_ = false;
}

}  // namespace syncline::server::command
