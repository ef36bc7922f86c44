// What a client says on `/v1/subscribe`: one JSON object a text message.
//
//     {"op":"subscribe","id":"home","scope":"user:17","resources":["users","follows"],"since":"…"}
//     {"op":"unsubscribe","id":"home"}
//
// `id` is the client's name for the subscription, a string or an integer; `scope` and `resources` are strings
// as in the query of /v1/sync, or arrays of such. Thread: a pure function. Bound: the message's,
// kSubscriptionIdBytesMax. Failure: errc::invalid that says what is wrong; unknown members are refused.
#pragma once

#include <string>
#include <string_view>

#include "net/core/error.h"

namespace syncline::server {

inline constexpr std::size_t kSubscriptionIdBytesMax = 64;

struct subscribe_message {
  enum class kind : std::uint8_t { subscribe, unsubscribe };
  kind op = kind::subscribe;
  std::string id;  // as JSON text, quotes included: it is echoed as `sub`
  std::string scope;
  std::string resources;
  std::string since;
};

[[nodiscard]] net::result<subscribe_message> parse_subscribe_message(std::string_view text);

}  // namespace syncline::server
