// Compares tables with the feed, a range of entries and then a range of rows at a time, each under the clock
// so that what is pending stays pending: a place that is about to be numbered is no fault. A row whose entry
// is older than its content cannot be told from one that never changed; only places are compared.

#include <algorithm>
#include <set>

#include <fmt/format.h>

#include "storage/mysql/clock_hold.h"
#include "storage/mysql/key_walk.h"
#include "storage/mysql/literal.h"
#include "storage/mysql/number_rows.h"
#include "storage/mysql/row_probe.h"
#include "storage/mysql/sequencer.h"
#include "storage/mysql/text_rows.h"

namespace syncline::storage::mysql {

namespace {

constexpr std::size_t kExamplesMax = 20;
using place_set = std::set<std::pair<std::string, std::string>>;

// A resource's places that wait for the sequencer.
net::task<net::result<place_set>> pending_places(net::request_context& context, sql_connection& db,
                                                 std::int64_t resource_id) {
  auto reading =
      query(context, db,
            fmt::format("SELECT DISTINCT scope, `key` FROM syncline_pending WHERE resource={}", resource_id));
  net::result<text_rows> rows = co_await std::move(reading);
  if (!rows) co_return rows.error();
  place_set out;
  for (const text_row& row : *rows) out.emplace(row.text(0), row.text(1));
  co_return out;
}

class checking {
 public:
  checking(sql_connection& db, const row_probes& probes, bool repair)
      : db_(&db), probes_(&probes), repair_(repair) {}
  net::task<net::result<void>> entries(net::request_context& context);
  net::task<net::result<void>> rows(net::request_context& context, const row_probes::item& item);
  check_report report;

 private:
  void example(std::string text) {
    if (report.examples.size() < kExamplesMax) report.examples.push_back(std::move(text));
  }
  net::task<net::result<void>> batch(net::request_context& context, const std::vector<feed_entry>& of,
                                     clock_hold& hold);
  net::task<net::result<void>> correct(net::request_context& context, const feed_entry& e, clock_hold& hold);
  net::task<net::result<std::uint64_t>> missing(net::request_context& context, const row_probes::item& item,
                                                const std::string& condition);

