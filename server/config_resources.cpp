#include "server/config_resources.h"

#include <algorithm>
#include <array>
#include <set>

#include <fmt/format.h>

namespace syncline::server {
namespace {

using storage::column;
using storage::column_type;
using storage::resource;

constexpr std::size_t kNameBytesMax = 64;
constexpr std::array<column_type, 9> kTypes{column_type::int64,  column_type::float64, column_type::boolean,
                                            column_type::string, column_type::json,    column_type::timestamp,
                                            column_type::date,   column_type::decimal, column_type::bytes};

std::string type_names() {
  std::string out;
  for (const column_type type : kTypes) out.append(out.empty() ? "" : ", ").append(to_string(type));
  return out;
}

// Names that stand in URLs: resources, scopes, merges.
void check_name(const config_node& at, std::string_view name) {
  const bool fits = !name.empty() && name.size() <= kNameBytesMax && name.front() >= 'a' &&
                    name.front() <= 'z' && std::all_of(name.begin(), name.end(), [](char c) {
                      return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
                    });
  if (!fits)
    at.fail("the name does not fit", fmt::format("[a-z][a-z0-9_]*, at most {} bytes", kNameBytesMax));
}

// Names of columns and tables are the database's: anything that can be quoted. Commas separate columns in
// `fields=`.
void check_identifier(const config_node& at, std::string_view name) {
  if (name.empty() || name.size() > kNameBytesMax || has_control_characters(name) ||
      name.find(',') != std::string_view::npos) {
    at.fail("the name does not fit",
            fmt::format("1 to {} bytes without control characters and commas", kNameBytesMax));
  }
}

column_type read_type(const config_node& from) {
  const std::string text = from.as_text();
  const auto type = storage::parse_column_type(text);
  if (!type) from.fail(fmt::format("unknown type \"{}\"", text), type_names());
  return *type;
}

column read_column(const std::string& name, const config_node& from) {
  constexpr std::uint64_t kBytesMax = 256ull * 1024 * 1024;
  check_identifier(from, name);
  column out;
  out.name = name;
  if (from.value().is_string()) {
    out.type = read_type(from);
    return out;
  }
  if (!from.value().is_object()) {
    from.fail(fmt::format("is {}", kind_name(from.value())), "a type name or an object: " + type_names());
  }
  static constexpr std::array<std::string_view, 3> kMembers{"type", "bytes_max", "as_string"};
  from.expect_members(kMembers);
  out.type = read_type(from.at("type"));
  if (const auto bytes_max = from.find("bytes_max")) {
    if (out.type != column_type::string && out.type != column_type::json && out.type != column_type::bytes &&
        out.type != column_type::decimal) {
      bytes_max->fail("only texts have a length", "columns of type string, json, bytes, decimal");
    }
    out.bytes_max = static_cast<std::uint32_t>(bytes_max->as_number(1, kBytesMax));
  }
  if (const auto as_string = from.find("as_string")) {
    if (out.type != column_type::int64) as_string->fail("has no meaning here", "columns of type int64");
    out.as_string = as_string->as_boolean();
  }
  return out;
}

void read_columns(const config_node& from, resource& into) {
  const auto members = from.members();
  if (members.empty() || members.size() > kColumnsMax) {
    from.fail(fmt::format("has {} columns", members.size()), fmt::format("1 to {}", kColumnsMax));
  }
  for (const auto& [name, node] : members) into.columns.push_back(read_column(name, node));
}

std::size_t read_column_name(const config_node& from, const resource& of) {
  const std::string name = from.as_text();
  if (const auto found = of.find_column(name)) return *found;
  std::vector<std::string_view> names;
  for (const column& each : of.columns) names.push_back(each.name);
  const auto [what, allowed] = describe_unknown(name, names);
  from.fail("no declared column: " + what, allowed);
}

// A column or a list of columns.
std::vector<std::size_t> read_column_names(const config_node& from, const resource& of,
                                           std::size_t count_max) {
  if (from.value().is_string()) return {read_column_name(from, of)};
  if (!from.value().is_array()) {
    from.fail(fmt::format("is {}", kind_name(from.value())), "a column or an array of columns");
  }
  std::vector<std::size_t> out;
  for (const config_node& each : from.elements()) {
    const std::size_t index = read_column_name(each, of);
    if (std::find(out.begin(), out.end(), index) != out.end()) each.fail("named twice");
    out.push_back(index);
  }
  if (out.empty() || out.size() > count_max) {
    from.fail(fmt::format("names {} columns", out.size()), fmt::format("1 to {}", count_max));
  }
  return out;
}

// Keys and scopes are compared as canonical text; a float has no one spelling and JSON has many.
void check_comparable(const config_node& from, const resource& of, const std::vector<std::size_t>& columns) {
  for (const std::size_t index : columns) {
    const column& each = of.columns[index];
    if (each.type == column_type::float64 || each.type == column_type::json) {
      from.fail(fmt::format("column \"{}\" is of type {}", each.name, to_string(each.type)),
                "int64, boolean, string, timestamp, date, decimal, bytes");
    }
  }
}

void read_scopes(const config_node& from, resource& into) {
  for (const auto& [name, node] : from.members()) {
    check_name(node, name);
    const std::size_t index = read_column_name(node, into);
    check_comparable(node, into, {index});
    into.scopes.push_back({name, index});
  }
  if (into.scopes.size() > kScopesMax) {
    from.fail(fmt::format("has {} scopes", into.scopes.size()), fmt::format("at most {}", kScopesMax));
  }
}

void read_search(const config_node& from, resource& into) {
  into.search = read_column_names(from, into, kColumnsMax);
  for (const std::size_t index : into.search) {
    if (into.columns[index].type != column_type::string) {
      from.fail(fmt::format("column \"{}\" is of type {}", into.columns[index].name,
                            to_string(into.columns[index].type)),
                "string columns");
    }
  }
}

void read_short_names(const config_node& from, resource& into) {
  std::vector<std::string_view> names;
  for (const column& each : into.columns) names.push_back(each.name);
  from.expect_members(names);
  for (const auto& [name, node] : from.members()) {
    const std::string short_name = node.as_text();
    check_identifier(node, short_name);
    into.columns[*into.find_column(name)].short_name = short_name;
  }
  std::set<std::string_view> taken;
  for (const column& each : into.columns) {
    const std::string_view sent =
        each.short_name.empty() ? std::string_view(each.name) : std::string_view(each.short_name);
    if (!taken.insert(sent).second) from.fail(fmt::format("two columns would be sent as \"{}\"", sent));
  }
}

void read_cache(const config_node& from, storage::cache_rules& into) {
  constexpr std::uint64_t kYearS = 366ull * 86400;
  static constexpr std::array<std::string_view, 5> kMembers{"ttl_s", "stale_s", "negative_s", "l1", "l2"};
  from.expect_members(kMembers);
  if (const auto node = from.find("ttl_s"))
    into.ttl_s = static_cast<std::uint32_t>(node->as_number(0, kYearS));
  if (const auto node = from.find("stale_s"))
    into.stale_s = static_cast<std::uint32_t>(node->as_number(0, kYearS));
  if (const auto node = from.find("negative_s")) {
    into.negative_s = static_cast<std::uint32_t>(node->as_number(0, kYearS));
  }
  if (const auto node = from.find("l1")) into.l1 = node->as_boolean();
  if (const auto node = from.find("l2")) into.l2 = node->as_boolean();
}

void read_write(const config_node& from, const resource& of, storage::write_rules& into) {
  static constexpr std::array<std::string_view, 4> kMembers{"create", "update", "delete", "bulk"};
  from.expect_members(kMembers);
  for (const auto& [name, node] : from.members()) {
    const bool allowed = node.as_boolean();
    if (allowed && of.view) node.fail("a view is for reads only", "false");
    if (name == "create") into.create = allowed;
    if (name == "update") into.update = allowed;
    if (name == "delete") into.remove = allowed;
    if (name == "bulk") into.bulk = allowed;
  }
}

void check_resource_name(const config_node& at, std::string_view name) {
  check_name(at, name);
  if (name == "sync" || name == "subscribe")
    at.fail(fmt::format("\"{}\" is a path of Syncline's own", name), "another name");
  if (name.starts_with("syncline_"))
    at.fail("names that begin with syncline_ are Syncline's own", "another name");
}

resource read_resource(const std::string& name, const config_node& from) {
  static constexpr std::array<std::string_view, 10> kMembers{
      "table", "key", "columns", "scope", "where", "search", "short_names", "cache", "write", "view"};
  check_resource_name(from, name);
  from.expect_members(kMembers);
  resource out;
  out.name = name;
  out.table = from.at("table").as_text();
  check_identifier(from.at("table"), out.table);
  if (out.table.starts_with("syncline_") || out.table.starts_with("sqlite_")) {
    from.at("table").fail("tables of Syncline and of the database itself are no resources", "another table");
  }
  if (const auto node = from.find("view")) out.view = node->as_boolean();
  out.synced = !out.view;
  read_columns(from.at("columns"), out);
  const config_node key = from.at("key");
  out.key = read_column_names(key, out, kKeyColumnsMax);
  check_comparable(key, out, out.key);
  if (const auto node = from.find("scope")) read_scopes(*node, out);
  if (const auto node = from.find("where")) out.where = node->as_text();
  if (const auto node = from.find("search")) read_search(*node, out);
  if (const auto node = from.find("short_names")) read_short_names(*node, out);
  if (const auto node = from.find("cache")) read_cache(*node, out.cache);
  if (const auto node = from.find("write")) read_write(*node, out, out.write);
  return out;
}

const resource& read_resource_name(const config_node& from, const storage::catalog& in) {
  const std::string name = from.as_text();
  if (const resource* found = in.find(name)) return *found;
  std::vector<std::string_view> names;
  for (std::size_t i = 0; i < in.size(); ++i) names.push_back(in.at(i).name);
  const auto [what, allowed] = describe_unknown(name, names);
  from.fail("no declared resource: " + what, allowed);
}

std::string key_description(const resource& of) {
  std::string out;
  for (const std::size_t index : of.key) {
    out += fmt::format("{}{} ({})", out.empty() ? "" : ", ", of.columns[index].name,
                       to_string(of.columns[index].type));
  }
  return out;
}

// `by` must hold the root's key: as many columns, of the same types, in the same order.
void check_by(const config_node& from, const resource& root, const storage::merge_part& part) {
  const auto same_type = [&](std::size_t i) {
    return part.from->columns[part.by[i]].type == root.columns[root.key[i]].type;
  };
  bool fits = part.by.size() == root.key.size();
  for (std::size_t i = 0; fits && i < part.by.size(); ++i) fits = same_type(i);
  if (!fits) {
    from.fail(fmt::format("does not fit the key of \"{}\"", root.name),
              "columns for " + key_description(root));
  }
}

storage::merge_part read_merge_part(const std::string& name, const config_node& from, const resource& root,
                                    const storage::catalog& in) {
  constexpr std::uint64_t kRowsMax = 100'000;
  static constexpr std::array<std::string_view, 4> kMembers{"resource", "by", "one", "rows_max"};
  check_name(from, name);
  from.expect_members(kMembers);
  storage::merge_part out;
  out.name = name;
  out.from = &read_resource_name(from.at("resource"), in);
  if (const auto by = from.find("by")) {
    out.by = read_column_names(*by, *out.from, kKeyColumnsMax);
    check_by(*by, root, out);
  } else if (out.from == &root) {
    out.by = root.key;
  } else {
    from.fail("\"by\" is missing", fmt::format("columns of \"{}\" that hold the key of \"{}\": {}",
                                               out.from->name, root.name, key_description(root)));
  }
  if (const auto one = from.find("one")) out.one = one->as_boolean();
  if (const auto rows_max = from.find("rows_max")) {
    if (out.one) rows_max->fail("has no meaning beside \"one\"");
    out.rows_max = static_cast<std::uint32_t>(rows_max->as_number(1, kRowsMax));
  }
  return out;
}

}  // namespace

void read_resources(const config_node& from, storage::catalog& into) {
  const auto members = from.members();
  if (members.size() > kResourcesMax) {
    from.fail(fmt::format("has {} resources", members.size()), fmt::format("at most {}", kResourcesMax));
  }
  for (const auto& [name, node] : members) into.add(read_resource(name, node));
}

void read_merges(const config_node& from, storage::catalog& into) {
  static constexpr std::array<std::string_view, 2> kMembers{"of", "parts"};
  for (const auto& [name, node] : from.members()) {
    check_name(node, name);
    node.expect_members(kMembers);
    storage::merge merged;
    merged.name = name;
    merged.root = &read_resource_name(node.at("of"), into);
    const config_node parts = node.at("parts");
    for (const auto& [part_name, part] : parts.members()) {
      merged.parts.push_back(read_merge_part(part_name, part, *merged.root, into));
    }
    if (merged.parts.empty() || merged.parts.size() > kMergePartsMax) {
      parts.fail(fmt::format("has {} parts", merged.parts.size()), fmt::format("1 to {}", kMergePartsMax));
    }
    into.add(std::move(merged));
  }
}

}  // namespace syncline::server
