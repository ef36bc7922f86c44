#include "perf/log_destination.h"

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>

namespace syncline::perf {
namespace {

int open_log_file(const std::string& path) noexcept {
  return ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
}

// A pipe that polls as writable takes PIPE_BUF bytes without blocking; a file takes what it is given.
std::size_t chunk_for(int fd) noexcept {
  struct stat st {};
  const bool file = ::fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
  return file ? 64 * 1024 : PIPE_BUF;
}

}  // namespace

log_destination::~log_destination() {
  adopt(-1);
}

void log_destination::adopt(int fd) noexcept {
  if (fd_ > STDERR_FILENO) ::close(fd_);
  fd_ = fd;
  chunk_bytes_ = fd < 0 ? 0 : chunk_for(fd);
  mid_line_ = false;
  stuck_ = false;
}

void log_destination::open(const std::string& path) {
  const int fd = path.empty() ? STDERR_FILENO : open_log_file(path);
  if (fd < 0) throw std::system_error(errno, std::generic_category(), "log file " + path);
  adopt(fd);
  path_ = path;
}

bool log_destination::reopen() noexcept {
  if (path_.empty()) return true;
  const int fd = open_log_file(path_);
  if (fd < 0) return false;
  adopt(fd);
  return true;
}

bool log_destination::write_some(std::string_view& rest) noexcept {
  pollfd ready{fd_, POLLOUT, 0};
  if (::poll(&ready, 1, stuck_ ? 0 : kWriteWaitMs) <= 0) {
    stuck_ = true;
    return false;
  }
  const ssize_t n = ::write(fd_, rest.data(), std::min(rest.size(), chunk_bytes_));
  if (n < 0) return errno == EINTR;
  if (n > 0) mid_line_ = rest[static_cast<std::size_t>(n) - 1] != '\n';
  rest.remove_prefix(static_cast<std::size_t>(n));
  stuck_ = false;
  return n > 0;
}

bool log_destination::write(std::string_view lines) noexcept {
  if (fd_ < 0) return false;
  if (mid_line_) {
    std::string_view end = "\n";
    if (!write_some(end)) return false;
  }
  while (!lines.empty()) {
    if (!write_some(lines)) return false;
  }
  return true;
}

}  // namespace syncline::perf
