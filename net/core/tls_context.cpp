// The context: which certificate, which rules.
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <array>
#include <ctime>
#include <new>

#include "net/core/tls.h"
#include "net/core/tls_socket.h"

namespace syncline::net {

namespace {

// Forward secrecy and authenticated encryption only; TLS 1.3 has no others.
constexpr const char* kTls12Ciphers = "ECDHE+AESGCM:ECDHE+CHACHA20";
constexpr std::string_view kHttp11 = "http/1.1";

// OpenSSL would otherwise ask for a password on the terminal, and the start would hang there.
int no_password(char*, int, int, void*) {
  return 0;
}

// A client that offers protocols but not ours (h2 alone) is told so (RFC 7301 section 3.2); one that offers
// none gets HTTP/1.1.
int choose_protocol(SSL*, const unsigned char** out, unsigned char* out_size, const unsigned char* offered,
                    unsigned offered_size, void*) {
  for (unsigned at = 0; at < offered_size; at += 1U + offered[at]) {
    const std::string_view name(reinterpret_cast<const char*>(offered) + at + 1, offered[at]);
    if (name != kHttp11) continue;
    *out = offered + at + 1;
    *out_size = offered[at];
    return SSL_TLSEXT_ERR_OK;
  }
  return SSL_TLSEXT_ERR_ALERT_FATAL;
}

error refused(const char* what, const std::string& file) {
  const unsigned long code = ERR_peek_last_error();
  const char* reason = nullptr;
  std::array<char, 256> text{};
  if (ERR_SYSTEM_ERROR(code)) {
    ERR_error_string_n(code, text.data(), text.size());
    reason = text.data();
  } else {
    reason = ERR_reason_error_string(code);
  }
  error out(errc::invalid, what, file + ": " + (reason == nullptr ? "unknown reason" : reason));
  ERR_clear_error();
  return out;
}

std::int64_t expiry(SSL_CTX* context) noexcept {
  const X509* const certificate = SSL_CTX_get0_certificate(context);
  std::tm when{};
  if (certificate == nullptr || ASN1_TIME_to_tm(X509_get0_notAfter(certificate), &when) != 1) return 0;
  return ::timegm(&when);
}

}  // namespace

result<std::shared_ptr<const tls_context>> tls_context::load(const tls_options& options) {
  ERR_clear_error();
  SSL_CTX* const made = SSL_CTX_new(TLS_server_method());
  if (made == nullptr) throw std::bad_alloc();
  const std::shared_ptr<tls_context> out(new tls_context(made));
  SSL_CTX_set_min_proto_version(made, TLS1_2_VERSION);
  // An end of input without close_notify is counted, not fatal: HTTP frames its messages itself, so nothing
  // that was cut off is taken for whole (RFC 9112 section 9.8), and a client that shut down its side still
  // gets its answer.
  SSL_CTX_set_options(made, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_IGNORE_UNEXPECTED_EOF);
  SSL_CTX_set_mode(
      made, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_session_cache_mode(made, SSL_SESS_CACHE_OFF);  // it is a lock for all cores; tickets need none
  SSL_CTX_set_read_ahead(made, 1);  // else each record costs two reads: five bytes, then the rest
  SSL_CTX_set_default_passwd_cb(made, &no_password);
  SSL_CTX_set_alpn_select_cb(made, &choose_protocol, nullptr);
  if (SSL_CTX_set_cipher_list(made, kTls12Ciphers) != 1)
    return refused("TLS has no usable cipher", kTls12Ciphers);
  if (SSL_CTX_use_certificate_chain_file(made, options.certificate_file.c_str()) != 1)
    return refused("the TLS certificate cannot be used", options.certificate_file);
  if (SSL_CTX_use_PrivateKey_file(made, options.key_file.c_str(), SSL_FILETYPE_PEM) != 1 ||
      SSL_CTX_check_private_key(made) != 1)
    return refused("the TLS key cannot be used", options.key_file);
  out->expires_s_ = expiry(made);
  return std::shared_ptr<const tls_context>(out);
}

tls_context::~tls_context() {
  SSL_CTX_free(context_);
}

std::unique_ptr<tls_session> tls_context::accept(int descriptor) const noexcept {
  ERR_clear_error();
  SSL* const ssl = SSL_new(context_);
  const BIO_METHOD* const method = tls_socket::method();
  BIO* const bio = method == nullptr ? nullptr : BIO_new(method);
  std::unique_ptr<tls_session> out;
  if (ssl != nullptr && bio != nullptr) out.reset(new (std::nothrow) tls_session(ssl, descriptor));
  if (out == nullptr) {
    BIO_free(bio);
    SSL_free(ssl);
    return nullptr;
  }
  BIO_set_data(bio, out.get());
  SSL_set_bio(ssl, bio, bio);
  SSL_set_accept_state(ssl);
  return out;
}

}  // namespace syncline::net
