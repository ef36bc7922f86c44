#include "storage/sqlite/idempotency_records.h"

#include "storage/sqlite/clocks.h"

namespace syncline::storage::sqlite {

namespace {}  // namespace

net::result<std::optional<idempotency>> read_idempotency(connection& db, const std::string& key) {
  auto prepared =
      db.cached("SELECT fingerprint, lines_done, saved, complete FROM syncline_idempotency WHERE key=?1");
  if (!prepared) return prepared.error();
  const statement_use row(**prepared);
  row->bind(1, std::string_view(key));
  const int code = row->step();
  if (code == SQLITE_DONE) return std::optional<idempotency>();
  if (code != SQLITE_ROW) return db.error(code, "reading an idempotency record");
  idempotency out;
  out.key = key;
  out.fingerprint = static_cast<std::uint64_t>(row->integer(0));
  out.lines_done = static_cast<std::uint64_t>(row->integer(1));
  out.saved = row->text(2);
  out.complete = row->integer(3) != 0;
  return std::optional<idempotency>(std::move(out));
}

net::result<void> refuse_repeated(connection& db, const idempotency& record, std::string& saved_before) {
  auto known = read_idempotency(db, record.key);
  if (!known) return known.error();
  const std::uint64_t at = *known ? (*known)->lines_done : 0;
  if (record.lines_before && at != *record.lines_before)
    return net::error(
        net::errc::conflict, "idempotency-key-moved",
        "the upload is not where it was: another one with this key is at work, or a batch failed");
  if (!*known) return {};
  saved_before = (*known)->saved;
  const bool other = (*known)->fingerprint != record.fingerprint;
  if (!other && !(*known)->complete) return {};
  return net::error(net::errc::conflict, "idempotency-key",
                    other ? "the key was used for another request" : "the request was done before");
}

net::result<void> remember(connection& db, const idempotency& record) {
  auto s = db.cached(
      "INSERT INTO syncline_idempotency(key, fingerprint, lines_done, saved, complete, created_at) "
      "VALUES(?1,?2,?3,?4,?5,?6) ON CONFLICT(key) DO UPDATE SET fingerprint=excluded.fingerprint, "
      "lines_done=excluded.lines_done, saved=excluded.saved, complete=excluded.complete, "
      "created_at=excluded.created_at");
  if (!s) return s.error();
  const statement_use once(**s);
  once->bind(1, std::string_view(record.key));
  once->bind(2, static_cast<std::int64_t>(record.fingerprint));
  once->bind(3, static_cast<std::int64_t>(record.lines_done));
  once->bind(4, std::string_view(record.saved));
  once->bind(5, record.complete ? std::int64_t{1} : std::int64_t{0});
  once->bind(6, unix_seconds());
  if (const int code = once->step(); code != SQLITE_DONE)
    return db.error(code, "saving an idempotency record");
  return {};
}

net::result<std::uint64_t> purge_idempotency(connection& db, std::int64_t before, std::uint32_t limit) {
  auto s = db.cached(
      "DELETE FROM syncline_idempotency WHERE key IN "
      "(SELECT key FROM syncline_idempotency WHERE created_at<?1 LIMIT ?2)");
  if (!s) return s.error();
  const statement_use once(**s);
  once->bind(1, before);
  once->bind(2, static_cast<std::int64_t>(limit));
  if (const int code = once->step(); code != SQLITE_DONE)
    return db.error(code, "purging idempotency records");
  return static_cast<std::uint64_t>(sqlite3_changes64(db.get()));
}

}  // namespace syncline::storage::sqlite
