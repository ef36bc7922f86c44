#include "server/subscribe_message.h"

#include <boost/json.hpp>

#include <fmt/format.h>

#include "storage/row_json.h"

namespace syncline::server {
namespace {

namespace json = boost::json;
using net::errc;
using net::error;

error wrong(std::string_view member, std::string_view what) {
  return error(errc::invalid, "a message that is not understood", fmt::format("`{}` {}", member, what));
}

net::result<std::string> read_id(const json::value& given) {
  if (const auto* number = given.if_int64()) return fmt::to_string(*number);
  if (const auto* number = given.if_uint64()) return fmt::to_string(*number);
  const auto* text = given.if_string();
  if (text == nullptr || text->empty() || text->size() > kSubscriptionIdBytesMax)
    return wrong("id",
                 fmt::format("must be an integer or a string of 1 to {} bytes", kSubscriptionIdBytesMax));
  std::string out;
  storage::append_json_string(std::string_view(*text), out);
  return out;
}

// A string as it is, an array of strings joined by commas.
net::result<std::string> read_list(std::string_view member, const json::value& given) {
  if (const auto* text = given.if_string()) return std::string(*text);
  const auto* list = given.if_array();
  if (list == nullptr) return wrong(member, "must be a string or an array of strings");
  std::string out;
  for (const json::value& each : *list) {
    const auto* text = each.if_string();
    if (text == nullptr || text->empty()) return wrong(member, "must be a string or an array of strings");
    if (!out.empty()) out.push_back(',');
    out.append(*text);
  }
  return out;
}

net::result<subscribe_message> read_members(const json::object& given) {
  subscribe_message out;
  bool has_op = false;
  for (const auto& [name, value] : given) {
    net::result<std::string> text = std::string();
    if (name == "op") {
      has_op = true;
      const auto* op = value.if_string();
      if (op == nullptr || (*op != "subscribe" && *op != "unsubscribe"))
        return wrong("op", "must be \"subscribe\" or \"unsubscribe\"");
      out.op = *op == "subscribe" ? subscribe_message::kind::subscribe : subscribe_message::kind::unsubscribe;
    } else if (name == "id") {
      text = read_id(value);
      if (text) out.id = std::move(*text);
    } else if (name == "scope" || name == "resources") {
      text = read_list(name, value);
      if (text) (name == "scope" ? out.scope : out.resources) = std::move(*text);
    } else if (name == "since") {
      const auto* cursor = value.if_string();
      if (cursor == nullptr) return wrong("since", "must be a cursor");
      out.since = *cursor;
    } else {
      return wrong(name, "is not known here");
    }
    if (!text) return text.error();
  }
  if (!has_op) return wrong("op", "is missing");
  if (out.id.empty()) return wrong("id", "is missing");
  if (out.op == subscribe_message::kind::unsubscribe && given.size() > 2)
    return wrong("unsubscribe", "takes an `id` and nothing else");
  return out;
}

}  // namespace

net::result<subscribe_message> parse_subscribe_message(std::string_view text) {
  json::parse_options strict;
  strict.max_depth = 4;
  boost::system::error_code failed;
  const json::value parsed = json::parse(text, failed, {}, strict);
  if (failed) return error(errc::invalid, "a message that is not understood", "it is no JSON");
  const auto* members = parsed.if_object();
  if (members == nullptr)
    return error(errc::invalid, "a message that is not understood", "it is no JSON object");
  return read_members(*members);
}

}  // namespace syncline::server
