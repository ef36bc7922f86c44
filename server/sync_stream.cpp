// GET /v1/sync: a stream of lines from a snapshot's first row to the live feed, page by page.
//
// One page is in memory per stream; its rows become lines in pieces of `kPieceBytes`, each written before the
// next is made, so a slow reader holds a page and the connection's output buffer and nothing else. After each
// page comes a line with a cursor, so a client that is cut off resumes there. A live stream sleeps on its
// watch and costs nothing until its parts change.
#include <atomic>

#include "net/core/event.h"
#include "net/core/gzip.h"
#include "perf/metrics.h"
#include "server/accept_encoding.h"
#include "server/feed_hub.h"
#include "server/problems.h"
#include "server/query.h"
#include "server/routes.h"
#include "server/stream_request.h"
#include "server/sync_lines.h"

namespace syncline::server {
namespace {

using net::errc;
using std::chrono::milliseconds;
using std::chrono::seconds;
using std::chrono::steady_clock;

constexpr std::size_t kPieceBytes = 16 * 1024;
constexpr std::size_t kInlineDeflateBytes =
    4 * 1024;  // more is deflated on a blocking thread: level 1 takes about 1 ms for 64 KB
constexpr int kPageTries = 5;

struct stream_figures {
  perf::gauge& in_flight = perf::metrics::add_gauge("syncline_sync_streams", "Sync streams in flight");
  perf::counter started = perf::metrics::add_counter("syncline_sync_streams_total", "Sync streams started");
  perf::counter refused = perf::metrics::add_counter("syncline_sync_streams_refused_total",
                                                     "Sync streams refused at sync.streams_max");
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

// One of `streams_max` places, held while a stream lives.
class stream_place {
 public:
  explicit stream_place(std::uint32_t max) {
    held_ = taken_.fetch_add(1, std::memory_order_relaxed) < max;
    if (!held_) taken_.fetch_sub(1, std::memory_order_relaxed);
    if (held_) figures().in_flight.add(1);
  }
  ~stream_place() {
    if (!held_) return;
    taken_.fetch_sub(1, std::memory_order_relaxed);
    figures().in_flight.add(-1);
  }
  stream_place(const stream_place&) = delete;
  stream_place& operator=(const stream_place&) = delete;
  explicit operator bool() const noexcept { return held_; }

 private:
  static inline std::atomic<std::uint32_t> taken_{0};
  bool held_ = false;
};

// Lines on their way out, deflated when the client asked for it.
class line_output {
 public:
  line_output(const services& with, net::http::exchange& x, bool gzip) : with_(&with), x_(&x) {
    if (gzip) deflate_ = std::make_shared<net::gzip_encoder>();
  }
  [[nodiscard]] std::string& lines() noexcept { return lines_; }
  // Sends the lines gathered so far; with `flush` the client can read all of them at once.
  [[nodiscard]] net::task<net::result<void>> send(bool flush) {
    if (deflate_) {
      auto deflated = co_await deflate(flush);
      if (!deflated) co_return deflated.error();
    }
    if (!lines_.empty()) {
      auto written = co_await x_->write(lines_);
      lines_.clear();
      if (!written) co_return written.error();
    }
    if (flush) co_return co_await x_->flush();
    co_return net::result<void>();
  }
  // For the time until the next news.
  void rest() noexcept {
    if (deflate_) deflate_->rest();
  }
  void finish() {
    if (!deflate_) return;
    tail_.clear();
    deflate_->finish(tail_);
  }
  [[nodiscard]] const std::string& tail() const noexcept { return tail_; }

 private:
  [[nodiscard]] net::task<net::result<void>> deflate(bool flush) {
    auto packed = std::make_shared<std::string>();
    if (lines_.size() <= kInlineDeflateBytes) {
      deflate_->append(lines_, flush, *packed);
    } else {
      auto plain = std::make_shared<std::string>(std::move(lines_));
      std::function<void()> job = [encoder = deflate_, plain, packed, flush] {
        encoder->append(*plain, flush, *packed);
      };
      auto done = co_await with_->threads->run(x_->context(), std::move(job));
      if (!done) {
        deflate_.reset();  // the job may still run: the encoder is its own now
        co_return done.error();
      }
    }
    lines_ = std::move(*packed);
    co_return net::result<void>();
  }

  const services* with_;
  net::http::exchange* x_;
  std::shared_ptr<net::gzip_encoder> deflate_;
  std::string lines_;
  std::string tail_;
};

net::task<net::result<void>> send_changes(line_output& out, const storage::feed_page& page) {
  for (const storage::change& what : page.changes) {
    append_change(page, what, out.lines());
    out.lines().append("\r\n");
    (what.put ? figures().puts : figures().removes).add();
    if (out.lines().size() >= kPieceBytes) {
      auto sent = co_await out.send(false);
      if (!sent) co_return sent.error();
    }
  }
  co_return net::result<void>();
}

// A page, tried again while the trouble looks passing: the client has a cursor, but a stream cut for 100 ms
// of a locked file helps nobody.
net::task<net::result<storage::feed_page>> next_page(const services& with, net::http::exchange& x,
                                                     std::shared_ptr<const storage::stream> what,
                                                     std::optional<storage::cursor> at) {
  const storage::page_limits limits{with.settings->sync.page_rows_max, with.settings->sync.page_bytes_max};
  for (int tries = 1;; ++tries) {
    auto from = at;
    auto page = co_await with.store->read_page(x.context(), what, std::move(from), limits);
    figures().pages.add();
    if (page || tries == kPageTries) co_return page;
    const auto code = page.error().code;
    if (code != errc::overloaded && code != errc::locked && code != errc::down) co_return page;
    auto slept = co_await net::sleep_until(x.context(), steady_clock::now() + milliseconds(50 * tries));
    if (!slept) co_return slept.error();
  }
}

class native_stream {
 public:
  native_stream(const services& with, net::http::exchange& x, stream_request asked, bool live, bool gzip)
      : with_(&with),
        x_(&x),
        what_(std::move(asked.what)),
        at_(std::move(asked.since)),
        live_(live),
        gzip_(gzip),
        watch_(*with.hub, x.context().on(), what_),
        out_(with, x, gzip) {}

