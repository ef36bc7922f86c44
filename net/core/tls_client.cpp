#include "net/core/tls_client.h"

#include <arpa/inet.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <array>
#include <climits>
#include <new>

namespace syncline::net {

namespace {

constexpr std::size_t kClientRecordBytes = 16 * 1024;  // RFC 8446 section 5.1: 2^14

std::string reason() {
  const unsigned long code = ERR_peek_last_error();
  std::array<char, 256> text{};
  if (code == 0) return "no reason given";
  const char* const said = ERR_reason_error_string(code);
  if (said != nullptr) return said;
  ERR_error_string_n(code, text.data(), text.size());
  return text.data();
}

error refused(std::string_view what, const std::string& file) {
  error out(errc::invalid, what, file + ": " + reason());
  ERR_clear_error();
  return out;
}

// OpenSSL would otherwise ask for a password on the terminal.
int no_client_password(char*, int, int, void*) {
  return 0;
}

[[nodiscard]] bool is_address(const std::string& host) noexcept {
  std::array<unsigned char, 16> binary{};
  return ::inet_pton(AF_INET, host.c_str(), binary.data()) == 1 ||
         ::inet_pton(AF_INET6, host.c_str(), binary.data()) == 1;
}

}  // namespace

result<std::shared_ptr<const tls_client_context>> tls_client_context::load(const tls_settings& settings) {
  ERR_clear_error();
  SSL_CTX* const made = SSL_CTX_new(TLS_client_method());
  if (made == nullptr) throw std::bad_alloc();
  const std::shared_ptr<tls_client_context> out(new tls_client_context(made));
  out->mode_ = settings.mode;
  SSL_CTX_set_min_proto_version(made, TLS1_2_VERSION);
  SSL_CTX_set_options(made, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
  SSL_CTX_set_mode(made, SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_default_passwd_cb(made, &no_client_password);
  const bool verify = settings.mode == tls_mode::verify_ca || settings.mode == tls_mode::verify_identity;
  SSL_CTX_set_verify(made, verify ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, nullptr);
  if (verify && settings.ca_file.empty()) {
    if (SSL_CTX_set_default_verify_paths(made) != 1)
      return refused("the system's certificate authorities cannot be used", "");
  } else if (verify && SSL_CTX_load_verify_file(made, settings.ca_file.c_str()) != 1) {
    return refused("the certificate authority cannot be used", settings.ca_file);
  }
  if (!settings.certificate_file.empty()) {
    if (SSL_CTX_use_certificate_chain_file(made, settings.certificate_file.c_str()) != 1)
      return refused("the client certificate cannot be used", settings.certificate_file);
    if (SSL_CTX_use_PrivateKey_file(made, settings.key_file.c_str(), SSL_FILETYPE_PEM) != 1 ||
        SSL_CTX_check_private_key(made) != 1)
      return refused("the client key cannot be used", settings.key_file);
  }
  return std::shared_ptr<const tls_client_context>(out);
}

tls_client_context::~tls_client_context() {
  SSL_CTX_free(context_);
}

tls_client::tls_client(const tls_client_context& context, const std::string& host)
    : ssl_(SSL_new(context.context_)) {
  BIO* const in = BIO_new(BIO_s_mem());
  BIO* const out = BIO_new(BIO_s_mem());
  if (ssl_ == nullptr || in == nullptr || out == nullptr) {
    BIO_free(in);
    BIO_free(out);
    SSL_free(ssl_);
    throw std::bad_alloc();
  }
  // An empty buffer means "later", not "the end".
  BIO_set_mem_eof_return(in, -1);
  SSL_set_bio(ssl_, in, out);
  SSL_set_connect_state(ssl_);
  const bool address = is_address(host);
  // Names only: RFC 6066 section 3 knows no addresses.
  if (!address && !host.empty()) SSL_set_tlsext_host_name(ssl_, host.c_str());
  if (context.mode_ == tls_mode::verify_identity) {
    X509_VERIFY_PARAM* const wanted = SSL_get0_param(ssl_);
    X509_VERIFY_PARAM_set_hostflags(wanted, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    if (address) {
      X509_VERIFY_PARAM_set1_ip_asc(wanted, host.c_str());
    } else {
      X509_VERIFY_PARAM_set1_host(wanted, host.c_str(), host.size());
    }
  }
}

tls_client::~tls_client() {
  SSL_free(ssl_);
}

error tls_client::failed(std::string_view what) const {
  std::string detail = reason();
  const long verified = SSL_get_verify_result(ssl_);
  if (SSL_get_verify_mode(ssl_) != SSL_VERIFY_NONE && verified != X509_V_OK)
    detail = X509_verify_cert_error_string(verified);
  ERR_clear_error();
  return {errc::down, what, std::move(detail)};
}

result<bool> tls_client::handshake(byte_buffer& to_send) {
  ERR_clear_error();
  const int done = SSL_do_handshake(ssl_);
  const int why = done == 1 ? SSL_ERROR_NONE : SSL_get_error(ssl_, done);
  take_output(to_send);
  if (done == 1) return true;
  if (why == SSL_ERROR_WANT_READ) return false;
  return failed("TLS with the server fails");
}

void tls_client::received(std::string_view bytes) {
  while (!bytes.empty()) {
    const int n = BIO_write(SSL_get_rbio(ssl_), bytes.data(),
                            static_cast<int>(std::min<std::size_t>(bytes.size(), INT_MAX)));
    if (n <= 0) throw std::bad_alloc();
    bytes.remove_prefix(static_cast<std::size_t>(n));
  }
}

result<bool> tls_client::decrypt(byte_buffer& plain, byte_buffer& to_send) {
  for (;;) {
    ERR_clear_error();
    std::size_t got = 0;
    const int done = SSL_read_ex(ssl_, plain.prepare(kClientRecordBytes), kClientRecordBytes, &got);
    if (done == 1) {
      plain.commit(got);
      continue;
    }
    const int why = SSL_get_error(ssl_, done);
    take_output(to_send);  // an answer to a key update
    if (why == SSL_ERROR_WANT_READ) return true;
    if (why == SSL_ERROR_ZERO_RETURN) return false;
    return failed("TLS with the server broke");
  }
}

// A record at a time: OpenSSL's buffer never shrinks.
result<void> tls_client::encrypt(std::string_view plain, byte_buffer& to_send) {
  while (!plain.empty()) {
    ERR_clear_error();
    std::size_t taken = 0;
    if (SSL_write_ex(ssl_, plain.data(), std::min(plain.size(), kClientRecordBytes), &taken) != 1)
      return failed("TLS with the server broke");
    plain.remove_prefix(taken);
    take_output(to_send);
  }
  return {};
}

// By reading, which a BIO_reset() is not: that one clears all memory the buffer ever had, and after one large
// statement cost each small one 15 us.
void tls_client::take_output(byte_buffer& to_send) {
  BIO* const out = SSL_get_wbio(ssl_);
  const std::size_t size = BIO_ctrl_pending(out);
  if (size == 0) return;
  const int n = BIO_read(out, to_send.prepare(size), static_cast<int>(size));
  if (n > 0) to_send.commit(static_cast<std::size_t>(n));
}

}  // namespace syncline::net
