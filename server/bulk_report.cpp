#include "server/bulk_report.h"

#include <charconv>

#include <fmt/format.h>

#include "storage/row_json.h"

namespace syncline::server {
namespace {

std::string_view code_of(const net::error& why) {
  switch (why.code) {
    case net::errc::conflict:
      return "conflict";
    case net::errc::invalid:
      return "refused-by-database";
    case net::errc::not_found:
      return "not-found";
    case net::errc::too_large:
      return "too-long";
    default:
      return "failed";
  }
}

void count(const storage::row_result& row, bulk_counters& into) {
  switch (row.what) {
    case storage::fate::created:
      ++into.created;
      break;
    case storage::fate::updated:
    case storage::fate::removed:
      ++into.updated;
      break;
    case storage::fate::unchanged:
      ++into.unchanged;
      break;
    case storage::fate::skipped:
      ++into.skipped;
      break;
    case storage::fate::rejected:
      ++into.rejected;
      break;
  }
}

}  // namespace

void bulk_counters::add(const bulk_counters& other) {
  created += other.created;
  updated += other.updated;
  unchanged += other.unchanged;
  skipped += other.skipped;
  rejected += other.rejected;
  if (other.position > position) position = other.position;
}

bulk_counters counters_of(const storage::write_outcome& outcome) {
  bulk_counters out;
  for (const storage::row_result& row : outcome.rows) count(row, out);
  return out;
}

std::string bulk_counters::text() const {
  return fmt::format("{} {} {} {} {} {}", created, updated, unchanged, skipped, rejected, position);
}

bool bulk_counters::parse(std::string_view text) {
  const auto number = [&text](auto& out) {
    while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
    const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), out);
    if (failed != std::errc()) return false;
    text.remove_prefix(static_cast<std::size_t>(end - text.data()));
    return true;
  };
  return number(created) && number(updated) && number(unchanged) && number(skipped) && number(rejected) &&
         number(position);
}

void bulk_report::batch(const bulk_batch& sent, const storage::write_outcome& outcome) {
  const bulk_counters counters = reject_lines(sent, outcome);
  text_.append(
      fmt::format(R"({{"line":"batch","rows":{},"lines_done":{},)", counters.rows(), sent.lines_done));
  append_counters(counters);
  text_.append("}\r\n");
  total_.add(counters);
}

void bulk_report::undecided(const bulk_batch& sent, const storage::write_outcome& outcome) {
  total_.add(reject_lines(sent, outcome));
}

bulk_counters bulk_report::reject_lines(const bulk_batch& sent, const storage::write_outcome& outcome) {
  bulk_counters counters;
  counters.position = outcome.position;
  std::size_t next_bad = 0;
  const auto earlier_bad = [&](std::uint64_t before) {
    for (; next_bad < sent.rejected.size() && sent.rejected[next_bad].number < before; ++next_bad) {
      const rejected_row& bad = sent.rejected[next_bad];
      ++counters.rejected;
      reject_line(bad.number, bad.code, bad.column, bad.detail);
    }
  };
  for (std::size_t i = 0; i < outcome.rows.size(); ++i) {
    count(outcome.rows[i], counters);
    if (outcome.rows[i].what != storage::fate::rejected) continue;
    earlier_bad(sent.numbers[i]);
    const net::error& why = *outcome.rows[i].why;
    reject_line(sent.numbers[i], code_of(why), {}, why.text());
  }
  earlier_bad(UINT64_MAX);
  return counters;
}

void bulk_report::rejected(const std::vector<rejected_row>& rows) {
  for (const rejected_row& bad : rows) {
    ++total_.rejected;
    reject_line(bad.number, bad.code, bad.column, bad.detail);
  }
}

void bulk_report::summary(bool complete, std::string_view reason) {
  text_.append(fmt::format(R"({{"line":"summary","rows":{},)", total_.rows()));
  append_counters(total_);
  text_.append(complete ? R"(,"complete":true)" : R"(,"complete":false)");
  if (!reason.empty()) {
    text_.append(R"(,"reason":)");
    storage::append_json_string(reason, text_);
  }
  text_.append("}\r\n");
}

void bulk_report::failure(std::string_view problem_type, std::string_view detail) {
  text_.append(fmt::format(R"({{"line":"error","type":"/problems/{}","detail":)", problem_type));
  storage::append_json_string(detail, text_);
  text_.append("}\r\n");
}

void bulk_report::roll_back() {
  total_.created = total_.updated = total_.unchanged = total_.skipped = 0;
}

void bulk_report::reject_line(std::uint64_t number, std::string_view code, std::string_view column,
                              std::string_view detail) {
  if (reportable_ == 0) return;
  --reportable_;
  text_.append(fmt::format(R"({{"line":"rejected","number":{},"code":"{}")", number, code));
  if (!column.empty()) {
    text_.append(R"(,"column":)");
    storage::append_json_string(column, text_);
  }
  text_.append(R"(,"detail":)");
  storage::append_json_string(
      storage::valid_utf8(detail) ? detail : std::string_view("the text is not UTF-8"), text_);
  text_.append("}\r\n");
}

void bulk_report::append_counters(const bulk_counters& counters) {
  text_.append(
      fmt::format(R"("created":{},"updated":{},"unchanged":{},"skipped":{},"rejected":{},"position":{})",
                  counters.created, counters.updated, counters.unchanged, counters.skipped, counters.rejected,
                  counters.position));
}

}  // namespace syncline::server
