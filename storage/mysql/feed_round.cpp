#include "storage/mysql/feed_round.h"

#include <algorithm>
#include <optional>
#include <unordered_map>

#include <fmt/format.h>

#include "storage/mysql/literal.h"
#include "storage/mysql/text_rows.h"

namespace syncline::storage::mysql {

namespace {

constexpr std::string_view kClockSql =
    "SELECT seq, horizon, server, @@server_uuid, (SELECT COALESCE(MAX(number),0) FROM syncline_generation), "
    "(SELECT COALESCE(MAX(id),0) FROM syncline_pending), (SELECT CAST(COALESCE(SUM(incarnation),0) AS "
    "SIGNED) FROM "
    "syncline_resource), (SELECT COALESCE(MAX(seq),0) FROM syncline_feed), @@read_only, (SELECT id FROM "
    "syncline_generation ORDER BY number DESC LIMIT 1) FROM syncline_clock "
    "WHERE id=1";

// What one round writes: the last row of each place, in id order.
struct collapsed {
  std::vector<feed_place> places;
  std::vector<bool> gone;
  std::string ids;  // of all rows read: ROW(1),ROW(2)
  std::uint64_t last_id = 0;
};

net::result<feed_clock> clock_of(const net::result<result_rows>& from) {
  if (!from) return from.error();
  const net::result<text_rows> rows = texts_of(*from);
  if (!rows) return rows.error();
  if (rows->empty())
    return net::error(net::errc::schema_mismatch, "the feed has no clock", "run syncline migrate");
  const text_row& row = rows->front();
  feed_clock out;
  out.seq = row.integer(0);
  out.horizon = row.integer(1);
  out.server = row.text(2);
  out.server_is_now = row.text(3);
  out.newest = {row.integer(4), row.integer(9)};
  out.pending_max = static_cast<std::uint64_t>(row.integer(5));
  out.incarnations = row.integer(6);
  out.entered_max = row.integer(7);
  out.read_only = row.integer(8) != 0;
  return out;
}

std::vector<feed_place> places_of_rows(const text_rows& rows) {
  std::vector<feed_place> out;
  out.reserve(rows.size());
  for (const text_row& row : rows) out.push_back({row.integer(0), row.text(1), row.text(2)});
  return out;
}

collapsed collapse(const text_rows& rows) {
  std::unordered_map<std::string, std::size_t> last;
  last.reserve(rows.size());
  std::string place;
  const auto name_of = [&](const text_row& row) -> const std::string& {
    place = row.text(1);
    place.append(1, '\0').append(row.text(2)).append(1, '\0').append(row.text(3));
    return place;
  };
  for (std::size_t i = 0; i < rows.size(); ++i) last[name_of(rows[i])] = i;
  collapsed out;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const text_row& row = rows[i];
    if (!out.ids.empty()) out.ids.push_back(',');
    out.ids.append("ROW(").append(row.text(0)).append(")");
    out.last_id = static_cast<std::uint64_t>(row.integer(0));
    if (last[name_of(row)] != i) continue;
    out.places.push_back({row.integer(1), row.text(2), row.text(3)});
    out.gone.push_back(row.integer(4) != 0);
  }
  return out;
}

std::string upsert_sql(const collapsed& rows, std::int64_t first_seq) {
  std::string out = "INSERT INTO syncline_feed (resource,scope,`key`,seq,gone_at) VALUES ";
  std::int64_t seq = first_seq;
  for (std::size_t i = 0; i < rows.places.size(); ++i) {
    const feed_place& p = rows.places[i];
    out += fmt::format("{}({},", i == 0 ? "" : ",", p.resource);
    append_blob_literal(p.scope, out);
    out.push_back(',');
    append_blob_literal(p.key, out);
    out += fmt::format(",{},{})", seq++, rows.gone[i] ? "UNIX_TIMESTAMP()" : "NULL");
  }
  return out + " AS n ON DUPLICATE KEY UPDATE seq=n.seq, gone_at=n.gone_at";
}

// A look-up for each id and nothing else: given `id IN (…)`, MySQL scans a small table (also with FORCE
// INDEX), and then waits for the locks of rows that are not committed; one writer with a long transaction
// would hold up the feed.
std::string delete_sql(const collapsed& rows) {
  return fmt::format(
      "DELETE /*+ NO_BNL(p) */ p FROM (VALUES {}) AS v(id) STRAIGHT_JOIN syncline_pending AS p FORCE INDEX "
      "(PRIMARY) ON p.id=v.id",
      rows.ids);
}

net::task<net::result<void>> finished(net::request_context& context, sql_connection& db, bool commit) {
  auto ending = run(context, db, commit ? "COMMIT" : "ROLLBACK");
  net::result<std::uint64_t> ended = co_await std::move(ending);
  if (!ended) co_return ended.error();
  co_return net::result<void>();
}

// One flight each: a deadlock rolls everything back and leaves the session alone, so what is sent behind the
// statement that loses runs in a transaction of its own. Neither may pending rows be deleted nor the clock be
// moved that way.
net::task<net::result<void>> write_round(net::request_context& context, sql_connection& db,
                                         const collapsed& rows, std::int64_t seq_before) {
  const std::int64_t seq = seq_before + static_cast<std::int64_t>(rows.places.size());
  auto entering = db.sql(context, upsert_sql(rows, seq_before + 1));
  net::result<result_rows> entered = co_await std::move(entering);
  if (!entered) co_return entered.error();
  auto deleting = db.sql(context, delete_sql(rows));
  net::result<result_rows> deleted = co_await std::move(deleting);
  if (!deleted) co_return deleted.error();
  auto moving =
      db.sql(context, fmt::format("UPDATE syncline_clock SET seq={} WHERE id=1 AND seq={}", seq, seq_before));
  net::result<result_rows> moved = co_await std::move(moving);
  if (!moved) co_return moved.error();
  co_return net::result<void>();
}

net::task<net::result<void>> find_others(net::request_context& context, sql_connection& db, std::int64_t told,
                                         std::size_t max, round_result& out) {
  auto reading = places_after(context, db, told, max);
  net::result<std::vector<feed_place>> places = co_await std::move(reading);
  if (!places) co_return places.error();
  out.others_too_many = places->size() > max;
  if (!out.others_too_many) out.others = std::move(*places);
  co_return net::result<void>();
}

// Inside the transaction, with the clock locked.
net::task<net::result<void>> fill_round(net::request_context& context, sql_connection& db, std::int64_t told,
                                        round_bounds bounds, const text_rows& pending, round_result& out) {
  out.seq = out.before.seq;
  out.newest = out.before.newest;
  // A primary that was demoted and lives on has nothing pending: found out by a write that changes nothing.
  if (out.before.read_only) {
    auto trying = run(context, db, "UPDATE syncline_clock SET seq=seq WHERE id=1");
    const net::result<std::uint64_t> tried = co_await std::move(trying);
    if (!tried) co_return tried.error();
  }
  if (bounds.restart || history_broke(out.before, told)) {
    const bool passed = out.before.entered_max > out.before.seq;
    auto beginning =
        begin_generation(context, db, out.before.horizon, passed ? kNoCursorIsGood : out.before.seq);
    const net::result<generation> begun = co_await std::move(beginning);
    if (!begun) co_return begun.error();
    out.newest = *begun;
    out.restarted = true;
  }
  if (out.before.entered_max > out.seq) {
    out.seq = out.before.entered_max;
    auto moving = run(context, db, fmt::format("UPDATE syncline_clock SET seq={} WHERE id=1", out.seq));
    net::result<std::uint64_t> moved = co_await std::move(moving);
    if (!moved) co_return moved.error();
  }
  if (out.before.seq > told && bounds.others_max != 0) {
    auto finding = find_others(context, db, told, bounds.others_max, out);
    net::result<void> found = co_await std::move(finding);
    if (!found) co_return found;
  }
  if (pending.empty()) co_return net::result<void>();
  collapsed rows = collapse(pending);
  out.rows_read = pending.size();
  out.last_id = rows.last_id;
  auto writing = write_round(context, db, rows, out.seq);
  net::result<void> written = co_await std::move(writing);
  if (!written) co_return written;
  out.seq += static_cast<std::int64_t>(rows.places.size());
  out.entered = std::move(rows.places);
  co_return net::result<void>();
}

}  // namespace

