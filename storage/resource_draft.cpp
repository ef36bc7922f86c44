#include "storage/resource_draft.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "storage/row_json.h"

namespace syncline::storage {

namespace {

char lower(char c) noexcept {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
}

}  // namespace

std::string quoted_json(std::string_view text) {
  std::string out;
  append_json_string(text, out);
  return out;
}

bool holds_users(std::string_view table) noexcept {
  constexpr std::array<std::string_view, 10> kNames = {"user",    "users",   "account",  "accounts",
                                                       "member",  "members", "customer", "customers",
                                                       "profile", "profiles"};
  return std::any_of(kNames.begin(), kNames.end(), [&](std::string_view n) {
    return std::equal(n.begin(), n.end(), table.begin(), table.end(),
                      [](char a, char b) { return a == lower(b); });
  });
}

void resource_draft::suggest_own_scope() {
  if (!holds_users(of.table) || of.key.size() != 1) return;
  notes.push_back(
      fmt::format("whose row it is: \"scope\": {{\"user\":{}}}", quoted_json(of.columns[of.key[0]].name)));
}

void resource_draft::suggest_scope(std::string_view column, std::string_view refers_to, bool indexed) {
  if (!holds_users(refers_to)) return;
  notes.push_back(fmt::format("{} refers to {}: \"scope\": {{\"user\":{}}}{}", quoted_json(column),
                              quoted_json(refers_to), quoted_json(column),
                              indexed ? "" : ", which needs an index on it"));
}

std::string resource_draft::text() const {
  std::string out;
  for (const std::string& note : notes) out += "  // " + note + "\n";
  std::vector<std::string> keys;
  for (const std::size_t k : of.key) keys.push_back(quoted_json(of.columns[k].name));
  std::vector<std::string> columns;
  for (const column& c : of.columns)
    columns.push_back(fmt::format("      {}: {}", quoted_json(c.name), quoted_json(to_string(c.type))));
  out +=
      fmt::format("  {}: {{\n    \"table\": {},\n    \"key\": {},\n    \"columns\": {{\n{}\n    }}{}\n  }}",
                  quoted_json(of.name), quoted_json(of.table),
                  keys.size() == 1 ? keys.front() : fmt::format("[{}]", fmt::join(keys, ", ")),
                  fmt::join(columns, ",\n"), of.view ? ",\n    \"view\": true" : "");
  return out;
}

void resource_list::add(const resource_draft& made) {
  if (!resources_.empty()) resources_ += ",\n";
  resources_ += made.text();
}

void resource_list::leave_out(std::string_view kind, std::string_view name, std::string why) {
  std::replace(why.begin(), why.end(), '\n', ';');
  comments_ += fmt::format("  // {} {} is left out: {}\n", kind, quoted_json(name), why);
}

std::string resource_list::text() const {
  return "{\n" + comments_ + resources_ + (resources_.empty() ? "}\n" : "\n}\n");
}

}  // namespace syncline::storage
