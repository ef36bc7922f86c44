// TLS over a blocking socket, for one thread that sends and one that reads at the same time.
//
// Thread: send() one, read() another; neither waits for the other's socket call, so a peer that answers while
// it is still being sent to is heard. Only send() sends. Bound: a record (16 KB) each way, and what one read
// decrypted. Failure: errc::down with OpenSSL's reason; the socket's own failures as the caller's functions
// tell them.
#pragma once

#include <array>
#include <cstddef>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "net/core/byte_buffer.h"
#include "net/core/error.h"
#include "net/core/tls_client.h"

namespace syncline::server::command {

class tls_channel {
 public:
  // What moves bytes: all of them; or one read, 0 at the end of the stream.
  using sender = std::function<net::result<void>(std::string_view)>;
  using reader = std::function<net::result<std::size_t>(char* to, std::size_t room)>;

  // Shakes hands with `host`, whose certificate must name it and be signed by an authority of `ca_file` (PEM;
  // empty: the system's).
  [[nodiscard]] static net::result<std::unique_ptr<tls_channel>> open(const std::string& host,
                                                                      const std::string& ca_file, sender out,
                                                                      reader in);

  [[nodiscard]] net::result<void> send(std::string_view plain);
  // 0: the peer has said that it is done. A stream that ends without that was cut.
  [[nodiscard]] net::result<std::size_t> read(char* to, std::size_t room);

 private:
  tls_channel(const net::tls_client_context& rules, const std::string& host, sender out, reader in)
      : out_(std::move(out)), in_(std::move(in)), tls_(rules, host) {}
  [[nodiscard]] net::result<void> shake_hands();
  void receive();
  void decrypt();
  [[nodiscard]] net::result<void> send_records();

  sender out_;
  reader in_;
  std::mutex state_;  // held while tls_ or records_ is used, never while a socket is
  net::tls_client tls_;
  net::byte_buffer records_;  // made and not sent yet
  net::byte_buffer plain_;    // the reader's: decrypted and not taken yet
  bool ended_ = false;        // the reader's, as is failed_
  std::optional<net::error> failed_;
  std::array<char, 16 * 1024> raw_;
};

}  // namespace syncline::server::command
