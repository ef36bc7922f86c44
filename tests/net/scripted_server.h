// A real server on two cores with a handler whose paths do what the tests need.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>

#include "net/core/core.h"
#include "net/core/event.h"
#include "net/http/server.h"
#include "tests/net/raw_client.h"
#include "tests/net/test_certificate.h"

namespace syncline::net::http::testing {

// Text that packs to a part of its size, and whose pieces differ.
inline std::string some_rows(std::size_t rows) {
  std::string out;
  for (std::size_t i = 0; i < rows; ++i) out += "row " + std::to_string(i * 7919) + ";";
  return out;
}

// Polls until `true_now`, at most kPatience.
inline bool eventually(const std::function<bool()>& true_now) {
  const auto until = std::chrono::steady_clock::now() + kPatience;
  while (!true_now()) {
    if (std::chrono::steady_clock::now() > until) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return true;
}

class scripted_handler : public handler {
 public:
  tried try_answer(exchange& x) noexcept override {
    ++requests;
    const std::string_view path = x.head().path;
    x.set_route("test");
    if (path == "/fast" || path == "/mark") {
      if (path == "/mark") requests_at_mark = requests.load();
      x.answer(response_head{200, "text/plain", {}, false}, "fast");
    } else if (path == "/big") {
      const std::lock_guard lock(changing_big);
      x.answer(response_head{200, "text/plain", {}, false}, big);
    } else if (path == "/no-content") {
      x.answer(response_head{204, {}, {}, false}, std::string_view());
    } else if (path == "/not-modified") {
      x.answer(response_head{304, {}, "ETag: \"1\"\r\n", false}, "ignored");
    } else if (path == "/query") {
      x.answer(response_head{200, "text/plain", {}, false}, x.head().query);
    } else if (path == "/silent") {
      return tried::answered;  // a bug of the handler
    } else {
      return tried::need_task;
    }
    return tried::answered;
  }

  task<void> answer(exchange& x) override {
    const std::string path(x.head().path);
    ++tasks;
    if (path == "/throw") throw std::runtime_error("boom");
    if (path == "/throw-late") {
      x.begin(response_head{200, "text/plain", {}, false});
      static_cast<void>(co_await x.write("some"));
      throw std::runtime_error("boom");
    }
    if (path == "/echo") co_await echo(x);
    if (path == "/sink") co_await sink(x);
    if (path == "/whole") co_await whole(x);
    if (path == "/endless") co_await endless(x);
    if (path == "/watch") co_await watch(x);
    if (path == "/hold") co_await hold(x);
    if (path == "/slow") x.answer(response_head{200, "text/plain", {}, false}, "slow");
    --tasks;
  }

  task<void> echo(exchange& x) {
    x.set_body_limit(1ULL << 40U);
    x.begin(response_head{200, "application/octet-stream", {}, false});
    for (;;) {
      const result<std::string_view> piece = co_await x.read_body();
      if (piece.has_error()) co_return;
      if (piece->empty()) break;
      const result<void> written = co_await x.write(*piece);
      if (written.has_error()) co_return;
    }
    x.end();
  }

  task<void> sink(exchange& x) {
    std::uint64_t total = 0;
    for (;;) {
      const result<std::string_view> piece = co_await x.read_body();
      if (piece.has_error()) {
        last_error = piece.error().code;
        co_return;
      }
      if (piece->empty()) break;
      total += piece->size();
      received = total;
    }
    const std::string text = std::to_string(total);
    x.answer(response_head{200, "text/plain", {}, false}, text);
  }

  task<void> whole(exchange& x) {
    result<std::string> body = co_await x.read_whole_body(1000);
    if (body.has_error()) {
      last_error = body.error().code;
      co_return;
    }
    x.answer(response_head{200, "text/plain", {}, false}, *body);
  }

  // Writes until the peer is gone.
  task<void> endless(exchange& x) {
    x.begin(response_head{200, "text/plain", {}, false});
    const std::string piece(10000, 'e');
    for (;;) {
      const result<void> written = co_await x.write(piece);
      if (written.has_error()) {
        last_error = written.error().code;
        co_return;
      }
      sent += piece.size();
    }
  }

  // Streams one line, then waits for something that never comes.
  task<void> watch(exchange& x) {
    x.begin(response_head{200, "text/plain", {}, false});
    static_cast<void>(co_await x.write("line\n"));
    static_cast<void>(co_await x.flush());
    event never(x.context().on());
    ++waiting;
    const result<void> woken = co_await never.wait(x.context());
    --waiting;
    if (woken.has_error() && woken.error().code == errc::cancelled) ++cancelled;
    static_cast<void>(co_await x.write(x.draining() ? "draining\n" : "gone\n"));
    x.end();
  }

  // Waits until released, then gives a plain answer.
  task<void> hold(exchange& x) {
    ++waiting;
    while (!released) {
      if (x.context().cancelled()) break;
      const auto later = std::chrono::steady_clock::now() + std::chrono::milliseconds(10);
      static_cast<void>(co_await sleep_until(x.context(), later));
    }
    --waiting;
    x.answer(response_head{200, "text/plain", {}, false}, "held");
  }

  // From the test's thread, also while the server answers.
  void replace_big(std::size_t bytes) {
    const std::lock_guard lock(changing_big);
    big = std::make_shared<const std::string>(bytes, 'b');
  }
  shared_bytes big = std::make_shared<const std::string>(1024 * 1024, 'b');
  std::mutex changing_big;
  std::atomic<int> requests{0}, tasks{0}, waiting{0}, cancelled{0};
  std::atomic<int> requests_at_mark{0};  // when "/mark" was asked
  std::atomic<bool> released{false};
  std::atomic<std::uint64_t> received{0}, sent{0};
  std::atomic<errc> last_error{errc::internal};
};

// What a connection runs over. Tests of behaviour that is the same for all are run over each.
enum class form { tcp, unix_socket, tls };

inline server_options quick_options(form over = form::tcp) {
  server_options out;
  out.metrics_label = "test";
  if (over == form::tls) out.tls = net::testing::test_certificate();
  if (over == form::unix_socket) {
    static std::atomic<int> next{0};
    out.address = "unix:" + ::testing::TempDir() + "syncline-form-" + std::to_string(::getpid()) + "-" +
                  std::to_string(next++);
  }
  return out;
}

// A suite whose tests run over each form: TEST_P(suite, Name).
class over_each_form : public ::testing::TestWithParam<form> {
 protected:
  [[nodiscard]] static server_options quick_options() { return testing::quick_options(GetParam()); }
};
inline std::string form_name(const ::testing::TestParamInfo<form>& of) {
  return of.param == form::tcp ? "Tcp" : of.param == form::tls ? "Tls" : "Unix";
}

struct scripted_server {
  explicit scripted_server(const server_options& options = quick_options(), unsigned cores = 2)
      : address(options.address),
        tls(options.tls.enabled()),
        group(core_group_options{cores, false}),
        serves(group, handles, options) {
    group.start();
    const result<void> started = serves.start();
    if (started.has_error()) throw std::runtime_error(started.error().text());
  }
  [[nodiscard]] raw_client connect(int receive_buffer_bytes = 0) const {
    constexpr std::string_view kUnix = "unix:";
    raw_client out = address.starts_with(kUnix)
                         ? raw_client(address.substr(kUnix.size()), receive_buffer_bytes)
                         : raw_client(serves.port(), receive_buffer_bytes);
    if (tls) out.start_tls();
    return out;
  }

  const std::string address;
  const bool tls;
  core_group group;
  scripted_handler handles;
  server serves;
};

}  // namespace syncline::net::http::testing
