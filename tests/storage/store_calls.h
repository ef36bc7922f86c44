// What the tests of every store share: the resources of its tables, cores to call from, and calls that wait.
//
// The tables themselves are the engine's; they fit kUsersColumns and the rest below.
#pragma once

#include <functional>
#include <future>
#include <initializer_list>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "net/core/core.h"
#include "storage/store.h"
#include "tests/net/run_task.h"
#include "tests/storage/sample_tables.h"

namespace syncline::storage::testing {

using net::testing::eventually;

// Notices in the order in which they were told.
class recording_listener : public feed_listener {
 public:
  void changed(const change_notice_ptr& notice) noexcept override {
    const std::lock_guard lock(mutex_);
    notices_.push_back(notice);
  }
  [[nodiscard]] std::vector<change_notice_ptr> notices() const {
    const std::lock_guard lock(mutex_);
    return notices_;
  }
  [[nodiscard]] std::int64_t last() const {
    const std::lock_guard lock(mutex_);
    return notices_.empty() ? 0 : notices_.back()->watermark;
  }

 private:
  static std::vector<change_notice_ptr> with_room() {
    std::vector<change_notice_ptr> out;
    out.reserve(10'000);
    return out;
  }
  mutable std::mutex mutex_;
  std::vector<change_notice_ptr> notices_ = with_room();  // memory that a test lets fail is the store's
};

// A batch is built row by row from "column", cell pairs.
struct batch_builder {
  explicit batch_builder(const resource& of, write_kind kind) {
    batch.of = &of;
    batch.kind = kind;
  }
  batch_builder& row(std::initializer_list<std::pair<std::string_view, cell>> values) {
    const std::size_t at = batch.cells.size();
    batch.cells.resize(at + batch.of->columns.size());
    for (auto [name, value] : values) {
      if (value.k == cell::kind::text || value.k == cell::kind::blob)
        value.text = batch.arena.copy(value.text);
      batch.cells[at + batch.of->find_column(name).value()] = value;
    }
    ++batch.row_count;
    return *this;
  }
  batch_builder& key(std::string k) {
    batch.key = std::move(k);
    if (batch.row_count == 0) row({});
    return *this;
  }
  write_batch batch;
};

inline cell I(std::int64_t v) {
  return cell::of_int(v);
}
inline cell T(std::string_view v) {
  return cell::of_text(v);
}
inline cell N() {
  return cell::of_null();
}

// users (scope team, a soft delete, search in name and email), notes (a key of two columns), tags (a text key
// whose column ignores case), links (a foreign key to users).
class store_calls : public ::testing::Test {
 protected:
  store_calls() : cores_(net::core_group_options{2, false}) {
    resource users =
        make_resource("users", "id:int64 name email team:int64 state:json score:float64 deleted_at", {"id"},
                      {{"team", "team"}}, "deleted_at IS NULL");
    users.search = {1, 2};
    all_.add(std::move(users));
    all_.add(make_resource("notes", "owner n:int64 body", {"owner", "n"}, {{"owner", "owner"}}));
    all_.add(make_resource("tags", "tag uses:int64", {"tag"}));
    all_.add(make_resource("links", "id:int64 user_id:int64 later_id:int64", {"id"}));
    cores_.start();
  }
  ~store_calls() override {
    close_store();
    cores_.stop();
  }
  void close_store() {
    if (store_) store_->stop();
    store_.reset();
  }

