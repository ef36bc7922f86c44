#include "net/http/core_part.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <functional>
#include <new>
#include <random>
#include <utility>

#include "net/http/connection.h"
#include "perf/log.h"

namespace syncline::net::http {

namespace {

constexpr std::uint32_t kSpreadSlack = 4;  // connections

constexpr std::string_view kTooManyConnections =
    "HTTP/1.1 503 Service Unavailable\r\nServer: syncline\r\nRetry-After: 1\r\nConnection: close\r\n"
    "Content-Type: application/problem+json\r\nContent-Length: 132\r\n\r\n"
    "{\"type\":\"/problems/too-many-connections\",\"title\":\"Service Unavailable\",\"status\":503,"
    "\"detail\":\"This server has no connection free.\"}\n";

constexpr std::string_view kDigits = "0123456789abcdefghjkmnpqrstvwxyz";  // Crockford's base 32
constexpr std::size_t kIdPrefixDigits = 6;
constexpr auto kNextDigit = [] {
  std::array<char, 128> next{};
  for (std::size_t i = 0; i < kDigits.size(); ++i) {
    next[static_cast<unsigned char>(kDigits[i])] = kDigits[(i + 1) % kDigits.size()];
  }
  return next;
}();

std::string_view peer_text(const sockaddr_storage& from, std::array<char, INET6_ADDRSTRLEN>& room) noexcept {
  const char* text = nullptr;
  if (from.ss_family == AF_INET) {
    text = ::inet_ntop(AF_INET, &reinterpret_cast<const sockaddr_in&>(from).sin_addr, room.data(),
                       INET6_ADDRSTRLEN);
  } else if (from.ss_family == AF_INET6) {
    text = ::inet_ntop(AF_INET6, &reinterpret_cast<const sockaddr_in6&>(from).sin6_addr, room.data(),
                       INET6_ADDRSTRLEN);
  }
  return text == nullptr ? std::string_view("unix") : std::string_view(text);
}

}  // namespace

// With SO_REUSEPORT the kernel spreads connections by a hash of their addresses: of a hundred long-lived ones
// one of two cores has 60 or more in one case of 18, and once some have ended nothing evens it out. So a core
// that has an eighth and a few more than another gives what it accepts to that one; below that the message
// costs more than it brings.
std::size_t server_shared::place_for(std::size_t accepted_by) const noexcept {
  const auto open = [this](std::size_t i) { return loads[i].connections.load(std::memory_order_relaxed); };
  std::size_t least = accepted_by;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    if (open(i) < open(least)) least = i;
  }
  const std::uint32_t few = open(least);
  return open(accepted_by) > few + few / 8 + kSpreadSlack ? least : accepted_by;
}

core_part::core_part(core& on, std::shared_ptr<server_shared> server, std::size_t index, int listening,
                     std::shared_ptr<const tls_context> tls)
    : on_(on),
      server_(std::move(server)),
      index_(index),
      listening_(listening),
      tls_(std::move(tls)),
      now_(std::chrono::steady_clock::now()),
      routes_(server_->options.metrics_label),
      files_(server_->options.limit.body_files_bytes_max, server_->counts.body_files_bytes),
      shared_(new_workspace()),
      hosted_(on, [this] { forget(false); }),
      accept_pause_(
          [](void* owner) noexcept {
            auto& self = *static_cast<core_part*>(owner);
            self.refresh();
            self.paused_ = false;
            self.accept_some(kAcceptsPerTurn);
          },
          this) {
  next_id_.fill(kDigits.front());
  std::uint32_t n = std::random_device{}();
  for (std::size_t i = 0; i < kIdPrefixDigits; ++i, n >>= 5U) next_id_[i] = kDigits[n & 31U];
}

core_part::~core_part() {
  if (listening_ >= 0) ::close(listening_);
  for (connection* first : {connections_, buried_}) {
    while (first != nullptr) {
      const std::unique_ptr<connection> last(first);
      first = first->next_;
    }
  }
}

void core_part::start() {
  on_.poll().join(*this, shared_from_this());
  if (!on_.poll().add(listening_, *this))
    perf::log_error("a listening socket could not be watched", {{"errno", errno}});
}

void core_part::stop_accepting() {
  if (!accepting_) return;
  refresh();
  // What the kernel has accepted for us would be reset. It keeps that many at most; who connects meanwhile
  // must not keep us here for ever.
  accept_some(static_cast<unsigned>(server_->options.backlog) + 1);
  accepting_ = false;
  accept_pause_.disarm();
  on_.poll().remove(listening_);
  ::close(listening_);
  listening_ = -1;
}

