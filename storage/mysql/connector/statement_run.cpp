#include "storage/mysql/connector/statement_run.h"

#include <utility>

namespace syncline::storage::mysql {

void statement_run::put(row_batch batch) {
  std::unique_lock hold(guard_);
  room_.wait(hold, [this] { return dropped_ || batches_.size() < kBatchesMax; });
  if (dropped_) return;
  batches_.push_back(std::move(batch));
  tell();
}

bool statement_run::dropped() {
  const std::scoped_lock hold(guard_);
  return dropped_;
}

void statement_run::end(net::result<statement_notes> how) {
  const std::scoped_lock hold(guard_);
  ended_.emplace(std::move(how));
  tell();
}

// With guard_ held, so that the core is there: leave() takes it away under the same lock.
void statement_run::tell() {
  if (core_ == nullptr) return;
  core_->post([self = shared_from_this()] {
    if (self->waiting_ != nullptr) self->waiting_->notify();
  });
}

std::optional<row_batch> statement_run::take() {
  const std::scoped_lock hold(guard_);
  if (batches_.empty()) return std::nullopt;
  row_batch out = std::move(batches_.front());
  batches_.pop_front();
  room_.notify_one();
  return out;
}

bool statement_run::ended() {
  const std::scoped_lock hold(guard_);
  return ended_.has_value();
}

net::result<statement_notes> statement_run::outcome() {
  const std::scoped_lock hold(guard_);
  return std::move(*ended_);
}

net::task<net::result<void>> statement_run::wait(net::request_context& context) {
  net::event happened(context.on());
  waiting_ = &happened;
  struct forgetting {
    statement_run& of;
    ~forgetting() { of.waiting_ = nullptr; }
  };
  const forgetting at_the_end{*this};
  {
    // What was told before `waiting_` stood is not told again.
    const std::scoped_lock hold(guard_);
    if (!batches_.empty() || ended_) co_return net::result<void>();
  }
  auto waiting = happened.wait(context);
  co_return co_await std::move(waiting);
}

void statement_run::drop_rows() {
  const std::scoped_lock hold(guard_);
  dropped_ = true;
  batches_.clear();
  room_.notify_one();
}

void statement_run::leave() {
  const std::scoped_lock hold(guard_);
  core_ = nullptr;
  dropped_ = true;
  batches_.clear();
  room_.notify_one();
}

}  // namespace syncline::storage::mysql
