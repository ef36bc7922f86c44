// Random statements against a small table, and a reader that knows nothing but the feed: after each
// transaction its copies must equal the table. The same reader must be found wrong when a trigger is taken
// away, or the test proves nothing.
//
// Replay: SYNCLINE_SEED=<seed> runs that seed alone.

#include <random>

#include <fmt/format.h>

#include "storage/sqlite/triggers.h"
#include "tests/storage/sqlite_tables.h"

namespace syncline::storage::sqlite {
namespace {

using testing::make_resource;
using testing::open_or_die;

struct variant {
  std::string name;
  std::string table;
  std::vector<std::string> key;
  std::string where;
  bool recursive = false;
};

// Columns of all variants: id, code (NOCASE, unique), slot (unique among live rows), owner and org (scopes),
// title, deleted; `code` is a key with awkward texts.
constexpr std::string_view kColumns =
    "code TEXT NOT NULL DEFAULT 'dflt' COLLATE NOCASE UNIQUE, slot INTEGER, owner INTEGER, org TEXT, title, "
    "secret "
    "TEXT, deleted INTEGER NOT NULL DEFAULT 0";

std::vector<variant> variants() {
  const std::string rowid = fmt::format("CREATE TABLE items(id INTEGER PRIMARY KEY, {})", kColumns);
  const std::string without =
      fmt::format("CREATE TABLE items(id INTEGER NOT NULL, {}, PRIMARY KEY(id)) WITHOUT ROWID", kColumns);
  const std::string pair =
      fmt::format("CREATE TABLE items(id INTEGER NOT NULL, {}, PRIMARY KEY(code,id))", kColumns);
  return {{"rowid", rowid, {"id"}, "deleted = '0'"},
          {"rowid_recursive", rowid, {"id"}, "deleted = '0'", true},
          {"no_where", rowid, {"id"}, ""},
          {"nocase_key", rowid, {"code"}, "deleted = 0"},
          {"without_rowid", without, {"id"}, "deleted = '0'"},
          {"pair", pair, {"code", "id"}, "deleted = 0"}};
}

class random_writer {
 public:
  explicit random_writer(std::uint64_t seed) : random_(seed) {}

  std::string statement() {
    switch (below(9)) {
      case 0:
        return fmt::format("{} {}", pick({"INSERT", "INSERT OR IGNORE", "INSERT OR FAIL"}), rows());
      case 1:
      case 2:
        return fmt::format("{} {}", pick({"INSERT OR REPLACE", "REPLACE"}), rows());
      case 3:
        return fmt::format("INSERT {} ON CONFLICT DO {}", rows(),
                           pick({"NOTHING", "UPDATE SET title=excluded.title",
                                 "UPDATE SET owner=excluded.owner, "
                                 "org=excluded.org",
                                 "UPDATE SET deleted=excluded.deleted, code=excluded.code"}));
      case 4:
      case 5:
      case 6:
        return update();
      case 7:
        return fmt::format("DELETE FROM items{}", below(6) == 0 ? std::string() : " WHERE " + condition());
      default:
        return fmt::format("SAVEPOINT s; {}; {} s; RELEASE s", update(),
                           pick({"ROLLBACK TO", "RELEASE s; SAVEPOINT"}));
    }
  }
  std::size_t below(std::size_t n) { return std::uniform_int_distribution<std::size_t>(0, n - 1)(random_); }