// An idle connection that has bytes nobody has read: it was accepted a moment ago, or its request crossed the
// drain. To close it now would be a reset; their edge is on its way, and then it is answered.
bool core_part::is_asked(const connection& c) noexcept {
  if (c.phase_ != connection::phase::head || c.ws_ != nullptr) return false;
  int bytes = 0;
  return ::ioctl(c.socket_.descriptor(), FIONREAD, &bytes) == 0 && bytes > 0;
}

void core_part::drain() {
  refresh();
  for (connection* each = connections_; each != nullptr;) {
    connection* const next = each->next_;
    if (!is_asked(*each)) each->drain();
    each = next;
  }
  hosted_.drain();
}

void core_part::close_all() {
  refresh();
  for (connection* each = connections_; each != nullptr;) {
    connection* const next = each->next_;
    each->abort();
    each = next;
  }
  hosted_.abort_all();
}

void core_part::stop() {
  sweep();
  on_.poll().leave(*this);  // this object may be gone
}

void core_part::make_request_id(std::string& out) {
  out.assign(next_id_.data(), next_id_.size());
  // Counts like an odometer, so most steps touch one digit; the first six are this core's.
  for (std::size_t i = next_id_.size(); i-- > kIdPrefixDigits;) {
    next_id_[i] = kNextDigit[static_cast<unsigned char>(next_id_[i])];
    if (next_id_[i] != kDigits.front()) break;
  }
}

std::unique_ptr<workspace> core_part::new_workspace() {
  return std::make_unique<workspace>(on_);
}

std::unique_ptr<workspace> core_part::take_shared() {
  std::unique_ptr<workspace> next;
  if (spare_.empty()) {
    next = new_workspace();
  } else {
    next = std::move(spare_.back());
    spare_.pop_back();
  }
  shared_.swap(next);
  return next;
}

void core_part::give_back(std::unique_ptr<workspace> unused) noexcept {
  constexpr std::size_t kOutputBytesKept = 256 * 1024;
  if (spare_.size() >= kSpareWorkspacesMax) return;
  if (unused->out.capacity() > kOutputBytesKept) unused->out.release();
  unused->parser.reset();
  unused->context.reset();
  try {
    spare_.push_back(std::move(unused));
  } catch (const std::bad_alloc&) {  // then it is simply freed
  }
}

void core_part::on_events(std::uint32_t) noexcept {
  // Each connection that comes while descriptors are out is an edge; the pause ends by its timer.
  if (accepting_ && !paused_) accept_some(kAcceptsPerTurn);
}

