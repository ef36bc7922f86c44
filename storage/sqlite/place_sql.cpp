#include "storage/sqlite/place_sql.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>

namespace syncline::storage::sqlite {

namespace {

std::string value_text(const column& c, std::string_view row) {
  const std::string value = fmt::format("{}{}", row, quoted(c.name));
  switch (c.type) {
    case column_type::int64:
    case column_type::boolean:
      return fmt::format("CAST({} AS TEXT)", value);
    case column_type::bytes:
      return fmt::format("hex({})", value);
    default:
      break;
  }
  return fmt::format("replace(replace(CAST({} AS TEXT),'%','%25'),',','%2C')", value);
}

bool can_be_null(const resource& of, const table_shape& t, std::size_t column) {
  const table_column* c = t.find(of.columns[column].name);
  if (c == nullptr || c->not_null) return false;
  if (t.without_rowid && c->primary_position != 0) return false;
  return !(t.rowid_alias && &t.columns[*t.rowid_alias] == c);
}

void add_once(std::vector<std::string>& names, const std::string& name) {
  const bool there =
      std::any_of(names.begin(), names.end(), [&](const std::string& n) { return same_name(n, name); });
  if (!there) names.push_back(name);
}

struct reading {
  std::string table;
  std::vector<std::string> columns;
  std::string stranger;  // another table or a function of the clock
};

// SQLite asks the authorizer about each column while it resolves a statement: the exact list, whatever the
// clause looks like.
int note_read(void* context, int action, const char* a, const char* b, const char*, const char*) {
  auto& r = *static_cast<reading*>(context);
  if (action == SQLITE_READ && a != nullptr && b != nullptr) {
    if (!same_name(a, r.table)) {
      r.stranger = a;
    } else if (b[0] != '\0') {
      add_once(r.columns, b);
    }
  }
  if (action == SQLITE_FUNCTION && b != nullptr && std::string_view(b).starts_with("current_"))
    r.stranger = b;
  return SQLITE_OK;
}

// Date functions mean the present when they are told 'now' or nothing at all.
bool asks_the_time(std::string_view where) {
  std::string squeezed;
  for (const char c : where)
    if (c != ' ' && c != '\t' && c != '\n' && c != '\r')
      squeezed.push_back(c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c);
  constexpr std::array<std::string_view, 5> kPresent = {"'now'", "date()", "time()", "julianday()",
                                                        "unixepoch()"};
  return std::any_of(kPresent.begin(), kPresent.end(),
                     [&](std::string_view p) { return squeezed.find(p) != std::string::npos; });
}

net::error refused(const resource& of, std::string why) {
  return {net::errc::schema_mismatch, "a where clause cannot be followed",
          fmt::format("resource {}: where \"{}\": {}", of.name, of.where, why)};
}

// Double-quoted names that are no columns would silently become texts; for the time of one prepare they are
// errors.
class strict_names {
 public:
  explicit strict_names(sqlite3* db) : db_(db) {
    sqlite3_db_config(db_, SQLITE_DBCONFIG_DQS_DML, -1, &before_);
    sqlite3_db_config(db_, SQLITE_DBCONFIG_DQS_DML, 0, nullptr);
  }
  ~strict_names() { sqlite3_db_config(db_, SQLITE_DBCONFIG_DQS_DML, before_, nullptr); }
  strict_names(const strict_names&) = delete;
  strict_names& operator=(const strict_names&) = delete;

