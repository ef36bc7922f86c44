// TLS as a client, as a value: bytes in, bytes out; it knows no socket.
//
// For whoever connects: MySQL's sessions (the X Protocol asks for TLS in the middle of a connection, so this
// is put over bytes that already flow) and the commands that talk to a server. TLS 1.2 and 1.3. Thread: a
// context any, once made; a client the core of its connection. Bound: what is not yet taken out of it, which
// its user bounds by what it puts in. Failure: result<>, with OpenSSL's reason; a client that failed once
// fails for good.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "net/core/byte_buffer.h"
#include "net/core/error.h"

using SSL = struct ssl_st;
using SSL_CTX = struct ssl_ctx_st;

namespace syncline::net {

enum class tls_mode : std::uint8_t {
  disabled,
  required,         // encrypted; whoever answers is believed to be the server
  verify_ca,        // its certificate is signed by an authority we trust
  verify_identity,  // and names the host we wanted
};

struct tls_settings {
  tls_mode mode = tls_mode::required;
  std::string ca_file;           // PEM; empty: the system's authorities
  std::string certificate_file;  // PEM, for servers that ask for one; empty: none
  std::string key_file;
};

class tls_client_context {
 public:
  // errc::invalid with the file and the reason.
  [[nodiscard]] static result<std::shared_ptr<const tls_client_context>> load(const tls_settings& settings);
  ~tls_client_context();
  tls_client_context(const tls_client_context&) = delete;
  tls_client_context& operator=(const tls_client_context&) = delete;

 private:
  friend class tls_client;
  explicit tls_client_context(SSL_CTX* context) noexcept : context_(context) {}
  SSL_CTX* context_;
  tls_mode mode_ = tls_mode::required;
};

class tls_client {
 public:
  // `host` is a name or a numeric address.
  tls_client(const tls_client_context& context, const std::string& host);
  ~tls_client();
  tls_client(const tls_client&) = delete;
  tls_client& operator=(const tls_client&) = delete;

  // True when it is done. Each call may give bytes to send, the one that fails too (an alert).
  [[nodiscard]] result<bool> handshake(byte_buffer& to_send);
  // What came from the server.
  void received(std::string_view bytes);
  // Appends everything that can be read now. False: the server has said that it is done.
  [[nodiscard]] result<bool> decrypt(byte_buffer& plain, byte_buffer& to_send);
  [[nodiscard]] result<void> encrypt(std::string_view plain, byte_buffer& to_send);

 private:
  void take_output(byte_buffer& to_send);
  [[nodiscard]] error failed(std::string_view what) const;

  SSL* ssl_;
};

}  // namespace syncline::net
