// A TCP proxy in front of a server that delays, holds back, cuts and resets what is said.
//
// One thread, told by atomics; everything forwarded in order. Faults count the bytes of one side.
#pragma once

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <deque>
#include <list>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace syncline::storage::mysql::testing {

class faulty_proxy {
 public:
  faulty_proxy(std::string host, std::uint16_t port) : host_(std::move(host)), server_port_(port) {
    listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in here = address("127.0.0.1", 0);
    socklen_t size = sizeof here;
    if (::bind(listener_, reinterpret_cast<sockaddr*>(&here), size) != 0 || ::listen(listener_, 64) != 0 ||
        ::getsockname(listener_, reinterpret_cast<sockaddr*>(&here), &size) != 0)
      throw std::runtime_error("the proxy cannot listen");
    port_ = ntohs(here.sin_port);
    thread_ = std::thread([this] { loop(); });
  }
  ~faulty_proxy() {
    stop_ = true;
    thread_.join();
    for (pair& each : pairs_) close_pair(each, false);
    ::close(listener_);
  }
  faulty_proxy(const faulty_proxy&) = delete;
  faulty_proxy& operator=(const faulty_proxy&) = delete;

  [[nodiscard]] std::uint16_t port() const { return port_; }
  enum class end { hold, close, reset };
  enum class side { server, client };
  // Lets `bytes` more of what `of` says through, then does `how` to every connection.
  void after(long bytes, end how, side of = side::server) {
    how_ = how;
    counted_ = of;
    held_ = false;
    budget_ = bytes;
  }
  // Everything is let through again; what was held comes now.
  void restore() { budget_ = kUnlimited; }
  void delay(int ms) { delay_ms_ = ms; }
  // New connections go to another server; those that are open stay where they are.
  void lead_new_to(std::uint16_t port) { server_port_ = port; }
  void delay_connects(int ms) { connect_ms_ = ms; }            // what a new client says arrives so much later
  [[nodiscard]] bool struck() const { return held_; }          // the fault has happened
  [[nodiscard]] long forwarded() const { return forwarded_; }  // bytes from the server so far
  [[nodiscard]] long sent() const { return sent_; }            // bytes to the server so far
  [[nodiscard]] int accepted() const { return accepted_; }

 private:
  static constexpr long kUnlimited = 1L << 60;
  using clock = std::chrono::steady_clock;
  struct chunk {
    clock::time_point due;
    std::string bytes;
  };
  struct pair {
    int client = -1, server = -1;
    std::deque<chunk> to_client, to_server;
    clock::time_point open_at;  // nothing is passed on before
    bool dead = false;
    bool server_done = false;
  };

  static sockaddr_in address(const std::string& host, std::uint16_t port) {
    sockaddr_in out{};
    out.sin_family = AF_INET;
    out.sin_port = htons(port);
    ::inet_pton(AF_INET, host.c_str(), &out.sin_addr);
    return out;
  }
  static void close_pair(pair& of, bool reset) {
    if (reset) {
      const linger hard{1, 0};
      ::setsockopt(of.client, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
    }
    ::close(of.client);
    ::close(of.server);
    of.dead = true;
  }

  void accept_one() {
    const int client = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (client < 0) return;
    ++accepted_;
    const int server = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const sockaddr_in there = address(host_, server_port_);
    if (::connect(server, reinterpret_cast<const sockaddr*>(&there), sizeof there) != 0) {
      ::close(client);
      ::close(server);
      return;
    }
    const int on = 1;
    for (const int each : {client, server}) {
      ::setsockopt(each, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
      ::fcntl(each, F_SETFL, O_NONBLOCK);
    }
    pair& made = pairs_.emplace_back();
    made.client = client;
    made.server = server;
    made.open_at = clock::now() + std::chrono::milliseconds(connect_ms_);
  }

  // False at the end of input.
  bool take(int from, std::deque<chunk>& into, clock::time_point earliest) {
    std::array<char, 65536> buffer;
    for (;;) {
      const ssize_t n = ::recv(from, buffer.data(), buffer.size(), 0);
      if (n < 0) return errno == EAGAIN;
      if (n == 0) return false;
      into.push_back({std::max(clock::now() + std::chrono::milliseconds(delay_ms_), earliest),
                      std::string(buffer.data(), static_cast<std::size_t>(n))});
      if (into.size() > 64) return true;  // the rest when these are gone
    }
  }

  // False when the connection is broken.
  bool give(int to, std::deque<chunk>& from, side of) {
    std::atomic<long>& passed = of == side::server ? forwarded_ : sent_;
    while (!from.empty() && from.front().due <= clock::now()) {
      std::string& bytes = from.front().bytes;
      const bool counted = of == counted_;
      const long allowed = counted ? budget_.load() : kUnlimited;
      if (allowed <= 0) return true;
      const std::size_t size = std::min(bytes.size(), static_cast<std::size_t>(allowed));
      // Counted before it is sent: who has the bytes finds them counted.
      passed += static_cast<long>(size);
      const ssize_t n = ::send(to, bytes.data(), size, MSG_NOSIGNAL);
      passed -= static_cast<long>(size) - (n < 0 ? 0 : n);
      if (n < 0) return errno == EAGAIN;
      if (counted) {
        // restore() may come in between: only what is still counted is taken off.
        long before = budget_;
        while (before < kUnlimited / 2 && !budget_.compare_exchange_weak(before, before - n)) {
        }
      }
      bytes.erase(0, static_cast<std::size_t>(n));
      if (bytes.empty()) from.pop_front();
    }
    return true;
  }

  void serve(pair& of) {
    if (of.to_server.size() < 64 && !take(of.client, of.to_server, of.open_at)) {
      close_pair(of, false);
      return;
    }
    if (!of.server_done && of.to_client.size() < 64 && !take(of.server, of.to_client, of.open_at))
      of.server_done = true;
    if (!give(of.server, of.to_server, side::client) || !give(of.client, of.to_client, side::server) ||
        (of.server_done && of.to_client.empty())) {
      close_pair(of, false);
      return;
    }
    if (budget_ <= 0) {
      if (how_ != end::hold) close_pair(of, how_ == end::reset);
      held_ = true;
    }
  }

  void loop() {
    while (!stop_) {
      std::vector<pollfd> wanted = {{listener_, POLLIN, 0}};
      bool queued = false;
      for (const pair& each : pairs_) {
        wanted.push_back({each.client, POLLIN, 0});
        if (!each.server_done) wanted.push_back({each.server, POLLIN, 0});
        queued = queued || !each.to_client.empty() || !each.to_server.empty();
      }
      ::poll(wanted.data(), wanted.size(), queued ? 1 : 10);
      if ((wanted[0].revents & POLLIN) != 0) accept_one();
      for (pair& each : pairs_) serve(each);
      pairs_.remove_if([](const pair& each) { return each.dead; });
    }
  }

  std::string host_;
  std::atomic<std::uint16_t> server_port_;
  std::uint16_t port_ = 0;
  int listener_ = -1;
  std::atomic<bool> stop_{false}, held_{false};
  std::atomic<long> budget_{kUnlimited}, forwarded_{0}, sent_{0};
  std::atomic<end> how_{end::hold};
  std::atomic<side> counted_{side::server};
  std::atomic<int> delay_ms_{0}, connect_ms_{0}, accepted_{0};
  std::list<pair> pairs_;
  std::thread thread_;
};

}  // namespace syncline::storage::mysql::testing
