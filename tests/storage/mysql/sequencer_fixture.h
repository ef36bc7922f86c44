// A node as far as the feed goes: a core, a sequencer on it, and what its listener was told.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "storage/mysql/sequencer.h"
#include "tests/storage/mysql/schema_fixture.h"

namespace syncline::storage::mysql::testing {

class told_changes final : public feed_listener {
 public:
  void changed(const change_notice_ptr& notice) noexcept override {
    const std::lock_guard lock(mutex_);
    in_order_ = in_order_ && (notice->everything || notice->watermark > last_);
    last_ = notice->watermark;
    published_before_ =
        published_before_ || (of != nullptr && !notice->everything && of->watermark() >= notice->watermark);
    if (notice->everything) ++everything_;
    for (const auto& item : notice->items) keys_.push_back(item.scope + " " + item.key);
    ++notices_;
  }
  [[nodiscard]] lines keys() const { return locked(keys_); }
  [[nodiscard]] int everything() const { return locked(everything_); }
  [[nodiscard]] int notices() const { return locked(notices_); }
  [[nodiscard]] bool in_order() const { return locked(in_order_); }
  [[nodiscard]] bool published_before() const { return locked(published_before_); }
  const sequencer* of = nullptr;

 private:
  template <class T>
  T locked(const T& what) const {
    const std::lock_guard lock(mutex_);
    return what;
  }
  mutable std::mutex mutex_;
  lines keys_;
  std::int64_t last_ = 0;
  int everything_ = 0, notices_ = 0;
  bool in_order_ = true, published_before_ = false;
};

struct feed_node {
  feed_node(const catalog& all, std::shared_ptr<session_options> session, mysql_options options = {})
      : core(1, false), session_of_node(std::move(session)) {
    core.start();
    options.lock_wait_timeout_s = 1;
    made = std::make_unique<sequencer>(core, options, all, [this](request_context& context) {
      return native_connection::open(context, session_of_node);
    });
    heard.of = made.get();
    made->set_listener(&heard);
  }
  ~feed_node() {
    made.reset();
    core.stop();
    core.join();
  }
  feed_node(const feed_node&) = delete;
  feed_node& operator=(const feed_node&) = delete;

  // The watermark, or -1 with the error in `trouble`.
  std::int64_t settled(int within_ms = 20'000) {
    std::int64_t out = -1;
    net::testing::run_task(core, [&]() -> task<void> {
      request_context context(core);
      context.set_deadline(in_ms(within_ms));
      net::result<std::int64_t> got = co_await made->settle(context);
      if (got) out = *got;
      trouble = got ? net::error() : got.error();
    });
    return out;
  }

  net::core core;
  std::shared_ptr<session_options> session_of_node;
  told_changes heard;
  std::unique_ptr<sequencer> made;
  net::error trouble;
};

class mysql_feed_test : public mysql_schema_test {
 protected:
  // A node that begins as a server does.
  [[nodiscard]] std::unique_ptr<feed_node> started(const catalog& all, mysql_options options = {}) {
    auto session = here();
    session->setup = session_setup(1);
    auto out = std::make_unique<feed_node>(all, session, options);
    const auto at =
        get<feed_position>([&](request_context& context) { return record_generation(context, *db_); });
    auto rows = get<std::vector<resource_row>>(
        [&](request_context& context) { return resource_rows(context, *db_, all); });
    if (!at || !rows) throw std::runtime_error((at ? rows.error() : at.error()).text());
    out->made->start_at(at->seq, at->horizon, *rows);
    out->made->start();
    return out;
  }
  std::int64_t clock_seq() { return std::stoll(one_field("SELECT seq FROM syncline_clock")); }
};

}  // namespace syncline::storage::mysql::testing