 private:
  std::string pick(std::vector<std::string> of) { return of[below(of.size())]; }
  std::string value(std::string_view column) {
    if (column == "id") return std::to_string(1 + below(5));
    if (column == "code") return pick({"'a'", "'A'", "'b'", "'B,%'", "'b,%'", "'c''d'", "'dflt'", "NULL"});
    if (column == "slot") return pick({"NULL", "1", "2", "3"});
    if (column == "owner") return pick({"NULL", "1", "2"});
    if (column == "org") return pick({"NULL", "'x'", "'X'", "'y,z'", "''"});
    if (column == "title") return pick({"'t'", "'T'", "1", "1.0", "'1'", "x'31'", "NULL"});
    if (column == "secret") return pick({"'s'", "'r'"});
    return pick({"0", "0", "1"});
  }
  std::string column() { return pick({"id", "code", "slot", "owner", "org", "title", "secret", "deleted"}); }
  std::string condition() {
    const std::string c = pick({"id", "owner", "slot", "deleted"});
    return fmt::format("{} {} {}", c, pick({"=", "<>", "IS"}), value(c));
  }
  std::string rows() {
    std::string out = "INTO items(id,code,slot,owner,org,title,secret,deleted) VALUES";
    const std::size_t count = 1 + below(3);
    for (std::size_t i = 0; i < count; ++i) {
      out += i == 0 ? "(" : ",(";
      for (const std::string_view c : {"id", "code", "slot", "owner", "org", "title", "secret", "deleted"})
        out += (c == "id" ? "" : ",") + value(c);
      out += ")";
    }
    return out;
  }
  std::string update() {
    const std::string first = column();
    std::string set = fmt::format("{}={}", first, value(first));
    if (const std::string second = column(); second != first && below(2) == 0)
      set += fmt::format(",{}={}", second, value(second));
    return fmt::format("UPDATE {} items SET {}{}", pick({"", "OR REPLACE", "OR REPLACE", "OR IGNORE"}), set,
                       below(3) == 0 ? std::string() : " WHERE " + condition());
  }
  std::mt19937_64 random_;
};

// Rows by key, for each stream: a scope's text, or "*" for the whole resource.
using copies = std::map<std::string, std::map<std::string, std::string>>;

class follower {
 public:
  follower(connection& db, const resource& of) : db_(db), of_(of) {}

  // What the table holds, its keys and scopes made by key.h.
  copies truth() {
    copies out;
    std::string sql = "SELECT ";
    for (const column& c : of_.columns) sql += sqlite::quoted(c.name) + ",";
    sql += "quote(title)||'/'||typeof(title)||'/'||quote(code)||'/'||quote(slot) FROM items";
    if (!of_.where.empty()) sql += " WHERE " + of_.where;
    auto s = db_.prepare(sql);
    if (!s) throw std::runtime_error(s.error().text());
    while (s->step() == SQLITE_ROW) {
      std::vector<cell> row;
      for (std::size_t i = 0; i < of_.columns.size(); ++i) row.push_back(s->column(static_cast<int>(i)));
      const std::string key = key_of_row(of_, row).value();
      const std::string text(s->text(static_cast<int>(of_.columns.size())));
      out["*"][key] = text;
      for (std::size_t i = 0; i < of_.scopes.size(); ++i) {
        const scope_rule& rule = of_.scopes[i];
        std::string scope = rule.name + ":";
        if (append_key_part(of_.columns[rule.column].type, row[rule.column], scope)) {
          out[scope][key] = text;
        } else if (i == 0) {
          out[""][key] = text;
        }
      }
    }
    return out;
  }

  // Reads the entries since the last call, and nothing else. Returns what is wrong, or an empty text.
  std::string follow() {
    const copies now = truth();
    auto s = db_.prepare("SELECT scope, \"key\" FROM syncline_feed WHERE seq>?1 ORDER BY seq");
    if (!s) return s.error().text();
    s->bind(1, seen_);
    while (s->step() == SQLITE_ROW) {
      const std::string scope(s->text(0));
      look(now, scope, scope, std::string(s->text(1)));
      if (scope.empty() || scope.starts_with(of_.scopes.front().name + ":"))
        look(now, "*", scope, std::string(s->text(1)));
    }
    seen_ = testing::clock_of(db_);
    for (const auto& [stream, rows] : now)
      if (mine_[stream] != rows) return "stream \"" + stream + "\" differs";
    for (const auto& [stream, rows] : mine_)
      if (!rows.empty() && !now.contains(stream)) return "stream \"" + stream + "\" kept rows that left";
    return {};
  }

