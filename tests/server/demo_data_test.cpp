// The demo: are its rows the same each time, does the API accept them, do they refer to each other, and do
// its tables fit its config.
#include "server/command/demo_data.h"

#include <filesystem>
#include <set>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <boost/json/parse.hpp>

#include <unistd.h>

#include "server/command/demo_rows.h"
#include "server/config.h"
#include "storage/row_reader.h"
#include "storage/sqlite/connection.h"
#include "storage/sqlite/schema.h"
#include "tests/source_folder.h"
#include "tests/temp_directory.h"

namespace syncline::server::command {
namespace {

using syncline::testing::read_text;
using syncline::testing::temp_directory;

config demo_config() {
  const std::string name = fmt::format("{}/configs/demo/syncline.json", syncline::testing::source_folder());
  return parse_config(read_text(name), name);
}

std::string all_rows(const demo_rows& from, std::string_view resource) {
  std::string out;
  EXPECT_TRUE(from.write(resource, [&](std::string_view line) {
    out.append(line).push_back('\n');
    return true;
  }));
  return out;
}

TEST(DemoRows, SameSeedGivesTheSameBytes) {
  for (const std::string_view resource : demo_rows::resources()) {
    const std::string rows = all_rows(demo_rows(200, 7), resource);
    EXPECT_EQ(rows, all_rows(demo_rows(200, 7), resource)) << resource;
    EXPECT_NE(rows, all_rows(demo_rows(200, 8), resource)) << resource;
  }
}

TEST(DemoRows, EveryLineIsARowThatBulkAccepts) {
  const config demo = demo_config();
  const demo_rows rows(3000, 1);
  for (const std::string_view name : demo_rows::resources()) {
    const storage::resource* of = demo.resources.find(name);
    ASSERT_NE(of, nullptr) << name;
    EXPECT_TRUE(of->write.bulk) << name;
    storage::row_reader reader(*of);
    std::vector<storage::cell> cells(of->columns.size());
    storage::text_arena arena;
    std::uint64_t count = 0;
    EXPECT_TRUE(rows.write(name, [&](std::string_view line) {
      arena.clear();
      const auto fault = reader.read_json(line, storage::row_form::whole, arena, cells);
      if (fault) ADD_FAILURE() << name << ": " << fault->column << ": " << fault->detail << "\n" << line;
      for (const auto& cell : cells) EXPECT_TRUE(cell.present()) << line;
      ++count;
      return !fault.has_value();
    }));
    EXPECT_GT(count, 0u) << name;
  }
}

TEST(DemoRows, KeysAreDistinctAndReferencesExist) {
  for (const std::uint64_t users : {1u, 2u, 5u, 500u}) {
    const demo_rows rows(users, 3);
    for (const std::string_view resource : {"follows", "blocks"}) {
      std::set<std::pair<std::int64_t, std::int64_t>> keys;
      rows.write(resource, [&](std::string_view line) {
        const auto row = boost::json::parse(line).as_object();
        const std::pair key(row.at("user_id").as_int64(), row.at("target_id").as_int64());
        EXPECT_TRUE(keys.empty() || *keys.rbegin() < key) << line;
        EXPECT_NE(key.first, key.second);
        EXPECT_TRUE(key.second >= 1 && key.second <= static_cast<std::int64_t>(users)) << line;
        keys.insert(key);
        return true;
      });
    }
    rows.write("categories", [&](std::string_view line) {
      const auto row = boost::json::parse(line).as_object();
      if (row.at("parent_id").is_int64()) {
        EXPECT_LT(row.at("parent_id").as_int64(), row.at("id").as_int64());
      }
      return true;
    });
    rows.write("donations", [&](std::string_view line) {
      const auto row = boost::json::parse(line).as_object();
      EXPECT_LE(row.at("campaign_id").as_int64(), static_cast<std::int64_t>(rows.campaigns()));
      return true;
    });
  }
}

TEST(DemoRows, SinkEndsTheWriting) {
  int lines = 0;
  EXPECT_FALSE(demo_rows(1'000'000, 1).write("users", [&](std::string_view) { return ++lines < 3; }));
  EXPECT_EQ(lines, 3);
  EXPECT_FALSE(demo_rows(1, 1).write("nobody", [](std::string_view) { return true; }));
}

TEST(DemoRows, CountsAreThoseOfTheDemo) {
  const demo_rows rows(26'000, 1);
  EXPECT_EQ(rows.users(), 26'000u);
  EXPECT_EQ(rows.categories(), 20'000u);
  EXPECT_EQ(rows.campaigns(), 3'000u);
}

TEST(DemoData, SchemaIsTheFileAndFitsTheDemoConfig) {
  EXPECT_EQ(demo_schema(),
            read_text(fmt::format("{}/configs/demo/schema.sql", syncline::testing::source_folder())));
  const temp_directory folder;
  ASSERT_TRUE(make_demo_database(folder.file("demo.db")));
  ASSERT_TRUE(make_demo_database(folder.file("demo.db"))) << "a second time changes nothing";
  storage::sqlite::connection_options options;
  options.path = folder.file("demo.db");
  auto db = storage::sqlite::connection::open(options);
  ASSERT_TRUE(db);
  config demo = demo_config();
  const auto fit = storage::sqlite::fit_to_schema(*db, demo.resources);
  EXPECT_TRUE(fit) << (fit ? "" : fit.error().text());
}

TEST(DemoData, FillPutsEveryRowInOnce) {
  const temp_directory folder;
  const std::string name = folder.file("demo.db");
  ASSERT_TRUE(make_demo_database(name));
  demo_data_options options;
  options.users = 300;
  std::uint64_t expected = 0;
  for (const std::string_view resource : demo_rows::resources()) {
    const std::string rows = all_rows(demo_rows(300, options.seed), resource);
    expected += static_cast<std::uint64_t>(std::count(rows.begin(), rows.end(), '\n'));
  }
  const auto filled = fill_demo_database(name, options);
  ASSERT_TRUE(filled) << filled.error().text();
  EXPECT_EQ(*filled, expected);
  const auto again = fill_demo_database(name, options);
  ASSERT_TRUE(again);
  EXPECT_EQ(*again, 0u);
  storage::sqlite::connection_options with;
  with.path = name;
  auto db = storage::sqlite::connection::open(with);
  ASSERT_TRUE(db);
  EXPECT_EQ(*db->query_int("SELECT count(*) FROM users WHERE json_valid(state) AND name <> ''"), 300);
  EXPECT_EQ(*db->query_text("SELECT group_concat(DISTINCT typeof(online)) FROM user_states"), "integer");
  EXPECT_EQ(*db->query_text("SELECT group_concat(DISTINCT typeof(id)) FROM donations"), "integer");
}

TEST(DemoData, WritesOneFileForEachResource) {
  const temp_directory folder;
  demo_data_options options;
  options.users = 50;
  options.directory = folder.file("out");
  ASSERT_EQ(demo_data(options), 0);
  for (const std::string_view resource : demo_rows::resources()) {
    EXPECT_EQ(read_text(fmt::format("{}/{}.ndjson", options.directory, resource)),
              all_rows(demo_rows(50, 1), resource));
  }
}

TEST(DemoData, AFullDiskIsReported) {
  const temp_directory folder;
  std::filesystem::create_symlink("/dev/full", folder.file("users.ndjson"));
  demo_data_options options;
  options.users = 10;
  options.resource = "users";
  options.directory = folder.file("");
  EXPECT_EQ(demo_data(options), 1);
}

TEST(DemoData, OptionsThatMakeNoSenseAreRefused) {
  EXPECT_EQ(demo_data({}), 1);
  demo_data_options options;
  options.standard_output = true;
  options.resource = "user";
  EXPECT_EQ(demo_data(options), 1);
  options.resource = "users";
  options.fill = true;
  EXPECT_EQ(demo_data(options), 1);
}

}  // namespace
}  // namespace syncline::server::command
