// Whether the tables of a MySQL schema fit what the config declares. Strict where a difference would lose or
// mix up rows (keys, scopes, search, engine), and where a value would come back as another one.

#include <algorithm>
#include <array>
#include <charconv>
#include <set>

#include <fmt/format.h>

#include "storage/mysql/cascades.h"
#include "storage/mysql/literal.h"
#include "storage/mysql/schema.h"
#include "storage/mysql/text_rows.h"
#include "storage/mysql/where_check.h"

namespace syncline::storage::mysql {

namespace {

constexpr std::uint64_t kKeyBytes = 1024;    // of syncline_feed.key
constexpr std::uint64_t kScopeBytes = 768;   // of syncline_feed.scope
constexpr std::uint32_t kServerMin = 80019;  // INSERT … AS new ON DUPLICATE KEY UPDATE

struct differences {
  std::vector<std::string> lines;
  template <class... Args>
  void add(const resource& of, fmt::format_string<Args...> text, Args&&... args) {
    lines.push_back(fmt::format("resource {}: {}", of.name, fmt::format(text, std::forward<Args>(args)...)));
  }
};

template <std::size_t N>
bool is_one_of(const std::string& type, const std::array<std::string_view, N>& of) {
  return std::find(of.begin(), of.end(), type) != of.end();
}

constexpr std::array<std::string_view, 6> kIntegers = {"tinyint", "smallint", "mediumint",
                                                       "int",     "bigint",   "year"};
constexpr std::array<std::string_view, 6> kTexts = {"char", "varchar",    "tinytext",
                                                    "text", "mediumtext", "longtext"};
constexpr std::array<std::string_view, 6> kBlobs = {"binary", "varbinary",  "tinyblob",
                                                    "blob",   "mediumblob", "longblob"};

// A value of the column reads as the declared type, and is stored from it, without becoming another one.
bool fits(storage::column_type type, const table_column& c) {
  const std::string& t = c.data_type;
  switch (type) {
    case storage::column_type::int64:
      return is_one_of(t, kIntegers) || t == "bit";
    case storage::column_type::float64:
      return t == "float" || t == "double";
    case storage::column_type::boolean:
      return t == "tinyint" || c.declared_type == "bit(1)";
    case storage::column_type::string:
      return is_one_of(t, kTexts) || t == "enum" || t == "set" || t == "time";
    case storage::column_type::json:
      return t == "json" || is_one_of(t, kTexts);
    case storage::column_type::timestamp:
      return t == "datetime" || t == "timestamp";
    case storage::column_type::date:
      return t == "date";
    case storage::column_type::decimal:
      return t == "decimal";
    case storage::column_type::bytes:
      return is_one_of(t, kBlobs);
  }
  return false;
}

value_spelling spelling_of(const table_column& c) {
  using form = value_spelling::form;
  if (c.data_type == "datetime" || c.data_type == "timestamp")
    return {form::datetime, static_cast<std::uint8_t>(c.fraction)};
  if (c.data_type == "decimal") return {form::decimal, static_cast<std::uint8_t>(c.scale)};
  if (c.data_type == "date") return {form::date, 0};
  if (c.data_type == "year") return {form::year, 0};
  return {};
}

// Why a column that fits cannot be a key or scope all the same; empty: it can.
std::string unfit_for_place(storage::column_type type, const table_column& c, bool key) {
  const std::string& t = c.data_type;
  if (type == storage::column_type::float64 || type == storage::column_type::json) return "has no exact text";
  if (t == "timestamp")
    return "is a TIMESTAMP, whose text depends on the writer's time zone; make it a DATETIME";
  if (t == "time") return "is a TIME, which has several texts for one value";
  if (key && (t == "enum" || t == "set")) return "is ordered by number and compared by text";
  return {};
}

void fit_columns(resource& of, const table_shape& t, differences& out) {
  for (std::size_t i = 0; i < of.columns.size(); ++i) {
    storage::column& c = of.columns[i];
    const table_column* there = t.find(c.name);
    if (there == nullptr) {
      out.add(of, "the table {} has no column \"{}\"", of.table, c.name);
      continue;
    }
    c.nullable = there->nullable;
    c.has_default = there->auto_increment || there->generated || !there->default_sql.empty();
    if (!fits(c.type, *there)) {
      out.add(of, "column \"{}\" is {} in the config and {} in the table", c.name, to_string(c.type),
              there->declared_type);
      continue;
    }
    c.spelling = spelling_of(*there);
    const bool scope =
        std::any_of(of.scopes.begin(), of.scopes.end(), [&](const scope_rule& s) { return s.column == i; });
    if (t.kind != table_shape::object::table || (!of.is_key(i) && !scope)) continue;
    const std::string why = unfit_for_place(c.type, *there, of.is_key(i));
    if (!why.empty()) out.add(of, "column \"{}\" cannot be a key or scope: it {}", c.name, why);
  }
}

std::set<std::string> folded(const std::vector<std::string>& names) {
  std::set<std::string> out;
  for (std::string name : names) {
    std::transform(name.begin(), name.end(), name.begin(),
                   [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
    out.insert(std::move(name));
  }
  return out;
}

bool is_unique_key(const table_shape& t, const std::set<std::string>& key) {
  return std::any_of(t.indexes.begin(), t.indexes.end(), [&](const table_index& index) {
    if (!index.unique || !index.plain) return false;
    std::vector<std::string> names;
    for (const index_part& p : index.parts) {
      const table_column* c = t.find(p.column);
      if (c == nullptr || c->nullable || p.prefix) return false;
      names.push_back(p.column);
    }
    return folded(names) == key;
  });
}

void fit_key(const resource& of, const table_shape& t, differences& out) {
  if (of.key.empty()) return out.add(of, "it declares no key");
  std::vector<std::string> names;
  std::uint64_t bytes = of.key.size() - 1;
  for (const std::size_t k : of.key) {
    names.push_back(of.columns[k].name);
    const table_column* c = t.find(names.back());
    if (c != nullptr) bytes += widest_text(of.columns[k].type, *c);
  }
  if (!is_unique_key(t, folded(names)))
    out.add(of, "the key ({}) is neither the PRIMARY KEY of {} nor UNIQUE and NOT NULL (over whole columns)",
            joined(names, ", "), of.table);
  if (bytes > kKeyBytes)
    out.add(of, "the key ({}) can be {} bytes long as text, and {} are the most; make its columns shorter",
            joined(names, ", "), bytes, kKeyBytes);
}

void fit_scopes(const resource& of, const table_shape& t, differences& out) {
  for (const scope_rule& s : of.scopes) {
    const storage::column& c = of.columns[s.column];
    const table_column* there = t.find(c.name);
    if (there == nullptr) continue;
    const std::uint64_t bytes = s.name.size() + 1 + widest_text(c.type, *there);
    if (bytes > kScopeBytes)
      out.add(of,
              "the scope \"{}\" of column \"{}\" can be {} bytes long as text, and {} are the most; make the "
              "column shorter",
              s.name, c.name, bytes, kScopeBytes);
    const bool found = std::any_of(t.indexes.begin(), t.indexes.end(), [&](const table_index& index) {
      return index.plain && same_name(index.parts.front().column, c.name);
    });
    if (!found)
      out.add(of, "the scope column \"{0}\" has no index: CREATE INDEX {1} ON {2} ({3})", c.name,
              identifier(of.table + "_" + c.name), identifier(of.table), identifier(c.name));
  }
}

void fit_search(const resource& of, const table_shape& t, differences& out) {
  const table_column* first = nullptr;
  for (const std::size_t c : of.search) {
    const table_column* there = t.find(of.columns[c].name);
    if (there == nullptr) continue;
    if (!is_one_of(there->data_type, kTexts)) {
      out.add(of, "search covers CHAR, VARCHAR and TEXT, and \"{}\" is {}", there->name,
              there->declared_type);
      continue;
    }
    if (first == nullptr) first = there;
    if (there->collation != first->collation)
      out.add(of, "search needs one collation, and \"{}\" has {} while \"{}\" has {}", first->name,
              first->collation, there->name, there->collation);
  }
}

void fit_view(const resource& of, differences& out) {
  const write_rules& w = of.write;
  if (of.synced && !of.view)
    out.add(of, "{} is no table of its own, so it can be read but not synced: declare \"view\": true",
            of.table);
  if (w.create || w.update || w.remove || w.bulk) out.add(of, "{} is a view and cannot be written", of.table);
  if (!of.search.empty()) out.add(of, "{} is a view and cannot be searched", of.table);
}

net::task<net::result<void>> fit_one(net::request_context& context, sql_connection& db, resource& of,
                                     std::span<const foreign_key> keys, differences& out) {
  if (same_name(std::string_view(of.table).substr(0, 9), "syncline_")) {
    out.add(of, "{} is a table of Syncline's own", of.table);
    co_return net::result<void>();
  }
  auto reading = read_table_shape(context, db, of.table);
  net::result<table_shape> shape = co_await std::move(reading);
  if (!shape) co_return shape.error();
  const table_shape& t = *shape;
  if (t.kind == table_shape::object::absent) {
    out.add(of, "there is no table \"{}\"", of.table);
    co_return net::result<void>();
  }
  const std::size_t before = out.lines.size();
  fit_columns(of, t, out);
  if (t.kind != table_shape::object::table) {
    fit_view(of, out);
    co_return net::result<void>();
  }
  if (!same_name(t.engine, "InnoDB"))
    out.add(of, "the table {} has the engine {}; only InnoDB keeps a change and its entry together", of.table,
            t.engine);
  fit_key(of, t, out);
  fit_scopes(of, t, out);
  fit_search(of, t, out);
  if (out.lines.size() != before) co_return net::result<void>();
  auto checking = check_where(context, db, of, t);
  net::result<void> checked = co_await std::move(checking);
  if (!checked) {
    if (checked.error().code != net::errc::schema_mismatch) co_return checked.error();
    out.lines.push_back(checked.error().detail);
  }
  if (auto cascades = cascade_triggers(of, t, keys, 1); !cascades)
    out.lines.push_back(cascades.error().detail);
  co_return net::result<void>();
}

// "8.0.36-debug" is 80036.
std::uint32_t version_number(std::string_view text) {
  std::array<std::uint32_t, 3> parts{};
  for (std::uint32_t& part : parts) {
    const auto read = std::from_chars(text.data(), text.data() + text.size(), part);
    text.remove_prefix(static_cast<std::size_t>(read.ptr - text.data()));
    if (!text.starts_with('.')) break;
    text.remove_prefix(1);
  }
  return parts[0] * 10000 + parts[1] * 100 + parts[2];
}

net::task<net::result<void>> fit_server(net::request_context& context, sql_connection& db, differences& out) {
  auto asking = query(context, db, "SELECT VERSION()");
  net::result<text_rows> version = co_await std::move(asking);
  if (!version) co_return version.error();
  if (version_number(version->front().text(0)) < kServerMin)
    out.lines.push_back("the server is MySQL " + version->front().text(0) + "; 8.0.19 or newer is needed");
  auto more = query(context, db, "SHOW GLOBAL VARIABLES LIKE 'group_replication_single_primary_mode'");
  net::result<text_rows> group = co_await std::move(more);
  if (!group) co_return group.error();
  if (!group->empty() && group->front().text(1) == "OFF")
    out.lines.push_back("the server's group replication has several primaries; the feed's order needs one");
  co_return net::result<void>();
}

}  // namespace

net::task<net::result<void>> fit_to_schema(net::request_context& context, sql_connection& db, catalog& all) {
  differences out;
  auto about_server = fit_server(context, db, out);
  net::result<void> server = co_await std::move(about_server);
  if (!server) co_return server.error();
  auto reading = read_foreign_keys(context, db);
  net::result<std::vector<foreign_key>> keys = co_await std::move(reading);
  if (!keys) co_return keys.error();
  for (std::size_t i = 0; i < all.size(); ++i) {
    auto fitting = fit_one(context, db, all.at(i), *keys, out);
    net::result<void> fitted = co_await std::move(fitting);
    if (!fitted) co_return fitted.error();
  }
  if (out.lines.empty()) co_return net::result<void>();
  co_return net::error(net::errc::schema_mismatch, "the tables do not fit the config",
                       joined(out.lines, "\n"));
}

}  // namespace syncline::storage::mysql