bool history_broke(const feed_clock& clock, std::int64_t told) noexcept {
  return clock.seq < told || clock.server != clock.server_is_now || clock.entered_max > clock.seq;
}

net::task<net::result<feed_clock>> look_at_feed(net::request_context& context, sql_connection& db) {
  auto looking = db.execute(context, kClockSql, {});
  net::result<result_rows> seen = co_await std::move(looking);
  co_return clock_of(seen);
}

net::task<net::result<std::vector<feed_place>>> places_after(net::request_context& context,
                                                             sql_connection& db, std::int64_t told,
                                                             std::size_t max) {
  auto reading =
      query(context, db,
            fmt::format("SELECT resource, scope, `key` FROM syncline_feed WHERE seq>{} ORDER BY seq "
                        "LIMIT {}",
                        told, max + 1));
  net::result<text_rows> rows = co_await std::move(reading);
  if (!rows) co_return rows.error();
  co_return places_of_rows(*rows);
}

net::task<net::result<round_result>> run_round(net::request_context& context, sql_connection& db,
                                               std::int64_t told, round_bounds bounds) {
  auto starting = db.sql(context, "START TRANSACTION");
  const std::string lock_sql = fmt::format("{} FOR UPDATE", kClockSql);
  auto locking = db.sql(context, lock_sql);
  auto reading =
      db.sql(context, fmt::format("SELECT id, resource, scope, `key`, gone FROM syncline_pending ORDER BY id "
                                  "LIMIT {}",
                                  bounds.rows_max));
  net::result<result_rows> started = co_await std::move(starting);
  net::result<result_rows> locked = co_await std::move(locking);
  net::result<result_rows> read = co_await std::move(reading);
  net::result<text_rows> pending = read ? texts_of(*read) : net::result<text_rows>(read.error());
  round_result out;
  std::optional<net::error> failed;
  net::result<feed_clock> clock = clock_of(locked);
  if (!started) {
    failed = started.error();
  } else if (!clock) {
    failed = clock.error();
  } else if (!pending) {
    failed = pending.error();
  } else {
    out.before = std::move(*clock);
    auto filling = fill_round(context, db, told, bounds, *pending, out);
    net::result<void> filled = co_await std::move(filling);
    if (!filled) failed = filled.error();
  }
  const bool changed = !failed && (out.restarted || !out.entered.empty());
  auto finishing = finished(context, db, changed);
  net::result<void> done = co_await std::move(finishing);
  if (failed) co_return std::move(*failed);
  if (!done) co_return done.error();
  co_return out;
}

}  // namespace syncline::storage::mysql
