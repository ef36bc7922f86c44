// Load for a WebSocket broadcast: N subscribers, one of which publishes, and the server's CPU time per
// million deliveries.
//
//     http_broadcast PORT PID [SUBSCRIBERS] [BURST] [DELIVERIES] [PATH]
//
// The server of process PID must send each message that comes on PATH ("/broadcast") to all sockets of that
// path, the sender too (tests/tools/echo_server does). The next BURST messages, in one write, go out only
// when all subscribers have the last ones, so nothing hides in queues. Messages have 200 bytes; frames are
// counted by their bytes (204 each). Thread: one.
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>
#include <string_view>
#include <vector>

namespace {

constexpr std::size_t kMessageBytes = 200;
constexpr std::size_t kFrameBytes = kMessageBytes + 4;

[[noreturn]] void fail(const char* what) {
  std::perror(what);
  std::exit(1);
}

// User and system time of a process, in seconds: the text after the name's ')' has utime as its 12th word.
double cpu_seconds(const std::string& pid) {
  std::ifstream file("/proc/" + pid + "/stat");
  std::string text;
  std::getline(file, text);
  const std::size_t name_end = text.rfind(')');
  if (name_end == std::string::npos) fail("no such process");
  const char* at = text.c_str() + name_end + 1;
  for (int word = 0; word < 11; ++word) {
    while (*++at != ' ') {
    }
  }
  char* end = nullptr;
  const unsigned long user = std::strtoul(at, &end, 10);
  const unsigned long system = std::strtoul(end, nullptr, 10);
  return static_cast<double>(user + system) / static_cast<double>(::sysconf(_SC_CLK_TCK));
}

int open_websocket(std::uint16_t port, std::string_view path) {
  const int s = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(port);
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::connect(s, reinterpret_cast<const sockaddr*>(&to), sizeof to) != 0) fail("connect");
  const int on = 1;
  ::setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  std::string request = "GET ";
  request.append(path).append(" HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n");
  request.append("Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n");
  if (::send(s, request.data(), request.size(), 0) < 0) fail("send");
  std::string answer;
  char byte = 0;
  while (!answer.ends_with("\r\n\r\n") && ::recv(s, &byte, 1, 0) == 1) answer.push_back(byte);
  if (!answer.starts_with("HTTP/1.1 101")) fail("no 101");
  return s;
}

// Masked with a key of zeros.
std::string frames(std::size_t n) {
  std::string one = {'\x81', '\xFE', '\0', static_cast<char>(kMessageBytes), '\0', '\0', '\0', '\0'};
  one.append(kMessageBytes, 'm');
  std::string out;
  for (std::size_t i = 0; i < n; ++i) out += one;
  return out;
}

}  // namespace

int main(int count, char** texts) {
  if (count < 3) {
    std::fputs("http_broadcast PORT PID [SUBSCRIBERS] [BURST] [DELIVERIES] [PATH]\n", stderr);
    return 2;
  }
  const auto number = [&](int i, std::size_t otherwise) {
    return i < count ? std::strtoul(texts[i], nullptr, 10) : otherwise;
  };
  const auto port = static_cast<std::uint16_t>(number(1, 0));
  const std::string pid = texts[2];
  const std::size_t subscribers = number(3, 1000), burst = number(4, 1), deliveries = number(5, 1'000'000);
  const std::string_view path = count > 6 ? texts[6] : "/broadcast";

  const int set = ::epoll_create1(0);
  std::vector<int> sockets;
  std::vector<std::size_t> missing(subscribers);
  for (std::size_t i = 0; i < subscribers; ++i) {
    sockets.push_back(open_websocket(port, path));
    epoll_event wanted{};
    wanted.events = EPOLLIN;
    wanted.data.u64 = i;
    ::epoll_ctl(set, EPOLL_CTL_ADD, sockets.back(), &wanted);
  }
  const std::string published = frames(burst);
  const std::size_t rounds = std::max<std::size_t>(1, deliveries / (subscribers * burst));
  std::vector<char> buffer(256 * 1024);
  std::array<epoll_event, 512> ready;
  double before = 0;
  std::chrono::steady_clock::time_point began;
  for (std::size_t round = 0; round < rounds + rounds / 10; ++round) {
    if (round == rounds / 10) {  // warm
      before = cpu_seconds(pid);
      began = std::chrono::steady_clock::now();
    }
    if (::send(sockets[0], published.data(), published.size(), 0) < 0) fail("send");
    for (std::size_t& each : missing) each = burst * kFrameBytes;
    std::size_t waiting = subscribers;
    while (waiting != 0) {
      const int n = ::epoll_wait(set, ready.data(), static_cast<int>(ready.size()), 10'000);
      if (n <= 0) fail("no delivery");
      for (int i = 0; i < n; ++i) {
        const std::size_t who = ready[static_cast<std::size_t>(i)].data.u64;
        const ssize_t got = ::recv(sockets[who], buffer.data(), buffer.size(), 0);
        if (got <= 0 || static_cast<std::size_t>(got) > missing[who]) fail("closed, or too much");
        missing[who] -= static_cast<std::size_t>(got);
        if (missing[who] == 0) --waiting;
      }
    }
  }
  const double took = std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
  const double millions = static_cast<double>(rounds * burst * subscribers) / 1e6;
  std::printf("subscribers %zu, burst %zu: %.3f CPU-s per 1M deliveries, %.0f deliveries/s\n", subscribers,
              burst, (cpu_seconds(pid) - before) / millions, millions * 1e6 / took);
  return 0;
}
