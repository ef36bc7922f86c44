// The bytes between us and a MySQL server: a TCP or unix socket, with TLS when it was asked for.
//
// Use it below sessions. Nothing waits in it except connecting: reads and writes are started and somebody is
// told. So a request that stops waiting loses no bytes, and the next one goes on where it was.
//
// The socket is driven by hand in the core's own epoll set (net/core/poller.h). As a socket of Asio's a read
// of one row by its key cost six system calls instead of three (docs/mysql.md has the figures).
//
// Thread: the core. Lifetime: shared, since a task that connects and a flush that was put off hold it as
// well. Bound: one read at a time, of at most kReadBytesMax, and only when asked for: not asking is the
// backpressure. What is to be sent is bounded by who appends it. Failure: failure(), for good; what came
// before it can still be read.
//
// Invariants
//  1. While reading() nobody changes input(): the socket's next event adds to it.
//  2. The listener is called from the core's loop, never inside a function of this class.
//  3. The poller knows the socket while it is open, and hears of room to write only while connecting or while
//  something waits for it.
#pragma once

#include <sys/socket.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "net/core/byte_buffer.h"
#include "net/core/event.h"
#include "net/core/poller.h"
#include "net/core/tls_client.h"
#include "net/core/transport.h"

namespace syncline::storage::mysql {

class link final : public std::enable_shared_from_this<link>, private net::poll_target {
 public:
  static constexpr std::size_t kReadBytesMin = 16 * 1024, kReadBytesMax = 256 * 1024;
  // A buffer that grew beyond this for one large row is given back when it is empty.
  static constexpr std::size_t kKeepBytes = 1024 * 1024;

  explicit link(net::core& on);
  ~link();
  link(const link&) = delete;
  link& operator=(const link&) = delete;

  // A numeric address. errc::down when nobody answers until `until`, errc::timed_out at the caller's own
  // deadline.
  [[nodiscard]] net::task<net::result<void>> connect_tcp(net::request_context& context, std::string address,
                                                         std::uint16_t port, net::steady_time until);
  [[nodiscard]] net::task<net::result<void>> connect_unix(net::request_context& context, std::string path,
                                                          net::steady_time until);
  // From now on everything is encrypted; nothing may be buffered either way.
  [[nodiscard]] net::task<net::result<void>> start_tls(net::request_context& context,
                                                       std::shared_ptr<const net::tls_client_context> rules,
                                                       std::string host, net::steady_time until);

  [[nodiscard]] net::byte_buffer& input() noexcept { return input_; }
  [[nodiscard]] net::byte_buffer& output() noexcept { return output_; }
  // Sends what is in output(), now as far as possible and the rest by itself.
  void flush();
  // flush() after what the core is doing, so that statements of several tasks share a system call.
  void flush_soon();
  // flush(), and one read when none is on its way.
  void read_more();
  [[nodiscard]] bool reading() const noexcept { return reading_; }
  // Until more bytes came or the link failed; for who has no listener.
  [[nodiscard]] net::task<net::result<void>> wait(net::request_context& context, net::steady_time until);
  // Called after each read; null takes it away.
  void set_listener(void (*told)(void* owner) noexcept, void* owner) noexcept {
    told_ = told;
    owner_ = owner;
  }
  [[nodiscard]] const std::optional<net::error>& failure() const noexcept { return failure_; }
  [[nodiscard]] bool encrypted() const noexcept { return tls_ != nullptr; }
  [[nodiscard]] bool local() const noexcept { return local_; }  // a unix socket
  void close() noexcept;

 private:
  [[nodiscard]] net::task<net::result<void>> connect(net::request_context& context, const sockaddr* to,
                                                     unsigned to_bytes, net::steady_time until);
  void on_events(std::uint32_t events) noexcept override;
  void finish_connecting();
  void receive();
  void received(std::size_t size);
  void write_pending();
  void end_writing(net::error why) noexcept;
  void fail(net::error why) noexcept;
  void close_socket() noexcept;
  [[nodiscard]] bool watch(net::poller::interest in) noexcept;
  void tell() noexcept;
  [[nodiscard]] net::byte_buffer& raw_output() noexcept { return tls_ == nullptr ? output_ : cipher_out_; }

  net::core* core_;
  net::transport socket_{-1};
  net::event progress_;
  void (*told_)(void*) noexcept = nullptr;
  void* owner_ = nullptr;
  net::byte_buffer input_, output_;
  net::byte_buffer cipher_in_, cipher_out_;
  std::unique_ptr<net::tls_client> tls_;
  std::optional<net::error> failure_;
  std::optional<net::error>
      write_failure_;  // nothing is sent any more; what the reading side finds comes first
  std::size_t read_bytes_ = kReadBytesMin;
  bool connecting_ = false;
  bool reading_ = false;
  bool writing_ = false;  // waits until the socket takes more
  bool flush_posted_ = false;
  bool shaking_hands_ = false;
  bool local_ = false;
};

}  // namespace syncline::storage::mysql
