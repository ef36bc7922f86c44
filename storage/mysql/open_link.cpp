#include "storage/mysql/open_link.h"

#include <chrono>
#include <string>
#include <utility>
#include <vector>

#include <x_protocol.pb.h>

#include "storage/mysql/authentication.h"
#include "storage/mysql/compression.h"
#include "storage/mysql/message.h"
#include "storage/mysql/resolve.h"
#include "storage/mysql/server_error.h"

namespace syncline::storage::mysql {

namespace {

using net::errc;
using net::error;

// A server that has not accepted a password yet sends nothing larger; and has no claim on our memory.
constexpr std::size_t kGreetingBytesMax = 64UL * 1024;

[[nodiscard]] bool loopback(const std::string& address) {
  return address.starts_with("127.") || address == "::1";
}

wire::Scalar& scalar(wire::Any& of, wire::Scalar::Type type) {
  of.set_type(wire::Any::SCALAR);
  of.mutable_scalar()->set_type(type);
  return *of.mutable_scalar();
}

void set_truth(wire::Any& of) {
  scalar(of, wire::Scalar::TRUTH).set_truth_value(true);
}

wire::Any& add_field(wire::Object& to, const char* name) {
  wire::Object::Field& made = *to.add_fields();
  made.set_key(name);
  return *made.mutable_value();
}

// The level is the server's: at its default of 3 a window has 2 MB, and each session keeps one.
wire::CapabilitiesSet compression_wanted() {
  wire::CapabilitiesSet out;
  wire::Capability& compression = *out.mutable_capabilities()->add_capabilities();
  compression.set_name("compression");
  compression.mutable_value()->set_type(wire::Any::OBJECT);
  wire::Object& fields = *compression.mutable_value()->mutable_object();
  scalar(add_field(fields, "algorithm"), wire::Scalar::TEXT)
      .mutable_text_value()
      ->set_value(kZstdStream.data(), kZstdStream.size());
  scalar(add_field(fields, "level"), wire::Scalar::SIGNED).set_signed_value(kCompressionLevel);
  // Else every row is packed as a message of its own, with a head for each.
  set_truth(add_field(fields, "server_combine_mixed_messages"));
  return out;
}

// One connection until it is logged in. A coroutine of it runs only while the object and the options live.
class opening {
 public:
  opening(net::request_context& context, const session_options& options, net::steady_time until)
      : context_(&context), options_(&options), until_(until), link_(std::make_shared<link>(context.on())) {}

  [[nodiscard]] net::task<net::result<void>> connect(const std::vector<std::string>& addresses);
  [[nodiscard]] net::task<net::result<void>> encrypt(std::shared_ptr<const net::tls_client_context> rules);
  [[nodiscard]] net::task<net::result<void>> agree_on_compression();
  [[nodiscard]] net::task<net::result<void>> log_in_plain();
  [[nodiscard]] net::task<net::result<void>> log_in_challenge();

  [[nodiscard]] const std::string& address() const noexcept { return address_; }
  [[nodiscard]] bool secret() const noexcept { return link_->local() || link_->encrypted(); }
  [[nodiscard]] opened_link take() {
    link_->input().consume(std::exchange(held_bytes_, 0));
    return {std::move(link_), server_, compressed_};
  }
  ~opening() {
    if (link_ != nullptr) link_->close();
  }
  opening(const opening&) = delete;
  opening& operator=(const opening&) = delete;

 private:
  [[nodiscard]] net::task<net::result<frame>> next();
  template <class Message>
  [[nodiscard]] net::result<void> send(client_message type, const Message& body) {
    return append_frame(link_->output(), type, body, kGreetingBytesMax);
  }
  [[nodiscard]] error refusal(const frame& said) const;

