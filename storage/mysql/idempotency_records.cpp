#include "storage/mysql/idempotency_records.h"

#include <array>
#include <chrono>

#include "storage/mysql/small_result.h"

namespace syncline::storage::mysql {

namespace {

constexpr std::string_view kRead =
    "SELECT fingerprint, lines_done, saved, complete FROM syncline_idempotency WHERE `key`=?";
constexpr std::string_view kReadLocked =
    "SELECT fingerprint, lines_done, saved, complete FROM syncline_idempotency WHERE `key`=? FOR UPDATE";
constexpr std::string_view kInsert =
    "INSERT INTO syncline_idempotency(`key`, fingerprint, lines_done, saved, complete, created_at) "
    "VALUES(?,?,?,?,?,?)";
constexpr std::string_view kSave =
    "INSERT INTO syncline_idempotency(`key`, fingerprint, lines_done, saved, complete, created_at) "
    "VALUES(?,?,?,?,?,?) AS n ON DUPLICATE KEY UPDATE fingerprint=n.fingerprint, lines_done=n.lines_done, "
    "saved=n.saved, complete=n.complete, created_at=n.created_at";
constexpr std::string_view kPurge = "DELETE FROM syncline_idempotency WHERE created_at<? LIMIT ?";

std::int64_t unix_seconds() {
  return std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch())
      .count();
}

}  // namespace

net::task<net::result<std::optional<idempotency>>> read_idempotency(net::request_context& context,
                                                                    sql_connection& db,
                                                                    const std::string& key, bool locked) {
  const argument with = argument::of_blob(key);
  auto asking = db.execute(context, locked ? kReadLocked : kRead, std::span(&with, 1));
  net::result<result_rows> got = co_await std::move(asking);
  if (!got) co_return got.error();
  const small_result found(*got);
  if (found.size() == 0) co_return std::optional<idempotency>();
  idempotency out;
  out.key = key;
  out.fingerprint = static_cast<std::uint64_t>(found.integer(0, 0));
  out.lines_done = static_cast<std::uint64_t>(found.integer(0, 1));
  out.saved = found.text(0, 2);
  out.complete = found.integer(0, 3) != 0;
  co_return std::optional<idempotency>(std::move(out));
}

net::result<std::string> refuse_repeated(const std::optional<idempotency>& known, const idempotency& record) {
  const std::uint64_t at = known ? known->lines_done : 0;
  if (record.lines_before && at != *record.lines_before)
    return net::error(
        net::errc::conflict, "idempotency-key-moved",
        "the upload is not where it was: another one with this key is at work, or a batch failed");
  if (!known) return std::string();
  const bool other = known->fingerprint != record.fingerprint;
  if (!other && !known->complete) return known->saved;
  return net::error(net::errc::conflict, "idempotency-key",
                    other ? "the key was used for another request" : "the request was done before");
}

net::task<net::result<void>> remember(net::request_context& context, sql_connection& db,
                                      const idempotency& record, bool first) {
  const std::array<argument, 6> with{argument::of_blob(record.key),
                                     argument::of_int(static_cast<std::int64_t>(record.fingerprint)),
                                     argument::of_int(static_cast<std::int64_t>(record.lines_done)),
                                     argument::of_blob(record.saved),
                                     argument::of_int(record.complete ? 1 : 0),
                                     argument::of_int(unix_seconds())};
  auto saving = db.execute(context, first ? kInsert : kSave, with);
  const net::result<result_rows> saved = co_await std::move(saving);
  if (!saved) co_return saved.error();
  co_return net::result<void>();
}

net::task<net::result<std::uint64_t>> purge_idempotency(net::request_context& context, sql_connection& db,
                                                        std::int64_t before, std::uint32_t limit) {
  const std::array<argument, 2> with{argument::of_int(before), argument::of_unsigned(limit)};
  auto purging = db.execute(context, kPurge, with);
  const net::result<result_rows> purged = co_await std::move(purging);
  if (!purged) co_return purged.error();
  co_return purged->notes.rows_affected;
}

}  // namespace syncline::storage::mysql
