#include "server/command/serve.h"

#include <csignal>
#include <cstdio>
#include <ctime>
#include <stop_token>
#include <system_error>
#include <thread>

#include <pthread.h>
#include <sys/resource.h>
#include <unistd.h>

#include <fmt/format.h>

#include "perf/log.h"
#include "server/app.h"

namespace syncline::server::command {
namespace {

constexpr std::string_view kCommand = "serve";

sigset_t stop_signals() {
  sigset_t out;
  sigemptyset(&out);
  sigaddset(&out, SIGTERM);
  sigaddset(&out, SIGINT);
  return out;
}

// Before any thread starts, so that all inherit it and signals come to sigwait() alone.
sigset_t block_signals() {
  std::signal(SIGPIPE, SIG_IGN);  // a peer that is gone is an error of its write
  std::signal(SIGXFSZ, SIG_IGN);  // and so is a file that may not grow (ulimit -f)
  sigset_t out = stop_signals();
  sigaddset(&out, SIGHUP);
  pthread_sigmask(SIG_BLOCK, &out, nullptr);
  return out;
}

// Each connection is a descriptor; the soft limit is 1024 for programs that use select(), which this one does
// not.
void raise_descriptor_limit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == limit.rlim_max) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

void reload(app& server) {
  perf::log_reopen();
  perf::log_info("log reopened");
  if (const auto reloaded = server.reload_tls(); !reloaded)
    perf::log_error("the TLS certificate in use stays", {{"reason", reloaded.error().text()}});
}

void wait_for_stop(const sigset_t& signals, app& server) {
  for (;;) {
    int signal = 0;
    if (sigwait(&signals, &signal) != 0) continue;
    if (signal != SIGHUP) {
      perf::log_info("stop signal", {{"signal", signal}});
      return;
    }
    reload(server);
  }
}

// While the server drains: whoever asks a second time does not want to wait.
void end_at_second_signal(const std::stop_token& drained) {
  const sigset_t signals = stop_signals();
  const timespec tick{0, 50'000'000};
  while (!drained.stop_requested()) {
    if (sigtimedwait(&signals, nullptr, &tick) > 0) _exit(1);
  }
}

std::string place(const net::http::server_options& listener, std::uint16_t port) {
  if (listener.address.starts_with("unix:")) return listener.address;
  const bool v6 = listener.address.find(':') != std::string::npos;
  return fmt::format("{}://{}{}{}:{}", listener.tls.enabled() ? "https" : "http", v6 ? "[" : "",
                     listener.address, v6 ? "]" : "", port);
}

// What the ready line says, taken before the app owns the settings.
struct listeners {
  net::http::server_options open, admin;
};

int run_until_stopped(config settings, const sigset_t& signals) {
  const listeners where{settings.http, settings.admin};
  app server(std::move(settings));
  if (const auto started = server.start(); !started) return report_failure(kCommand, started.error().text());
  fmt::print("syncline ready: {} admin {}\n", place(where.open, server.port()),
             place(where.admin, server.admin_port()));
  std::fflush(stdout);
  wait_for_stop(signals, server);
  const std::jthread impatient([](const std::stop_token& drained) { end_at_second_signal(drained); });
  if (!server.stop()) perf::log_warn("some requests were cut at the drain deadline");
  return 0;
}

}  // namespace

int serve(const config_options& options) {
  const sigset_t signals = block_signals();
  auto settings = load(options, kCommand);
  if (!settings) return 1;
  raise_descriptor_limit();
  try {
    perf::log_start(settings->log);
  } catch (const std::system_error& failed) {
    return report_failure(kCommand, failed.what());
  }
  int code = 1;
  try {
    code = run_until_stopped(std::move(*settings), signals);
  } catch (const std::exception& failed) {
    report_failure(kCommand, failed.what());
  }
  perf::log_stop();
  return code;
}

}  // namespace syncline::server::command
