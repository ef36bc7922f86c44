#include "tests/e2e/server_process.h"
#include "tests/temp_directory.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <regex>
#include <stdexcept>
#include <thread>

namespace syncline::e2e {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

std::string binary() {
  const char* path = std::getenv("SYNCLINE_BINARY");
  if (path == nullptr) throw std::runtime_error("SYNCLINE_BINARY is not set: run through ctest");
  return path;
}

// Forks and runs the binary; standard output goes to `out_fd`, standard error to `err_fd`.
pid_t launch(const std::vector<std::string>& arguments, int out_fd, int err_fd) {
  const std::string path = binary();
  std::vector<char*> argv{const_cast<char*>(path.c_str())};
  for (const auto& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  const pid_t pid = ::fork();
  if (pid < 0) throw std::runtime_error("fork failed");
  if (pid > 0) return pid;
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);  // a test that crashes leaves no server behind
  ::dup2(out_fd, STDOUT_FILENO);
  ::dup2(err_fd, STDERR_FILENO);
  ::execv(path.c_str(), argv.data());
  ::_exit(127);
}

int exit_code_of(int status) {
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

}  // namespace

command_result run_syncline(const std::vector<std::string>& arguments, int timeout_ms) {
  int pipe_fds[2];
  if (::pipe2(pipe_fds, O_CLOEXEC) != 0) throw std::runtime_error("pipe failed");
  const pid_t pid = launch(arguments, pipe_fds[1], pipe_fds[1]);
  ::close(pipe_fds[1]);
  command_result result;
  char buffer[4096];
  const auto until = steady_clock::now() + milliseconds(timeout_ms);
  for (;;) {
    pollfd ready{pipe_fds[0], POLLIN, 0};
    if (::poll(&ready, 1, 100) > 0) {
      const ssize_t got = ::read(pipe_fds[0], buffer, sizeof buffer);
      if (got <= 0) break;
      result.output.append(buffer, static_cast<std::size_t>(got));
    }
    if (steady_clock::now() > until) {
      ::kill(pid, SIGKILL);
      break;
    }
  }
  ::close(pipe_fds[0]);
  int status = 0;
  ::waitpid(pid, &status, 0);
  result.exit_code = exit_code_of(status);
  return result;
}

server_process::server_process(std::string config, std::vector<std::string> extra)
    : config_(std::move(config)), extra_(std::move(extra)) {
  log_file_ = config_ + ".log";
  start();
}

server_process::~server_process() {
  kill();
}

void server_process::start() {
  int pipe_fds[2];
  if (::pipe2(pipe_fds, O_CLOEXEC) != 0) throw std::runtime_error("pipe failed");
  const int log_fd = ::open(log_file_.c_str(), O_CREAT | O_WRONLY | O_APPEND | O_CLOEXEC, 0600);
  std::vector<std::string> arguments{"serve",       "--config", config_,       "--set",
                                     "http.port=0", "--set",    "admin.port=0"};
  arguments.insert(arguments.end(), extra_.begin(), extra_.end());
  pid_ = launch(arguments, pipe_fds[1], log_fd);
  ::close(pipe_fds[1]);
  ::close(log_fd);
  // Ready when both addresses were printed.
  std::string printed;
  const auto until = steady_clock::now() + std::chrono::seconds(60);
  const std::regex address("https?://127\\.0\\.0\\.1:([0-9]+)");
  for (;;) {
    std::vector<std::uint16_t> ports;
    for (std::sregex_iterator it(printed.begin(), printed.end(), address), end; it != end; ++it) {
      ports.push_back(static_cast<std::uint16_t>(std::stoi((*it)[1])));
    }
    if (ports.size() >= 2 && printed.back() == '\n') {
      port_ = ports[0];
      admin_port_ = ports[1];
      break;
    }
    pollfd ready{pipe_fds[0], POLLIN, 0};
    char buffer[512];
    ssize_t got = 0;
    if (::poll(&ready, 1, 100) > 0) got = ::read(pipe_fds[0], buffer, sizeof buffer);
    if (got > 0) printed.append(buffer, static_cast<std::size_t>(got));
    if ((got == 0 && ready.revents != 0) || steady_clock::now() > until) {
      ::close(pipe_fds[0]);
      kill();
      throw std::runtime_error("the server did not start: " + printed + log());
    }
  }
  ::close(pipe_fds[0]);
}

void server_process::kill() {
  if (pid_ <= 0) return;
  ::kill(pid_, SIGKILL);
  int status = 0;
  ::waitpid(pid_, &status, 0);
  pid_ = -1;
}

void server_process::signal(int number) const {
  if (pid_ > 0) ::kill(pid_, number);
}

int server_process::wait_for_exit(int timeout_ms) {
  const auto until = steady_clock::now() + milliseconds(timeout_ms);
  while (pid_ > 0) {
    int status = 0;
    if (::waitpid(pid_, &status, WNOHANG) == pid_) {
      pid_ = -1;
      return exit_code_of(status);
    }
    if (steady_clock::now() > until) return -1;
    std::this_thread::sleep_for(milliseconds(5));
  }
  return -1;
}

bool server_process::running() {
  if (pid_ <= 0) return false;
  int status = 0;
  if (::waitpid(pid_, &status, WNOHANG) != pid_) return true;
  pid_ = -1;
  return false;
}

std::uint64_t server_process::resident_bytes() const {
  std::ifstream in("/proc/" + std::to_string(pid_) + "/statm");
  std::uint64_t total = 0;
  std::uint64_t resident = 0;
  in >> total >> resident;
  return resident * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
}

std::string server_process::log() const {
  return syncline::testing::read_text(log_file_);
}

}  // namespace syncline::e2e
