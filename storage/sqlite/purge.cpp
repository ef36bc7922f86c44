// Takes old tombstones out of the feed and moves the horizon with them.

#include <algorithm>

#include <fmt/format.h>

#include "storage/sqlite/place_sql.h"
#include "storage/sqlite/row_probe.h"
#include "storage/sqlite/scoped_transaction.h"

namespace syncline::storage::sqlite {

net::result<purge_result> purge_tombstones(connection& db, const catalog& all, std::int64_t older_than_s,
                                           std::uint32_t limit) {
  auto transaction = scoped_transaction::begin(db);
  if (!transaction) return transaction.error();
  const std::string note_time = fmt::format(
      "UPDATE syncline_feed SET gone_at={} WHERE seq IN (SELECT seq FROM syncline_feed WHERE "
      "gone_at=0 LIMIT {})",
      kNowSql, std::uint64_t{limit} * 10);
  if (auto noted = db.exec(note_time); !noted) return noted.error();
  const bool more_to_note =
      static_cast<std::uint64_t>(sqlite3_changes64(db.get())) == std::uint64_t{limit} * 10;
  auto probes = row_probes::make(db, all);
  if (!probes) return probes.error();
  std::vector<std::int64_t> present;
  std::vector<std::int64_t> purged;
  {
    auto s =
        db.prepare(fmt::format("SELECT seq, resource, scope, \"key\" FROM syncline_feed WHERE gone_at<>0 AND "
                               "gone_at<={}-({}) ORDER BY gone_at LIMIT {}",
                               kNowSql, older_than_s, limit));
    if (!s) return s.error();
    int code = SQLITE_ROW;
    while ((code = s->step()) == SQLITE_ROW) {
      row_probe* probe = probes->find(s->integer(1));
      bool there = false;
      if (probe != nullptr) {
        auto found = probe->there(s->text(2), s->text(3));
        if (!found) return found.error();
        there = *found;
      }
      (there ? present : purged).push_back(s->integer(0));
    }
    if (code != SQLITE_DONE) return db.error(code, "reading tombstones");
  }
  const auto each = [&](std::string_view sql, const std::vector<std::int64_t>& of) -> net::result<void> {
    auto s = db.prepare(sql);
    if (!s) return s.error();
    for (const std::int64_t seq : of) {
      const statement_use once(*s);
      once->bind(1, seq);
      if (const int code = once->step(); code != SQLITE_DONE) return db.error(code, "purging tombstones");
    }
    return {};
  };
  if (auto done = each("UPDATE syncline_feed SET gone_at=NULL WHERE seq=?1", present); !done)
    return done.error();
  if (auto done = each("DELETE FROM syncline_feed WHERE seq=?1", purged); !done) return done.error();
  if (!purged.empty()) {
    const std::int64_t highest = *std::max_element(purged.begin(), purged.end());
    if (auto done = db.exec(fmt::format("UPDATE syncline_clock SET horizon=max(horizon,{})", highest)); !done)
      return done.error();
  }
  if (auto done = transaction->commit(); !done) return done.error();
  return purge_result{purged.size(), more_to_note || purged.size() + present.size() == limit};
}

}  // namespace syncline::storage::sqlite
