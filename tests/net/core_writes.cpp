#include "tests/net/core_writes.h"

#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>

#include "net/core/core.h"

namespace {

std::atomic<std::uint64_t> writes{0};
std::atomic<const char*> watched{nullptr};
std::atomic<std::size_t> watched_bytes{0};
std::atomic<std::uint64_t> from_there{0};

[[maybe_unused]] void note_taken(const void* bytes, std::size_t n) noexcept {
  const char* const begin = watched.load();
  const auto* const at = static_cast<const char*>(bytes);
  if (at >= begin && at < begin + watched_bytes.load()) from_there += n;
}

}  // namespace

#if SYNCLINE_COUNTS_CALLS
extern "C" {
ssize_t send(int descriptor, const void* bytes, std::size_t n, int flags) {
  if (syncline::net::core::current() != nullptr) ++writes;
  const ssize_t taken = syscall(SYS_sendto, descriptor, bytes, n, flags, nullptr, 0);
  if (taken > 0) note_taken(bytes, static_cast<std::size_t>(taken));
  return taken;
}
ssize_t sendmsg(int descriptor, const msghdr* message, int flags) {
  if (syncline::net::core::current() != nullptr) ++writes;
  const ssize_t taken = syscall(SYS_sendmsg, descriptor, message, flags);
  std::size_t left = taken > 0 ? static_cast<std::size_t>(taken) : 0;
  for (std::size_t i = 0; i < message->msg_iovlen && left != 0; ++i) {
    const iovec& part = message->msg_iov[i];
    note_taken(part.iov_base, std::min(left, part.iov_len));
    left -= std::min(left, part.iov_len);
  }
  return taken;
}
}
#endif

namespace syncline::net::testing {

std::uint64_t core_writes() noexcept {
  return writes;
}
void watch_writes_of(std::string_view bytes) noexcept {
  watched_bytes = 0;
  watched = bytes.data();
  watched_bytes = bytes.size();
  from_there = 0;
}
std::uint64_t written_from_there() noexcept {
  return from_there;
}

}  // namespace syncline::net::testing
