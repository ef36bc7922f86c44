#include "storage/resource.h"

#include <gtest/gtest.h>

#include <functional>
#include <set>

#include "sample_resource.h"
#include "storage/feed.h"

namespace syncline::storage {
namespace {

TEST(ColumnType, NamesReadBack) {
  for (const auto type : {column_type::int64, column_type::float64, column_type::boolean, column_type::string,
                          column_type::json, column_type::timestamp, column_type::date, column_type::decimal,
                          column_type::bytes}) {
    EXPECT_EQ(parse_column_type(to_string(type)), type);
  }
  EXPECT_FALSE(parse_column_type("INT64"));
  EXPECT_FALSE(parse_column_type(""));
}

TEST(Resource, FindsColumnsScopesAndKey) {
  const resource of = sample_resource();
  EXPECT_EQ(of.find_column("score"), 3U);
  EXPECT_FALSE(of.find_column("Score"));
  ASSERT_NE(of.find_scope("user"), nullptr);
  EXPECT_EQ(of.find_scope("org"), nullptr);
  EXPECT_TRUE(of.is_key(0));
  EXPECT_FALSE(of.is_key(1));
}

TEST(Resource, DeclarationHashChangesWithAnythingAClientSees) {
  const std::vector<std::function<void(resource&)>> changes = {
      [](resource&) {},
      [](resource& r) { r.name = "people"; },
      [](resource& r) { r.table = "people"; },
      [](resource& r) { r.where = "deleted_at IS NULL"; },
      [](resource& r) {
        r.key = {0, 1};
      },
      [](resource& r) { r.scopes.clear(); },
      [](resource& r) { r.scopes[0].column = 2; },
      [](resource& r) { r.scopes[0].name = "owner"; },
      [](resource& r) { r.columns.pop_back(); },
      [](resource& r) { std::swap(r.columns[1], r.columns[2]); },
      [](resource& r) { r.columns[2].type = column_type::string; },
      [](resource& r) { r.columns[2].short_name = "v"; },
      [](resource& r) { r.columns[2].as_string = true; },
      // The same letters, cut elsewhere.
      [](resource& r) { r.name = "user", r.table = "susers"; },
  };
  std::set<std::uint64_t> hashes;
  for (const auto& change : changes) {
    resource of = sample_resource();
    change(of);
    hashes.insert(of.declaration_hash());
  }
  EXPECT_EQ(hashes.size(), changes.size());
}

TEST(Resource, DeclarationHashIgnoresWhatAClientDoesNotSee) {
  resource of = sample_resource();
  const std::uint64_t before = of.declaration_hash();
  of.columns[2].nullable = false;
  of.columns[2].bytes_max = 1;
  of.write.bulk = true;
  of.cache.ttl_s = 1;
  of.search = {1};
  of.ordinal = 7;
  EXPECT_EQ(of.declaration_hash(), before);
}

TEST(Catalog, KeepsAddressesAndFindsByName) {
  catalog all;
  const resource* first = &all.add(sample_resource());
  for (int i = 0; i < 100; ++i) {
    resource more = sample_resource();
    more.name = "r" + std::to_string(i);
    EXPECT_EQ(all.add(std::move(more)).ordinal, static_cast<std::uint32_t>(i + 1));
  }
  EXPECT_EQ(all.find("users"), first);
  EXPECT_EQ(&all.at(0), first);
  EXPECT_EQ(all.find("nobody"), nullptr);
  EXPECT_EQ(all.size(), 101U);
}

TEST(Catalog, FindsAMergeOfItsRootOnly) {
  catalog all;
  const resource& users = all.add(sample_resource());
  resource other = sample_resource();
  other.name = "blocks";
  const resource& blocks = all.add(std::move(other));
  merge profile;
  profile.name = "profile";
  profile.root = &users;
  all.add(std::move(profile));
  ASSERT_NE(all.find_merge(users, "profile"), nullptr);
  EXPECT_EQ(all.find_merge(blocks, "profile"), nullptr);
  EXPECT_EQ(all.find_merge(users, "other"), nullptr);
}

TEST(ResetReason, HasAStableText) {
  EXPECT_EQ(to_string(reset_reason::none), "none");
  EXPECT_EQ(to_string(reset_reason::declaration_changed), "declaration-changed");
  EXPECT_EQ(to_string(reset_reason::history_purged), "history-purged");
  EXPECT_EQ(to_string(reset_reason::unknown_generation), "unknown-generation");
  EXPECT_EQ(to_string(reset_reason::feed_went_back), "feed-went-back");
}

}  // namespace
}  // namespace syncline::storage
