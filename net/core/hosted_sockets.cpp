#include "net/core/hosted_sockets.h"

#include <cerrno>

#include "perf/log.h"

namespace syncline::net {

hosted_sockets::hosted_sockets(core& on, std::function<void()> one_less)
    : on_(on), one_less_(std::move(one_less)), now_(std::chrono::steady_clock::now()) {}

hosted_sockets::~hosted_sockets() {
  for (hosted_socket* first : {first_, buried_}) {
    while (first != nullptr) {
      const std::unique_ptr<hosted_socket> last(first);
      first = first->next_;
    }
  }
}

void hosted_sockets::adopt(std::unique_ptr<hosted_socket> next, transport socket,
                           std::span<char> received) noexcept {
  hosted_socket& s = *next.release();
  s.host_ = this;
  s.socket_ = std::move(socket);
  s.next_ = first_;
  if (first_ != nullptr) first_->previous_ = &s;
  first_ = &s;
  ++size_;
  if (!on_.poll().change(s.socket_.descriptor(), s)) {
    perf::log_error("an upgraded socket could not be watched", {{"errno", errno}});
    on_.poll().remove(s.socket_.descriptor());  // it was the connection's
    s.socket_.close();
    return bury(s);
  }
  s.begin(received);
  if (draining_ && !s.buried_) s.drain();
}

template <class Call>
void hosted_sockets::for_each(Call call) noexcept {
  for (hosted_socket* each = first_; each != nullptr;) {
    hosted_socket* const next = each->next_;
    call(*each);
    each = next;
  }
}

void hosted_sockets::drain() noexcept {
  refresh();
  draining_ = true;
  for_each([](hosted_socket& s) { s.drain(); });
}

void hosted_sockets::abort_all() noexcept {
  refresh();
  for_each([](hosted_socket& s) { s.abort(); });
}

void hosted_sockets::begin_batch(steady_time now) noexcept {
  in_batch_ = true;
  now_ = now;
  if (to_run_ != nullptr) run_asked();
}

void hosted_sockets::end_batch() noexcept {
  flush_all();
  in_batch_ = false;
  sweep();
}

void hosted_sockets::flush_later(hosted_socket& s) noexcept {
  if (s.flush_asked_ || s.buried_) return;
  s.flush_asked_ = true;
  s.next_flush_ = to_flush_;
  to_flush_ = &s;
  if (!in_batch_) on_.poll().again();
}

void hosted_sockets::run_later(hosted_socket& s) noexcept {
  if (s.run_asked_ || s.buried_) return;
  s.run_asked_ = true;
  s.next_run_ = to_run_;
  to_run_ = &s;
  on_.poll().again();
}

void hosted_sockets::bury(hosted_socket& s) noexcept {
  if (s.buried_) return;
  s.buried_ = true;
  (s.previous_ != nullptr ? s.previous_->next_ : first_) = s.next_;
  if (s.next_ != nullptr) s.next_->previous_ = s.previous_;
  s.previous_ = nullptr;
  s.next_ = buried_;
  buried_ = &s;
  --size_;
  one_less_();
  if (!in_batch_) on_.poll().again();
}

// What is flushed may ask others to be flushed (a handler that hears of room, say): they have their turn in
// the next round, which ends because each is asked once a round and only new output asks again.
void hosted_sockets::flush_all() noexcept {
  constexpr int kRoundsMax = 4;
  for (int round = 0; to_flush_ != nullptr && round < kRoundsMax; ++round) {
    hosted_socket* each = std::exchange(to_flush_, nullptr);
    while (each != nullptr) {
      hosted_socket* const next = each->next_flush_;
      each->flush_asked_ = false;
      if (!each->buried_) each->flush();
      each = next;
    }
  }
  if (to_flush_ != nullptr) on_.poll().again();
}

void hosted_sockets::run_asked() noexcept {
  hosted_socket* each = std::exchange(to_run_, nullptr);
  while (each != nullptr) {
    hosted_socket* const next = each->next_run_;
    each->run_asked_ = false;
    if (!each->buried_) each->resume();
    each = next;
  }
}

// Deletes what was closed: no caller is inside it, and events of it that were fetched have been given out.
void hosted_sockets::sweep() noexcept {
  if (to_flush_ != nullptr || to_run_ != nullptr) {
    bool asked = false;  // one that is buried may still be in these lists: the next turn takes it out
    for (const hosted_socket* s = buried_; s != nullptr; s = s->next_) {
      asked = asked || s->flush_asked_ || s->run_asked_;
    }
    if (asked) return on_.poll().again();
  }
  while (buried_ != nullptr) {
    const std::unique_ptr<hosted_socket> gone(buried_);
    buried_ = gone->next_;
  }
}

}  // namespace syncline::net
