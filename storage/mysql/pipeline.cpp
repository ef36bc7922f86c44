#include "storage/mysql/pipeline.h"

#include <cassert>
#include <chrono>
#include <utility>

#include "net/core/core.h"
#include "storage/mysql/server_error.h"

namespace syncline::storage::mysql {

namespace {

using net::errc;
using net::error;

net::steady_time after(std::uint32_t ms) {
  return std::chrono::steady_clock::now() + std::chrono::milliseconds(ms);
}

}  // namespace

pipeline::pipeline(net::core& on, std::shared_ptr<link> over, const pipeline_limits& limits, bool compressed)
    : core_(&on),
      link_(std::move(over)),
      frames_(*link_, limits.message_bytes_max),
      limits_(limits),
      drain_timer_(
          [](void* owner) noexcept {
            static_cast<pipeline*>(owner)->fail(
                {errc::down, "MySQL did not end a statement that nobody waits for"});
          },
          this),
      idle_(on) {
  if (compressed) frames_.allow_compression();
  link_->set_listener([](void* owner) noexcept { static_cast<pipeline*>(owner)->advance(); }, this);
  advance();
}

pipeline::~pipeline() {
  link_->set_listener(nullptr, nullptr);
  drain_timer_.disarm();
  // Not fail(): who waits in settle() must not run on with a session that is gone, and its event tells it so.
  if (!failure_) failure_ = error(errc::closed, "the session was closed");
  end_all();
}

net::result<void> pipeline::room() const {
  if (failure_) return *failure_;
  if (server_.going_away) return error(errc::down, "MySQL is ending this session");
  if (queue_.size() >= limits_.pipeline_limit || link_->output().size() > limits_.message_bytes_max)
    return error(errc::overloaded, "too many statements wait on one MySQL session");
  return {};
}

std::shared_ptr<pending> pipeline::expect(bool attended, bool plain) {
  std::shared_ptr<pending> made;
  if (spare_ != nullptr && spare_.use_count() == 1) {
    made = std::move(spare_);
    made->failure_.reset();
    made->held_bytes_ = 0;
    made->abandoned_ = false;
  } else {
    made = std::make_shared<pending>(*core_);
  }
  made->owner_ = this;
  made->attended_ = attended;
  made->plain_ = plain;
  if (attended) ++attended_;
  queue_.push_back(made);
  if (!queue_.front()->abandoned_) drain_timer_.disarm();
  // The first one goes at once; those that follow in the same turn of the core share a packet.
  if (queue_.size() == 1) {
    link_->flush();
  } else {
    link_->flush_soon();
  }
  return made;
}

void pipeline::release_held(pending& of) noexcept {
  if (of.held_bytes_ == 0) return;
  assert(!link_->reading());
  frames_.consume(std::exchange(of.held_bytes_, 0));
}

frame_state pipeline::read(pending& of, frame& out) {
  if (!is_front(of)) return frame_state::incomplete;
  release_held(of);
  const frame_state state = frames_.next(out);
  if (state == frame_state::whole) of.held_bytes_ = out.bytes();
  return state;
}

void pipeline::end(pending& of, const std::optional<error>& failure) {
  of.owner_ = nullptr;
  if (failure) of.failure_ = failure;
  if (of.attended_) --attended_;
  of.attended_ = false;
  if (of.ready_.waiting()) of.ready_.notify();
}

void pipeline::pop() {
  const std::shared_ptr<pending> first = std::move(queue_.front());
  queue_.pop_front();
  release_held(*first);
  end(*first, std::nullopt);
  spare_ = first;
  dropped_bytes_ = 0;
  drain_timer_.disarm();
}

void pipeline::finish(pending& of, std::optional<error> failure) {
  assert(is_front(of));
  of.failure_ = std::move(failure);
  pop();
  advance();
}

void pipeline::abandon(pending& of) {
  of.abandoned_ = true;
  if (of.attended_) --attended_;
  of.attended_ = false;
  if (is_front(of)) release_held(of);
  advance();
}

// Reads one frame that nobody waits for; false when there is none. `of` is null between answers, where only
// notices may come.
bool pipeline::drop_frame(pending* of) {
  frame next;
  const frame_state state = frames_.next(next);
  if (state == frame_state::incomplete) return false;
  if (state != frame_state::whole) {
    fail(frame_error(state));
    return false;
  }
  bool last = false;
  if (next.type == server_message::notice) {
    statement_notes nobodys;
    const net::result<void> read = read_notice(next.body, nobodys, server_);
    if (read.has_error()) {
      fail(read.error());
      return false;
    }
  } else if (of == nullptr) {
    // An error between answers is the server's last word: idle for too long, or killed.
    bool fatal = true;
    fail(next.type == server_message::error ? read_server_error(next.body, fatal)
                                            : error(errc::corrupt, "MySQL answers what nobody asked"));
    return false;
  } else if (next.type == server_message::error) {
    bool fatal = false;
    of->failure_ = read_server_error(next.body, fatal);
    last = true;
  } else {
    last = next.type == (of->plain_ ? server_message::ok : server_message::statement_ok);
  }
  dropped_bytes_ += next.bytes();
  frames_.consume(next.bytes());
  if (last) {
    pop();
  } else if (of != nullptr && dropped_bytes_ > limits_.drain_bytes_max) {
    fail({errc::down, "too much is left of an answer that nobody reads"});
    return false;
  }
  return true;
}

void pipeline::watch_drain() {
  const bool nobody = attended_ == 0 || queue_.front()->abandoned_;
  if (nobody && !drain_timer_.armed()) core_->timers().arm(drain_timer_, after(limits_.drain_timeout_ms));
}

// Does what can be done with the bytes at hand, and asks for more when somebody needs them.
void pipeline::advance() {
  while (!failure_) {
    pending* const first = queue_.empty() ? nullptr : queue_.front().get();
    if (first != nullptr && first->attended_) {
      frame next;
      if (first->held_bytes_ != 0) return;  // its holder looks at a row
      if (frames_.next(next) != frame_state::incomplete) {
        if (first->ready_.waiting()) first->ready_.notify();
      } else if (link_->failure()) {
        fail(*link_->failure());
      } else if (first->ready_.waiting()) {
        link_->read_more();
      }
      return;
    }
    if (!link_->reading() && drop_frame(first)) continue;
    if (failure_) return;
    if (link_->failure()) {
      fail(*link_->failure());
      return;
    }
    if (first == nullptr) {
      drain_timer_.disarm();
      idle_.notify();
    } else {
      watch_drain();
    }
    // Also between statements: so that a server that goes away is noticed, and because the next answer then
    // needs no attempt to read before the one that succeeds.
    link_->read_more();
    return;
  }
}

net::task<net::result<void>> pipeline::wait(std::shared_ptr<pending> of, net::request_context& context) {
  for (;;) {
    pipeline* const on = of->owner_;
    if (on == nullptr) co_return net::result<void>();
    if (on->is_front(*of)) {
      on->release_held(*of);
      frame next;
      if (on->frames_.next(next) != frame_state::incomplete) co_return net::result<void>();
      if (on->link_->failure()) {
        on->fail(*on->link_->failure());
        continue;
      }
      on->link_->read_more();
    }
    const net::result<void> woken = co_await of->ready_.wait(context, after(on->limits_.silence_timeout_ms));
    if (woken.has_error()) {
      if (woken.error().code == errc::timed_out && !context.expired() && of->owner_ != nullptr) {
        of->owner_->fail({errc::down, "MySQL says nothing any more"});
        continue;
      }
      co_return woken;
    }
  }
}

net::task<net::result<void>> pipeline::settle(net::request_context& context) {
  while (!failure_ && !queue_.empty()) {
    const net::result<void> woken = co_await idle_.wait(context, after(limits_.silence_timeout_ms));
    if (woken.has_error()) co_return woken;
  }
  if (failure_) co_return *failure_;
  co_return net::result<void>();
}

void pipeline::fail(error why) {
  if (failure_) return;
  failure_ = std::move(why);
  drain_timer_.disarm();
  end_all();
  idle_.notify();
}

void pipeline::end_all() {
  link_->close();
  while (!queue_.empty()) {
    const std::shared_ptr<pending> first = std::move(queue_.front());
    queue_.pop_front();
    first->held_bytes_ = 0;
    end(*first, failure_);
  }
}

}  // namespace syncline::storage::mysql