 private:
  void look(const copies& now, const std::string& stream, const std::string& where, const std::string& key) {
    // Looked up in the whole table for the whole-resource stream: a row that only moved to another scope is
    // still there.
    const auto rows = now.find(stream == "*" ? stream : where);
    if (rows != now.end() && rows->second.contains(key)) {
      mine_[stream][key] = rows->second.at(key);
    } else {
      mine_[stream].erase(key);
    }
  }
  connection& db_;
  const resource& of_;
  copies mine_;
  std::int64_t seen_ = 0;
};

// Empty when the follower kept up with everything.
std::string run_seed(const variant& v, std::uint64_t seed, const std::vector<std::string>& without = {}) {
  connection db = open_or_die();
  testing::run(
      db, v.table +
              "; CREATE UNIQUE INDEX live ON items(slot) WHERE deleted=0; CREATE INDEX o ON items(owner);"
              "CREATE INDEX g ON items(org)");
  if (v.recursive) testing::run(db, "PRAGMA recursive_triggers=ON");
  catalog all;
  const resource& of = all.add(make_resource("items", "id:int64 code slot:int64 owner:int64 org title:json",
                                             v.key, {{"user", "owner"}, {"org", "org"}}, v.where));
  testing::migrate_or_die(db, all);
  for (const std::string& trigger : without) testing::run(db, "DROP TRIGGER syncline_items_" + trigger);

  random_writer writer(seed);
  follower reader(db, of);
  std::string history;
  for (int transaction = 0; transaction < 25; ++transaction) {
    testing::run(db, "BEGIN IMMEDIATE");
    const std::size_t statements = 1 + writer.below(3);
    for (std::size_t i = 0; i < statements; ++i) {
      const std::string sql = writer.statement();
      history += "\n  " + sql;
      (void)db.exec(sql);          // constraints refuse many of them
      (void)db.exec("RELEASE s");  // of a statement that failed inside its savepoint
    }
    const bool kept = writer.below(8) != 0;
    testing::run(db, kept ? "COMMIT" : "ROLLBACK");
    history += kept ? "\n  COMMIT" : "\n  ROLLBACK";
    if (const std::string wrong = reader.follow(); !wrong.empty())
      return fmt::format("{} seed {}: {} after{}", v.name, seed, wrong, history);
  }
  if (!without.empty()) return {};
  const auto report = check_feed(db, all, false);
  if (!report) return report.error().text();
  return report->clean() ? std::string()
                         : fmt::format("{} seed {}: check_feed: {}", v.name, seed, report->examples.front());
}

TEST(sqlite_triggers_random, AReaderOfTheFeedAloneKeepsUpWithTheTable) {
  const char* replay = std::getenv("SYNCLINE_SEED");
  const std::uint64_t first = replay != nullptr ? std::stoull(replay) : 1;
  const std::uint64_t last = replay != nullptr ? first : 6;
  for (const variant& v : variants())
    for (std::uint64_t seed = first; seed <= last; ++seed) {
      const std::string wrong = run_seed(v, seed);
      ASSERT_EQ(wrong, "") << "replay with SYNCLINE_SEED=" << seed;
    }
}

// Each trigger is needed: without it some seed finds the reader wrong.
TEST(sqlite_triggers_random, TheSameReaderFallsBehindWithoutAnyOneOfTheTriggers) {
  for (const std::string trigger :
       {"before_insert", "before_update", "after_insert", "after_update", "after_move", "after_delete"}) {
    bool found = false;
    for (std::uint64_t seed = 1; seed <= 300 && !found; ++seed)
      found = !run_seed(variants().front(), seed, {trigger}).empty();
    EXPECT_TRUE(found) << "no seed noticed that " << trigger << " is missing";
  }
}

}  // namespace
}  // namespace syncline::storage::sqlite
