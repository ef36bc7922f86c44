#include "storage/sqlite/generation.h"

#include <chrono>
#include <random>

namespace syncline::storage::sqlite {

namespace {

std::int64_t random_id() {
  std::random_device source;  // the kernel's generator
  return static_cast<std::int64_t>((static_cast<std::uint64_t>(source()) << 32U) | source());
}

net::result<void> run(connection& db, const std::string& sql, std::initializer_list<std::int64_t> values,
                      std::string_view doing) {
  auto s = db.cached(sql);
  if (!s) return s.error();
  const statement_use once(**s);
  int at = 1;
  for (const std::int64_t value : values) once->bind(at++, value);
  if (const int code = once->step(); code != SQLITE_DONE) return db.error(code, doing);
  return {};
}

}  // namespace

net::result<void> record_generation(connection& db, std::int64_t first_seq, std::int64_t horizon) {
  const std::int64_t now =
      std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch())
          .count();
  if (auto done = run(db, "INSERT INTO syncline_generation(id, first_seq, created_at) VALUES(?1,?2,?3)",
                      {random_id(), first_seq, now}, "recording a generation");
      !done)
    return done;
  return run(
      db,
      "DELETE FROM syncline_generation WHERE number <= (SELECT max(number) FROM syncline_generation) - ?2 "
      "OR EXISTS (SELECT 1 FROM syncline_generation AS n WHERE n.number > syncline_generation.number "
      "AND n.first_seq < ?1)",
      {horizon, kGenerationsMax}, "dropping old generations");
}

net::result<std::uint64_t> current_generation(connection& db) {
  auto s = db.cached("SELECT id FROM syncline_generation ORDER BY number DESC LIMIT 1");
  if (!s) return s.error();
  const statement_use row(**s);
  const int code = row->step();
  if (code == SQLITE_DONE) return net::error(net::errc::schema_mismatch, "the feed has no generation");
  if (code != SQLITE_ROW) return db.error(code, "reading the generation");
  return static_cast<std::uint64_t>(row->integer(0));
}

net::result<reset_reason> check_position(connection& db, const cursor& at, const clock_row& clock) {
  // The start of the next generation (starts never fall, so it is the least of the later ones), or NULL for
  // the newest.
  auto s = db.cached(
      "SELECT (SELECT min(n.first_seq) FROM syncline_generation AS n WHERE n.number > g.number) "
      "FROM syncline_generation AS g WHERE g.id=?1");
  if (!s) return s.error();
  const statement_use row(**s);
  row->bind(1, static_cast<std::int64_t>(at.generation));
  const int code = row->step();
  if (code == SQLITE_DONE) return reset_reason::unknown_generation;
  if (code != SQLITE_ROW) return db.error(code, "looking for a generation");
  const cell next = row->column(0);
  if (next.k == cell::kind::integer && at.newest() > next.integer) return reset_reason::feed_went_back;
  if (at.newest() > clock.seq || at.seq < 0) return reset_reason::feed_went_back;
  if (clock.horizon > 0 && at.seq < clock.horizon) return reset_reason::history_purged;
  return reset_reason::none;
}

}  // namespace syncline::storage::sqlite
