#include "storage/sqlite/table_walk.h"

#include <fmt/format.h>

#include "storage/sqlite/place_sql.h"

namespace syncline::storage::sqlite {

namespace {

// The column as the index of the identity compares it. SQLite uses an index for a row value only when its
// parts are bare columns, so COLLATE is written only where it says something else than the column itself
// does.
std::string compared_as_indexed(connection& db, const std::string& table, const index_part& p) {
  const std::string bare = fmt::format("{}.{}", quoted(table), quoted(p.column));
  const char* own = nullptr;
  sqlite3_table_column_metadata(db.get(), "main", table.c_str(), p.column.c_str(), nullptr, &own, nullptr,
                                nullptr, nullptr);
  const bool same = own == nullptr || same_name(own, p.collation);
  return same ? bare : fmt::format("{} COLLATE {}", bare, quoted(p.collation));
}

}  // namespace

table_walk::table_walk(connection& db, const table_shape& t, std::uint32_t range_rows)
    : table_(quoted(t.name)), range_rows_(range_rows) {
  for (const index_part& p : t.identity()) columns_.push_back(compared_as_indexed(db, t.name, p));
}

std::string table_walk::bounded(std::string_view comparison, std::size_t first_parameter) const {
  std::vector<std::string> marks;
  for (std::size_t i = 0; i < columns_.size(); ++i) marks.push_back(fmt::format("?{}", first_parameter + i));
  return fmt::format("({}){}({})", joined(columns_, ","), comparison, joined(marks, ","));
}

void table_walk::bind_identity(statement& s, const identity& of, std::size_t first_parameter) {
  for (std::size_t i = 0; i < of.size(); ++i) {
    cell c = of[i].is;
    if (c.k == cell::kind::text || c.k == cell::kind::blob) c.text = of[i].bytes;
    s.bind(static_cast<int>(first_parameter + i), c);
  }
}

net::result<bool> table_walk::next(connection& db) {
  if (started_ && high_.empty()) return false;
  started_ = true;
  low_ = std::move(high_);
  high_.clear();
  const std::string above = low_.empty() ? "1" : bounded(">", 1);
  auto s = db.prepare(fmt::format("SELECT {0} FROM {1} WHERE {2} ORDER BY {0} LIMIT 1 OFFSET {3}",
                                  joined(columns_, ","), table_, above, range_rows_ - 1));
  if (!s) return s.error();
  bind_identity(*s, low_, 1);
  const int code = s->step();
  if (code == SQLITE_ROW) {
    for (std::size_t i = 0; i < columns_.size(); ++i) {
      const cell c = s->column(static_cast<int>(i));
      high_.push_back({c, std::string(c.text)});
    }
  } else if (code != SQLITE_DONE) {
    return db.error(code, "walking through " + table_);
  }
  condition_ = above;
  if (!high_.empty()) condition_ += " AND " + bounded("<=", 1 + columns_.size());
  return true;
}

void table_walk::bind(statement& s) const {
  bind_identity(s, low_, 1);
  bind_identity(s, high_, 1 + columns_.size());
}

}  // namespace syncline::storage::sqlite
