#include "net/core/remote_event.h"

#include <utility>

#include "net/core/core_access.h"

namespace syncline::net {

struct remote_event::message final : core_message {
  explicit message(event& of) noexcept : what(of) {}
  void run() override { what.notify(); }

  event& what;
  std::shared_ptr<void> owner;  // of `what`
};

remote_event::remote_event(core& on) : event_(on), message_(std::make_unique<message>(event_)) {}

remote_event::~remote_event() = default;

void remote_event::notify(std::shared_ptr<void> owner) noexcept {
  if (message_ == nullptr) return;
  std::unique_ptr<message> sent = std::move(message_);
  core& on = event_.on();
  if (core::current() == &on) return event_.notify();
  sent->owner = std::move(owner);
  core_access::deliver(on, std::move(sent));
}

}  // namespace syncline::net
