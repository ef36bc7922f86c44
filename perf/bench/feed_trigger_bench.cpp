// What the change feed costs a writer: 26,000 users of 12 columns upserted in 26 statements in one
// transaction (WAL, synchronous=FULL), without and with the triggers, for rows that are new, rows that
// change, and rows that stay as they are.
#include <benchmark/benchmark.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include "storage/sqlite/schema.h"

namespace {

using namespace syncline::storage;
using namespace syncline::storage::sqlite;

constexpr int kUsers = 26'000;
constexpr int kRowsAStatement = 1000;
const std::vector<std::string> kNames = {"id",    "name",   "email", "city",  "bio",        "visits",
                                         "score", "active", "state", "phone", "created_at", "updated_at"};

catalog users() {
  resource r;
  r.name = r.table = "users";
  for (const std::string& name : kNames) {
    column c;
    c.name = name;
    if (name == "id" || name == "visits") c.type = column_type::int64;
    if (name == "score") c.type = column_type::float64;
    if (name == "active") c.type = column_type::boolean;
    r.columns.push_back(std::move(c));
  }
  r.key = {0};
  r.scopes = {{"user", 0}};
  catalog all;
  all.add(std::move(r));
  return all;
}

class database {
 public:
  explicit database(bool feed) {
    std::string folder = (std::filesystem::temp_directory_path() / "syncline-bench-XXXXXX").string();
    if (mkdtemp(folder.data()) == nullptr) std::abort();
    folder_ = folder;
    connection_options options;
    options.path = folder_ + "/users.db";
    options.create = true;
    db_ = connection::open(options).value();
    run("CREATE TABLE users(id INTEGER PRIMARY KEY, name TEXT, email TEXT UNIQUE, city TEXT, bio TEXT, "
        "visits INTEGER, "
        "score REAL, active INTEGER, state TEXT, phone TEXT, created_at TEXT, updated_at TEXT)");
    catalog all = users();
    if (feed) (void)migrate(db_, all, false).value();
    std::string sql = "INSERT INTO users VALUES";
    for (int row = 0; row < kRowsAStatement; ++row)
      sql += row == 0 ? "(?,?,?,?,?,?,?,?,?,?,?,?)" : ",(?,?,?,?,?,?,?,?,?,?,?,?)";
    sql += " ON CONFLICT(id) DO UPDATE SET ";
    for (std::size_t i = 1; i < kNames.size(); ++i)
      sql += (i == 1 ? "" : ",") + kNames[i] + "=excluded." + kNames[i];
    upsert_ = db_.prepare(sql).value();
  }
  ~database() {
    upsert_ = statement();
    db_ = connection();
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
  }
  database(const database&) = delete;
  database& operator=(const database&) = delete;

  void upload(int version) {
    const std::string bio(60, static_cast<char>('a' + version % 26));
    run("BEGIN IMMEDIATE");
    std::vector<std::string> emails(kRowsAStatement);
    for (int first = 0; first < kUsers; first += kRowsAStatement) {
      int at = 0;
      for (int i = 0; i < kRowsAStatement; ++i) {
        const int id = first + i + 1;
        std::string& email = emails[static_cast<std::size_t>(i)];
        email = "user" + std::to_string(id) + "@example.org";
        upsert_.bind(++at, std::int64_t{id});
        upsert_.bind(++at, std::string_view("Maria Gonzalez"));
        upsert_.bind(++at, std::string_view(email));
        upsert_.bind(++at, std::string_view("Rotterdam"));
        upsert_.bind(++at, std::string_view(bio));
        upsert_.bind(++at, std::int64_t{id * 3});
        upsert_.bind(++at, cell::of_real(0.25 * id));
        upsert_.bind(++at, std::int64_t{1});
        upsert_.bind(++at, std::string_view("{\"theme\":\"dark\",\"level\":3}"));
        upsert_.bind(++at, std::string_view("+31 10 123 4567"));
        upsert_.bind(++at, std::string_view("2026-01-01T00:00:00Z"));
        upsert_.bind(++at, std::string_view("2026-11-20T12:00:00Z"));
      }
      if (upsert_.step() != SQLITE_DONE) std::abort();
      upsert_.reset();
    }
    run("COMMIT");
  }

 private:
  void run(std::string_view sql) { db_.exec(sql).value(); }
  std::string folder_;
  connection db_;
  statement upsert_;
};

void upload_new_rows(benchmark::State& state) {
  for (auto _ : state) {
    state.PauseTiming();
    {
      database db(state.range(0) != 0);
      state.ResumeTiming();
      db.upload(0);
      state.PauseTiming();
    }
    state.ResumeTiming();
  }
  state.SetItemsProcessed(state.iterations() * kUsers);
}

void upload_again(benchmark::State& state, bool changed) {
  database db(state.range(0) != 0);
  int version = 0;
  db.upload(version);
  for (auto _ : state) db.upload(changed ? ++version : version);
  state.SetItemsProcessed(state.iterations() * kUsers);
}
void upload_changed_rows(benchmark::State& state) {
  upload_again(state, true);
}
void upload_same_rows(benchmark::State& state) {
  upload_again(state, false);
}

BENCHMARK(upload_new_rows)->ArgName("feed")->Arg(0)->Arg(1)->Unit(benchmark::kMillisecond)->UseRealTime();
BENCHMARK(upload_changed_rows)->ArgName("feed")->Arg(0)->Arg(1)->Unit(benchmark::kMillisecond)->UseRealTime();
BENCHMARK(upload_same_rows)->ArgName("feed")->Arg(0)->Arg(1)->Unit(benchmark::kMillisecond)->UseRealTime();

}  // namespace
