#include "net/http/server.h"

#include <unistd.h>

#include <chrono>
#include <functional>
#include <system_error>
#include <vector>

#include "net/http/core_part.h"
#include "net/http/listen_socket.h"
#include "perf/log.h"

namespace syncline::net::http {

namespace {

constexpr auto kCoreAnswerMax =
    std::chrono::seconds(5);  // a core that says nothing for so long was never started
constexpr auto kTasksEndMax = std::chrono::seconds(10);  // cancelled tasks must end soon

// Counts messages until they are gone, run or not: a core that has ended destroys them.
struct message_count {
  std::mutex mutex;
  std::condition_variable changed;
  std::size_t left = 0;
  bool all_ran = true;
};

class message_token {
 public:
  explicit message_token(std::shared_ptr<message_count> of) : of_(std::move(of)) {}
  message_token(const message_token&) = delete;
  message_token& operator=(const message_token&) = delete;
  ~message_token() {
    const std::lock_guard lock(of_->mutex);
    of_->all_ran = of_->all_ran && ran_;
    if (--of_->left == 0) of_->changed.notify_all();
  }
  void ran() noexcept { ran_ = true; }

 private:
  std::shared_ptr<message_count> of_;
  bool ran_ = false;
};

}  // namespace

struct server::state {
  state(core_group& group, handler& handles, const server_options& options)
      : cores(group), shared(std::make_shared<server_shared>(handles, options)) {}

  bool on_each_core(const std::function<void(core_part&)>& what);
  result<std::shared_ptr<const tls_context>> load_tls();
  bool wait_until_ended(std::chrono::milliseconds at_most);
  // Before the socket closes: from then on its name can be a successor's.
  void leave_unix_path() noexcept;

  core_group& cores;
  std::shared_ptr<server_shared> shared;
  std::vector<std::shared_ptr<core_part>> parts;
  std::uint16_t port = 0;
  std::string bound_path;  // of a unix socket
};

// Runs `what` on every core and waits for it; false when a core did not, because it has ended or was never
// started.
bool server::state::on_each_core(const std::function<void(core_part&)>& what) {
  auto count = std::make_shared<message_count>();
  count->left = parts.size();
  for (const std::shared_ptr<core_part>& part : parts) {
    auto token = std::make_shared<message_token>(count);
    part->on().post([what, part, token = std::move(token)] {
      what(*part);
      token->ran();
    });
  }
  std::unique_lock lock(count->mutex);
  const bool answered = count->changed.wait_for(lock, kCoreAnswerMax, [&] { return count->left == 0; });
  return answered && count->all_ran;
}

result<std::shared_ptr<const tls_context>> server::state::load_tls() {
  const tls_options& options = shared->options.tls;
  auto loaded = tls_context::load(options);
  if (loaded.has_error()) return loaded;
  const std::int64_t expires_s = (*loaded)->expires_s();
  shared->counts.tls_expires_s->set(expires_s);
  if (expires_s <= std::chrono::system_clock::to_time_t(std::chrono::system_clock::now()))
    perf::log_warn("the TLS certificate has expired", {{"file", options.certificate_file}});
  return loaded;
}

bool server::state::wait_until_ended(std::chrono::milliseconds at_most) {
  std::unique_lock lock(shared->mutex);
  return shared->ended.wait_for(lock, at_most, [this] { return shared->connections.load() == 0; });
}

void server::state::leave_unix_path() noexcept {
  if (!bound_path.empty()) ::unlink(bound_path.c_str());
  bound_path.clear();
}

server::server(core_group& cores, handler& handles, const server_options& options)
    : state_(std::make_unique<state>(cores, handles, options)) {}

server::~server() {
  state_->leave_unix_path();
  if (state_->parts.empty()) return;
  state_->shared->draining.store(true);
  const bool alive = state_->on_each_core([](core_part& part) {
    part.stop_accepting();
    part.close_all();
  });
  if (alive && !state_->wait_until_ended(kTasksEndMax)) {
    perf::log_error("tasks of a server do not end", {{"connections", connections()}});
  }
  static_cast<void>(state_->on_each_core([](core_part& part) { part.stop(); }));
}

result<void> server::start() {
  const server_options& options = state_->shared->options;
  std::shared_ptr<const tls_context> tls;
  if (options.tls.enabled()) {
    state_->shared->counts.add_tls(options.metrics_label);
    auto loaded = state_->load_tls();
    if (loaded.has_error()) return loaded.error();
    tls = std::move(*loaded);
  }
  const result<listen_sockets> opened = open_listen_sockets(options, state_->cores.size());
  if (opened.has_error()) return opened.error();
  state_->port = opened->port;
  state_->bound_path = unix_path(options.address);
  std::size_t taken = 0;
  try {
    for (; taken < opened->descriptors.size(); ++taken) {
      state_->parts.push_back(std::make_shared<core_part>(state_->cores.at(taken), state_->shared, taken,
                                                          opened->descriptors[taken], tls));
    }
    state_->shared->loads = std::make_unique<server_shared::core_load[]>(state_->parts.size());
    state_->shared->parts.assign(state_->parts.begin(), state_->parts.end());
  } catch (const std::system_error& e) {
    for (std::size_t i = taken; i < opened->descriptors.size(); ++i) ::close(opened->descriptors[i]);
    state_->parts.clear();
    return error(errc::down, "cannot listen", e.what());
  }
  // A core that could not begin would hold connections that nobody accepts.
  if (!state_->on_each_core([](core_part& part) { part.start(); }))
    return error(errc::down, "a core could not begin to accept");
  return result<void>();
}

std::uint16_t server::port() const noexcept {
  return state_->port;
}

result<void> server::reload_tls() {
  const server_metrics& counts = state_->shared->counts;
  if (!state_->shared->options.tls.enabled()) return error(errc::unsupported, "this listener has no TLS");
  const auto loaded = state_->load_tls();
  if (loaded.has_error()) {
    counts.tls_not_reloaded.add();
    return loaded.error();
  }
  const std::shared_ptr<const tls_context>& tls = *loaded;
  if (!state_->on_each_core([tls](core_part& part) { part.use_tls(tls); }))
    return error(errc::down, "a core does not answer");
  counts.tls_reloaded.add();
  return result<void>();
}

bool server::drain(std::uint32_t deadline_ms) {
  state_->shared->draining.store(true);
  state_->leave_unix_path();
  static_cast<void>(state_->on_each_core([](core_part& part) {
    part.stop_accepting();
    part.drain();
  }));
  if (state_->wait_until_ended(std::chrono::milliseconds(deadline_ms))) return true;
  static_cast<void>(state_->on_each_core([](core_part& part) { part.close_all(); }));
  static_cast<void>(state_->wait_until_ended(kTasksEndMax));
  return false;
}

std::uint64_t server::connections() const noexcept {
  return state_->shared->connections.load(std::memory_order_relaxed);
}

}  // namespace syncline::net::http
