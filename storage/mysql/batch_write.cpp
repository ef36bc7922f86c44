#include "storage/mysql/batch_write.h"

#include <algorithm>
#include <utility>

#include "storage/mysql/bulk_write.h"
#include "storage/mysql/idempotency_records.h"
#include "storage/mysql/row_fault.h"
#include "storage/mysql/single_write.h"

namespace syncline::storage::mysql {

namespace {

bool single_row(write_kind kind) noexcept {
  return kind == write_kind::create || kind == write_kind::replace || kind == write_kind::patch ||
         kind == write_kind::remove;
}

net::task<net::result<void>> write_all_rows(write_session& session, const write_batch& batch,
                                            write_outcome& out) {
  if (!single_row(batch.kind)) {
    auto writing = write_rows(session, batch, out);
    co_return co_await std::move(writing);
  }
  const std::size_t width = batch.of->columns.size();
  for (std::uint32_t i = 0; i < batch.row_count; ++i) {
    const auto row = batch.cells.size() >= (i + 1) * width
                         ? std::span<const cell>(batch.cells).subspan(i * width, width)
                         : std::span<const cell>();
    auto writing = write_one(session, batch, row, out);
    net::result<row_result> made = co_await std::move(writing);
    if (!made) co_return made.error();
    out.rows.push_back(std::move(*made));
  }
  co_return net::result<void>();
}

struct record_before {
  bool looked = false;
  bool there = false;
  std::string saved;
};

net::task<net::result<record_before>> look_at_record(write_session& session, const write_batch& batch) {
  record_before out;
  if (!batch.remember || (!single_row(batch.kind) && !batch.remember->lines_before)) co_return out;
  auto first = session.settle_ahead();
  if (auto settled = co_await std::move(first); !settled) co_return settled.error();
  auto reading = read_idempotency(session.context, session.db, batch.remember->key, true);
  net::result<std::optional<idempotency>> known = co_await std::move(reading);
  if (!known) co_return known.error();
  auto fresh = refuse_repeated(*known, *batch.remember);
  if (!fresh) co_return fresh.error();
  out.looked = true;
  out.there = known->has_value();
  out.saved = std::move(*fresh);
  co_return out;
}

net::task<net::result<void>> save_record(write_session& session, const write_batch& batch,
                                         const record_before& before, const write_outcome& made) {
  idempotency record = *batch.remember;
  if (record.fold) record.saved = record.fold(before.saved, made);
  auto saving = remember(session.context, session.db, record, before.looked && !before.there);
  const net::result<void> saved = co_await std::move(saving);
  // Another request with the key was quicker: the next try finds its record.
  if (!saved && is_duplicate(saved.error()))
    co_return net::error(net::errc::locked, "another request with this Idempotency-Key is at work");
  co_return saved;
}

net::task<net::result<bool>> run_batch(write_session& session, const write_batch& batch, write_outcome& out) {
  auto looking = look_at_record(session, batch);
  net::result<record_before> before = co_await std::move(looking);
  if (!before) co_return before.error();
  auto writing = write_all_rows(session, batch, out);
  if (auto written = co_await std::move(writing); !written) co_return written.error();
  const bool any_rejected = std::any_of(out.rows.begin(), out.rows.end(),
                                        [](const row_result& r) { return r.what == fate::rejected; });
  if (any_rejected && batch.all_or_nothing)
    for (row_result& r : out.rows)
      if (r.what != fate::rejected) r.what = fate::skipped;
  const bool keep = !batch.dry_run && !(any_rejected && (batch.all_or_nothing || single_row(batch.kind)));
  if (!keep || !batch.remember) co_return keep;
  auto saving = save_record(session, batch, *before, out);
  if (auto saved = co_await std::move(saving); !saved) co_return saved.error();
  co_return true;
}

}  // namespace

net::task<batch_ending> write_in_transaction(net::request_context& context, sql_connection& db,
                                             const table_plan& plan, const write_batch& batch,
                                             std::optional<write_session::answering> ahead) {
  write_session session(context, db, plan, std::move(ahead));
  write_outcome made;
  auto running = run_batch(session, batch, made);
  const net::result<bool> keep = co_await std::move(running);
  batch_ending out{
      keep ? net::result<write_outcome>(std::move(made)) : net::result<write_outcome>(keep.error()),
      keep && *keep};
  co_return out;
}

}  // namespace syncline::storage::mysql