 private:
  sqlite3* db_;
  int before_ = 1;
};

}  // namespace

std::string joined(const std::vector<std::string>& parts, std::string_view between) {
  return fmt::format("{}", fmt::join(parts, between));
}

std::vector<place_sql> places_of(const resource& of, const table_shape& t, std::string_view row) {
  std::vector<std::string> texts;
  std::vector<std::string> present;
  for (const std::size_t k : of.key) {
    texts.push_back(value_text(of.columns[k], row));
    if (can_be_null(of, t, k))
      present.push_back(fmt::format("{}{} IS NOT NULL", row, quoted(of.columns[k].name)));
  }
  const std::string key = joined(texts, "||','||");

  std::vector<place_sql> out;
  if (of.scopes.empty()) out.push_back({"''", key, joined(present, " AND ")});
  for (std::size_t i = 0; i < of.scopes.size(); ++i) {
    const column& c = of.columns[of.scopes[i].column];
    const std::string name = fmt::format("{}{}", row, quoted(c.name));
    const std::string text = fmt::format("{}||{}", literal(of.scopes[i].name + ":"), value_text(c, row));
    if (i == 0) {
      // hex(NULL) is an empty text, so NULL is asked for and not left to the concatenation.
      const bool always = !can_be_null(of, t, of.scopes[i].column);
      out.push_back({always ? text : fmt::format("CASE WHEN {} IS NULL THEN '' ELSE {} END", name, text), key,
                     joined(present, " AND ")});
      continue;
    }
    std::vector<std::string> conditions = present;
    conditions.push_back(name + " IS NOT NULL");
    out.push_back({text, key, joined(conditions, " AND ")});
  }
  return out;
}

std::string differs_sql(std::string_view column, std::string_view a, std::string_view b) {
  const std::string c = quoted(column);
  return fmt::format("{0}{2} IS NOT {1}{2} COLLATE BINARY OR typeof({0}{2})<>typeof({1}{2})", a, b, c);
}

std::string any_differs_sql(const std::vector<std::string>& columns, std::string_view a, std::string_view b) {
  std::vector<std::string> parts;
  parts.reserve(columns.size());
  for (const std::string& c : columns) parts.push_back(differs_sql(c, a, b));
  return joined(parts, " OR ");
}

std::vector<std::string> place_columns(const resource& of) {
  std::vector<std::string> out;
  for (const std::size_t k : of.key) add_once(out, of.columns[k].name);
  for (const scope_rule& s : of.scopes) add_once(out, of.columns[s.column].name);
  return out;
}

// The line break ends a `--` comment inside the clause.
std::string where_sql(const resource& of) {
  return of.where.empty() ? "" : fmt::format("({}\n)", of.where);
}

std::string inside_sql(const resource& of, const table_shape& t, std::string_view row) {
  if (of.where.empty()) return {};
  const std::string table = quoted(t.name);
  std::vector<std::string> same;
  for (const index_part& p : t.identity())
    same.push_back(fmt::format("{}.{} COLLATE {}={}{}", table, quoted(p.column), quoted(p.collation), row,
                               quoted(p.column)));
  return fmt::format("EXISTS(SELECT 1 FROM {} WHERE {} AND {})", table, joined(same, " AND "), where_sql(of));
}

net::result<std::vector<std::string>> read_where_columns(connection& db, const resource& of,
                                                         const table_shape& t) {
  if (of.where.empty()) return std::vector<std::string>{};
  if (asks_the_time(of.where))
    return refused(of, "it depends on the time, so rows would leave without a write");
  const strict_names strict(db.get());

  // SQLite refuses subqueries, parameters and functions that are not deterministic in a partial index; so do
  // we, for its reasons. Never run.
  const auto as_index =
      db.prepare(fmt::format("CREATE INDEX syncline_where_check ON {}({}) WHERE {}", quoted(t.name),
                             quoted(t.columns.front().name), where_sql(of)));
  if (!as_index)
    return refused(of, std::string("SQLite would not take it as the condition of a partial index: ") +
                           sqlite3_errmsg(db.get()));

  reading r{t.name, {}, {}};
  sqlite3_set_authorizer(db.get(), note_read, &r);
  const auto query = db.prepare(fmt::format("SELECT 1 FROM {} WHERE {}", quoted(t.name), where_sql(of)));
  sqlite3_set_authorizer(db.get(), nullptr, nullptr);
  if (!query) return refused(of, sqlite3_errmsg(db.get()));
  if (!r.stranger.empty()) return refused(of, "it depends on " + r.stranger);
  // The rowid of a table without an alias shows under a name that is no column; a change of it is a new
  // identity, which OLD and NEW see.
  for (std::string& c : r.columns)
    if (t.find(c) == nullptr) c = t.rowid_name;
  return r.columns;
}

}  // namespace syncline::storage::sqlite
