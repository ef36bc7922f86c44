// GET /v1/sync: a stream of lines from a snapshot's first row to the live feed, page by page
// (feed_follower.h), each line ended by CRLF, deflated when the client asked for it.
//
// Lines are written in pieces of `kPieceBytes`, each before the next is made, so a slow reader holds a page
// and the connection's output buffer and nothing else.
#include <functional>
#include <optional>

#include "net/core/blocking_threads.h"
#include "net/core/gzip.h"
#include "server/accept_encoding.h"
#include "server/admission.h"
#include "server/feed_follower.h"
#include "server/problems.h"
#include "server/query.h"
#include "server/routes.h"

namespace syncline::server {
namespace {

using net::errc;

constexpr std::size_t kPieceBytes = 16 * 1024;
constexpr std::size_t kInlineDeflateBytes =
    4 * 1024;  // more is deflated on a blocking thread: level 1 takes about 1 ms for 64 KB

class line_output final : public line_sink {
 public:
  line_output(const services& with, net::http::exchange& x, bool gzip)
      : with_(&with), x_(&x), packing_(x.context().on(), net::work_class::sync) {
    if (gzip) deflate_ = std::make_shared<net::gzip_encoder>();
  }
  std::string& begin_line() override { return lines_; }
  bool end_line() override {
    lines_.append("\r\n");
    return lines_.size() >= kPieceBytes;
  }
  net::task<net::result<void>> make_room() override { return send(false); }
  net::task<net::result<void>> flush() override { return send(true); }
  void keep_alive() override { lines_.append("\r\n"); }
  void rest() noexcept override {
    if (deflate_) deflate_->rest();
  }
  bool stopping() const noexcept override { return x_->draining(); }
  // What ends a compressed stream; nothing when its encoder was lost: the body cannot be ended then.
  [[nodiscard]] std::optional<std::string> finish() {
    std::string tail;
    if (encoder_lost_) return std::nullopt;
    if (deflate_) deflate_->finish(tail);
    return tail;
  }

 private:
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

  [[nodiscard]] net::task<net::result<void>> deflate(bool flush) {
    auto packed = std::make_shared<std::string>();
    if (lines_.size() <= kInlineDeflateBytes) {
      deflate_->append(lines_, flush, *packed);
    } else {
      auto plain = std::make_shared<std::string>(std::move(lines_));
      std::function<void()> job = [encoder = deflate_, plain, packed, flush] {
        encoder->append(*plain, flush, *packed);
      };
      auto done = co_await with_->threads->run(packing_, std::move(job));
      if (!done && done.error().code == errc::overloaded) {
        deflate_->append(*plain, flush, *packed);
      } else if (!done) {
        encoder_lost_ = true;
        co_return done.error();
      }
    }
    lines_ = std::move(*packed);
    co_return net::result<void>();
  }

  const services* with_;
  net::http::exchange* x_;
  std::shared_ptr<net::gzip_encoder> deflate_;
  net::request_context packing_;  // nobody cancels it: half a piece could not be taken back
  bool encoder_lost_ = false;
  std::string lines_;
};

net::task<void> run(const services& with, net::http::exchange& x, stream_request asked, bool live) {
  const bool gzip = accepts_gzip(x.head());
  // On the heap: together they are larger than what a coroutine frame should be.
  auto out = std::make_unique<line_output>(with, x, gzip);
  auto stream = std::make_unique<feed_follower>(with, x.context(), std::move(asked), live, *out);
  auto page = co_await stream->next_page();
  if (!page) {
    answer_error(x, page.error());
    co_return;
  }
  net::http::header_block headers;
  headers.add("Cache-Control", "no-store, no-transform")
      .add("X-Accel-Buffering", "no")
      .add("Vary", "Accept-Encoding");
  if (gzip) headers.add("Content-Encoding", "gzip");
  x.begin({.status = 200, .content_type = "application/x-ndjson", .headers = headers.text()});
  storage::feed_page first = std::move(*page);
  const auto ended = co_await stream->follow(std::move(first));
  // What breaks off is no whole body: the connection is cut, so that nobody takes it for one. A drain is no
  // error of the stream.
  if (!ended && ended.error().code != errc::cancelled) co_return;
  const std::optional<std::string> rest = out->finish();
  if (!rest) co_return;
  if (!rest->empty()) {
    auto sent = co_await x.write(*rest);
    if (!sent) co_return;
  }
  x.end();
}

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
  const admission admitted(long_work::stream, with.settings->sync.streams_max);
  if (!admitted) {
    net::error full(errc::overloaded, "too many sync streams at once");
    full.retry_after_ms = 1000;
    co_return answer_error(x, full);
  }
  stream_request stream = std::move(*request);
  co_await run(with, x, std::move(stream), *live);
}

}  // namespace syncline::server
