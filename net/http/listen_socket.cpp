#include "net/http/listen_socket.h"

#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>
#include <system_error>

namespace syncline::net::http {

namespace {

error refused(const std::string& address, std::uint16_t port, const char* call) {
  const std::string reason = std::error_code(errno, std::generic_category()).message();
  std::string where = address;
  if (port != 0) where.append(":").append(std::to_string(port));
  return error(errc::down, "cannot listen", where + ": " + call + ": " + reason);
}

class open_socket {
 public:
  explicit open_socket(int descriptor) noexcept : descriptor_(descriptor) {}
  open_socket(const open_socket&) = delete;
  open_socket& operator=(const open_socket&) = delete;
  ~open_socket() {
    if (descriptor_ >= 0) ::close(descriptor_);
  }
  [[nodiscard]] int get() const noexcept { return descriptor_; }
  [[nodiscard]] int release() noexcept { return std::exchange(descriptor_, -1); }

 private:
  int descriptor_;
};

using addresses = std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)>;

result<addresses> resolve(const server_options& options) {
  addrinfo wanted{};
  wanted.ai_socktype = SOCK_STREAM;
  wanted.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  const std::string port = std::to_string(options.port);
  const int failed = ::getaddrinfo(options.address.c_str(), port.c_str(), &wanted, &found);
  if (failed != 0) return error(errc::down, "cannot listen", options.address + ": " + ::gai_strerror(failed));
  return addresses(found, &::freeaddrinfo);
}

void set_flag(int descriptor, int level, int name) noexcept {
  const int on = 1;
  ::setsockopt(descriptor, level, name, &on, sizeof on);
}

std::uint16_t bound_port(int descriptor) noexcept {
  sockaddr_storage at{};
  socklen_t size = sizeof at;
  if (::getsockname(descriptor, reinterpret_cast<sockaddr*>(&at), &size) != 0) return 0;
  if (at.ss_family == AF_INET6) return ntohs(reinterpret_cast<const sockaddr_in6&>(at).sin6_port);
  return ntohs(reinterpret_cast<const sockaddr_in&>(at).sin_port);
}

void set_port(addrinfo& at, std::uint16_t port) noexcept {
  if (at.ai_family == AF_INET6) {
    reinterpret_cast<sockaddr_in6*>(at.ai_addr)->sin6_port = htons(port);
  } else {
    reinterpret_cast<sockaddr_in*>(at.ai_addr)->sin_port = htons(port);
  }
}

result<int> open_tcp(const addrinfo& at, const server_options& options, bool share, bool listening) {
  open_socket made(::socket(at.ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (made.get() < 0) return refused(options.address, options.port, "socket");
  set_flag(made.get(), SOL_SOCKET, SO_REUSEADDR);
  if (share) set_flag(made.get(), SOL_SOCKET, SO_REUSEPORT);
  if (at.ai_family == AF_INET6) set_flag(made.get(), IPPROTO_IPV6, IPV6_V6ONLY);
  if (::bind(made.get(), at.ai_addr, at.ai_addrlen) != 0)
    return refused(options.address, options.port, "bind");
  if (listening && ::listen(made.get(), options.backlog) != 0)
    return refused(options.address, options.port, "listen");
  return made.release();
}

result<listen_sockets> open_all_tcp(const server_options& options, std::size_t cores) {
  const result<addresses> found = resolve(options);
  if (found.has_error()) return found.error();
  addrinfo& at = **found;
  listen_sockets out;
  out.port = options.port;
  if (options.port != 0) {
    // With SO_REUSEPORT a second server of the same user would silently share the port; a plain bind tells.
    const result<int> probe = open_tcp(at, options, false, false);
    if (probe.has_error()) return probe.error();
    ::close(*probe);
  }
  for (std::size_t i = 0; i < cores; ++i) {
    const result<int> opened = open_tcp(at, options, true, true);
    if (opened.has_error()) {
      for (const int each : out.descriptors) ::close(each);
      return opened.error();
    }
    out.descriptors.push_back(*opened);
    if (out.port == 0) {
      out.port = bound_port(*opened);
      set_port(at, out.port);
    }
  }
  return out;
}

// A socket file that nobody listens on is left over from a server that was killed.
void remove_stale(const sockaddr_un& at) noexcept {
  const open_socket probe(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (probe.get() < 0) return;
  if (::connect(probe.get(), reinterpret_cast<const sockaddr*>(&at), sizeof at) == 0) return;
  if (errno == ECONNREFUSED) ::unlink(at.sun_path);
}

result<listen_sockets> open_all_unix(const server_options& options, const std::string& path,
                                     std::size_t cores) {
  sockaddr_un at{};
  at.sun_family = AF_UNIX;
  if (path.size() >= sizeof at.sun_path)
    return error(errc::down, "cannot listen", path + ": the path is too long");
  std::memcpy(at.sun_path, path.c_str(), path.size() + 1);
  remove_stale(at);
  open_socket made(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (made.get() < 0) return refused(options.address, 0, "socket");
  if (::bind(made.get(), reinterpret_cast<const sockaddr*>(&at), sizeof at) != 0) {
    return refused(options.address, 0, "bind");
  }
  if (::listen(made.get(), options.backlog) != 0) return refused(options.address, 0, "listen");
  listen_sockets out;
  for (std::size_t i = 1; i < cores; ++i) {
    const int copy = ::fcntl(made.get(), F_DUPFD_CLOEXEC, 0);
    if (copy < 0) {
      for (const int each : out.descriptors) ::close(each);
      return refused(options.address, 0, "dup");
    }
    out.descriptors.push_back(copy);
  }
  out.descriptors.push_back(made.release());
  return out;
}

}  // namespace

std::string unix_path(const std::string& address) {
  constexpr std::string_view kPrefix = "unix:";
  return address.starts_with(kPrefix) ? address.substr(kPrefix.size()) : std::string();
}

result<listen_sockets> open_listen_sockets(const server_options& options, std::size_t cores) {
  const std::string path = unix_path(options.address);
  return path.empty() ? open_all_tcp(options, cores) : open_all_unix(options, path, cores);
}

}  // namespace syncline::net::http
