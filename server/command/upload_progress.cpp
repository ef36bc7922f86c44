#include "server/command/upload_progress.h"

#include <algorithm>
#include <cstdio>

#include <fmt/format.h>
#include <boost/json/parse.hpp>

namespace syncline::server::command {
namespace {

using namespace std::chrono_literals;

std::uint64_t number(const boost::json::object& line, std::string_view name) {
  const auto* value = line.if_contains(name);
  boost::json::error_code failed;
  const auto out = value != nullptr && value->is_number() ? value->to_number<std::uint64_t>(failed) : 0;
  return failed ? 0 : out;
}

std::string_view text(const boost::json::object& line, std::string_view name) {
  const auto* value = line.if_contains(name);
  return value != nullptr && value->is_string() ? std::string_view(value->get_string()) : std::string_view();
}

}  // namespace

upload_progress::upload_progress(std::uint64_t bytes_total, bool terminal)
    : bytes_total_(bytes_total),
      terminal_(terminal),
      started_(std::chrono::steady_clock::now()),
      shown_(started_) {}

void upload_progress::take_line(std::string_view line) {
  if (line.empty()) return;
  boost::json::error_code failed;
  const boost::json::value parsed = boost::json::parse(line, failed);
  const auto* object = failed ? nullptr : parsed.if_object();
  const std::string_view kind = object != nullptr ? text(*object, "line") : std::string_view();
  if (kind == "batch") return take_batch(*object);
  if (kind == "rejected") return take_rejected(*object);
  if (kind == "summary") return take_summary(*object);
  clear_bar();
  if (kind == "error") {
    failed_ = true;
    fmt::print(stderr, "the upload ended early: {}\n", text(*object, "detail"));
  } else {
    fmt::print(stderr, "{}\n", line);
  }
}

void upload_progress::take_batch(const boost::json::object& line) {
  rows_ += number(line, "rows");
  lines_done_ = std::max(lines_done_, number(line, "lines_done"));
  rejected_ += number(line, "rejected");
  show_progress();
}

void upload_progress::take_rejected(const boost::json::object& line) {
  clear_bar();
  const std::string_view column = text(line, "column");
  fmt::print(stderr, "line {}: {}{}{}: {}\n", number(line, "number"), text(line, "code"),
             column.empty() ? "" : ", column ", column, text(line, "detail"));
}

void upload_progress::take_summary(const boost::json::object& line) {
  clear_bar();
  has_summary_ = true;
  rejected_ = number(line, "rejected");
  const auto* complete = line.if_contains("complete");
  complete_ = complete != nullptr && complete->is_bool() && complete->get_bool();
  const auto spent = std::chrono::duration<double>(std::chrono::steady_clock::now() - started_).count();
  const std::uint64_t rows = number(line, "rows");
  fmt::print(
      "{} rows: {} created, {} updated, {} unchanged, {} skipped, {} rejected; {:.1f} s, {:.0f} rows/s{}\n",
      rows, number(line, "created"), number(line, "updated"), number(line, "unchanged"),
      number(line, "skipped"), rejected_, spent, static_cast<double>(rows) / std::max(spent, 0.001),
      complete_ ? "" : "; not complete");
  if (const auto reason = text(line, "reason"); !reason.empty()) fmt::print("{}\n", reason);
}

void upload_progress::show_progress() {
  const auto now = std::chrono::steady_clock::now();
  if (now - shown_ < (terminal_ ? 100ms : 1000ms)) return;
  shown_ = now;
  const double spent = std::chrono::duration<double>(now - started_).count();
  const std::string figures = fmt::format("{} rows, {:.0f} rows/s, {} rejected", rows_,
                                          static_cast<double>(rows_) / spent, rejected_);
  if (!terminal_) {
    fmt::print(stderr, "{} (line {})\n", figures, lines_done_);
    return;
  }
  constexpr std::uint64_t kBarWidth = 30;
  const std::uint64_t sent = bytes_sent_.load(std::memory_order_relaxed);
  const std::uint64_t done = bytes_total_ == 0 ? 0 : std::min(sent * kBarWidth / bytes_total_, kBarWidth);
  const std::string bar = bytes_total_ == 0 ? fmt::format("{} MB", sent / 1'000'000)
                                            : fmt::format("[{:-<{}}]", std::string(done, '#'), kBarWidth);
  fmt::print(stderr, "\r{} {}\x1b[K", bar, figures);
  std::fflush(stderr);
  bar_shown_ = true;
}

void upload_progress::clear_bar() {
  if (bar_shown_) fmt::print(stderr, "\r\x1b[K");
  bar_shown_ = false;
}

void upload_progress::end() {
  clear_bar();
}

}  // namespace syncline::server::command
