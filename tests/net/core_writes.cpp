#include "tests/net/core_writes.h"

#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>

#include "net/core/core.h"

namespace {
std::atomic<std::uint64_t> writes{0};
}

#if SYNCLINE_COUNTS_CALLS
extern "C" {
ssize_t send(int descriptor, const void* bytes, std::size_t n, int flags) {
  if (syncline::net::core::current() != nullptr) ++writes;
  return syscall(SYS_sendto, descriptor, bytes, n, flags, nullptr, 0);
}
ssize_t sendmsg(int descriptor, const msghdr* message, int flags) {
  if (syncline::net::core::current() != nullptr) ++writes;
  return syscall(SYS_sendmsg, descriptor, message, flags);
}
}
#endif

namespace syncline::net::testing {

std::uint64_t core_writes() noexcept {
  return writes;
}

}  // namespace syncline::net::testing
