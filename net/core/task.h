// The one task type: a coroutine that runs on the core that started it.
//
// Use it for business flow. A coroutine takes its parameters by value, or says why a reference outlives it.
// Build the arguments of a `co_await` expression as named locals and move them in: g++ 12 destroys closure
// and aggregate temporaries of such an expression twice. Thread: the core it was spawned on. Errors:
// result<T>; an exception that leaves a root task is logged and counted.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>

#include "net/core/error.h"

namespace syncline::net {

template <class T = void>
using task = boost::asio::awaitable<T, boost::asio::io_context::executor_type>;

class core;

// Starts a root task on `on`; may be called from any thread. Its cancellation state is total, it never throws
// on cancellation.
void spawn(core& on, task<void> root);

}  // namespace syncline::net