  using prepare_context = std::function<void(net::request_context&)>;
  // Calls the store on a core and waits for the answer.
  template <class T>
  net::result<T> ask(std::function<net::task<net::result<T>>(net::request_context&)> call,
                     prepare_context prepare = {}, std::size_t core = 0) {
    auto out = std::make_shared<std::optional<net::result<T>>>();
    net::core& on = cores_.at(core);
    net::testing::run_task(on, [out, &on, &call, &prepare]() -> net::task<void> {
      net::request_context context(on);
      if (prepare) prepare(context);
      auto running = call(context);
      out->emplace(co_await std::move(running));
    });
    if (!out->has_value()) return net::error(net::errc::internal, "no answer");
    return std::move(**out);
  }
  net::result<write_outcome> write(write_batch batch, prepare_context prepare = {}) {
    auto shared = std::make_shared<write_batch>(std::move(batch));
    return ask<write_outcome>(
        [this, shared](net::request_context& context) { return store_->write(context, std::move(*shared)); },
        std::move(prepare));
  }
  net::result<write_outcome> write(batch_builder& built) { return write(std::move(built.batch)); }
  // Begins a write and leaves its outcome in `out`, which must outlive the future.
  std::future<void> start_write(write_batch batch, net::result<write_outcome>& out) {
    auto shared = std::make_shared<write_batch>(std::move(batch));
    return net::testing::start_task(cores_.at(0), [this, shared, &out]() -> net::task<void> {
      net::request_context context(cores_.at(0));
      auto running = store_->write(context, std::move(*shared));
      out = co_await std::move(running);
    });
  }
  net::result<rows> get(const resource& of, std::vector<std::string> keys) {
    return ask<rows>([this, &of, keys](net::request_context& context) {
      return store_->get(context, of, projection::all(of), keys);
    });
  }
  net::result<rows> list(const list_query& query) {
    return ask<rows>([this, query](net::request_context& context) { return store_->list(context, query); });
  }
  net::result<feed_page> page(std::shared_ptr<const stream> what, std::optional<cursor> from,
                              page_limits limits = {}) {
    return ask<feed_page>([this, what, from, limits](net::request_context& context) {
      return store_->read_page(context, what, from, limits);
    });
  }
  // The JSON of one row, or "" when there is none.
  std::string row_of(const resource& of, const std::string& key) {
    auto made = get(of, {key});
    EXPECT_TRUE(made.has_value()) << made.error().text();
    if (!made || made->slices.empty() || !made->slices[0].found) return {};
    return std::string(made->json(made->slices[0]));
  }
  // The fates of a write, one letter each: c u = s d x.
  static std::string fates(const net::result<write_outcome>& made) {
    if (!made) return "error " + made.error().text();
    std::string out;
    for (const row_result& r : made->rows) out += "cu=sdx"[static_cast<std::size_t>(r.what)];
    return out;
  }
  // Creates users 1…count in team `team`.
  void create_users(std::int64_t from, std::int64_t to, std::int64_t team = 1) {
    batch_builder b(users(), write_kind::upsert);
    for (std::int64_t i = from; i <= to; ++i) {
      const std::string name = "user " + std::to_string(i);
      b.row({{"id", I(i)}, {"name", T(name)}, {"team", I(team)}});
    }
    auto made = write(b);
    ASSERT_TRUE(made.has_value()) << made.error().text();
  }
  // Pages until the stream is up to date; "put id" and "remove id" in order.
  lines follow(const std::shared_ptr<const stream>& what, std::optional<cursor>& at,
               page_limits limits = {}) {
    lines out;
    for (int i = 0; i < 10000; ++i) {
      auto made = page(what, at, limits);
      EXPECT_TRUE(made.has_value()) << made.error().text();
      if (!made) return out;
      if (made->reset != reset_reason::none) {
        out.push_back("reset " + std::string(to_string(made->reset)));
        return out;
      }
      for (const change& c : made->changes)
        out.push_back((c.put ? "put " : "remove ") + c.of->name + " " + std::string(made->key(c)));
      // A client keeps the text.
      at = cursor::parse(made->next.text()).value();
      if (made->up_to_date) return out;
    }
    ADD_FAILURE() << "the stream never became up to date";
    return out;
  }

  [[nodiscard]] const resource& users() const { return all_.at(0); }
  [[nodiscard]] const resource& notes() const { return all_.at(1); }
  [[nodiscard]] const resource& tags() const { return all_.at(2); }
  [[nodiscard]] const resource& links() const { return all_.at(3); }

  catalog all_;
  net::core_group cores_;
  recording_listener listener_;
  std::unique_ptr<store> store_;
};

}  // namespace syncline::storage::testing
