#include "server/sync_lines.h"

#include "storage/key.h"
#include "storage/row_json.h"

namespace syncline::server {

void append_change(const storage::feed_page& page, const storage::change& what, std::string& out) {
  out.append(what.put ? R"({"op":"put","resource":)" : R"({"op":"remove","resource":)");
  storage::append_json_string(what.of->name, out);
  out.append(R"(,"id":)");
  storage::append_key_json(*what.of, page.key(what), out);
  if (what.put) out.append(R"(,"row":)").append(page.row(what));
  out.push_back('}');
}

namespace {
void append_position(std::string_view op, const storage::cursor& at, std::string& out) {
  out.append(R"({"op":")").append(op).append(R"(","cursor":")").append(at.text()).append("\"}");
}
}  // namespace

void append_checkpoint(const storage::cursor& at, std::string& out) {
  append_position("checkpoint", at, out);
}
void append_up_to_date(const storage::cursor& at, std::string& out) {
  append_position("up_to_date", at, out);
}

void append_reset(storage::reset_reason reason, std::string& out) {
  out.append(R"({"op":"reset","reason":")").append(storage::to_string(reason)).append("\"}");
}

}  // namespace syncline::server
