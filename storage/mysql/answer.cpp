#include "storage/mysql/answer.h"

#include <utility>

#include "storage/mysql/server_error.h"

namespace syncline::storage::mysql {

namespace {

using net::errc;
using net::error;

}  // namespace

answer& answer::operator=(answer&& other) noexcept {
  if (this == &other) return *this;
  leave();
  pending_ = std::move(other.pending_);
  pipeline_ = other.pipeline_;
  before_ = std::move(other.before_);
  columns_ = std::move(other.columns_);
  row_ = std::move(other.row_);
  notes_ = std::move(other.notes_);
  failure_ = std::move(other.failure_);
  last_ = other.last_;
  in_columns_ = other.in_columns_;
  in_set_ = other.in_set_;
  return *this;
}

void answer::leave() noexcept {
  const std::shared_ptr<pending> mine = std::move(pending_);
  if (mine != nullptr && !mine->ended()) pipeline_->abandon(*mine);
}

step answer::fail_session(error why) {
  failure_ = why;
  pipeline_->fail(std::move(why));
  return last_ = step::failed;
}

step answer::fail_with_pending() {
  failure_ = pending_->failure() ? *pending_->failure() : error(errc::internal, "an answer was lost");
  // "Unknown statement id" is only what follows from a Prepare that failed.
  if (before_ != nullptr && before_->failure()) failure_ = *before_->failure();
  return last_ = step::failed;
}

step answer::begin_row(const frame& next) {
  in_columns_ = false;
  row_.reserve(columns_.size());
  if (columns_.empty() || !read_row(next.body, columns_.size(), row_))
    return fail_session({errc::corrupt, "a row from MySQL makes no sense"});
  return last_ = step::row;
}

// What one frame means here; step::wait: go on with the next.
step answer::take(const frame& next) {
  switch (next.type) {
    case server_message::column: {
      if (!in_columns_) columns_.clear();
      in_columns_ = in_set_ = true;
      net::result<column> read = read_column(next.body);
      if (read.has_error()) return fail_session(read.error());
      if (columns_.size() == kColumnsMax) return fail_session({errc::corrupt, "too many columns"});
      // Most tables have fewer: one allocation instead of five.
      if (columns_.capacity() == 0) columns_.reserve(16);
      columns_.push_back(std::move(*read));
      return step::wait;
    }
    case server_message::row:
      return begin_row(next);
    case server_message::fetch_done:
    case server_message::fetch_done_more_result_sets:
    case server_message::fetch_done_more_out_parameters:
      in_columns_ = false;
      // A CALL ends with one that belongs to no result set.
      if (!std::exchange(in_set_, false)) return step::wait;
      return last_ = step::end_of_rows;
    case server_message::notice: {
      const net::result<void> read = read_notice(next.body, notes_, pipeline_->server());
      return read.has_error() ? fail_session(read.error()) : step::wait;
    }
    case server_message::ok:
    case server_message::statement_ok:
      pipeline_->finish(*pending_, std::nullopt);
      return last_ = step::done;
    case server_message::error: {
      bool fatal = false;
      error said = read_server_error(next.body, fatal);
      if (fatal) {
        pipeline_->fail(said);
      } else {
        pipeline_->finish(*pending_, std::move(said));
      }
      return fail_with_pending();
    }
    default:
      return fail_session({errc::corrupt, "MySQL answers something else than a statement's answer"});
  }
}

step answer::try_next() {
  if (last_ == step::done || last_ == step::failed) return last_;
  for (;;) {
    if (pending_->ended()) return fail_with_pending();
    frame next;
    const frame_state state = pipeline_->read(*pending_, next);
    if (state == frame_state::incomplete) return last_ = step::wait;
    if (state != frame_state::whole) return fail_session(frame_error(state));
    const step got = take(next);
    if (got != step::wait) return got;
  }
}

net::task<net::result<void>> answer::wait(net::request_context& context) {
  return pipeline::wait(pending_, context);
}

net::task<net::result<bool>> answer::next_row(net::request_context& context) {
  for (;;) {
    switch (try_next()) {
      case step::row:
        co_return true;
      case step::end_of_rows:
      case step::done:
        co_return false;
      case step::failed:
        co_return failure_;
      case step::wait:
        break;
    }
    const net::result<void> woken = co_await wait(context);
    if (woken.has_error()) co_return woken.error();
  }
}

net::task<net::result<void>> answer::finish(net::request_context& context) {
  for (;;) {
    const step got = try_next();
    if (got == step::done) co_return net::result<void>();
    if (got == step::failed) co_return failure_;
    if (got != step::wait) continue;
    const net::result<void> woken = co_await wait(context);
    if (woken.has_error()) co_return woken;
  }
}

net::task<net::result<result_rows>> collect(net::request_context& context, net::result<answer> from,
                                            std::size_t rows_bytes_max) {
  if (from.has_error()) co_return from.error();
  answer reads = std::move(*from);
  result_rows out;
  std::size_t kept = 0;
  for (;;) {
    const step got = reads.try_next();
    if (got == step::done) break;
    if (got == step::failed) co_return reads.failure();
    if (got == step::end_of_rows) out.columns = reads.columns();
    if (got == step::row) {
      std::string bytes;
      for (const std::string_view field : reads.row()) bytes.append(field);
      kept += bytes.size() + reads.row().size() * sizeof(std::string_view);
      if (kept > rows_bytes_max)
        co_return error(errc::too_large, "a result is larger than the memory set aside for it");
      std::vector<std::string_view> fields;
      fields.reserve(reads.row().size());
      // A short string lives in its object, which moves when the vector grows: keep it out of there.
      bytes.reserve(sizeof(std::string));
      std::size_t at = 0;
      for (const std::string_view field : reads.row()) {
        fields.emplace_back(bytes.data() + at, field.size());
        at += field.size();
      }
      out.bytes.push_back(std::move(bytes));
      out.rows.push_back(std::move(fields));
    }
    if (got != step::wait) continue;
    const net::result<void> woken = co_await reads.wait(context);
    if (woken.has_error()) co_return woken.error();
  }
  out.notes = std::move(reads.notes());
  co_return out;
}

}  // namespace syncline::storage::mysql
