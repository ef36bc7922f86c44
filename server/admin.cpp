#include "server/admin.h"

#include "perf/memory.h"
#include "perf/metrics.h"
#include "server/feed_hub.h"
#include "server/problems.h"

namespace syncline::server {
namespace {

void answer_text(net::http::exchange& x, int status, std::string_view text) {
  x.answer({.status = status,
            .content_type = "text/plain; charset=utf-8",
            .headers = "Cache-Control: no-store\r\n"},
           text);
}

}  // namespace

admin::admin(const services& with) : with_(&with) {
  register_gauges();
}

admin::~admin() {
  for (const std::uint64_t handle : gauges_) perf::metrics::remove_gauge_callback(handle);
}

void admin::register_gauges() {
  const auto add = [this](std::string_view name, std::string_view help, auto read) {
    gauges_.push_back(
        perf::metrics::add_gauge_callback(name, help, {}, [read] { return static_cast<double>(read()); }));
  };
  const storage::store* store = with_->store;
  add("syncline_feed_watermark", "Feed position published to readers",
      [store] { return store->read_figures().watermark; });
  add("syncline_feed_horizon", "Highest purged feed position",
      [store] { return store->read_figures().horizon; });
  add("syncline_store_write_queue_rows", "Rows waiting for the writer",
      [store] { return store->read_figures().write_queue_rows; });
  add("syncline_store_write_queue_batches", "Batches waiting for the writer",
      [store] { return store->read_figures().write_queue_batches; });
  add("syncline_store_read_queue_jobs", "Reads waiting for a reader",
      [store] { return store->read_figures().read_queue_jobs; });
  add("syncline_store_healthy", "1 while the store works",
      [store] { return store->read_figures().healthy ? 1 : 0; });
  const cache::l1* l1 = with_->l1;
  add("syncline_l1_entries", "Entries of the in-process cache", [l1] { return l1->read_figures().entries; });
  add("syncline_l1_bytes", "Bytes of the in-process cache", [l1] { return l1->read_figures().bytes; });
  add("syncline_l1_hits", "Lookups answered by the in-process cache since start",
      [l1] { return l1->read_figures().hits; });
  add("syncline_l1_misses", "Lookups not answered by it since start",
      [l1] { return l1->read_figures().misses; });
  add("syncline_l1_loads", "Keys loaded into it since start", [l1] { return l1->read_figures().loads; });
  add("syncline_l1_evictions", "Entries it gave up for room since start",
      [l1] { return l1->read_figures().evictions; });
  add("syncline_l1_expired", "Entries it dropped because their ttl_s or negative_s was over since start",
      [l1] { return l1->read_figures().expired; });
  add("syncline_l1_invalidations", "Keys dropped because they changed since start",
      [l1] { return l1->read_figures().invalidations; });
  add("syncline_l1_refused_fills", "Loads overtaken by a change since start",
      [l1] { return l1->read_figures().refused_fills; });
  const feed_hub* hub = with_->hub;
  add("syncline_feed_watches", "Streams waiting for changes", [hub] { return hub->watches(); });
  perf::register_memory_metrics();
}

net::http::tried admin::try_answer(net::http::exchange& x) {
  const auto& head = x.head();
  if (head.verb != net::http::method::get && head.verb != net::http::method::head) {
    x.set_route("other");
    answer_method_not_allowed(x, "GET, HEAD");
  } else if (head.path == "/healthz") {
    x.set_route("GET /healthz");
    answer_text(x, 200, "ok\n");
  } else if (head.path == "/readyz") {
    x.set_route("GET /readyz");
    const phase now = phase_.load(std::memory_order_acquire);
    if (now == phase::starting) {
      answer_text(x, 503, "starting\n");
    } else if (now == phase::draining) {
      answer_text(x, 503, "draining\n");
    } else if (const auto figures = with_->store->read_figures(); !figures.healthy) {
      answer_text(x, 503, "store: " + figures.trouble + "\n");
    } else {
      answer_text(x, 200, "ready\n");
    }
  } else if (head.path == "/metrics") {
    x.set_route("GET /metrics");
    x.answer({.status = 200,
              .content_type = "text/plain; version=0.0.4; charset=utf-8",
              .headers = "Cache-Control: no-store\r\n"},
             perf::metrics::scrape());
  } else {
    x.set_route("other");
    answer_not_found(x, head.path);
  }
  return net::http::tried::answered;
}

net::task<void> admin::answer(net::http::exchange&) {
  co_return;
}

}  // namespace syncline::server