void core_part::accept_some(unsigned at_most) noexcept {
  for (unsigned i = 0; i < at_most && accepting_; ++i) {
    sockaddr_storage from{};
    socklen_t size = sizeof from;
    const int descriptor =
        ::accept4(listening_, reinterpret_cast<sockaddr*>(&from), &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (descriptor < 0) {
      if (errno == EAGAIN || errno == EWOULDBLOCK) return;
      if (errno == EINTR || errno == ECONNABORTED) continue;
      return pause_accepting();
    }
    if (from.ss_family == AF_INET || from.ss_family == AF_INET6) {
      const int on = 1;
      ::setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    }
    std::array<char, INET6_ADDRSTRLEN> room{};
    const std::string_view peer = peer_text(from, room);
    const std::size_t place = server_->place_for(index_);
    if (place != index_ && send_to(place, descriptor, peer)) continue;
    server_->loads[index_].connections.fetch_add(1, std::memory_order_relaxed);
    welcome(descriptor, peer);
  }
  // More may be waiting, and an edge is told only once: come back after the connections had their turn.
  if (accepting_) on_.timers().arm(accept_pause_, now_);
}

// A descriptor on its way to another core: closed and uncounted when that core ended before.
struct core_part::traveller {
  traveller(std::shared_ptr<core_part> where, std::string_view from) : to(std::move(where)), peer(from) {}
  traveller(const traveller&) = delete;
  traveller& operator=(const traveller&) = delete;
  ~traveller() {
    if (descriptor < 0) return;
    ::close(descriptor);
    to->uncount();
  }
  std::shared_ptr<core_part> to;
  std::string peer;
  int descriptor = -1;
};

// False: it is still the caller's.
bool core_part::send_to(std::size_t index, int descriptor, std::string_view peer) noexcept {
  bool taken = false;
  try {
    const std::shared_ptr<core_part> to = server_->parts[index].lock();
    if (to == nullptr) return false;
    const auto going = std::make_shared<traveller>(to, peer);
    std::function<void()> arrive = [going] {
      core_part& part = *going->to;
      part.refresh();
      part.welcome(std::exchange(going->descriptor, -1), going->peer);
    };
    server_->loads[index].connections.fetch_add(1, std::memory_order_relaxed);
    server_->counts.handed_over.add();
    going->descriptor = descriptor;
    taken = true;
    to->on_.post(std::move(arrive));
  } catch (const std::bad_alloc&) {  // once it was taken, `going` has closed it
  }
  return taken;
}

void core_part::pause_accepting() noexcept {
  paused_ = true;
  server_->counts.accept_pauses.add();
  perf::log_warn("accepting pauses", {{"errno", errno}, {"pause_ms", bounds().accept_pause_ms}});
  on_.timers().arm(accept_pause_, now_ + std::chrono::milliseconds(bounds().accept_pause_ms));
}

void core_part::welcome(int descriptor, std::string_view peer) noexcept {
  const bool refused =
      server_->connections.fetch_add(1, std::memory_order_relaxed) >= server_->options.limit.connections_max;
  if (refused) {
    server_->connections.fetch_sub(1, std::memory_order_relaxed);
    server_->counts.refused.add();
    if (tls_ != nullptr) {  // the refusal would cost a handshake, more than what is refused
      ::close(descriptor);
      return uncount();
    }
    static_cast<void>(::send(descriptor, kTooManyConnections.data(), kTooManyConnections.size(),
                             MSG_NOSIGNAL | MSG_DONTWAIT));
    ::shutdown(descriptor, SHUT_WR);
    if (refused_open_ == kRefusedMax) {
      ::close(descriptor);
      return uncount();
    }
    ++refused_open_;
  } else {
    server_->counts.accepted.add();
    server_->counts.connections.add(1);
  }
  transport socket(descriptor, tls_ != nullptr ? tls_->accept(descriptor) : nullptr);
  connection* made = nullptr;
  if (tls_ == nullptr || socket.has_tls())
    made = new (std::nothrow) connection(*this, std::move(socket), peer, refused);
  if (made == nullptr) return forget(refused);  // no memory
  made->next_ = connections_;
  if (connections_ != nullptr) connections_->previous_ = made;
  connections_ = made;
  if (!on_.poll().add(descriptor, *made)) made->abort();
}

void core_part::forget(bool refused) noexcept {
  uncount();
  if (refused) {
    --refused_open_;
    return;
  }
  server_->counts.connections.add(-1);
  if (server_->connections.fetch_sub(1, std::memory_order_acq_rel) != 1 || !draining()) return;
  const std::lock_guard lock(server_->mutex);
  server_->ended.notify_all();
}

void core_part::bury(connection& c) noexcept {
  unlink(c);
  forget(c.refused());
}

void core_part::hand_over(connection& from, std::unique_ptr<hosted_socket> next, transport socket,
                          std::span<char> received) noexcept {
  unlink(from);
  hosted_.adopt(std::move(next), std::move(socket), received);
}

void core_part::unlink(connection& c) noexcept {
  (c.previous_ != nullptr ? c.previous_->next_ : connections_) = c.next_;
  if (c.next_ != nullptr) c.next_->previous_ = c.previous_;
  c.previous_ = nullptr;
  c.next_ = buried_;
  buried_ = &c;
}

// Deletes what was closed. Nobody is inside a connection now, and none of them has events left.
void core_part::sweep() noexcept {
  if (buried_ == nullptr) return;
  std::erase_if(yielded_, [](const connection* c) { return c->phase_ == connection::phase::closed; });
  while (buried_ != nullptr) {
    const std::unique_ptr<connection> gone(buried_);
    buried_ = gone->next_;
  }
}

void core_part::run_later(connection& c) {
  yielded_.push_back(&c);
  on_.poll().again();
}

void core_part::begin_batch(steady_time now) noexcept {
  now_ = now;
  handshakes_ = 0;
  hosted_.begin_batch(now);
  if (!yielded_.empty()) run_yielded();
}

void core_part::end_batch() noexcept {
  hosted_.end_batch();
  sweep();
}

void core_part::run_yielded() noexcept {
  std::vector<connection*> turn;
  turn.swap(yielded_);
  for (connection* each : turn) {
    each->yielded_ = false;
    each->drive();
  }
}

}  // namespace syncline::net::http
