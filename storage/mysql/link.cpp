#include "storage/mysql/link.h"

#include <netdb.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <cerrno>
#include <new>
#include <system_error>
#include <utility>

#include "net/core/core.h"

namespace syncline::storage::mysql {

namespace {

using net::errc;
using net::error;
using interest = net::poller::interest;

// A timeout that is the caller's own deadline stays one; else the server is to blame.
error blame(const error& waited, const net::request_context& context, std::string_view what) {
  if (waited.code == errc::timed_out && !context.expired()) return {errc::down, what, waited.detail};
  return waited;
}

error unreachable(int number) {
  return {errc::down, "MySQL cannot be reached", std::generic_category().message(number)};
}

error with_place(error why, std::string place) {
  if (why.code != errc::down) return why;
  if (!why.detail.empty()) place.append(": ").append(why.detail);
  why.detail = std::move(place);
  return why;
}

void switch_on(int descriptor, int level, int option) noexcept {
  const int on = 1;
  ::setsockopt(descriptor, level, option, &on, sizeof on);
}

}  // namespace

link::link(net::core& on) : core_(&on), progress_(on) {}

link::~link() {
  close_socket();
}

net::task<net::result<void>> link::wait(net::request_context& context, net::steady_time until) {
  co_return co_await progress_.wait(context, until);
}

net::task<net::result<void>> link::connect(net::request_context& context, const sockaddr* to,
                                           unsigned to_bytes, net::steady_time until) {
  const std::shared_ptr<link> self = shared_from_this();
  const int made = ::socket(to->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (made < 0) {
    failure_ = unreachable(errno);
    co_return *failure_;
  }
  socket_ = net::transport(made);
  // A unix socket whose server does not accept fast enough says EAGAIN, and will not say more.
  connecting_ = ::connect(made, to, to_bytes) != 0;
  const int said = connecting_ ? errno : 0;
  if (connecting_ && said != EINPROGRESS && said != EINTR) {
    close_socket();
    failure_ = unreachable(said);
    co_return *failure_;
  }
  if (!core_->poll().add(made, *this, connecting_ ? interest::both : interest::input)) {
    failure_ = unreachable(errno);
    close_socket();
    co_return *failure_;
  }
  while (connecting_ && !failure_) {
    const net::result<void> woken = co_await progress_.wait(context, until);
    if (woken.has_error()) {
      close();
      co_return blame(woken.error(), context, "MySQL cannot be reached in time");
    }
  }
  if (failure_) co_return *failure_;
  co_return net::result<void>();
}

void link::finish_connecting() {
  int said = 0;
  socklen_t size = sizeof said;
  if (::getsockopt(socket_.descriptor(), SOL_SOCKET, SO_ERROR, &said, &size) != 0) said = errno;
  connecting_ = false;
  if (said == 0 && !watch(interest::input)) said = errno;
  if (said != 0) return fail(unreachable(said));
  tell();
}

net::task<net::result<void>> link::connect_tcp(net::request_context& context, std::string address,
                                               std::uint16_t port, net::steady_time until) {
  addrinfo hints{};
  hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const int said = ::getaddrinfo(address.c_str(), std::to_string(port).c_str(), &hints, &found);
  if (said == EAI_NONAME) co_return error(errc::invalid, "this is no numeric address", address);
  if (said != 0) co_return error(errc::down, "MySQL cannot be reached", ::gai_strerror(said));
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> to(found, &::freeaddrinfo);
  const net::result<void> connected = co_await connect(context, to->ai_addr, to->ai_addrlen, until);
  if (connected.has_error()) co_return with_place(connected.error(), address + ":" + std::to_string(port));
  switch_on(socket_.descriptor(), IPPROTO_TCP, TCP_NODELAY);
  switch_on(socket_.descriptor(), SOL_SOCKET, SO_KEEPALIVE);
  co_return net::result<void>();
}

net::task<net::result<void>> link::connect_unix(net::request_context& context, std::string path,
                                                net::steady_time until) {
  local_ = true;
  sockaddr_un there{};
  there.sun_family = AF_UNIX;
  if (path.size() >= sizeof there.sun_path)
    co_return error(errc::invalid, "the path of a socket is too long", path);
  path.copy(there.sun_path, path.size());
  const net::result<void> connected =
      co_await connect(context, reinterpret_cast<const sockaddr*>(&there), sizeof there, until);
  if (connected.has_error()) co_return with_place(connected.error(), path);
  co_return net::result<void>();
}

net::task<net::result<void>> link::start_tls(net::request_context& context,
                                             std::shared_ptr<const net::tls_client_context> rules,
                                             std::string host, net::steady_time until) {
  const std::shared_ptr<link> self = shared_from_this();
  // What was sent before TLS is none of TLS: somebody in between may have put it there.
  if (!input_.empty()) co_return error(errc::corrupt, "MySQL sent something in front of TLS");
  tls_ = std::make_unique<net::tls_client>(*rules, host);
  shaking_hands_ = true;
  for (;;) {
    const net::result<bool> done = tls_->handshake(cipher_out_);
    write_pending();
    if (done.has_error()) {
      error out = done.error();
      out.detail = "MySQL: " + out.detail;
      co_return out;
    }
    if (*done) break;
    read_more();
    const net::result<void> woken = co_await progress_.wait(context, until);
    if (woken.has_error()) co_return blame(woken.error(), context, "MySQL does not finish the TLS handshake");
    if (failure_) co_return *failure_;
  }
  shaking_hands_ = false;
  // Tickets may have come with the last flight.
  const net::result<bool> open = tls_->decrypt(input_, cipher_out_);
  if (open.has_error()) co_return open.error();
  co_return net::result<void>();
}

void link::flush() {
  if (tls_ == nullptr || shaking_hands_) {
    write_pending();
    return;
  }
  // In slices, as the socket takes them: a statement of 64 MiB is neither encrypted at one go nor kept twice.
  write_pending();
  while (!output_.empty() && cipher_out_.empty() && !write_failure_ && !failure_) {
    const std::size_t slice = std::min(output_.size(), kReadBytesMax);
    try {
      const net::result<void> done = tls_->encrypt(output_.view().substr(0, slice), cipher_out_);
      if (done.has_error()) return end_writing(done.error());
    } catch (...) {  // part of it may be encrypted already, and must not go twice
      return end_writing(net::caught_error("what MySQL is sent cannot be encrypted"));
    }
    output_.consume(slice);
    write_pending();
  }
  if (output_.empty() && output_.capacity() > kKeepBytes) output_.release();
}

void link::write_pending() {
  net::byte_buffer& out = raw_output();
  if (writing_ || failure_) return;
  while (!out.empty() && !write_failure_) {
    iovec part{out.data(), out.size()};
    std::size_t sent = 0;
    const net::io done = socket_.write_some({&part, 1}, sent);
    out.consume(sent);
    if (done == net::io::done) continue;
    const int number = errno;
    writing_ = done == net::io::blocked && watch(interest::both);
    if (writing_) return;
    end_writing({errc::down, "the connection to MySQL is lost", std::generic_category().message(number)});
  }
  if (write_failure_) out.clear();
  if (out.empty() && out.capacity() > kKeepBytes) out.release();
}

// The server may have said why before it closed: that comes by reading, and after it the end, which this
// makes sure of.
void link::end_writing(error why) noexcept {
  if (write_failure_) return;
  write_failure_ = std::move(why);
  ::shutdown(socket_.descriptor(), SHUT_RDWR);
}

void link::flush_soon() {
  if (flush_posted_) return;
  try {
    core_->post([self = shared_from_this()] {
      self->flush_posted_ = false;
      // Nobody waits for the network: who is working on what came will flush when there is no more.
      if (self->reading_) self->flush();
    });
    flush_posted_ = true;
  } catch (const std::bad_alloc&) {
    flush();
  }
}

void link::read_more() {
  flush();
  if (reading_ || failure_) return;
  if (input_.empty() && input_.capacity() > kKeepBytes) input_.release();
  reading_ = true;
  // Not read here: who asks is to be told later, and others on the core have their turn before.
  if (!socket_.readable() || watch(writing_ ? interest::both : interest::input)) return;
  end_writing({errc::down, "MySQL cannot be heard", std::generic_category().message(errno)});
}

void link::on_events(std::uint32_t events) noexcept {
  const std::shared_ptr<link> self = shared_from_this();  // who is told may let go of it
  socket_.note(events);
  try {
    if (connecting_) {
      if ((events & (EPOLLOUT | EPOLLERR | EPOLLHUP)) != 0) finish_connecting();
      return;
    }
    if (writing_ && socket_.writable()) {
      writing_ = false;
      flush();
      if (!writing_) static_cast<void>(watch(interest::input));  // refused: it hears of more than it needs
    }
    if (reading_) receive();
  } catch (...) {
    fail(net::caught_error("the connection to MySQL cannot go on"));
  }
}

void link::receive() {
  net::byte_buffer& raw = tls_ == nullptr ? input_ : cipher_in_;
  if (!socket_.readable()) return;
  std::size_t size = 0;
  char* const to = raw.prepare(read_bytes_);
  errno = 0;  // the end of input sets none
  const net::io done = socket_.read_some(to, read_bytes_, size);
  if (done == net::io::blocked) return;
  reading_ = false;
  if (done == net::io::failed) {
    const int number = errno;
    if (number == 0 && write_failure_) return fail(*write_failure_);
    return fail({errc::down, "the connection to MySQL is lost",
                 number != 0 ? std::generic_category().message(number) : "the server closed it"});
  }
  received(size);
  if (!failure_) tell();
}

void link::received(std::size_t size) {
  // Bulk: fewer and larger reads.
  if (size == read_bytes_ && read_bytes_ < kReadBytesMax) read_bytes_ *= 2;
  if (tls_ == nullptr) {
    input_.commit(size);
    return;
  }
  cipher_in_.commit(size);
  tls_->received(cipher_in_.view());
  cipher_in_.clear();
  if (shaking_hands_) return;
  const net::result<bool> open = tls_->decrypt(input_, cipher_out_);
  write_pending();
  if (open.has_error()) {
    fail(open.error());
  } else if (!*open) {
    fail({errc::down, "the connection to MySQL is lost", "the server closed it"});
  }
}

void link::fail(error why) noexcept {
  if (failure_) return;
  failure_ = std::move(why);
  close_socket();
  tell();
}

void link::tell() noexcept {
  if (told_ != nullptr) {
    told_(owner_);
  } else {
    progress_.notify();
  }
}

bool link::watch(interest in) noexcept {
  return core_->poll().change(socket_.descriptor(), *this, in);
}

void link::close_socket() noexcept {
  reading_ = writing_ = false;
  if (socket_.descriptor() >= 0) core_->poll().forget(socket_.descriptor(), *this);
  socket_.close();
}

void link::close() noexcept {
  if (!failure_) failure_ = error(errc::closed, "the connection to MySQL was closed by us");
  close_socket();
}

}  // namespace syncline::storage::mysql
