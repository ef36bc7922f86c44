#include "server/spool_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <system_error>
#include <utility>

namespace syncline::server {
namespace {

net::error failed(std::string_view doing) {
  const int why = errno;
  const bool full = why == ENOSPC || why == EDQUOT || why == EFBIG;
  return net::error(full ? net::errc::disk_full : net::errc::down, doing,
                    std::generic_category().message(why));
}

}  // namespace

net::result<spool_file> spool_file::create(const std::string& directory) {
  int fd = ::open(directory.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
  if (fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR || errno == EINVAL)) {
    std::string name = directory + "/syncline-spool-XXXXXX";
    fd = ::mkostemp(name.data(), O_CLOEXEC);
    if (fd >= 0) ::unlink(name.c_str());
  }
  if (fd < 0) return failed("cannot create a temporary file for the upload");
  return spool_file(fd);
}

spool_file::spool_file(spool_file&& other) noexcept : fd_(std::exchange(other.fd_, -1)), size_(other.size_) {}

spool_file::~spool_file() {
  if (fd_ >= 0) ::close(fd_);
}

net::result<void> spool_file::append(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::pwrite(fd_, bytes.data(), bytes.size(), static_cast<off_t>(size_));
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return failed("cannot write the upload to its temporary file");
    size_ += static_cast<std::uint64_t>(written);
    bytes.remove_prefix(static_cast<std::size_t>(written));
  }
  return {};
}

net::result<std::string> spool_file::read(std::uint64_t offset, std::size_t bytes_max) const {
  std::string out(bytes_max, '\0');
  std::size_t have = 0;
  while (have < bytes_max) {
    const ssize_t got = ::pread(fd_, out.data() + have, bytes_max - have, static_cast<off_t>(offset + have));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return failed("cannot read the upload back from its temporary file");
    if (got == 0) break;
    have += static_cast<std::size_t>(got);
  }
  out.resize(have);
  return out;
}

}  // namespace syncline::server
