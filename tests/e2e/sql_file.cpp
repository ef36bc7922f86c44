#include "tests/e2e/sql_file.h"

#include <sqlite3.h>

#include <stdexcept>

namespace syncline::e2e {

sql_file::sql_file(const std::string& path) {
  if (sqlite3_open(path.c_str(), &db_) != SQLITE_OK) throw std::runtime_error("cannot open " + path);
  sqlite3_busy_timeout(db_, 10000);
}

sql_file::~sql_file() {
  sqlite3_close(db_);
}

bool sql_file::try_run(const std::string& sql) {
  return sqlite3_exec(db_, sql.c_str(), nullptr, nullptr, nullptr) == SQLITE_OK;
}

void sql_file::run(const std::string& sql) {
  if (!try_run(sql)) throw std::runtime_error(sqlite3_errmsg(db_) + (": " + sql));
}

std::vector<std::string> sql_file::rows(const std::string& sql) {
  sqlite3_stmt* stmt = nullptr;
  if (sqlite3_prepare_v2(db_, sql.c_str(), -1, &stmt, nullptr) != SQLITE_OK)
    throw std::runtime_error(sqlite3_errmsg(db_) + (": " + sql));
  std::vector<std::string> out;
  int code = SQLITE_ROW;
  while ((code = sqlite3_step(stmt)) == SQLITE_ROW) {
    std::string row;
    for (int column = 0; column < sqlite3_column_count(stmt); ++column) {
      const auto* text = reinterpret_cast<const char*>(sqlite3_column_text(stmt, column));
      if (column > 0) row += '|';
      row += text == nullptr ? "NULL" : text;
    }
    out.push_back(std::move(row));
  }
  sqlite3_finalize(stmt);
  if (code != SQLITE_DONE) throw std::runtime_error(sqlite3_errmsg(db_) + (": " + sql));
  return out;
}

std::string sql_file::text(const std::string& sql) {
  auto all = rows(sql);
  if (all.size() != 1) throw std::runtime_error("one row expected: " + sql);
  return all.front();
}

}  // namespace syncline::e2e
