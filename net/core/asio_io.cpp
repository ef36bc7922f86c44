#include "net/core/asio_io.h"

#include <cerrno>
#include <system_error>

#include <boost/asio/detail/reactor.hpp>

namespace syncline::net {

namespace {

// Asio does not tell the descriptor it waits for. An explicit instantiation may name a private member
// ([temp.spec.general]), so this is well-formed, and a version of Asio without that member does not compile.
using reactor = boost::asio::detail::epoll_reactor;
template <int reactor::*Descriptor>
struct reach_into {
  friend int descriptor_of(const reactor& of) noexcept { return of.*Descriptor; }
};
int descriptor_of(const reactor& of) noexcept;
template struct reach_into<&reactor::epoll_fd_>;

}  // namespace

asio_io::asio_io(poller& poll) : work_(context_.get_executor()) {
  const reactor& waits = boost::asio::use_service<reactor>(context_);
  // Level-triggered: it is told until Asio has fetched all.
  if (!poll.add_input(descriptor_of(waits), *this, poller::edge::level))
    throw std::system_error(errno, std::generic_category(), "epoll_ctl");
}

}  // namespace syncline::net
