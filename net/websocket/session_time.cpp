// The deadlines of a session, all on one entry of the core's timer wheel.
#include <algorithm>

#include "net/core/core.h"
#include "net/websocket/endpoint.h"
#include "net/websocket/session.h"
#include "net/websocket/session_output.h"

namespace syncline::net::websocket {

void session::note_heard() noexcept {
  heard_ = host()->now();
  if (!pinged_ || phase_ != phase::open) return;
  pinged_ = false;
  end_deadline_ = steady_time::max();
}

// A message that has begun holds memory, and an inflater of the core's, until it ends. Pings between its
// fragments do not move its deadline; while we do not read it cannot end.
steady_time session::message_time() noexcept {
  const std::uint32_t timeout_ms = shared_->options().message_timeout_ms;
  if (phase_ != phase::open || read_paused_ || timeout_ms == 0 || reader_.idle()) {
    message_deadline_ = steady_time::max();
  } else if (message_deadline_ == steady_time::max()) {
    message_deadline_ = host()->now() + std::chrono::milliseconds(timeout_ms);
  }
  return message_deadline_;
}

// While something is unsent the write deadline watches over the peer, and a pong may be stuck behind it.
steady_time session::ping_time() const noexcept {
  const std::uint32_t interval_ms = shared_->options().ping_interval_ms;
  if (phase_ != phase::open || pinged_ || interval_ms == 0 || write_deadline_ != steady_time::max())
    return steady_time::max();
  return heard_ + std::chrono::milliseconds(interval_ms);
}

// The timer is only moved when a deadline comes closer; a later one is noticed when it fires. So a socket
// that is busy moves its timer once per ping interval, not per message.
void session::schedule() noexcept {
  if (phase_ == phase::closed) return;
  const steady_time when = std::min({write_deadline_, end_deadline_, ping_time(), message_time()});
  if (when == steady_time::max() || (timer_.armed() && armed_for_ <= when)) return;
  armed_for_ = when;
  host()->on().timers().arm(timer_, when);
}

void session::on_deadline() noexcept {
  const steady_time now = host()->refresh();
  const auto count = [this](session_timeout what) {
    shared_->counts().timeouts[static_cast<std::size_t>(what)].add();
  };
  if (write_deadline_ <= now && socket_.peer_took_some()) {
    write_deadline_ = now + std::chrono::milliseconds(shared_->options().write_timeout_ms);
  }
  if (write_deadline_ <= now) {
    count(session_timeout::write);
    return lost("the peer takes nothing");
  }
  if (end_deadline_ <= now) {
    if (phase_ == phase::open && (read_paused_ || write_deadline_ != steady_time::max())) {
      end_deadline_ = steady_time::max();  // its pong may be there, but we do not read
      pinged_ = false;
      return schedule();
    }
    count(phase_ == phase::open      ? session_timeout::pong
          : phase_ == phase::closing ? session_timeout::close
                                     : session_timeout::linger);
    return lost(phase_ == phase::open ? "no answer to a ping" : "no answer to the close frame");
  }
  if (message_deadline_ <= now && message_time() <= now) {
    count(session_timeout::message);
    message_deadline_ = steady_time::max();
    reader_.abandon();
    guarded([this] { fail(close_code::policy, "the message took too long"); });
    return schedule();
  }
  if (ping_time() <= now) {
    guarded([this] { ping(); });
    pinged_ = true;
    end_deadline_ = now + std::chrono::milliseconds(shared_->options().pong_timeout_ms);
  }
  schedule();
}

}  // namespace syncline::net::websocket
