// Where finished log lines go: a file that is appended to, or standard error.
//
// Thread: one at a time (the drain's lock). Bound: a reader that does not read costs one wait of
// kWriteWaitMs, then nothing until it reads again. Failure: open() throws while starting up; write() says how
// much got out and never throws; what did not get out is lost.
#pragma once

#include <string>
#include <string_view>

namespace syncline::perf {

inline constexpr int kWriteWaitMs = 500;

class log_destination {
 public:
  log_destination() = default;
  log_destination(const log_destination&) = delete;
  log_destination& operator=(const log_destination&) = delete;
  ~log_destination();

  // An empty path is standard error. Throws std::system_error when the file cannot be opened.
  void open(const std::string& path);
  // Opens the same path again; when that fails, goes on with the file it has.
  bool reopen() noexcept;
  // Writes whole lines; false when a part was lost. A line cut short is ended before the next one begins.
  bool write(std::string_view lines) noexcept;

 private:
  bool write_some(std::string_view& rest) noexcept;
  void adopt(int fd) noexcept;

  std::string path_;
  int fd_ = -1;
  std::size_t chunk_bytes_ = 0;
  bool mid_line_ = false;
  bool stuck_ = false;
};

}  // namespace syncline::perf
