// A server that is no MySQL: it says the same to everybody as soon as they said something, then closes.
//
// One thread; what it says may be whole conversations, since a client reads its answers one after the other.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdint>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>

namespace syncline::storage::mysql::testing {

class parrot {
 public:
  explicit parrot(std::string text) : text_(std::move(text)) {
    listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in here{};
    here.sin_family = AF_INET;
    here.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof here;
    if (::bind(listener_, reinterpret_cast<sockaddr*>(&here), size) != 0 || ::listen(listener_, 16) != 0 ||
        ::getsockname(listener_, reinterpret_cast<sockaddr*>(&here), &size) != 0)
      throw std::runtime_error("the parrot cannot listen");
    port = ntohs(here.sin_port);
    thread_ = std::thread([this] { loop(); });
  }
  ~parrot() {
    ::shutdown(listener_, SHUT_RDWR);
    thread_.join();
    ::close(listener_);
  }
  parrot(const parrot&) = delete;
  parrot& operator=(const parrot&) = delete;
  std::uint16_t port = 0;

 private:
  void loop() {
    for (;;) {
      const int peer = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
      if (peer < 0) return;
      char some[4096];
      static_cast<void>(::recv(peer, some, sizeof some, 0));
      static_cast<void>(::send(peer, text_.data(), text_.size(), MSG_NOSIGNAL));
      ::shutdown(peer, SHUT_WR);
      while (::recv(peer, some, sizeof some, 0) > 0) {
      }
      ::close(peer);
    }
  }
  std::string text_;
  int listener_ = -1;
  std::thread thread_;
};

}  // namespace syncline::storage::mysql::testing
