#include "storage/mysql/link.h"

#include <algorithm>
#include <utility>

#include <boost/asio/basic_stream_socket.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/address.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/post.hpp>

#include "net/core/core.h"

namespace syncline::storage::mysql {

namespace {

namespace asio = boost::asio;
using boost::system::error_code;
using net::errc;
using net::error;

// A timeout that is the caller's own deadline stays one; else the server is to blame.
error blame(const error& waited, const net::request_context& context, std::string_view what) {
  if (waited.code == errc::timed_out && !context.expired()) return {errc::down, what, waited.detail};
  return waited;
}

}  // namespace

struct link::socket {
  using stream = asio::basic_stream_socket<asio::generic::stream_protocol, asio::io_context::executor_type>;
  explicit socket(net::core& on) : s(on.io().get_executor()) {}

  // Starts to connect; `link.failure()` or `connected` says how it went when the event was notified.
  void connect(const std::shared_ptr<link>& self, const stream::endpoint_type& to) {
    error_code failure;
    s.open(to.protocol(), failure);
    if (!failure) s.non_blocking(true, failure);
    if (failure) {
      finish_connect(*self, failure);
      return;
    }
    s.async_connect(to, [self](const error_code& done) { finish_connect(*self, done); });
  }
  static void finish_connect(link& of, const error_code& done) {
    if (done) {
      of.fail({errc::down, "MySQL cannot be reached", done.message()});
      return;
    }
    of.socket_->connected = true;
    of.tell();
  }

  stream s;
  bool connected = false;
};

link::link(net::core& on) : socket_(std::make_unique<socket>(on)), progress_(on) {}
link::~link() = default;

net::task<net::result<void>> link::wait(net::request_context& context, net::steady_time until) {
  co_return co_await progress_.wait(context, until);
}

net::task<net::result<void>> link::connect_tcp(net::request_context& context, std::string address,
                                               std::uint16_t port, net::steady_time until) {
  const std::shared_ptr<link> self = shared_from_this();
  error_code failure;
  const asio::ip::address parsed = asio::ip::make_address(address, failure);
  if (failure) co_return error(errc::invalid, "this is no numeric address", address);
  socket_->connect(self, asio::ip::tcp::endpoint(parsed, port));
  while (!socket_->connected && !failure_) {
    const net::result<void> woken = co_await progress_.wait(context, until);
    if (woken.has_error()) {
      close();
      co_return blame(woken.error(), context, "MySQL cannot be reached in time");
    }
  }
  if (failure_) {
    error out = *failure_;
    out.detail = address + ":" + std::to_string(port) + ": " + out.detail;
    co_return out;
  }
  socket_->s.set_option(asio::ip::tcp::no_delay(true), failure);
  socket_->s.set_option(asio::socket_base::keep_alive(true), failure);
  co_return net::result<void>();
}

net::task<net::result<void>> link::connect_unix(net::request_context& context, std::string path,
                                                net::steady_time until) {
  const std::shared_ptr<link> self = shared_from_this();
  local_ = true;
  constexpr std::size_t kPathBytesMax = 107;
  if (path.size() > kPathBytesMax) co_return error(errc::invalid, "the path of a socket is too long", path);
  socket_->connect(self, asio::local::stream_protocol::endpoint(path));
  while (!socket_->connected && !failure_) {
    const net::result<void> woken = co_await progress_.wait(context, until);
    if (woken.has_error()) {
      close();
      co_return blame(woken.error(), context, "MySQL cannot be reached in time");
    }
  }
  if (failure_) {
    error out = *failure_;
    out.detail = path + ": " + out.detail;
    co_return out;
  }
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
  while (!output_.empty() && cipher_out_.empty() && !write_failed_ && !failure_) {
    const std::size_t slice = std::min(output_.size(), kReadBytesMax);
    const net::result<void> done = tls_->encrypt(output_.view().substr(0, slice), cipher_out_);
    output_.consume(slice);
    if (done.has_error()) write_failed_ = true;
    write_pending();
  }
  if (output_.empty() && output_.capacity() > kKeepBytes) output_.release();
}

void link::write_pending() {
  net::byte_buffer& out = raw_output();
  if (writing_ || failure_) return;
  while (!out.empty() && !write_failed_) {
    error_code failure;
    const std::size_t sent = socket_->s.write_some(asio::buffer(out.data(), out.size()), failure);
    if (!failure) {
      out.consume(sent);
      continue;
    }
    if (failure == asio::error::would_block || failure == asio::error::try_again) {
      writing_ = true;
      socket_->s.async_wait(socket::stream::wait_write, [self = shared_from_this()](const error_code& done) {
        self->writing_ = false;
        if (!done) self->flush();
      });
      return;
    }
    write_failed_ = true;
  }
  if (out.empty() && out.capacity() > kKeepBytes) out.release();
  // The server may have said why before it closed: that comes by reading.
  if (!write_failed_) return;
  out.clear();
  output_.clear();
}

void link::flush_soon() {
  if (flush_posted_) return;
  flush_posted_ = true;
  asio::post(socket_->s.get_executor(), [self = shared_from_this()] {
    self->flush_posted_ = false;
    // Nobody waits for the network: who is working on what came will flush when there is no more.
    if (self->reading_) self->flush();
  });
}

void link::read_more() {
  flush();
  if (reading_ || failure_) return;
  if (input_.empty() && input_.capacity() > kKeepBytes) input_.release();
  net::byte_buffer& raw = tls_ == nullptr ? input_ : cipher_in_;
  char* const to = raw.prepare(read_bytes_);
  reading_ = true;
  socket_->s.async_read_some(asio::buffer(to, read_bytes_),
                             [self = shared_from_this()](const error_code& done, std::size_t size) {
                               self->on_read(done.value(), size);
                             });
}

void link::on_read(int failure, std::size_t size) {
  reading_ = false;
  if (failure_) return;  // closed meanwhile
  if (failure != 0 || size == 0) {
    const error_code said(failure, boost::system::system_category());
    fail({errc::down, "the connection to MySQL is lost",
          failure == 0 || failure == asio::error::eof ? "the server closed it" : said.message()});
    return;
  }
  // Bulk: fewer and larger reads.
  if (size == read_bytes_ && read_bytes_ < kReadBytesMax) read_bytes_ *= 2;
  if (tls_ == nullptr) {
    input_.commit(size);
  } else {
    cipher_in_.commit(size);
    tls_->received(cipher_in_.view());
    cipher_in_.clear();
    if (!shaking_hands_) {
      const net::result<bool> open = tls_->decrypt(input_, cipher_out_);
      write_pending();
      if (open.has_error()) {
        fail(open.error());
        return;
      }
      if (!*open) {
        fail({errc::down, "the connection to MySQL is lost", "the server closed it"});
        return;
      }
    }
  }
  tell();
}

void link::fail(error why) {
  if (failure_) return;
  failure_ = std::move(why);
  error_code ignored;
  socket_->s.close(ignored);
  tell();
}

void link::tell() {
  if (told_ != nullptr) {
    told_(owner_);
  } else {
    progress_.notify();
  }
}

void link::close() noexcept {
  if (!failure_) failure_ = error(errc::closed, "the connection to MySQL was closed by us");
  error_code ignored;
  socket_->s.close(ignored);
}

}  // namespace syncline::storage::mysql
