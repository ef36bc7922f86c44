// TLS for servers: a context (certificate, key, rules) that many connections share, and one connection's
// session.
//
// Use it through `transport`; only who listens makes a context. TLS 1.2 and 1.3 with forward-secret AEAD
// ciphers, ALPN http/1.1, no renegotiation, no compression, stateless session tickets (one set of ticket keys
// a context, so any core resumes; early data stays off, since it could be replayed). Clients are not asked
// for certificates.
//
// Thread: a context any, once made; a session the core of its connection. Bound: OpenSSL's: a record (16 KB)
// each way while it moves bytes; read and write buffers are freed in between (figures in docs/http.md).
// Failure: a context that cannot be made says which file and why; a session that met a fatal error or alert
// answers io::failed for good.
//
// Invariants
//  1. A session never blocks and never raises SIGPIPE: it reads and writes the socket itself (MSG_NOSIGNAL).
//  2. A session asks the kernel only when the poller said so: after a short read, or "would block", it waits
//  for an event.
//  3. The error queue of the thread is empty before each call into OpenSSL, so an error belongs to the call
//  that made it.
#pragma once

#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "net/core/error.h"

using SSL = struct ssl_st;
using SSL_CTX = struct ssl_ctx_st;

namespace syncline::net {

// What became of an attempt to move bytes.
enum class io : std::uint8_t { done, blocked, failed };

struct tls_options {
  std::string certificate_file;  // PEM, the server's certificate first, then its chain; empty: no TLS
  std::string key_file;          // PEM, not encrypted
  [[nodiscard]] bool enabled() const noexcept { return !certificate_file.empty(); }
};

// Why a handshake failed.
enum class tls_failure : std::uint8_t {
  plain_http,   // the client speaks HTTP without TLS
  not_tls,      // anything else that is no TLS record
  unsupported,  // no common version, cipher, group or protocol (ALPN)
  alert,        // the client refused us: it does not trust the certificate, say
  closed,       // the client left
  timeout,
  other,
};
inline constexpr std::size_t kTlsFailures = 7;
[[nodiscard]] std::string_view to_string(tls_failure why) noexcept;

class tls_session {
 public:
  ~tls_session();
  tls_session(const tls_session&) = delete;
  tls_session& operator=(const tls_session&) = delete;

  // What the poller saw. `ended`: the peer will send no more, so the end of input is there to be read.
  void note(bool in, bool out, bool ended) noexcept {
    in_ready_ = in_ready_ || in;
    out_ready_ = out_ready_ || out;
    ended_ = ended_ || ended;
  }

  [[nodiscard]] io handshake() noexcept;  // before everything else, until done
  [[nodiscard]] tls_failure failure() const noexcept { return failure_; }
  [[nodiscard]] bool resumed() const noexcept;

  // After `failed`: at_end() says that it was the end of input, truncated() that it came without
  // close_notify.
  [[nodiscard]] io read(char* to, std::size_t room, std::size_t& received) noexcept;
  // Small parts go into one record. After `blocked` the next call must begin with the same bytes.
  [[nodiscard]] io write(std::span<const iovec> parts, std::size_t& sent) noexcept;
  // Sends close_notify. `failed`: nobody will read it.
  [[nodiscard]] io close_notify() noexcept;

  // True when a read may give something without an event.
  [[nodiscard]] bool has_more() const noexcept;
  [[nodiscard]] bool at_end() const noexcept { return at_end_; }
  [[nodiscard]] bool truncated() const noexcept { return at_end_ && eof_; }

 private:
  friend class tls_context;
  friend struct tls_socket;  // the BIO
  tls_session(SSL* session, int descriptor) noexcept : ssl_(session), descriptor_(descriptor) {}
  [[nodiscard]] io outcome(int returned) noexcept;
  void classify(unsigned long code) noexcept;

  SSL* ssl_;
  int descriptor_;
  bool in_ready_ = false;  // the poller tells as soon as it knows the descriptor
  bool out_ready_ = true;
  bool ended_ = false;
  bool eof_ = false;     // the socket gave its end
  bool at_end_ = false;  // no more plain bytes will come
  bool shaken_ = false;  // the handshake is done
  bool broken_ = false;
  tls_failure failure_ = tls_failure::other;
};

class tls_context {
 public:
  // errc::invalid with the file and OpenSSL's reason: unreadable, no PEM, encrypted, or the key is of another
  // certificate.
  [[nodiscard]] static result<std::shared_ptr<const tls_context>> load(const tls_options& options);
  ~tls_context();
  tls_context(const tls_context&) = delete;
  tls_context& operator=(const tls_context&) = delete;

  // A session on a non-blocking descriptor, which stays the caller's; null when there is no memory.
  [[nodiscard]] std::unique_ptr<tls_session> accept(int descriptor) const noexcept;
  // When the certificate ends, in seconds since 1970.
  [[nodiscard]] std::int64_t expires_s() const noexcept { return expires_s_; }

 private:
  explicit tls_context(SSL_CTX* context) noexcept : context_(context) {}
  SSL_CTX* context_;
  std::int64_t expires_s_ = 0;
};

}  // namespace syncline::net
