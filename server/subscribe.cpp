// GET /v1/subscribe: sync streams over one WebSocket. The client says what it follows (subscribe_message.h),
// each subscription is a stream of its own (subscription.h), and its messages are the objects of the native
// protocol with
// `"sub"` in front.
//
// Close codes: 1001 the server stops (come back with your cursors), 1003 a binary message, 1007 text that is
// no UTF-8, 1008 a message that is not understood, 1009 one over `subscribe.message_bytes_max`, 1013 a client
// that is too slow to be told of an error.
#include <algorithm>
#include <map>

#include "net/websocket/upgrade.h"
#include "server/problems.h"
#include "server/query.h"
#include "server/routes.h"
#include "server/subscribe_message.h"
#include "server/subscription.h"

namespace syncline::server {
namespace {

using net::errc;
using net::websocket::close_code;
using net::websocket::opcode;
using net::websocket::session;

class subscriber final : public net::websocket::session_handler,
                         public std::enable_shared_from_this<subscriber> {
 public:
  explicit subscriber(const services& with) : with_(&with) {}

  void on_open(session& s) override { socket_ = &s; }
  void on_message(session& s, opcode op, std::string_view bytes) override {
    if (op != opcode::text) return s.close(close_code::unsupported, "messages are JSON text");
    auto message = parse_subscribe_message(bytes);
    if (!message) return s.close(close_code::policy, short_reason(message.error()));
    if (message->op == subscribe_message::kind::subscribe) return subscribe(s, std::move(*message));
    const auto found = subscriptions_.find(message->id);
    if (found == subscriptions_.end())
      return tell_error(s, message->id, net::error(errc::not_found, "there is no such subscription"));
    found->second->stop();
    subscriptions_.erase(found);
    tell(s, message->id, R"({"op":"unsubscribed"})");
  }
  void on_drained(session&) override {
    for (auto& [id, each] : subscriptions_) each->socket_has_room();
  }
  void on_stopping(session& s) override {
    stop_all();
    s.close(close_code::going_away, "the server stops; come back with your cursors");
  }
  void on_closed(close_code, std::string_view) override {
    socket_ = nullptr;
    stop_all();
  }

 private:
  void subscribe(session& s, subscribe_message asked) {
    if (subscriptions_.contains(asked.id))
      return tell_error(s, asked.id, net::error(errc::conflict, "this id is subscribed already"));
    if (subscriptions_.size() >= with_->settings->subscribe.subscriptions_max)
      return tell_error(s, asked.id, net::error(errc::too_large, "too many subscriptions on one socket"));
    auto request = make_stream_request(*with_, asked.scope, asked.resources, asked.since);
    if (!request) return tell_error(s, asked.id, request.error());
    tell(s, asked.id, R"({"op":"subscribed"})");
    auto made = std::make_shared<subscription>(*with_, s.on(), s, turns_, asked.id, std::move(*request),
                                               [self = weak_from_this()](const std::string& id) {
                                                 if (const auto alive = self.lock())
                                                   alive->subscriptions_.erase(id);
                                               });
    subscriptions_.emplace(std::move(asked.id), made);
    made->start();
  }

  void stop_all() {
    const auto all = std::move(subscriptions_);
    subscriptions_.clear();
    for (const auto& [id, each] : all) each->stop();
  }

  static void tell(session& s, std::string_view id, std::string_view object) {
    if (!s.send(opcode::text, named_object(id, object)))
      s.close(close_code::try_again_later, "answers are not read");
  }
  static void tell_error(session& s, std::string_view id, const net::error& why) {
    std::string object = R"({"op":"error",)";
    append_problem_members(why, "subscribe", object);
    object.push_back('}');
    tell(s, id, object);
  }
  // A close frame has room for 123 bytes.
  static std::string short_reason(const net::error& why) {
    std::string text = why.detail.empty() ? std::string(why.what) : why.detail;
    constexpr std::size_t kReasonBytesMax = 123;
    if (text.size() <= kReasonBytesMax) return text;
    std::size_t end = kReasonBytesMax;
    while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0U) == 0x80U) --end;
    text.resize(end);
    return text;
  }

  const services* with_;
  session* socket_ = nullptr;
  std::shared_ptr<page_turns> turns_ = std::make_shared<page_turns>();
  std::map<std::string, std::shared_ptr<subscription>, std::less<>> subscriptions_;
};

// A page of any site can open a WebSocket to any server and is not held back by CORS, so the server looks at
// Origin (RFC 6455 section 10.2). Who sends none is no browser.
bool origin_allowed(const config& settings, const net::http::request_head& head) {
  const std::string_view origin = head.header("origin");
  if (origin.empty()) return true;
  const auto scheme_end = origin.find("://");
  const std::string_view host =
      scheme_end == std::string_view::npos ? std::string_view() : origin.substr(scheme_end + 3);
  if (!host.empty() && net::http::iequals(host, head.header("host"))) return true;
  const auto allowed = split_commas(settings.subscribe.origins);
  return std::any_of(allowed.begin(), allowed.end(), [origin](std::string_view one) {
    return one == "*" || net::http::iequals(one, origin);
  });
}

}  // namespace

void subscribe(const services& with, net::http::exchange& x) {
  x.context().set_work(net::work_class::sync);
  if (!origin_allowed(*with.settings, x.head()))
    return answer_problem(x, 403, "origin-not-allowed", "This web page may not subscribe",
                          "subscribe.origins does not name its origin");
  if (!x.head().query.empty())
    return answer_error(x, net::error(errc::invalid, "this path takes no parameters: say them in messages"));
  using net::websocket::upgrade_error;
  const upgrade_error wrong = net::websocket::upgrade(x, *with.sockets, std::make_shared<subscriber>(with));
  if (wrong == upgrade_error::none) return;
  const auto& text = net::websocket::describe(wrong);
  answer_refused_upgrade(x, text.status, text.detail, text.header_line);
}

}  // namespace syncline::server
