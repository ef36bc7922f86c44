// Compares tables with the feed, a range of rows and then a range of entries at a time, each in one
// transaction, so that a running server is held up for a range only. A row whose entry is older than its
// content cannot be told from one that never changed; only places are compared.

#include <fmt/format.h>

#include "storage/sqlite/generation.h"
#include "storage/sqlite/number_rows.h"
#include "storage/sqlite/row_probe.h"
#include "storage/sqlite/scoped_transaction.h"
#include "storage/sqlite/table_walk.h"

namespace syncline::storage::sqlite {

namespace {

struct feed_entry {
  std::int64_t seq = 0;
  std::int64_t resource = 0;
  std::string scope;
  std::string key;
  bool gone = false;
};

struct checking {
  connection& db;
  bool repair;
  check_report report;

  void example(std::string text) {
    if (report.examples.size() < kExamplesMax) report.examples.push_back(std::move(text));
  }
  net::result<void> rows(row_probes::item& item);
  net::result<void> range(const resource& of, const table_shape& t, std::int64_t id, const table_walk& walk);
  net::result<void> entries(row_probes& probes);
  net::result<void> entry(row_probes& probes, const feed_entry& e);
};

net::result<void> checking::range(const resource& of, const table_shape& t, std::int64_t id,
                                  const table_walk& walk) {
  const std::string where = where_sql(of);
  auto count = db.prepare(fmt::format("SELECT count(*) FROM {} WHERE ({}){}", quoted(t.name),
                                      walk.condition(), where.empty() ? "" : " AND " + where));
  if (!count) return count.error();
  walk.bind(*count);
  if (const int code = count->step(); code != SQLITE_ROW)
    return db.error(code, "counting rows of " + of.name);
  report.rows_checked += static_cast<std::uint64_t>(count->integer(0));

  const std::uint64_t before = report.missing_entries;
  for (const place_sql& place : places_of(of, t, quoted(t.name) + ".")) {
    auto s = db.prepare(
        places_without_entry_sql(of, t, id, place, place.scope + "," + place.key, walk.condition()));
    if (!s) return s.error();
    walk.bind(*s);
    int code = SQLITE_ROW;
    while ((code = s->step()) == SQLITE_ROW) {
      ++report.missing_entries;
      example(fmt::format("{}: the row {} has no entry in scope \"{}\"", of.name, s->text(1), s->text(0)));
    }
    if (code != SQLITE_DONE) return db.error(code, "checking rows of " + of.name);
  }
  if (!repair || report.missing_entries == before) return {};
  auto numbered = number_range(db, of, t, id, walk);
  return numbered ? net::result<void>() : net::result<void>(numbered.error());
}

net::result<void> checking::rows(row_probes::item& item) {
  table_walk walk(db, item.probe.shape(), kNumberBatchRows);
  while (true) {
    auto transaction = scoped_transaction::begin(db, repair);
    if (!transaction) return transaction.error();
    auto there = walk.next(db);
    if (!there) return there.error();
    if (!*there) return {};
    if (auto checked = range(item.probe.of(), item.probe.shape(), item.id, walk); !checked) return checked;
    if (auto done = transaction->commit(); !done) return done;
  }
}

net::result<void> checking::entry(row_probes& probes, const feed_entry& e) {
  row_probe* probe = probes.find(e.resource);
  if (probe == nullptr) {
    ++report.unknown_resources;
    example(fmt::format("entry {} is of a resource with the number {}, which the config does not have", e.seq,
                        e.resource));
    return repair ? db.exec(fmt::format("DELETE FROM syncline_feed WHERE seq={}", e.seq))
                  : net::result<void>();
  }
  if (e.gone) return {};  // a hint that the purge corrects when it is wrong
  auto there = probe->there(e.scope, e.key);
  if (!there) return there.error();
  if (*there) return {};
  ++report.wrong_hints;
  example(fmt::format("{}: entry {} says that {} is in scope \"{}\", and it is not", probe->of().name, e.seq,
                      e.key, e.scope));
  if (!repair) return {};
  // A new number, since readers beyond the old one have not been told that the row is gone.
  return db.exec(
      fmt::format("UPDATE syncline_clock SET seq=seq+1;"
                  "UPDATE syncline_feed SET seq=(SELECT seq FROM syncline_clock), gone_at={} WHERE seq={}",
                  kNowSql, e.seq));
}

net::result<void> checking::entries(row_probes& probes) {
  auto last = db.query_int("SELECT seq FROM syncline_clock");  // what is entered from now on is right
  if (!last) return last.error();
  std::int64_t at = 0;
  std::vector<feed_entry> batch;
  do {
    auto transaction = scoped_transaction::begin(db, repair);
    if (!transaction) return transaction.error();
    batch.clear();
    {
      auto s = db.prepare(
          fmt::format("SELECT seq, resource, scope, \"key\", gone_at IS NOT NULL FROM syncline_feed WHERE "
                      "seq>{} AND seq<={} ORDER BY seq LIMIT {}",
                      at, *last, kNumberBatchRows));
      if (!s) return s.error();
      int code = SQLITE_ROW;
      while ((code = s->step()) == SQLITE_ROW)
        batch.push_back({s->integer(0), s->integer(1), std::string(s->text(2)), std::string(s->text(3)),
                         s->integer(4) != 0});
      if (code != SQLITE_DONE) return db.error(code, "reading the feed");
    }
    for (const feed_entry& e : batch)
      if (auto checked = entry(probes, e); !checked) return checked;
    report.entries_checked += batch.size();
    if (!batch.empty()) at = batch.back().seq;
    if (auto done = transaction->commit(); !done) return done;
  } while (!batch.empty());
  return {};
}

}  // namespace

net::result<check_report> check_feed(connection& db, const catalog& all, bool repair) {
  auto probes = row_probes::make(db, all);
  if (!probes) return probes.error();
  if (repair) {
    // Else a restored backup whose clock the repair moves on would pass for what its clients know.
    auto transaction = scoped_transaction::begin(db);
    if (!transaction) return transaction.error();
    auto now = read_clock(db);
    if (!now) return now.error();
    if (auto recorded = record_generation(db, now->seq, now->horizon); !recorded) return recorded.error();
    if (auto committed = transaction->commit(); !committed) return committed.error();
  }
  checking c{db, repair, {}};
  // Entries first: numbering the missing ones would only make more of them to look at.
  if (auto done = c.entries(*probes); !done) return done.error();
  for (row_probes::item& item : probes->items())
    if (auto done = c.rows(item); !done) return done.error();
  return std::move(c.report);
}

}  // namespace syncline::storage::sqlite
