// An echo server on net/ alone, for suites, fuzzers and load generators of others.
//
//     echo_server [--port N] [--cores N] [--deflate] [--takeover] [--tls CERTIFICATE KEY]
//
// Prints "port N" and serves until SIGINT or SIGTERM. `GET /` answers 200 and "hello"; a request with a body,
// of any method, is answered with that body as it comes; a WebSocket on any path echoes messages of up to 16
// MiB, and on "/broadcast" each message goes to all sockets of that path on the same core.
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "net/core/core.h"
#include "net/http/server.h"
#include "net/websocket/upgrade.h"

namespace {

using namespace syncline::net;

struct arguments {
  std::uint16_t port = 0;
  unsigned cores = 1;
  bool deflate = false;
  bool takeover = false;
  tls_options tls;
};

[[noreturn]] void usage() {
  std::fputs("echo_server [--port N] [--cores N] [--deflate] [--takeover] [--tls CERTIFICATE KEY]\n", stderr);
  std::exit(2);
}

arguments read_arguments(int count, char** texts) {
  arguments out;
  for (int i = 1; i < count; ++i) {
    const std::string_view name = texts[i];
    const auto value = [&] { return ++i < count ? texts[i] : (usage(), nullptr); };
    if (name == "--port") {
      out.port = static_cast<std::uint16_t>(std::atoi(value()));
    } else if (name == "--cores") {
      out.cores = static_cast<unsigned>(std::atoi(value()));
    } else if (name == "--deflate") {
      out.deflate = true;
    } else if (name == "--takeover") {
      out.deflate = out.takeover = true;
    } else if (name == "--tls") {
      out.tls.certificate_file = value();
      out.tls.key_file = value();
    } else {
      usage();
    }
  }
  return out;
}

class echo final : public websocket::session_handler {
  void on_message(websocket::session& s, websocket::opcode op, std::string_view bytes) override {
    if (s.send(op, bytes).has_error())
      s.close(websocket::close_code::try_again_later, "you do not read what you are sent");
  }
  void on_closed(websocket::close_code, std::string_view) override {}
};

// The sockets of "/broadcast" on this core.
thread_local std::vector<websocket::session*> audience;

class broadcaster final : public websocket::session_handler {
  void on_open(websocket::session& s) override {
    self_ = &s;
    audience.push_back(&s);
  }
  void on_message(websocket::session&, websocket::opcode op, std::string_view bytes) override {
    const websocket::broadcast_message message(op, bytes);
    for (websocket::session* each : audience) {
      if (each->is_open() && each->send(message).has_error())
        each->close(websocket::close_code::policy, "too slow");
    }
  }
  void on_closed(websocket::close_code, std::string_view) override { std::erase(audience, self_); }

  websocket::session* self_ = nullptr;
};

class echo_handler final : public http::handler {
 public:
  explicit echo_handler(websocket::endpoint& sockets) : sockets_(sockets) {}

  http::tried try_answer(http::exchange& x) override {
    x.set_route("echo");
    const http::request_head& head = x.head();
    if (!head.header("upgrade").empty()) {
      open(x);
    } else if (head.has_body()) {
      return http::tried::need_task;
    } else if (head.path == "/" && head.verb == http::method::get) {
      x.answer(http::response_head{200, "text/plain", {}, false}, "hello\n");
    } else {
      x.answer(http::response_head{200, "application/octet-stream", {}, false}, std::string_view());
    }
    return http::tried::answered;
  }

  task<void> answer(http::exchange& x) override {
    x.set_body_limit(1ULL << 40U);
    x.begin(http::response_head{200, "application/octet-stream", {}, false});
    for (;;) {
      const result<std::string_view> piece = co_await x.read_body();
      if (piece.has_error()) co_return;
      if (piece->empty()) break;
      const result<void> written = co_await x.write(*piece);
      if (written.has_error()) co_return;
    }
    x.end();
  }

 private:
  void open(http::exchange& x) {
    std::shared_ptr<websocket::session_handler> made = std::make_shared<echo>();
    if (x.head().path == "/broadcast") made = std::make_shared<broadcaster>();
    const websocket::upgrade_error wrong = websocket::upgrade(x, sockets_, std::move(made));
    if (wrong == websocket::upgrade_error::none) return;
    const websocket::upgrade_error_text& text = describe(wrong);
    x.answer(http::response_head{text.status, "text/plain", text.header_line, false}, text.detail);
  }

  websocket::endpoint& sockets_;
};

}  // namespace

int main(int count, char** texts) {
  const arguments asked = read_arguments(count, texts);
  sigset_t stop;
  sigemptyset(&stop);
  sigaddset(&stop, SIGINT);
  sigaddset(&stop, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &stop, nullptr);

  core_group cores(core_group_options{asked.cores, false});
  websocket::session_options options;
  options.message_bytes_max = 16 << 20;
  options.send_queue_bytes_max = 64 << 20;
  options.metrics_label = "echo";
  options.deflate.enabled = asked.deflate;
  options.deflate.server_no_context_takeover = options.deflate.client_no_context_takeover = !asked.takeover;
  websocket::endpoint sockets(cores, options);
  echo_handler handles(sockets);
  http::server_options listens;
  listens.port = asked.port;
  listens.tls = asked.tls;
  listens.metrics_label = "echo";
  http::server serves(cores, handles, listens);
  cores.start();
  const result<void> started = serves.start();
  if (started.has_error()) {
    std::fprintf(stderr, "%s\n", started.error().text().c_str());
    return 1;
  }
  std::printf("port %u\n", static_cast<unsigned>(serves.port()));
  std::fflush(stdout);
  int signal = 0;
  sigwait(&stop, &signal);
  serves.drain(1000);
  return 0;
}
