// Writers through the store and past it, readers that lose answers and resume from cursor texts: in the end
// every copy equals its tables.
#include <algorithm>
#include <cstdlib>
#include <map>
#include <random>
#include <thread>

#include <fmt/format.h>

#include "tests/store/store_fixture.h"

// GCC 12 takes the coroutine frames' inlined operator new for a mismatch with Asio's operator delete.
#pragma GCC diagnostic ignored "-Wmismatched-new-delete"

namespace syncline::storage::testing {

namespace {

constexpr int kIds = 60;
constexpr int kWrites = 150;  // of each writer

std::uint64_t seed_of_run() {
  const char* given = std::getenv("SYNCLINE_TEST_SEED");
  return given != nullptr ? std::strtoull(given, nullptr, 10) : std::random_device{}();
}

using copy_of_rows = std::map<std::string, std::string>;  // "resource key" to JSON

struct client {
  std::shared_ptr<const stream> what;
  copy_of_rows copy;
  std::optional<std::string> cursor_text;
  std::uint64_t resets = 0;
  std::string failure;

  void apply(const feed_page& page) {
    for (const change& c : page.changes) {
      const std::string name = c.of->name + " " + std::string(page.key(c));
      if (c.put) {
        copy[name] = page.row(c);
      } else {
        copy.erase(name);
      }
    }
  }
};

}  // namespace

class StoreRandom : public store_suite {
 protected:
  std::int64_t clock() { return database_->number("SELECT seq FROM syncline_clock"); }
  // What a stream's copy should be: the tables themselves, by a plain list of each part.
  copy_of_rows truth(const stream& what) {
    copy_of_rows out;
    for (const stream_part& part : what.parts) {
      list_query q;
      q.of = part.of;
      q.what = projection::all(*part.of);
      q.limit = 100000;
      q.scope = part.scope;
      auto made = list(q);
      EXPECT_TRUE(made.has_value()) << made.error().text();
      for (const row_slice& s : made->slices)
        out[part.of->name + " " + std::string(made->key(s))] = made->json(s);
    }
    return out;
  }
  net::task<void> write_at_random(net::core& on, std::uint64_t seed) {
    std::mt19937_64 random(seed);
    const auto below = [&](std::uint64_t n) { return static_cast<std::int64_t>(random() % n); };
    for (int i = 0; i < kWrites; ++i) {
      net::request_context context(on, below(2) == 0 ? net::work_class::interactive : net::work_class::bulk);
      const std::int64_t what = below(10);
      const std::string key = std::to_string(below(kIds));
      batch_builder b(what < 3 ? notes() : users(), what < 3    ? write_kind::upsert
                                                    : what == 3 ? write_kind::remove
                                                    : what == 4 ? write_kind::patch
                                                                : write_kind::upsert);
      const std::string name = fmt::format("w{} {}", seed % 97, i);
      if (what < 3) {
        for (int k = 0; k < 3; ++k)
          b.row({{"owner", below(2) == 0 ? T("ann") : T("bob")}, {"n", I(below(10))}, {"body", T(name)}});
      } else if (what == 3) {
        b.key(key);
      } else if (what == 4) {
        // Soft deletion and its opposite, and moves to another scope or to none.
        b.row({{"deleted_at", below(2) == 0 ? T("gone") : N()}, {"team", below(4) == 0 ? N() : I(below(3))}})
            .key(key);
      } else {
        for (std::int64_t k = below(8); k >= 0; --k)
          b.row({{"id", I(below(kIds))}, {"name", T(name)}, {"team", I(below(3))}, {"deleted_at", N()}});
      }
      auto running = store_->write(context, std::move(b.batch));
      auto made = co_await std::move(running);
      if (!made) ADD_FAILURE() << made.error().text();
    }
  }
  void write_past_the_store(std::uint64_t seed) {
    std::mt19937_64 random(seed);
    const auto below = [&](std::uint64_t n) { return static_cast<std::int64_t>(random() % n); };
    for (int i = 0; i < kWrites; ++i) {
      const std::int64_t id = below(kIds);
      std::string sql;
      switch (below(5)) {
        case 0:
          sql = fmt::format("REPLACE INTO users(id,name,email,team) VALUES({},'f{}','e{}@x',{})", id, i,
                            below(5), below(3));
          break;
        case 1:
          // MySQL knows no UPDATE OR REPLACE: there a key that is taken leaves the row where it is.
          sql = GetParam() == engine_kind::sqlite
                    ? fmt::format("UPDATE OR REPLACE users SET id={} WHERE id={}", below(kIds), id)
                    : fmt::format("UPDATE IGNORE users SET id={} WHERE id={}", below(kIds), id);
          break;
        case 2:
          sql = fmt::format("DELETE FROM users WHERE id BETWEEN {} AND {}", id, id + 2);
          break;
        case 3:
          sql = fmt::format("UPDATE notes SET owner='cat', n=n+{} WHERE owner='ann' AND n<{}", 100 + i * 20,
                            below(10));
          break;
        default:
          sql =
              fmt::format("UPDATE users SET team={}, score={} WHERE id%7={}", below(3), below(100), below(7));
      }
      run(sql);
      if (i % 8 == 0) std::this_thread::yield();
    }
  }
  // Reads until the writers have ended and it is up to date; some answers are lost on the way.
  net::task<void> read_at_random(net::core& on, client& me, std::uint64_t seed,
                                 const std::atomic<bool>& written) {
    std::mt19937_64 random(seed);
    for (;;) {
      const bool last_round = written.load();
      net::request_context context(on, net::work_class::sync);
      page_limits limits;
      limits.rows_max = static_cast<std::uint32_t>(1 + random() % 50);
      limits.bytes_max = random() % 4 == 0 ? 200 : 1 << 20;
      std::optional<cursor> from;
      if (me.cursor_text) from = cursor::parse(*me.cursor_text).value();
      auto running = store_->read_page(context, me.what, from, limits);
      auto made = co_await std::move(running);
      if (!made) {
        me.failure = made.error().text();
        co_return;
      }
      if (made->reset != reset_reason::none) {
        ++me.resets;
        me.copy.clear();
        me.cursor_text.reset();
        continue;
      }
      if (random() % 5 == 0) continue;  // the answer was lost
      me.apply(*made);
      if (random() % 5 == 0) continue;  // the client died before it kept the cursor
      me.cursor_text = made->next.text();
      if (made->up_to_date && last_round) co_return;
    }
  }
};

INSTANTIATE_TEST_SUITE_P(On, StoreRandom, every_engine(), ::testing::PrintToStringParamName());

TEST_P(StoreRandom, EveryCopyEqualsItsTablesInTheEnd) {
  const std::uint64_t seed = seed_of_run();
  SCOPED_TRACE(fmt::format("SYNCLINE_TEST_SEED={}", seed));
  open_store();
  create_users(1, kIds / 2, 1);
  const std::vector<std::vector<stream_part>> kinds = {
      {{&users(), ""}},
      {{&users(), "team:1"}},
      {{&users(), "team:0"}, {&users(), "team:2"}, {&notes(), "owner:ann"}},
      {{&notes(), ""}, {&users(), ""}},
  };
  std::vector<std::unique_ptr<client>> clients;
  for (std::size_t i = 0; i < kinds.size() * 2; ++i) {
    clients.push_back(std::make_unique<client>());
    clients.back()->what = store_->make_stream(kinds[i % kinds.size()]);
  }
  std::atomic<bool> written{false};
  std::vector<std::future<void>> reading, writing;
  for (std::size_t i = 0; i < clients.size(); ++i)
    reading.push_back(net::testing::start_task(cores_.at(i % 2), [this, i, seed, &clients, &written] {
      return read_at_random(cores_.at(i % 2), *clients[i], seed + 100 + i, written);
    }));
  for (std::uint64_t i = 0; i < 3; ++i)
    writing.push_back(net::testing::start_task(
        cores_.at(i % 2), [this, i, seed] { return write_at_random(cores_.at(i % 2), seed + i); }));
  std::thread foreign([this, seed] { write_past_the_store(seed + 50); });
  foreign.join();
  for (auto& each : writing) ASSERT_EQ(each.wait_for(std::chrono::seconds(100)), std::future_status::ready);
  written.store(true);
  for (auto& each : reading) ASSERT_EQ(each.wait_for(std::chrono::seconds(100)), std::future_status::ready);
  for (const auto& each : clients) {
    EXPECT_EQ(each->failure, "");
    EXPECT_EQ(each->resets, 0U);
    EXPECT_EQ(each->copy, truth(*each->what));
  }
  // And what the listener was told reaches the end of the feed, in order.
  ASSERT_TRUE(eventually([&] { return listener_.last() == store_->watermark(); }));
  const auto told = listener_.notices();
  EXPECT_TRUE(std::is_sorted(told.begin(), told.end(),
                             [](const auto& a, const auto& b) { return a->watermark < b->watermark; }));
  EXPECT_EQ(clock(), store_->watermark());
  const auto checked = database_->check_feed(all_);
  ASSERT_TRUE(checked.has_value());
  EXPECT_TRUE(checked->clean());
}

// The same comparison fails for readers that cut the corners which the store does not.
TEST_P(StoreRandom, ReadersThatCutCornersEndUpWithAnotherCopy) {
  open_store();
  create_users(1, 6, 1);
  const auto team = store_->make_stream({{&users(), "team:1"}});
  client honest, scans_only, by_key_only;
  honest.what = scans_only.what = by_key_only.what = team;
  auto first = page(team, std::nullopt, {3, 1 << 20});
  ASSERT_TRUE(first.has_value());
  for (client* each : {&honest, &scans_only, &by_key_only}) each->apply(*first);
  const std::int64_t base = first->next.seq;
  run("DELETE FROM users WHERE id=1; UPDATE users SET team=2 WHERE id=2");

  std::optional<cursor> at = first->next;
  while (at->scanning) {
    auto made = page(team, at, {3, 1 << 20});
    honest.apply(*made);
    at = made->next;
  }
  // Goes on with the scan but does not follow the feed meanwhile.
  std::optional<cursor> skipping = first->next;
  while (skipping->scanning) {
    skipping->seq = clock();
    auto made = page(team, skipping, {3, 1 << 20});
    scans_only.apply(*made);
    skipping = made->next;
  }
  // Follows `seq > last` over the whole table and looks rows up by key alone.
  by_key_only.copy = honest.copy;
  by_key_only.copy["users 2"] = by_key_only.copy["users 3"];
  // "1,2,…": each key that has an entry since then, once.
  std::string keys = database_->text(
      fmt::format("SELECT group_concat(DISTINCT {0}) FROM syncline_feed WHERE seq>{1}",
                  GetParam() == engine_kind::sqlite ? "key" : "CONVERT(`key` USING utf8mb4)", base));
  while (!keys.empty()) {
    const std::string key = keys.substr(0, keys.find(','));
    keys.erase(0, key.size() + 1);
    const std::string row = row_of(users(), key);
    if (row.empty()) {
      by_key_only.copy.erase("users " + key);
    } else {
      by_key_only.copy["users " + key] = row;
    }
  }
  EXPECT_EQ(honest.copy, truth(*team));
  EXPECT_NE(scans_only.copy, truth(*team));
  EXPECT_NE(by_key_only.copy, truth(*team));
}

}  // namespace syncline::storage::testing
