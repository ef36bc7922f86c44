// atomic=1: the decoded upload waits in a spool file until every row is known to be well formed, then all of
// it is written in one transaction (bulk_upload.h).
#include <functional>

#include "net/core/blocking_threads.h"
#include "net/core/turn.h"
#include "server/bulk_figures.h"
#include "server/bulk_upload.h"

namespace syncline::server {

namespace {
constexpr std::size_t kSpoolPieceBytes = 256 * 1024;
}

net::task<net::result<void>> bulk_session::run_atomic() {
  bool all_good = true;
  auto checked = co_await spool_and_check(all_good);
  if (!checked) co_return checked.error();
  if (all_good) co_return co_await write_spooled();
  report_.summary(false, "nothing was written: atomic=1 and rows were rejected");
  co_return net::result<void>();
}

net::task<net::result<void>> bulk_session::spool_and_check(bool& all_good) {
  auto made = std::make_shared<std::optional<net::result<spool_file>>>();
  const std::string directory = spool_directory(*with_->settings);
  std::function<void()> make = [made, directory] { made->emplace(spool_file::create(directory)); };
  auto ran = co_await with_->threads->run(x_->context(), std::move(make));
  if (!ran) co_return ran.error();
  if (!**made) co_return (*made)->error();
  spool_ = std::make_shared<spool_file>(std::move(***made));

  net::turn mine;
  for (;;) {
    const auto got = reader_->fill(batch_, kRowsBeforePause);
    if (got == bulk_reader::got::bad_header)
      co_return net::error(net::errc::invalid, "bad CSV header", reader_->header_fault());
    if (got == bulk_reader::got::paused) {
      co_await mine.give_way();
      continue;
    }
    if (got == bulk_reader::got::batch_full || got == bulk_reader::got::end) {
      all_good = all_good && batch_.rejected.empty();
      report_.rejected(batch_.rejected);
      bulk_counts().rejected.add(batch_.rejected.size());
      batch_ = reader_->new_batch();
      if (got == bulk_reader::got::end) co_return net::result<void>();
      continue;
    }
    auto piece = co_await body_.next();
    if (!piece) co_return piece.error();
    if (piece->empty()) {
      reader_->finish();
      continue;
    }
    reader_->feed(*piece);
    auto kept = std::make_shared<std::optional<net::result<void>>>();
    std::function<void()> keep = [kept, into = spool_, bytes = std::string(*piece)] {
      kept->emplace(into->append(bytes));
    };
    auto stored = co_await with_->threads->run(x_->context(), std::move(keep));
    if (!stored) co_return stored.error();
    if (!**kept) co_return (*kept)->error();
    mine.restart();
  }
}

net::task<net::result<void>> bulk_session::write_spooled() {
  auto opened = co_await with_->store->begin_transaction(x_->context());
  if (!opened) co_return opened.error();
  bool all_good = true;
  auto written = co_await write_spooled_rows(*opened, all_good);
  const bool commit = written && all_good && !request_.dry_run;
  auto position = co_await with_->store->end_transaction(x_->context(), *opened, commit);
  if (!written) co_return written.error();
  if (!position) co_return position.error();
  if (commit) {
    report_.total().position = *position;
    bulk_counts().rows.add(report_.total().rows());
  } else {
    if (!all_good) report_.roll_back();
  }
  report_.summary(all_good, !all_good          ? "nothing was written: atomic=1 and rows were rejected"
                            : request_.dry_run ? "dry run: nothing was written"
                                               : "");
  co_return net::result<void>();
}

// Feeds the next piece of the spool to the reader, or tells it that there is no more.
net::task<net::result<void>> bulk_session::read_spooled(std::uint64_t& offset) {
  auto read = std::make_shared<std::optional<net::result<std::string>>>();
  std::function<void()> job = [read, from = spool_, at = offset] {
    read->emplace(from->read(at, kSpoolPieceBytes));
  };
  auto ran = co_await with_->threads->run(x_->context(), std::move(job));
  if (!ran) co_return ran.error();
  if (!**read) co_return (*read)->error();
  const std::string& piece = ***read;
  offset += piece.size();
  piece.empty() ? reader_->finish() : reader_->feed(piece);
  co_return net::result<void>();
}

// Writes batch_ inside `transaction` and starts a new one.
net::task<net::result<void>> bulk_session::write_spooled_batch(std::uint64_t transaction, bool& all_good) {
  batch_.rows.transaction = transaction;
  storage::write_batch rows = std::move(batch_.rows);
  auto outcome = co_await with_->store->write(x_->context(), std::move(rows));
  if (!outcome) co_return outcome.error();
  const auto rejected_before = report_.total().rejected;
  report_.undecided(batch_, *outcome);
  const auto rejected = report_.total().rejected - rejected_before;
  bulk_counts().rejected.add(rejected);
  all_good = rejected == 0;
  batch_ = reader_->new_batch();
  co_return net::result<void>();
}

net::task<net::result<void>> bulk_session::write_spooled_rows(std::uint64_t transaction, bool& all_good) {
  reader_ =
      std::make_unique<bulk_reader>(*request_.of, request_.format, request_.kind, with_->settings->bulk);
  batch_ = reader_->new_batch();
  std::uint64_t offset = 0;
  for (bool more = true; more && all_good;) {
    const auto got = reader_->fill(batch_, kRowsBeforePause);
    if (got == bulk_reader::got::paused) continue;
    more = got != bulk_reader::got::end;
    net::result<void> done;
    if (got == bulk_reader::got::need_more) {
      done = co_await read_spooled(offset);
    } else {
      done = co_await write_spooled_batch(transaction, all_good);
    }
    if (!done) co_return done.error();
  }
  if (!all_good) co_return net::result<void>();
  co_return co_await remember_completion(transaction);
}

}  // namespace syncline::server
