// The client's end of TLS as a machine that turns plain bytes into records and back, without a socket: so a
// test may send half a record, another one twice, or none.
//
// Thread: one at a time; raw_client locks. Failure: broken() after a fatal error, with the reason in fault().
#pragma once

#include <openssl/err.h>
#include <openssl/ssl.h>

#include <memory>
#include <string>
#include <string_view>

namespace syncline::net::testing {

class tls_peer {
 public:
  struct options {
    int version_max = 0;  // TLS1_2_VERSION, say; 0: the newest
    int version_min = 0;
    std::string protocols;  // ALPN in wire form: "\x08http/1.1"
    SSL_SESSION* resume = nullptr;
    std::string trusted_file;  // refuses other certificates
  };
  explicit tls_peer(const options& how) : context_(SSL_CTX_new(TLS_client_method()), &SSL_CTX_free) {
    SSL_CTX_set_security_level(context_.get(), 0);  // so that old versions may be offered
    if (!how.trusted_file.empty()) {
      SSL_CTX_load_verify_file(context_.get(), how.trusted_file.c_str());
      SSL_CTX_set_verify(context_.get(), SSL_VERIFY_PEER, nullptr);
    }
    ssl_.reset(SSL_new(context_.get()));
    SSL_set_min_proto_version(ssl_.get(), how.version_min);
    SSL_set_max_proto_version(ssl_.get(), how.version_max);
    if (!how.protocols.empty()) {
      SSL_set_alpn_protos(ssl_.get(), reinterpret_cast<const unsigned char*>(how.protocols.data()),
                          static_cast<unsigned>(how.protocols.size()));
    }
    if (how.resume != nullptr) SSL_set_session(ssl_.get(), how.resume);
    in_ = BIO_new(BIO_s_mem());
    out_ = BIO_new(BIO_s_mem());
    BIO_set_mem_eof_return(in_, -1);
    SSL_set_bio(ssl_.get(), in_, out_);
    SSL_set_connect_state(ssl_.get());
  }

  // Records that are to be sent to the server.
  [[nodiscard]] std::string take_records() {
    std::string out(static_cast<std::size_t>(BIO_ctrl_pending(out_)), '\0');
    if (!out.empty()) BIO_read(out_, out.data(), static_cast<int>(out.size()));
    return out;
  }
  void give_records(std::string_view bytes) { BIO_write(in_, bytes.data(), static_cast<int>(bytes.size())); }

  // True once the handshake is done; call again after give_records().
  bool shake_hands() { return check(SSL_do_handshake(ssl_.get())) == 1; }
  // The records of `plain`.
  [[nodiscard]] std::string encrypt(std::string_view plain) {
    while (!plain.empty()) {
      std::size_t taken = 0;
      ERR_clear_error();
      if (check(SSL_write_ex(ssl_.get(), plain.data(), plain.size(), &taken)) != 1) break;
      plain.remove_prefix(taken);
    }
    return take_records();
  }
  // What can be decrypted now; closed() may become true.
  [[nodiscard]] std::string decrypt() {
    std::string out;
    char bytes[16384];
    for (;;) {
      std::size_t n = 0;
      ERR_clear_error();
      if (check(SSL_read_ex(ssl_.get(), bytes, sizeof bytes, &n)) != 1) return out;
      out.append(bytes, n);
    }
  }
  [[nodiscard]] std::string close_notify() {
    ERR_clear_error();
    SSL_shutdown(ssl_.get());
    return take_records();
  }

  [[nodiscard]] bool closed() const { return (SSL_get_shutdown(ssl_.get()) & SSL_RECEIVED_SHUTDOWN) != 0; }
  [[nodiscard]] bool broken() const { return broken_; }
  [[nodiscard]] const std::string& fault() const { return fault_; }
  [[nodiscard]] SSL* get() const { return ssl_.get(); }
  [[nodiscard]] std::string common_name() const {
    char text[256] = {};
    X509* const shown = SSL_get0_peer_certificate(ssl_.get());
    if (shown != nullptr)
      X509_NAME_get_text_by_NID(X509_get_subject_name(shown), NID_commonName, text, sizeof text);
    return text;
  }

 private:
  int check(int returned) {
    if (returned == 1) return 1;
    const int why = SSL_get_error(ssl_.get(), returned);
    if (why == SSL_ERROR_SSL || why == SSL_ERROR_SYSCALL) {
      broken_ = true;
      const char* const reason = ERR_reason_error_string(ERR_peek_error());
      fault_ = reason == nullptr ? "" : reason;
      ERR_clear_error();
    }
    return returned;
  }

  std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)> context_;
  std::unique_ptr<SSL, decltype(&SSL_free)> ssl_{nullptr, &SSL_free};
  BIO* in_ = nullptr;
  BIO* out_ = nullptr;
  bool broken_ = false;
  std::string fault_;
};

}  // namespace syncline::net::testing
