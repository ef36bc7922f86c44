// The least server that answers 500 bytes, waiting with epoll or with io_uring: what io_uring could save us.
//
//   g++ -O2 -std=c++20 perf/bench/io_uring_server.cpp -luring -o io_uring_server        (Debian:
//   liburing-dev) taskset -c 0 ./io_uring_server epoll|uring|uring-sqpoll PORT then wrk, as in http_peers.py
//
// All forms answer each "\r\n\r\n" with the same bytes and send one answer for all requests of a read;
// nothing is parsed. epoll: edge-triggered, recv, send, as the server does it. uring: one multishot accept, a
// multishot recv per connection into provided buffers, sends submitted with the wait of the next turn. Not
// part of the build: the program does not need liburing. Thread: one. Bound: 4,096 connections; an error ends
// the program or closes the connection.
#include <liburing.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

namespace {

constexpr std::size_t kBufferBytes = 16 * 1024;
constexpr unsigned kBuffers = 256;  // a power of two
constexpr unsigned kConnectionsMax = 4096;

std::string make_answer() {
  return "HTTP/1.1 200 OK\r\nServer: bench\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\nX-Request-Id: "
         "0123456789abc\r\n"
         "Content-Type: application/json\r\nContent-Length: 500\r\nETag: \"0123456789abcdef\"\r\n\r\n" +
         std::string(500, 'x');
}
const std::string kAnswer = make_answer();

// Requests whose end is in `bytes`; `state` is how much of "\r\n\r\n" the bytes before it were.
std::size_t count_requests(std::string_view bytes, unsigned& state) {
  std::size_t n = 0;
  if (state == 0) {
    std::size_t at = 0;
    while ((at = bytes.find("\r\n\r\n", at)) != std::string_view::npos) {
      ++n;
      at += 4;
      if (at == bytes.size()) return n;
    }
    bytes = bytes.substr(bytes.size() < 3 ? 0 : bytes.size() - 3);
  }
  for (const char c : bytes) {
    const char wanted = state % 2 == 0 ? '\r' : '\n';
    state = c == wanted ? state + 1 : (c == '\r' ? 1 : 0);
    if (state == 4) {
      ++n;
      state = 0;
    }
  }
  return n;
}

int listen_on(int port) {
  const int s = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  const int on = 1;
  setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);  // inherited
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_port = htons(static_cast<unsigned short>(port));
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (bind(s, reinterpret_cast<sockaddr*>(&at), sizeof at) != 0 || listen(s, 4096) != 0) {
    std::perror("listen");
    std::exit(1);
  }
  return s;
}

std::array<unsigned, kConnectionsMax> state_of{};

[[noreturn]] void serve_epoll(int listening) {
  const int set = epoll_create1(0);
  epoll_event wanted{};
  wanted.events = EPOLLIN;
  wanted.data.fd = listening;
  epoll_ctl(set, EPOLL_CTL_ADD, listening, &wanted);
  static std::array<char, kBufferBytes> in;
  std::string out;
  std::array<epoll_event, 256> events;
  for (;;) {
    const int n = epoll_wait(set, events.data(), static_cast<int>(events.size()), -1);
    for (int i = 0; i < n; ++i) {
      const int fd = events[static_cast<std::size_t>(i)].data.fd;
      if (fd == listening) {
        int one = -1;
        while ((one = accept4(listening, nullptr, nullptr, SOCK_NONBLOCK)) >= 0) {
          wanted.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | static_cast<unsigned>(EPOLLET);
          wanted.data.fd = one;
          state_of[static_cast<std::size_t>(one) % kConnectionsMax] = 0;
          epoll_ctl(set, EPOLL_CTL_ADD, one, &wanted);
        }
        continue;
      }
      if ((events[static_cast<std::size_t>(i)].events & EPOLLIN) == 0) continue;
      const ssize_t got = recv(fd, in.data(), in.size(), 0);
      if (got <= 0) {
        if (got == 0 || errno != EAGAIN) close(fd);
        continue;
      }
      std::size_t requests = count_requests({in.data(), static_cast<std::size_t>(got)},
                                            state_of[static_cast<std::size_t>(fd) % kConnectionsMax]);
      if (requests == 0) continue;
      out.clear();
      for (; requests > 0; --requests) out += kAnswer;
      if (send(fd, out.data(), out.size(), MSG_NOSIGNAL) < 0) close(fd);
    }
  }
}

struct uring_connection {
  std::string sending, next;  // one send at a time
  bool open = false;
};

enum : std::uint64_t { kAccept = 1, kRecv = 2, kSend = 3 };
std::uint64_t tag(std::uint64_t what, int fd) {
  return what << 32U | static_cast<unsigned>(fd);
}

