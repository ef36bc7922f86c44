// The real binary as a child process: started on free loopback ports, ended when the object goes.
//
// Thread: one. Failure: exceptions with what the child printed, which end the test.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <sys/types.h>

namespace syncline::e2e {

// Runs the binary with `arguments` to its end, or kills it after `timeout_ms` (exit code 137). Output is
// standard output and error together.
struct command_result {
  int exit_code = -1;
  std::string output;
};
[[nodiscard]] command_result run_syncline(const std::vector<std::string>& arguments, int timeout_ms = 60000);

class server_process {
 public:
  // `serve --config CONFIG --set http.port=0 --set admin.port=0 EXTRA…`; returns when it is ready.
  server_process(std::string config, std::vector<std::string> extra = {});
  ~server_process();  // SIGKILL if it still runs
  server_process(const server_process&) = delete;
  server_process& operator=(const server_process&) = delete;

  void start();
  void kill();  // SIGKILL, waits
  void signal(int number) const;
  [[nodiscard]] int wait_for_exit(
      int timeout_ms);  // exit code; -1 when it did not end in time, 128+n when signal n ended it
  [[nodiscard]] bool running();
  [[nodiscard]] pid_t pid() const { return pid_; }
  [[nodiscard]] std::uint16_t port() const { return port_; }
  [[nodiscard]] std::uint16_t admin_port() const { return admin_port_; }
  [[nodiscard]] std::uint64_t resident_bytes() const;
  [[nodiscard]] std::string log() const;  // what it printed to standard error so far

 private:
  std::string config_;
  std::vector<std::string> extra_;
  std::string log_file_;
  pid_t pid_ = -1;
  std::uint16_t port_ = 0;
  std::uint16_t admin_port_ = 0;
};

}  // namespace syncline::e2e
