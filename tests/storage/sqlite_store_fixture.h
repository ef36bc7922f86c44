// What the tests of the SQLite store share: a file with tables, and the store open on it.
#pragma once

#include <atomic>
#include <string>
#include <string_view>

#include "storage/sqlite/sqlite_store.h"
#include "tests/storage/sqlite_tables.h"
#include "tests/storage/store_calls.h"

namespace syncline::storage::sqlite::testing {

using net::testing::eventually;
using storage::testing::batch_builder;
using storage::testing::I;
using storage::testing::N;
using storage::testing::recording_listener;
using storage::testing::T;

inline constexpr std::string_view kTables =
    "CREATE TABLE users(id INTEGER PRIMARY KEY, name TEXT NOT NULL, email TEXT UNIQUE, team INTEGER, "
    "state TEXT DEFAULT '{}', score REAL DEFAULT 1.5, deleted_at TEXT, CHECK(score IS NULL OR score >= 0));"
    "CREATE INDEX users_team ON users(team);"
    "CREATE TABLE notes(owner TEXT NOT NULL, n INTEGER NOT NULL, body TEXT, PRIMARY KEY(owner, n)) WITHOUT "
    "ROWID;"
    "CREATE TABLE tags(tag TEXT COLLATE NOCASE PRIMARY KEY NOT NULL, uses INTEGER);"
    "CREATE TABLE links(id INTEGER PRIMARY KEY, user_id INTEGER NOT NULL REFERENCES users(id), "
    "later_id INTEGER REFERENCES users(id) DEFERRABLE INITIALLY DEFERRED);";

class store_test : public storage::testing::store_calls {
 protected:
  store_test() {
    options_.path = file_.path();
    options_.synchronous = "NORMAL";
    options_.migrate_on_start = true;
  }
  ~store_test() override { close_store(); }
  void SetUp() override {
    connection db = open_or_die(file_.path());
    run(db, kTables);
  }

  void open_store() {
    auto made = open_sqlite_store(options_, all_);
    ASSERT_TRUE(made.has_value()) << made.error().text();
    store_ = std::move(*made);
    store_->set_listener(&listener_);
  }

  scratch_file file_;
  sqlite_options options_;
};

}  // namespace syncline::storage::sqlite::testing
