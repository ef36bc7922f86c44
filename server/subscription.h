// One subscription of a WebSocket: a stream that is followed, its lines sent as text messages with the
// subscription's name in front (`"sub"`).
//
// Thread: the core of the socket. Memory: one page a socket while it is sent; nothing while it waits. Bound:
// a page waits while more than kQueuedBytesMark are unsent on the socket, whoever queued them. Failure: an
// `error` message with the members of a problem (docs/api.md), then the subscription is over; the socket
// lives on.
//
// Invariants
//  1. After stop() nothing more is sent.
//  2. The task keeps the subscription alive; the subscriber only knows it while it may send.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "net/core/event.h"
#include "net/websocket/session.h"
#include "server/admission.h"
#include "server/feed_follower.h"
#include "server/page_turns.h"

namespace syncline::server {

class subscription final : public line_sink, public std::enable_shared_from_this<subscription> {
 public:
  static constexpr std::size_t kQueuedBytesMark = 64 * 1024;

  // `id` is JSON text. `ended` is called once when it is over by itself.
  subscription(const services& with, net::core& on, net::websocket::session& socket,
               std::shared_ptr<page_turns> turns, std::string id, stream_request asked,
               std::function<void(const std::string& id)> ended);

  [[nodiscard]] const std::string& id() const noexcept { return id_; }
  void start();
  void stop() noexcept;  // by unsubscribe or because the socket is gone
  void socket_has_room() noexcept { room_.notify(); }

  // line_sink
  net::task<net::result<void>> begin_page() override;
  void end_page() noexcept override { turns_->give_back(); }
  std::string& begin_line() override;
  bool end_line() override;
  net::task<net::result<void>> make_room() override;
  net::task<net::result<void>> flush() override;
  void keep_alive() override {}  // pings do it
  bool stopping() const noexcept override { return socket_ == nullptr; }

 private:
  [[nodiscard]] static net::task<void> run(std::shared_ptr<subscription> self);
  [[nodiscard]] net::task<net::result<void>> follow();
  void tell_error(const net::error& why);

  const services* with_;
  net::websocket::session* socket_;
  std::string id_;
  std::function<void(const std::string& id)> ended_;
  std::optional<admission> admission_;
  net::request_context context_;
  net::event room_;
  std::shared_ptr<page_turns> turns_;  // of the socket
  page_turns::waiter turn_;
  std::string line_;
  std::size_t object_at_ = 0;
  bool refused_ = false;  // the line is still to be sent: the socket's queue had no room for it
  feed_follower follower_;
};

// {"sub":ID and the members of `object`, which begins with a brace.
[[nodiscard]] std::string named_object(std::string_view id, std::string_view object);

}  // namespace syncline::server