  net::request_context* context_;
  const session_options* options_;
  net::steady_time until_;
  std::shared_ptr<link> link_;
  std::string address_;
  std::size_t held_bytes_ = 0;
  server_notes server_;
  bool compressed_ = false;
};

net::task<net::result<void>> opening::connect(const std::vector<std::string>& addresses) {
  if (!options_->socket_path.empty())
    co_return co_await link_->connect_unix(*context_, options_->socket_path, until_);
  net::result<void> tried = error(errc::down, "MySQL's host name has no address");
  for (std::size_t i = 0; i < addresses.size(); ++i) {
    address_ = addresses[i];
    link_ = std::make_shared<link>(context_->on());
    // One that is silent must leave time for those after it.
    const net::steady_time now = std::chrono::steady_clock::now();
    const net::steady_time share = now + (until_ - now) / static_cast<int>(addresses.size() - i);
    tried = co_await link_->connect_tcp(*context_, address_, options_->port, share);
    const bool silent = !tried && tried.error().code == errc::timed_out;
    if (tried.has_value() || (tried.error().code != errc::down && !silent)) break;
  }
  co_return tried;
}

// The next message that is no notice. Its body is valid until the next call.
net::task<net::result<frame>> opening::next() {
  link_->input().consume(std::exchange(held_bytes_, 0));
  for (;;) {
    frame got;
    const frame_state state = read_frame(link_->input().view(), kGreetingBytesMax, got);
    if (state == frame_state::whole) {
      if (got.type != server_message::notice) {
        held_bytes_ = got.bytes();
        co_return got;
      }
      statement_notes nobodys;
      const net::result<void> read = read_notice(got.body, nobodys, server_);
      if (read.has_error()) co_return read.error();
      link_->input().consume(got.bytes());
      continue;
    }
    if (state != frame_state::incomplete) co_return frame_error(state);
    if (link_->failure()) co_return *link_->failure();
    link_->read_more();
    const net::result<void> woken = co_await link_->wait(*context_, until_);
    if (woken.has_error()) {
      if (woken.error().code == errc::timed_out && !context_->expired())
        co_return error(errc::down, "MySQL does not answer in time while a session is opened");
      co_return woken.error();
    }
  }
}

error opening::refusal(const frame& said) const {
  bool fatal = false;
  if (said.type != server_message::error) return {errc::corrupt, "MySQL's answer to a login makes no sense"};
  return read_server_error(said.body, fatal);
}

net::task<net::result<void>> opening::encrypt(std::shared_ptr<const net::tls_client_context> rules) {
  wire::CapabilitiesSet wanted;
  wire::Capability& tls = *wanted.mutable_capabilities()->add_capabilities();
  tls.set_name("tls");
  set_truth(*tls.mutable_value());
  const net::result<void> sent = send(client_message::capabilities_set, wanted);
  if (sent.has_error()) co_return sent;
  const net::result<frame> said = co_await next();
  if (said.has_error()) co_return said.error();
  if (said->type == server_message::error) {
    const error why = refusal(*said);
    if (server_code(why) != code::kCapabilityFailed) co_return why;
    co_return error(errc::unsupported, "TLS is required and this MySQL server has none", why.detail);
  }
  if (said->type != server_message::ok) co_return error(errc::corrupt, "MySQL does not speak of TLS");
  link_->input().consume(std::exchange(held_bytes_, 0));
  co_return co_await link_->start_tls(*context_, std::move(rules), options_->host, until_);
}

net::task<net::result<void>> opening::agree_on_compression() {
  if (options_->compression == compression_mode::disabled) co_return net::result<void>();
  const wire::CapabilitiesSet wanted = compression_wanted();
  const net::result<void> sent = send(client_message::capabilities_set, wanted);
  if (sent.has_error()) co_return sent;
  const net::result<frame> said = co_await next();
  if (said.has_error()) co_return said.error();
  if (said->type == server_message::ok) {
    compressed_ = true;
    co_return net::result<void>();
  }
  bool fatal = false;
  if (said->type != server_message::error)
    co_return error(errc::corrupt, "MySQL does not speak of compression");
  const error why = read_server_error(said->body, fatal);
  // The X Plugin's own numbers; which one depends on whether it knows compression at all.
  const bool refused = server_code(why) / 1000 == 5 && !fatal;
  if (!refused) co_return why;
  if (options_->compression == compression_mode::preferred) co_return net::result<void>();
  co_return error(errc::unsupported,
                  "compression is required and this MySQL server does not offer zstd_stream", why.detail);
}

net::task<net::result<void>> opening::log_in_plain() {
  wire::AuthenticateStart start;
  start.set_mechanism(std::string(kPlain));
  start.set_auth_data(plain_proof(options_->schema, options_->user, options_->password));
  const net::result<void> sent = send(client_message::authenticate_start, start);
  if (sent.has_error()) co_return sent;
  const net::result<frame> said = co_await next();
  if (said.has_error()) co_return said.error();
  if (said->type != server_message::authenticate_ok) co_return refusal(*said);
  co_return net::result<void>();
}

net::task<net::result<void>> opening::log_in_challenge() {
  wire::AuthenticateStart start;
  start.set_mechanism(std::string(kSha256Memory));
  net::result<void> sent = send(client_message::authenticate_start, start);
  if (sent.has_error()) co_return sent;
  net::result<frame> said = co_await next();
  if (said.has_error()) co_return said.error();
  if (said->type != server_message::authenticate_continue) co_return refusal(*said);
  wire::AuthenticateContinue challenge;
  const net::result<void> parsed = parse_body(said->body, challenge);
  if (parsed.has_error()) co_return parsed;
  wire::AuthenticateContinue proof;
  proof.set_auth_data(
      sha256_memory_proof(options_->schema, options_->user, options_->password, challenge.auth_data()));
  sent = send(client_message::authenticate_continue, proof);
  if (sent.has_error()) co_return sent;
  said = co_await next();
  if (said.has_error()) co_return said.error();
  if (said->type != server_message::authenticate_ok) co_return refusal(*said);
  co_return net::result<void>();
}

// Logs in once by PLAIN over TLS, so that the server has the account in its cache.
net::task<net::result<void>> first_login(net::request_context& context, const session_options& options,
                                         const std::vector<std::string>& addresses, net::steady_time until) {
  net::tls_settings rules = options.tls;
  rules.mode = rules.ca_file.empty() ? net::tls_mode::required : net::tls_mode::verify_ca;
  net::result<std::shared_ptr<const net::tls_client_context>> made = net::tls_client_context::load(rules);
  if (made.has_error()) co_return made.error();
  opening detour(context, options, until);
  net::result<void> done = co_await detour.connect(addresses);
  if (done.has_error()) co_return done;
  if (rules.ca_file.empty() && !options.first_login_unverified && !loopback(detour.address()))
    co_return error(errc::down, "the first login would show the password to a server nobody vouches for",
                    "set a ca_file");
  done = co_await detour.encrypt(std::move(*made));
  if (done.has_error()) co_return done;
  co_return co_await detour.log_in_plain();
}

// Null: without TLS.
net::result<std::shared_ptr<const net::tls_client_context>> rules_of(const session_options& options) {
  if (!options.socket_path.empty() || options.tls.mode == net::tls_mode::disabled)
    return std::shared_ptr<const net::tls_client_context>();
  if (options.tls_context != nullptr) return options.tls_context;
  return net::tls_client_context::load(options.tls);
}

// The caller keeps what is referred to until this has ended.
net::task<net::result<void>> log_in(opening& attempt, const session_options& options,
                                    std::shared_ptr<const net::tls_client_context> rules) {
  if (rules != nullptr) {
    net::result<void> encrypted = co_await attempt.encrypt(std::move(rules));
    if (encrypted.has_error()) co_return encrypted;
  }
  const net::result<void> agreed = co_await attempt.agree_on_compression();
  if (agreed.has_error()) co_return agreed;
  if (attempt.secret() && options.login != authentication::sha256_memory)
    co_return co_await attempt.log_in_plain();
  net::result<void> done = co_await attempt.log_in_challenge();
  const bool refused = done.has_error() && server_code(done.error()) == code::kAccessDenied;
  // The same connection takes another try (three in all), and nobody can listen here.
  if (refused && attempt.secret()) co_return co_await attempt.log_in_plain();
  co_return done;
}

error with_hint(error why) {
  if (server_code(why) == code::kAccessDenied)
    why.detail +=
        " (or the account has not logged in since the server started: without TLS that needs one login over "
        "TLS or the unix socket first)";
  return why;
}

}  // namespace

net::result<void> check_options(const session_options& options) {
  const bool secret = !options.socket_path.empty() || options.tls.mode != net::tls_mode::disabled;
  if (options.login == authentication::mysql41)
    return error(
        errc::unsupported, "MYSQL41 is not supported",
        "it needs mysql_native_password accounts, which MySQL has dropped; use PLAIN or SHA256_MEMORY");
  if (options.login == authentication::plain && !secret)
    return error(errc::invalid, "PLAIN would show the password to whoever listens",
                 "use TLS, the unix socket or SHA256_MEMORY");
  return {};
}

net::task<net::result<opened_link>> open_link(net::request_context& context, const session_options& options) {
  const net::result<void> sane = check_options(options);
  if (sane.has_error()) co_return sane.error();
  const net::steady_time until =
      std::chrono::steady_clock::now() + std::chrono::milliseconds(options.connect_timeout_ms);
  std::vector<std::string> addresses;
  if (options.socket_path.empty()) {
    net::result<std::vector<std::string>> found = co_await resolve(context, options.host, options.resolver);
    if (found.has_error()) co_return found.error();
    addresses = std::move(*found);
  }
  const net::result<std::shared_ptr<const net::tls_client_context>> rules = rules_of(options);
  if (rules.has_error()) co_return rules.error();
  for (bool again = false;; again = true) {
    opening attempt(context, options, until);
    net::result<void> done = co_await attempt.connect(addresses);
    if (done.has_error()) co_return done.error();
    done = co_await log_in(attempt, options, *rules);
    if (done.has_value()) co_return attempt.take();
    if (attempt.secret() || again || server_code(done.error()) != code::kAccessDenied) co_return done.error();
    const net::result<void> known = co_await first_login(context, options, addresses, until);
    if (known.has_error()) {
      // A wrong password is a wrong password; anything else only means that the detour is not there.
      if (server_code(known.error()) == code::kAccessDenied) co_return known.error();
      error hinted = with_hint(done.error());
      co_return hinted;
    }
  }
}

}  // namespace syncline::storage::mysql
