#include "server/feed_follower.h"

#include "net/core/event.h"
#include "perf/metrics.h"
#include "server/sync_lines.h"

namespace syncline::server {
namespace {

using net::errc;
using std::chrono::milliseconds;
using std::chrono::seconds;
using std::chrono::steady_clock;

constexpr int kPageTries = 5;

struct stream_figures {
  perf::counter started = perf::metrics::add_counter("syncline_sync_streams_total", "Sync streams started");
  perf::counter pages =
      perf::metrics::add_counter("syncline_sync_pages_total", "Pages read for sync streams");
  perf::counter puts = perf::metrics::add_counter("syncline_sync_lines_total", "Lines sent", {{"op", "put"}});
  perf::counter removes =
      perf::metrics::add_counter("syncline_sync_lines_total", "Lines sent", {{"op", "remove"}});
  perf::counter resets =
      perf::metrics::add_counter("syncline_sync_lines_total", "Lines sent", {{"op", "reset"}});
  perf::counter broken = perf::metrics::add_counter("syncline_sync_streams_broken_total",
                                                    "Streams ended because pages could not be read");
};
stream_figures& figures() {
  static stream_figures all;
  return all;
}

}  // namespace

net::task<net::result<void>> line_sink::begin_page() {
  co_return net::result<void>();
}

feed_follower::feed_follower(const services& with, net::request_context& context, stream_request asked,
                             bool live, line_sink& to)
    : with_(&with),
      context_(&context),
      to_(&to),
      what_(std::move(asked.what)),
      at_(std::move(asked.since)),
      live_(live),
      watch_(*with.hub, context.on(), what_) {}

// Tried again while the trouble looks passing: the client has a cursor, but a stream cut for 100 ms of a
// locked file helps nobody.
net::task<net::result<storage::feed_page>> feed_follower::next_page() {
  const storage::page_limits limits{with_->settings->sync.page_rows_max, with_->settings->sync.page_bytes_max,
                                    at_ && !told_};
  for (int tries = 1;; ++tries) {
    auto turn = co_await to_->begin_page();
    if (!turn) co_return turn.error();
    auto from = at_;
    read_at_ = steady_clock::now();
    lost_notices_ = with_->hub->lost();
    auto page = co_await with_->store->read_page(*context_, what_, std::move(from), limits);
    figures().pages.add();
    if (page) co_return page;
    to_->end_page();
    if (tries == kPageTries) co_return page;
    const auto code = page.error().code;
    if (code != errc::overloaded && code != errc::locked && code != errc::down) co_return page;
    auto slept = co_await net::sleep_until(*context_, steady_clock::now() + milliseconds(50 * tries));
    if (!slept) co_return slept.error();
  }
}

net::task<net::result<void>> feed_follower::follow(storage::feed_page page) {
  figures().started.add();
  for (;;) {
    const bool over = page.reset != storage::reset_reason::none;
    const bool up_to_date = page.up_to_date;
    net::result<void> sent;
    if (over) {
      sent = co_await reset(page.reset);
    } else {
      sent = co_await send_page(page);
    }
    page = {};  // gives its memory back before the next one, and while waiting
    to_->end_page();
    if (!sent || over) co_return sent;
    if (to_->stopping() || (up_to_date && !live_)) co_return net::result<void>();
    if (up_to_date) {
      auto woken = co_await wait_for_change();
      if (!woken) co_return woken.error();
    }
    auto next = co_await next_page();
    if (!next) {
      const auto code = next.error().code;
      if (code != errc::cancelled && code != errc::closed) figures().broken.add();
      co_return next.error();
    }
    page = std::move(*next);
  }
}

net::task<net::result<void>> feed_follower::send_page(const storage::feed_page& page) {
  const bool moved = !at_ || !(*at_ == page.next);
  at_ = page.next;
  auto sent = co_await send_changes(page);
  if (!sent) co_return sent.error();
  // A live stream that woke for nothing of its own stays silent; its place is told at the next keep-alive.
  const bool news = !page.changes.empty() || !told_ || (page.up_to_date && !told_up_to_date_) ||
                    (!page.up_to_date && moved);
  if (news) {
    tell_place(page.up_to_date);
    auto ended = co_await end_line();
    if (!ended) co_return ended.error();
  }
  co_return co_await to_->flush();
}

net::task<net::result<void>> feed_follower::send_changes(const storage::feed_page& page) {
  for (const storage::change& what : page.changes) {
    append_change(page, what, to_->begin_line());
    (what.put ? figures().puts : figures().removes).add();
    if (!to_->end_line()) continue;
    auto room = co_await to_->make_room();
    if (!room) co_return room.error();
  }
  co_return net::result<void>();
}

net::task<net::result<void>> feed_follower::end_line() {
  if (!to_->end_line()) co_return net::result<void>();
  co_return co_await to_->make_room();
}

void feed_follower::tell_place(bool up_to_date) {
  if (up_to_date) {
    append_up_to_date(*at_, to_->begin_line());
  } else {
    append_checkpoint(*at_, to_->begin_line());
  }
  told_ = at_;
  told_up_to_date_ = up_to_date;
}

net::task<net::result<void>> feed_follower::reset(storage::reset_reason reason) {
  append_reset(reason, to_->begin_line());
  figures().resets.add();
  auto ended = co_await end_line();
  if (!ended) co_return ended.error();
  co_return co_await to_->flush();
}

// Nobody said that anything changed, and yet: invariant 3.
bool feed_follower::must_look() const noexcept {
  return lost_notices_ != with_->hub->lost() ||
         steady_clock::now() >= read_at_ + seconds(with_->settings->sync.quiet_reread_s);
}

// Until a part of the stream changes or it is time to look; each `keep_alive_s` a sign of life, or the new
// place when it moved without news for this client.
net::task<net::result<void>> feed_follower::wait_for_change() {
  for (;;) {
    const auto until = steady_clock::now() + seconds(with_->settings->sync.keep_alive_s);
    auto woken = co_await watch_.changed().wait(*context_, until);
    if (woken || woken.error().code != errc::timed_out) co_return woken;
    if (told_ && at_ && !(*told_ == *at_)) {
      tell_place(true);
      auto ended = co_await end_line();
      if (!ended) co_return ended.error();
    } else {
      to_->keep_alive();
    }
    auto sent = co_await to_->flush();
    if (!sent) co_return sent.error();
    to_->rest();
    if (must_look()) co_return net::result<void>();
  }
}

}  // namespace syncline::server