class uring_server {
 public:
  uring_server(int listening, bool sqpoll) : listening_(listening), connections_(kConnectionsMax) {
    io_uring_params how{};
    how.flags = IORING_SETUP_CQSIZE | (sqpoll ? IORING_SETUP_SQPOLL | IORING_SETUP_SINGLE_ISSUER
                                              : IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN);
    how.cq_entries = 16384;
    how.sq_thread_idle = 50;
    check(io_uring_queue_init_params(4096, &ring_, &how), "io_uring_setup");
    io_uring_buf_reg reg{};
    if (posix_memalign(reinterpret_cast<void**>(&pool_), 4096, kBuffers * sizeof(io_uring_buf)) != 0)
      std::exit(1);
    reg.ring_addr = reinterpret_cast<std::uint64_t>(pool_);
    reg.ring_entries = kBuffers;
    check(io_uring_register_buf_ring(&ring_, &reg, 0), "register_buf_ring");
    io_uring_buf_ring_init(pool_);
    bytes_.resize(kBuffers * kBufferBytes);
    for (unsigned i = 0; i < kBuffers; ++i) give(i, i);
    io_uring_buf_ring_advance(pool_, kBuffers);
  }

  [[noreturn]] void serve() {
    accept();
    for (;;) {
      io_uring_submit_and_wait(&ring_, 1);
      unsigned head = 0, seen = 0;
      io_uring_cqe* done = nullptr;
      io_uring_for_each_cqe(&ring_, head, done) {
        ++seen;
        handle(*done);
      }
      io_uring_cq_advance(&ring_, seen);
    }
  }

 private:
  static void check(int result, const char* what) {
    if (result >= 0) return;
    std::fprintf(stderr, "%s: %s\n", what, std::strerror(-result));
    std::exit(1);
  }
  void give(unsigned id, unsigned offset) {
    io_uring_buf_ring_add(pool_, bytes_.data() + id * kBufferBytes, kBufferBytes,
                          static_cast<unsigned short>(id), io_uring_buf_ring_mask(kBuffers),
                          static_cast<int>(offset));
  }
  io_uring_sqe& entry() {
    io_uring_sqe* e = io_uring_get_sqe(&ring_);
    while (e == nullptr) {
      io_uring_submit(&ring_);
      e = io_uring_get_sqe(&ring_);
    }
    return *e;
  }
  void accept() {
    io_uring_sqe& e = entry();
    io_uring_prep_multishot_accept(&e, listening_, nullptr, nullptr, 0);
    e.user_data = tag(kAccept, listening_);
  }
  void receive(int fd) {
    io_uring_sqe& e = entry();
    io_uring_prep_recv_multishot(&e, fd, nullptr, 0, 0);
    e.flags |= IOSQE_BUFFER_SELECT;
    e.buf_group = 0;
    e.user_data = tag(kRecv, fd);
  }
  void send(int fd, uring_connection& c) {
    io_uring_sqe& e = entry();
    io_uring_prep_send(&e, fd, c.sending.data(), c.sending.size(), MSG_NOSIGNAL | MSG_WAITALL);
    e.user_data = tag(kSend, fd);
  }
  void handle(const io_uring_cqe& done) {
    const int fd = static_cast<int>(done.user_data & 0xffffffffU);
    switch (done.user_data >> 32U) {
      case kAccept:
        if (done.res >= 0) {
          connections_[static_cast<std::size_t>(done.res)] = {.sending = {}, .next = {}, .open = true};
          state_of[static_cast<std::size_t>(done.res)] = 0;
          receive(done.res);
        }
        if ((done.flags & IORING_CQE_F_MORE) == 0) accept();
        return;
      case kRecv:
        return received(fd, done);
      default:
        return sent(fd);
    }
  }
  void received(int fd, const io_uring_cqe& done) {
    uring_connection& c = connections_[static_cast<std::size_t>(fd)];
    if ((done.flags & IORING_CQE_F_BUFFER) != 0) {
      const unsigned id = done.flags >> IORING_CQE_BUFFER_SHIFT;
      if (done.res > 0) {
        std::size_t n =
            count_requests({bytes_.data() + id * kBufferBytes, static_cast<std::size_t>(done.res)},
                           state_of[static_cast<std::size_t>(fd)]);
        const bool idle = c.sending.empty();
        for (; n > 0; --n) (idle ? c.sending : c.next) += kAnswer;
        if (idle && !c.sending.empty()) send(fd, c);
      }
      give(id, 0);
      io_uring_buf_ring_advance(pool_, 1);
    }
    if (done.res == 0 || (done.res < 0 && done.res != -ENOBUFS)) {
      if (c.open) close(fd);
      c.open = false;
    } else if ((done.flags & IORING_CQE_F_MORE) == 0) {
      receive(fd);
    }
  }
  void sent(int fd) {
    uring_connection& c = connections_[static_cast<std::size_t>(fd)];
    c.sending.clear();
    c.sending.swap(c.next);
    if (!c.sending.empty() && c.open) send(fd, c);
  }

  int listening_;
  io_uring ring_{};
  io_uring_buf_ring* pool_ = nullptr;
  std::string bytes_;
  std::vector<uring_connection> connections_;
};

}  // namespace

int main(int count, char** arguments) {
  if (count != 3) {
    std::fprintf(stderr, "usage: io_uring_server epoll|uring|uring-sqpoll PORT\n");
    return 2;
  }
  const std::string_view how = arguments[1];
  const int listening = listen_on(std::atoi(arguments[2]));
  if (how == "epoll") serve_epoll(listening);
  uring_server(listening, how == "uring-sqpoll").serve();
}
