#include "server/command/sync_target.h"
#include "storage/json_text.h"

namespace syncline::server::command {
namespace {

net::error malformed(std::string_view line) {
  return net::error(net::errc::corrupt, "a line of the stream is not understood",
                    std::string(line.substr(0, 200)));
}

sync_line::kind kind_of(std::string_view op) {
  if (op == "put") return sync_line::kind::put;
  if (op == "remove") return sync_line::kind::remove;
  if (op == "checkpoint") return sync_line::kind::checkpoint;
  if (op == "up_to_date") return sync_line::kind::up_to_date;
  if (op == "reset") return sync_line::kind::reset;
  return sync_line::kind::other;
}

// The text of a JSON string, or the token itself for a number.
std::string text_of(std::string_view token) {
  if (!token.starts_with('"')) return std::string(token);
  std::string out;
  storage::unescape_json(token.substr(1, token.size() - 2), out);
  return out;
}

bool read_member(storage::json_scanner& from, sync_line& into, std::string& token) {
  storage::json_string name;
  token.clear();
  if (from.peek() != '"' || !from.read_string(name) || !from.take(':') || !from.copy_value(token))
    return false;
  if (name.raw == "op") into.op = kind_of(text_of(token));
  if (name.raw == "resource") into.resource = text_of(token);
  if (name.raw == "id") into.id = text_of(token);
  if (name.raw == "row") into.row = token;
  if (name.raw == "cursor") into.cursor = text_of(token);
  if (name.raw == "reason") into.reason = text_of(token);
  return true;
}

}  // namespace

net::result<sync_line> parse_sync_line(std::string_view line) {
  storage::json_scanner from(line);
  sync_line out;
  std::string token;
  if (!from.take('{')) return malformed(line);
  for (;;) {
    if (!read_member(from, out, token)) return malformed(line);
    if (from.peek() == '}') break;
    if (!from.take(',')) return malformed(line);
  }
  if (!from.take('}') || !from.at_end()) return malformed(line);
  const bool names_a_row = out.op == sync_line::kind::put || out.op == sync_line::kind::remove;
  if (names_a_row && (out.resource.empty() || (out.op == sync_line::kind::put && out.row.empty())))
    return malformed(line);
  return out;
}

}  // namespace syncline::server::command
