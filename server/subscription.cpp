#include "server/subscription.h"

#include "net/core/core.h"
#include "perf/log.h"
#include "server/problems.h"

namespace syncline::server {

using net::errc;
using net::websocket::opcode;

subscription::subscription(const services& with, net::core& on, net::websocket::session& socket,
                           std::shared_ptr<page_turns> turns, std::string id, stream_request asked,
                           std::function<void(const std::string& id)> ended)
    : with_(&with),
      socket_(&socket),
      id_(std::move(id)),
      ended_(std::move(ended)),
      admission_(std::in_place, long_work::stream, with.settings->sync.streams_max),
      context_(on, net::work_class::sync),
      room_(on),
      turns_(std::move(turns)),
      turn_(on),
      follower_(with, context_, std::move(asked), true, *this) {}

void subscription::start() {
  net::spawn(context_.on(), run(shared_from_this()));
}

void subscription::stop() noexcept {
  socket_ = nullptr;
  ended_ = nullptr;
  admission_.reset();
  context_.cancel();
}

// A socket that is not read waits before the page, not with it.
net::task<net::result<void>> subscription::begin_page() {
  auto turn = co_await turns_->take(context_, turn_);
  if (!turn) co_return turn.error();
  auto room = co_await make_room();
  if (!room) turns_->give_back();
  co_return room;
}

std::string& subscription::begin_line() {
  line_.assign(R"({"sub":)").append(id_);
  object_at_ = line_.size();
  return line_;
}

bool subscription::end_line() {
  if (socket_ == nullptr) return true;
  if (object_at_ < line_.size()) line_[object_at_] = ',';  // the object's own brace
  const net::result<void> sent = socket_->send(opcode::text, line_);
  refused_ = !sent && sent.error().code == errc::overloaded;
  return !sent || socket_->queued_bytes() > kQueuedBytesMark;
}

net::task<net::result<void>> subscription::make_room() {
  const auto full = [this] {
    return socket_ != nullptr && (refused_ || socket_->queued_bytes() > kQueuedBytesMark);
  };
  if (refused_ &&
      line_.size() + net::websocket::kHeaderBytesMax > with_->settings->subscribe.send_queue_bytes_max)
    co_return net::error(errc::too_large, "a row is larger than subscribe.send_queue_bytes_max");
  while (full()) {
    auto drained = co_await room_.wait(context_);
    if (!drained) co_return drained.error();
    if (socket_ == nullptr || !refused_) continue;
    const net::result<void> sent = socket_->send(opcode::text, line_);
    refused_ = !sent && sent.error().code == errc::overloaded;
  }
  if (socket_ == nullptr || !socket_->is_open()) co_return net::error(errc::closed, "the socket is closed");
  co_return net::result<void>();
}

net::task<net::result<void>> subscription::flush() {
  line_ = std::string();
  co_return co_await make_room();
}

net::task<net::result<void>> subscription::follow() {
  if (!admission_ || !*admission_) {
    net::error full(errc::overloaded, "too many sync streams at once");
    full.retry_after_ms = 1000;
    co_return full;
  }
  auto page = co_await follower_.next_page();
  if (!page) co_return page.error();
  storage::feed_page first = std::move(*page);
  co_return co_await follower_.follow(std::move(first));
}

net::task<void> subscription::run(std::shared_ptr<subscription> self) {
  bool threw = false;
  try {
    const auto ended = co_await self->follow();
    if (!ended) self->tell_error(ended.error());
  } catch (const std::exception& e) {
    perf::log_error("a subscription threw", {{"text", e.what()}});
    threw = true;
  }
  // It may hold the socket's turn to read a page, for which the others would wait for ever.
  if (threw && self->socket_ != nullptr)
    self->socket_->close(net::websocket::close_code::internal_error, "internal error");
  if (self->ended_) self->ended_(self->id_);
}

void subscription::tell_error(const net::error& why) {
  if (socket_ == nullptr || why.code == errc::cancelled || why.code == errc::closed) return;
  std::string object = R"({"op":"error",)";
  append_problem_members(why, "subscription", object);
  object.push_back('}');
  // Without room for it the client learns of the end by the socket's: it reads nothing.
  if (!socket_->send(opcode::text, named_object(id_, object)))
    socket_->close(net::websocket::close_code::try_again_later, "too slow");
}

std::string named_object(std::string_view id, std::string_view object) {
  std::string out = R"({"sub":)";
  out.append(id).push_back(',');
  out.append(object.substr(1));
  return out;
}

}  // namespace syncline::server
