#include "server/command/tls_channel.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace syncline::server::command {

net::result<std::unique_ptr<tls_channel>> tls_channel::open(const std::string& host,
                                                            const std::string& ca_file, sender out,
                                                            reader in) {
  net::tls_settings settings;
  settings.mode = net::tls_mode::verify_identity;
  settings.ca_file = ca_file;
  const auto rules = net::tls_client_context::load(settings);
  if (!rules) return rules.error();
  std::unique_ptr<tls_channel> made(new tls_channel(**rules, host, std::move(out), std::move(in)));
  if (const auto shaken = made->shake_hands(); !shaken) return shaken.error();
  return made;
}

net::result<void> tls_channel::shake_hands() {
  for (;;) {
    const net::result<bool> done = tls_.handshake(records_);
    net::result<void> sent = send_records();  // of a failure too: the peer is told why
    if (!done) return done.error();
    if (!sent) return sent;
    if (*done) break;
    const net::result<std::size_t> got = in_(raw_.data(), raw_.size());
    if (!got) return got.error();
    if (*got == 0)
      return net::error(net::errc::down, "the server ended the connection early", "in TLS's handshake");
    tls_.received({raw_.data(), *got});
  }
  decrypt();  // what came with the last bytes of the handshake
  return {};
}

net::result<void> tls_channel::send(std::string_view plain) {
  constexpr std::size_t kPieceBytes = 16 * 1024;
  while (!plain.empty()) {
    {
      const std::lock_guard use(state_);
      if (auto made = tls_.encrypt(plain.substr(0, kPieceBytes), records_); !made) return made;
    }
    plain.remove_prefix(std::min(plain.size(), kPieceBytes));
    if (auto sent = send_records(); !sent) return sent;
  }
  return {};
}

net::result<void> tls_channel::send_records() {
  net::byte_buffer taken;
  {
    const std::lock_guard use(state_);
    taken.swap(records_);
  }
  return taken.empty() ? net::result<void>() : out_(taken.view());
}

// One read of the socket. What decrypt() made before it failed is given out first.
void tls_channel::receive() {
  const net::result<std::size_t> got = in_(raw_.data(), raw_.size());
  if (!got) {
    failed_ = got.error();
  } else if (*got == 0) {
    failed_ = net::error(net::errc::down, "the server ended the connection early", "without TLS's goodbye");
  } else {
    const std::lock_guard use(state_);
    tls_.received({raw_.data(), *got});
    decrypt();
  }
}

// An answer to a key update stays in records_ until the next send(), as RFC 8446, 4.6.3, allows.
void tls_channel::decrypt() {
  const net::result<bool> more = tls_.decrypt(plain_, records_);
  if (!more) failed_ = more.error();
  ended_ = more && !*more;
}

net::result<std::size_t> tls_channel::read(char* to, std::size_t room) {
  while (plain_.empty() && !ended_) {
    if (failed_) return *failed_;
    receive();
  }
  const std::size_t given = std::min(room, plain_.size());
  if (given != 0) std::memcpy(to, plain_.data(), given);
  plain_.consume(given);
  return given;
}

}  // namespace syncline::server::command
