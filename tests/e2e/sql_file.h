// A SQLite file opened as any other program would: to make tables, to write behind the server's back, and to
// look at what is really there.
//
// Thread: one. Failure: exceptions with SQLite's text, except try_run().
#pragma once

#include <cstdint>
#include <string>
#include <vector>

struct sqlite3;

namespace syncline::e2e {

class sql_file {
 public:
  explicit sql_file(const std::string& path);
  ~sql_file();
  sql_file(const sql_file&) = delete;
  sql_file& operator=(const sql_file&) = delete;

  void run(const std::string& sql);
  [[nodiscard]] bool try_run(const std::string& sql);
  // Each row as its columns with '|' between; NULL is the text NULL.
  [[nodiscard]] std::vector<std::string> rows(const std::string& sql);
  [[nodiscard]] std::string text(const std::string& sql);  // of the only row
  [[nodiscard]] std::int64_t number(const std::string& sql) { return std::stoll(text(sql)); }

 private:
  sqlite3* db_ = nullptr;
};

}  // namespace syncline::e2e