  sql_connection* db_;
  const row_probes* probes_;
  bool repair_;
};

// A new number, since readers beyond the old one have not been told that the row is gone.
net::task<net::result<void>> checking::correct(net::request_context& context, const feed_entry& e,
                                               clock_hold& hold) {
  const bool known = probes_->find(e.resource) != nullptr;
  auto running =
      run(context, *db_,
          known ? fmt::format("UPDATE syncline_feed SET seq={}, gone_at=UNIX_TIMESTAMP() WHERE seq={}",
                              ++hold.seq, e.seq)
                : fmt::format("DELETE FROM syncline_feed WHERE seq={}", e.seq));
  net::result<std::uint64_t> done = co_await std::move(running);
  if (!done) co_return done.error();
  co_return net::result<void>();
}

net::task<net::result<void>> checking::batch(net::request_context& context, const std::vector<feed_entry>& of,
                                             clock_hold& hold) {
  auto probing = probes_->there(context, *db_, of);
  net::result<std::vector<bool>> there = co_await std::move(probing);
  if (!there) co_return there.error();
  std::map<std::int64_t, place_set> waiting;
  for (std::size_t i = 0; i < of.size(); ++i) {
    const feed_entry& e = of[i];
    const row_probes::item* item = probes_->find(e.resource);
    if (item == nullptr) {
      ++report.unknown_resources;
      example(fmt::format("entry {} is of a resource with the number {}, which the config does not have",
                          e.seq, e.resource));
    } else if (e.gone || (*there)[i]) {
      continue;  // a hint that it is gone is corrected by the purge when it is wrong
    } else {
      if (!waiting.contains(e.resource)) {
        auto reading = pending_places(context, *db_, e.resource);
        net::result<place_set> read = co_await std::move(reading);
        if (!read) co_return read.error();
        waiting[e.resource] = std::move(*read);
      }
      if (waiting[e.resource].contains({e.scope, e.key})) continue;
      ++report.wrong_hints;
      example(fmt::format("{}: entry {} says that {} is in scope \"{}\", and it is not", item->of->name,
                          e.seq, e.key, e.scope));
    }
    if (!repair_) continue;
    auto correcting = correct(context, e, hold);
    net::result<void> corrected = co_await std::move(correcting);
    if (!corrected) co_return corrected;
  }
  co_return net::result<void>();
}

net::task<net::result<void>> checking::entries(net::request_context& context) {
  std::int64_t at = 0;
  std::int64_t last = -1;  // what is entered from now on is right
  for (;;) {
    auto beginning = clock_hold::begin(context, *db_, repair_);
    net::result<clock_hold> hold = co_await std::move(beginning);
    if (!hold) co_return hold.error();
    if (last < 0) last = hold->seq;
    auto reading =
        query(context, *db_,
              fmt::format("SELECT seq, resource, scope, `key`, gone_at IS NOT NULL FROM syncline_feed "
                          "WHERE seq>{} AND seq<={} ORDER BY seq LIMIT {}",
                          at, last, kNumberBatchRows));
    net::result<text_rows> rows = co_await std::move(reading);
    net::result<void> done = rows ? net::result<void>() : net::result<void>(rows.error());
    std::vector<feed_entry> found;
    if (rows) {
      for (const text_row& row : *rows)
        found.push_back({row.integer(0), row.integer(1), row.text(2), row.text(3), row.integer(4) != 0});
      auto checking_batch = batch(context, found, *hold);
      done = co_await std::move(checking_batch);
    }
    if (!done || !repair_) {
      auto undoing = hold->rollback(context);
      co_await std::move(undoing);
      if (!done) co_return done;
    } else {
      auto ending = hold->commit(context);
      net::result<void> ended = co_await std::move(ending);
      if (!ended) co_return ended;
    }
    if (found.empty()) co_return net::result<void>();
    report.entries_checked += found.size();
    at = found.back().seq;
  }
}

// How many places of the range have no entry and none that is about to come; under the clock.
net::task<net::result<std::uint64_t>> checking::missing(net::request_context& context,
                                                        const row_probes::item& item,
                                                        const std::string& condition) {
  std::uint64_t count = 0;
  for (const place_sql& place :
       places_of(*item.of, item.shape, columns_of(identifier(item.shape.name) + "."))) {
    auto reading = query(context, *db_,
                         places_without_entry_sql(*item.of, item.shape, item.id, place,
                                                  place.scope + "," + place.key, condition));
    net::result<text_rows> rows = co_await std::move(reading);
    if (!rows) co_return rows.error();
    if (rows->empty()) continue;
    auto waiting = pending_places(context, *db_, item.id);
    net::result<place_set> pending = co_await std::move(waiting);
    if (!pending) co_return pending.error();
    for (const text_row& row : *rows) {
      if (pending->contains({row.text(0), row.text(1)})) continue;
      ++count;
      example(fmt::format("{}: the row {} has no entry in scope \"{}\"", item.of->name, row.text(1),
                          row.text(0)));
    }
  }
  co_return count;
}

net::task<net::result<void>> checking::rows(net::request_context& context, const row_probes::item& item) {
  key_walk walk(*db_, *item.of, kNumberBatchRows);
  const std::string where = where_sql(*item.of);
  for (;;) {
    auto moving = walk.next(context);
    net::result<bool> there = co_await std::move(moving);
    if (!there) co_return there.error();
    if (!*there) co_return net::result<void>();
    auto counting = query(context, *db_,
                          fmt::format("SELECT COUNT(*) FROM {} WHERE {}{}", identifier(item.shape.name),
                                      walk.condition(), where.empty() ? "" : " AND " + where));
    net::result<text_rows> counted = co_await std::move(counting);
    if (!counted) co_return counted.error();
    report.rows_checked += static_cast<std::uint64_t>(counted->front().integer(0));

    auto beginning = clock_hold::begin(context, *db_, false);
    net::result<clock_hold> hold = co_await std::move(beginning);
    if (!hold) co_return hold.error();
    auto looking = missing(context, item, walk.condition());
    net::result<std::uint64_t> found = co_await std::move(looking);
    auto undoing = hold->rollback(context);
    co_await std::move(undoing);
    if (!found) co_return found.error();
    report.missing_entries += *found;
    if (!repair_ || *found == 0) continue;
    auto numbering = number_range(context, *db_, *item.of, item.shape, item.id, walk.condition());
    net::result<std::uint64_t> numbered = co_await std::move(numbering);
    if (!numbered) co_return numbered.error();
  }
}

}  // namespace

net::task<net::result<check_report>> check_feed(net::request_context& context, sql_connection& db,
                                                const catalog& all, bool repair) {
  auto reading = row_probes::read(context, db, all);
  net::result<row_probes> probes = co_await std::move(reading);
  if (!probes) co_return probes.error();
  if (repair) {
    // Else a restored backup whose clock the repair moves on would pass for what its clients know.
    auto recording = record_generation(context, db);
    const net::result<feed_position> recorded = co_await std::move(recording);
    if (!recorded) co_return recorded.error();
  }
  checking c(db, *probes, repair);
  // Entries first: numbering the missing ones would only make more of them to look at.
  auto checking_entries = c.entries(context);
  net::result<void> done = co_await std::move(checking_entries);
  if (!done) co_return done.error();
  for (const row_probes::item& item : probes->items()) {
    auto checking_rows = c.rows(context, item);
    net::result<void> checked = co_await std::move(checking_rows);
    if (!checked) co_return checked.error();
  }
  co_return std::move(c.report);
}

}  // namespace syncline::storage::mysql