  [[nodiscard]] net::task<void> run() {
    auto page = co_await next_page(*with_, *x_, what_, at_);
    if (!page) {
      answer_error(*x_, page.error());
      co_return;
    }
    begin();
    const auto ended = co_await follow(std::move(*page));
    if (!ended && ended.error().code == errc::closed) co_return;
    if (!ended && ended.error().code != errc::cancelled) figures().broken.add();
    out_.finish();
    if (!out_.tail().empty()) {
      auto sent = co_await x_->write(out_.tail());
      if (!sent) co_return;
    }
    x_->end();
  }

 private:
  void begin() {
    net::http::header_block headers;
    headers.add("Cache-Control", "no-store, no-transform")
        .add("X-Accel-Buffering", "no")
        .add("Vary", "Accept-Encoding");
    if (gzip_) headers.add("Content-Encoding", "gzip");
    x_->begin({.status = 200, .content_type = "application/x-ndjson", .headers = headers.text()});
    figures().started.add();
  }

  // Sends `page` and what follows it; returns when the stream is at its end, and an error when it was cut.
  [[nodiscard]] net::task<net::result<void>> follow(storage::feed_page page) {
    for (;;) {
      if (page.reset != storage::reset_reason::none) co_return co_await reset(page.reset);
      auto sent = co_await send_page(page);
      if (!sent) co_return sent.error();
      if (page.up_to_date) {
        if (!live_ || x_->draining()) co_return net::result<void>();
        page = {};  // gives its memory back while waiting
        auto woken = co_await wait_for_change();
        if (!woken) co_return woken.error();
      } else if (x_->draining()) {
        co_return net::result<void>();
      }
      auto next = co_await next_page(*with_, *x_, what_, at_);
      if (!next) co_return next.error();
      page = std::move(*next);
    }
  }

  [[nodiscard]] net::task<net::result<void>> send_page(const storage::feed_page& page) {
    const bool moved = !at_ || !(*at_ == page.next);
    at_ = page.next;
    auto sent = co_await send_changes(out_, page);
    if (!sent) co_return sent.error();
    // A live stream that woke for nothing of its own stays silent; its place is told at the next keep-alive.
    const bool news = !page.changes.empty() || !told_ || (page.up_to_date && !told_up_to_date_) ||
                      (!page.up_to_date && moved);
    if (news) tell_place(page.up_to_date);
    co_return co_await out_.send(true);
  }

  void tell_place(bool up_to_date) {
    if (up_to_date) {
      append_up_to_date(*at_, out_.lines());
    } else {
      append_checkpoint(*at_, out_.lines());
    }
    out_.lines().append("\r\n");
    told_ = at_;
    told_up_to_date_ = up_to_date;
  }

  [[nodiscard]] net::task<net::result<void>> reset(storage::reset_reason reason) {
    append_reset(reason, out_.lines());
    out_.lines().append("\r\n");
    figures().resets.add();
    co_return co_await out_.send(true);
  }

  // Until a part of the stream changes; an empty line each `keep_alive_s`, or the new place when it moved
  // without news for this client.
  [[nodiscard]] net::task<net::result<void>> wait_for_change() {
    for (;;) {
      const auto until = steady_clock::now() + seconds(with_->settings->sync.keep_alive_s);
      auto woken = co_await watch_.changed().wait(x_->context(), until);
      if (woken) co_return woken;
      if (woken.error().code != errc::timed_out) co_return woken;
      if (told_ && at_ && !(*told_ == *at_)) {
        tell_place(true);
      } else {
        out_.lines().append("\r\n");
      }
      auto sent = co_await out_.send(true);
      if (!sent) co_return sent.error();
      out_.rest();
    }
  }

  const services* with_;
  net::http::exchange* x_;
  std::shared_ptr<const storage::stream> what_;
  std::optional<storage::cursor> at_;
  std::optional<storage::cursor> told_;
  bool told_up_to_date_ = false;
  bool live_;
  bool gzip_;
  feed_hub::watch watch_;  // armed before the first page is read, so no change falls between page and wait
  line_output out_;
};

}  // namespace

net::task<void> sync_stream(const services& with, net::http::exchange& x) {
  x.context().set_work(net::work_class::sync);
  x.context().set_deadline(net::steady_time::max());
  auto asked = query::parse(x.head().query, {"scope", "resources", "since", "live"});
  if (!asked) co_return answer_error(x, asked.error());
  auto live = asked->flag("live");
  if (!live) co_return answer_error(x, live.error());
  const auto text = [&asked](std::string_view name) {
    return asked->has(name) ? std::string_view(*asked->find(name)) : std::string_view();
  };
  auto request = make_stream_request(with, text("scope"), text("resources"), text("since"));
  if (!request) co_return answer_error(x, request.error());
  stream_place place(with.settings->sync.streams_max);
  if (!place) {
    figures().refused.add();
    net::error full(errc::overloaded, "too many sync streams at once");
    full.retry_after_ms = 1000;
    co_return answer_error(x, full);
  }
  const bool gzip = accepts_gzip(x.head().header("Accept-Encoding"));
  // The stream lives on the heap: it is larger than what a coroutine frame should be.
  auto stream = std::make_unique<native_stream>(with, x, std::move(*request), *live, gzip);
  co_await stream->run();
}

}  // namespace syncline::server
