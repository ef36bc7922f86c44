#include "server/command/sync.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <random>
#include <thread>

#include <unistd.h>

#include <fmt/format.h>

#include "server/command/config_options.h"
#include "server/command/copy_progress.h"
#include "server/command/http_client.h"
#include "server/command/sync_target.h"
#include "server/query.h"

namespace syncline::server::command {
namespace {

constexpr std::string_view kSync = "sync";
constexpr std::uint64_t kWaitFirstMs = 250, kWaitMaxMs = 30'000;
constexpr int kResetsMax = 3;  // in a row, without a checkpoint between

// How one connection ended.
enum class ending : std::uint8_t {
  up_to_date,  // all is there and the stream is over
  cut,         // it ended or failed; coming back may help
  reset,       // the copy was dropped; start over at once
  hopeless,    // coming back gives the same
};

// Says that something went wrong and whether it is worth another try.
struct attempt {
  ending how = ending::cut;
  std::string why;
  bool progress = false;  // a checkpoint was kept: the next wait is a short one
  std::uint32_t retry_after_s = 0;
};

attempt hopeless(const net::error& why) {
  return {ending::hopeless, why.text(), false, 0};
}

std::string target_of(const http_url& url, const sync_command_options& options, const std::string& cursor) {
  std::string out = url.path + "/v1/sync";
  char separator = '?';
  const auto add = [&](std::string_view name, const std::string& value) {
    if (value.empty()) return;
    fmt::format_to(std::back_inserter(out), "{}{}={}", separator, name, encode_component(value));
    separator = '&';
  };
  add("scope", options.scope);
  add("resources", options.resources);
  add("since", cursor);
  if (options.live) add("live", "1");
  return out;
}

// Applies lines until the stream ends.
attempt follow(http_client& client, sync_target& target, copy_progress& shown, bool live) {
  bool progress = false;
  bool up_to_date = false;
  std::string text;
  for (;;) {
    const auto more = client.read_line(text);
    if (!more) return {ending::cut, more.error().text(), progress, 0};
    if (!*more) break;
    if (text.empty()) continue;  // keeps the connection alive
    const auto line = parse_sync_line(text);
    if (!line) return hopeless(line.error());
    net::result<void> kept;
    switch (line->op) {
      case sync_line::kind::put:
        kept = target.change(*line, text);
        shown.put();
        break;
      case sync_line::kind::remove:
        kept = target.change(*line, text);
        shown.removed();
        break;
      case sync_line::kind::checkpoint:
      case sync_line::kind::up_to_date:
        kept = target.checkpoint(*line, text);
        progress = true;
        if (kept && line->op == sync_line::kind::up_to_date) shown.up_to_date();
        break;
      case sync_line::kind::reset:
        shown.start_over();
        fmt::print(stderr, "starting over: {}\n", line->reason);
        kept = target.reset(text);
        if (!kept) return hopeless(kept.error());
        return {ending::reset, line->reason, progress, 0};
      case sync_line::kind::other:
        break;  // a newer server may say more than this client knows
    }
    if (!kept) return hopeless(kept.error());
    up_to_date = line->op == sync_line::kind::up_to_date;
  }
  const ending how = up_to_date && !live ? ending::up_to_date : ending::cut;
  return {how, "the server ended the stream", progress, 0};
}

attempt run_once(const http_url& url, const sync_command_options& options, sync_target& target,
                 copy_progress& shown) {
  auto client = http_client::connect(url, options.silence_max_s, options.ca_file);
  if (!client && client.error().code == net::errc::invalid) return hopeless(client.error());
  if (!client) return {ending::cut, client.error().text(), false, 0};
  const std::pair<std::string_view, std::string_view> headers[]{{"Accept-Encoding", "gzip"},
                                                                {"Accept", "application/x-ndjson"}};
  if (const auto sent = client->send_head("GET", target_of(url, options, target.cursor()), headers, false);
      !sent) {
    return {ending::cut, sent.error().text(), false, 0};
  }
  const auto head = client->read_head();
  if (!head) return {ending::cut, head.error().text(), false, 0};
  if (head->status != 200) {
    const auto body = client->read_rest(64 * 1024);
    const bool passing = head->status >= 500 || head->status == 429 || head->status == 408;
    return {passing ? ending::cut : ending::hopeless,
            describe_problem(head->status, body ? std::string_view(*body) : std::string_view()), false,
            head->retry_after_s};
  }
  return follow(*client, target, shown, options.live);
}

// Doubled each time and spread out, so that a thousand clients of a restarted server do not come back in one
// moment.
class backoff {
 public:
  void wait(const attempt& after) {
    if (after.progress) next_ms_ = kWaitFirstMs;
    std::uniform_int_distribution<std::uint64_t> spread(next_ms_ / 2, next_ms_);
    const std::uint64_t ms = std::max<std::uint64_t>(spread(random_), after.retry_after_s * 1000ull);
    fmt::print(stderr, "{}; again in {} ms\n", after.why, ms);
    std::this_thread::sleep_for(std::chrono::milliseconds(ms));
    next_ms_ = std::min(next_ms_ * 2, kWaitMaxMs);
  }

 private:
  std::mt19937_64 random_{std::random_device{}()};
  std::uint64_t next_ms_ = kWaitFirstMs;
};

int follow_all(const http_url& url, const sync_command_options& options, sync_target& target) {
  backoff between;
  copy_progress shown(!options.out.empty() || !options.database.empty(), ::isatty(STDERR_FILENO) != 0);
  int resets = 0;
  for (;;) {
    const attempt last = run_once(url, options, target, shown);
    shown.clear();
    if (last.how == ending::up_to_date) return 0;
    if (const auto undone = target.roll_back(); !undone) return report_failure(kSync, undone.error().text());
    if (last.how == ending::hopeless) return report_failure(kSync, last.why);
    if (last.progress) resets = 0;
    if (last.how == ending::reset) {
      if (++resets > kResetsMax)
        return report_failure(kSync,
                              fmt::format("the server asks to start over again and again: {}", last.why));
      continue;
    }
    if (!options.live)
      return report_failure(kSync, fmt::format("{} before all was there; run again to go on", last.why));
    between.wait(last);
  }
}

}  // namespace

int sync(const sync_command_options& options) {
  const auto url = parse_url(options.url);
  if (!url) return report_failure(kSync, url.error().text());
  if (!url->tls && !options.ca_file.empty()) return report_failure(kSync, "--ca is for https:// only");
  if (!options.database.empty() &&
      (!options.out.empty() || !options.state.empty() || !options.since.empty())) {
    return report_failure(kSync,
                          "--sqlite keeps the cursor itself; it goes with none of --out, --state, --since");
  }
  auto target = options.database.empty() ? open_line_target(options.out, options.state, options.since)
                                         : open_sqlite_target(options.database);
  if (!target) return report_failure(kSync, target.error().text());
  return follow_all(*url, options, **target);
}

}  // namespace syncline::server::command
