// An HTTP/1.1 server on a group of cores: each core accepts on its own SO_REUSEPORT socket and keeps what it
// accepted, unless it has many more connections than another core, which then gets the new ones.
//
// Thread: made, started and stopped from a thread that is no core. Bounds: everything in `limits`; a
// connection costs at idle what its buffers give back (docs/http.md), a request in flight its head and one
// output buffer. Failure: a client that breaks a rule gets problem+json and a closed connection; when
// descriptors run out accepting pauses for `accept_pause_ms` and resumes; nothing a client sends ends the
// server.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "net/core/core.h"
#include "net/core/error.h"
#include "net/core/tls.h"
#include "net/http/exchange.h"

namespace syncline::net::http {

struct limits {
  std::uint32_t header_bytes_max = 16 * 1024;             // request line and headers together: 431
  std::uint32_t target_bytes_max = 8 * 1024;              // 414
  std::uint32_t header_count_max = 100;                   // 431
  std::uint64_t body_bytes_max = 1024 * 1024;             // 413; a route may set its own
  std::uint32_t output_buffer_bytes = 64 * 1024;          // unsent bytes before write() waits
  std::uint64_t body_files_bytes_max = 16 * 1024 * 1024;  // a core's large bodies for sendfile; 0: none
  std::uint32_t connections_max = 20000;                  // per server; one more gets 503 and is closed
  std::uint32_t pipeline_requests_max =
      64;  // answered from one read before others on the core have their turn
  std::uint32_t header_timeout_ms = 10000;          // from first byte to complete head: 408
  std::uint32_t idle_timeout_ms = 75000;            // between requests
  std::uint32_t body_progress_timeout_ms = 15000;   // no byte of the body for this long: 408
  std::uint32_t body_bytes_per_s_min = 50;          // slower than this on average (after the first 15 s): 408
  std::uint32_t write_progress_timeout_ms = 30000;  // the peer takes nothing for this long: closed
  std::uint32_t linger_timeout_ms = 2000;           // after our last byte, for the peer's
  std::uint32_t accept_pause_ms = 100;              // after EMFILE
  std::uint32_t tls_handshake_timeout_ms = 10000;   // from accept to the end of the handshake: closed
};

struct server_options {
  std::string address = "127.0.0.1";  // or "unix:/path"
  std::uint16_t port = 0;             // 0: the kernel chooses; see port()
  int backlog = 4096;
  tls_options tls;                       // without a certificate: plain HTTP
  std::string metrics_label = "public";  // the label `listener` of its metrics
  limits limit;
};

// RFC 9457. `type` is a stable URI reference such as "/problems/unknown-column"; `detail` says what and
// where.
struct problem {
  int status = 500;
  std::string_view type;
  std::string_view title;
  std::string detail;
  std::string extra;                // more JSON members, each with a leading comma: `,"column":"name"`
  std::uint32_t retry_after_s = 0;  // sends Retry-After when not 0
};
void answer_problem(exchange& x, const problem& what);

class server {
 public:
  server(core_group& cores, handler& handles, const server_options& options);
  ~server();

  // Binds (errc::down with the reason when the address is taken, errc::invalid when the TLS files cannot be
  // used) and accepts.
  [[nodiscard]] result<void> start();
  [[nodiscard]] std::uint16_t port() const noexcept;
  // Reads certificate and key again. They are used for new connections if they are fine (open ones keep
  // theirs, and tickets given out before cost a full handshake); else nothing changes and the error says why.
  [[nodiscard]] result<void> reload_tls();
  // Drain: stop accepting, close idle connections, let requests finish (streams see draining() and their
  // context is cancelled when they wait), answer with `Connection: close`; after `deadline_ms` close what is
  // left. Blocks; true when all ended by themselves.
  bool drain(std::uint32_t deadline_ms);
  [[nodiscard]] std::uint64_t connections() const noexcept;

 private:
  struct state;
  std::unique_ptr<state> state_;
};

}  // namespace syncline::net::http
