// The config: what is accepted, what is refused and how the refusal reads, where values come from, and
// whether the documentation tells the same.
#include "server/config.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "server/config_json.h"
#include "server/config_schema.h"
#include "tests/source_folder.h"
#include "tests/temp_directory.h"

namespace syncline::server {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

std::string fault_of(std::string_view text) {
  try {
    static_cast<void>(parse_config(text, "f.json"));
  } catch (const config_error& failed) {
    return failed.what();
  }
  return "accepted";
}

std::string fault_of(const config_sources& sources) {
  try {
    static_cast<void>(load_config(sources));
  } catch (const config_error& failed) {
    return failed.what();
  }
  return "accepted";
}

// A resource named "users" with these members more; and merges.
std::string with_users(std::string_view members, std::string_view merges = "") {
  std::string out = R"({"resources": {"users": {"table": "users", "key": "id",
"columns": {"id": "int64", "name": "string", "state": "json", "score": "float64"})";
  out.append(members.empty() ? "" : ",\n").append(members);
  out.append(
      "}, \"follows\": {\"table\": \"follows\", \"key\": [\"user_id\", \"target_id\"], "
      "\"columns\": {\"user_id\": \"int64\", \"target_id\": \"int64\", \"note\": \"string\"}}}");
  out.append(merges.empty() ? "" : ",\n\"merges\": ").append(merges).append("}");
  return out;
}

std::string read_source(std::string_view path) {
  return syncline::testing::read_text(fmt::format("{}/{}", syncline::testing::source_folder(), path));
}

TEST(Config, EmptyObjectGivesTheDefaults) {
  const config got = parse_config("{}", "f.json");
  EXPECT_EQ(got.http.address, "127.0.0.1");
  EXPECT_EQ(got.http.port, 8080);
  EXPECT_EQ(got.admin.port, 8081);
  EXPECT_EQ(got.http.metrics_label, "public");
  EXPECT_EQ(got.admin.metrics_label, "admin");
  EXPECT_EQ(got.resources.size(), 0u);
}

TEST(Config, ReadsSettingsOfEverySectionAndType) {
  const config got = parse_config(R"({
    "cores": {"count": 3, "pin": false},
    "http": {"port": 0, "backlog": 7, "body_bytes_max": 5000000000},
    "drain_deadline_ms": 1,
    "storage": {"sqlite": {"path": "a.db", "synchronous": "NORMAL", "migrate_on_start": true}},
    "cache": {"l1_bytes_max": 1048576, "l1_stripes": 8},
    "log": {"level": "debug"}, "sync": {"parts_max": 5}, "bulk": {"batch_rows": 6}, "rest": {"ids_max": 7}})",
                                  "f.json");
  EXPECT_EQ(got.cores.cores, 3u);
  EXPECT_FALSE(got.cores.pin);
  EXPECT_EQ(got.http.port, 0);
  EXPECT_EQ(got.http.backlog, 7);
  EXPECT_EQ(got.http.limit.body_bytes_max, 5000000000u);
  EXPECT_EQ(got.drain_deadline_ms, 1u);
  EXPECT_EQ(got.sqlite.path, "a.db");
  EXPECT_EQ(got.sqlite.synchronous, "NORMAL");
  EXPECT_TRUE(got.sqlite.migrate_on_start);
  EXPECT_EQ(got.l1.bytes_max, 1048576u);
  EXPECT_EQ(got.l1.stripes, 8u);
  EXPECT_EQ(got.log.level, perf::log_level::debug);
  EXPECT_EQ(got.sync.parts_max, 5u);
  EXPECT_EQ(got.bulk.batch_rows, 6u);
  EXPECT_EQ(got.rest.ids_max, 7u);
}

TEST(Config, LargeUploadsWaitBesideTheDatabase) {
  config of;
  of.sqlite.path = "/srv/data/app.db";
  EXPECT_EQ(spool_directory(of), "/srv/data");
  of.sqlite.path = "app.db";
  EXPECT_EQ(spool_directory(of), ".");
  of.engine = "mysql";
  EXPECT_EQ(spool_directory(of), "/var/tmp");
  of.bulk.spool_directory = "/mnt/spool";
  EXPECT_EQ(spool_directory(of), "/mnt/spool");
}

TEST(Config, AcceptsCommentsTrailingCommasAndByteOrderMark) {
  const config got = parse_config(
      "\xEF\xBB\xBF// first\n{ /* { */ \"http\": { \"port\": 1, }, // \"}\n } // last", "f.json");
  EXPECT_EQ(got.http.port, 1);
}

TEST(Config, TheStarThatOpensACommentDoesNotCloseIt) {
  const config got =
      parse_config("/*/ { \"http\" */ { /**/ \"http\": { /*/,/*/ \"port\": 1 /***/ } }", "f.json");
  EXPECT_EQ(got.http.port, 1);
  EXPECT_THAT(fault_of("/*/\n*/\n{\n\"htpt\": {}}"), StartsWith("f.json:4: htpt: unknown name"));
  EXPECT_EQ(fault_of("{}\n /*/"), "f.json:2: a comment is not closed");
}

TEST(Config, ACommentEndsWhereItEndsAndNowhereInAString) {
  const config got = parse_config(
      R"({ /* two stars end it, too **/ "http": { "port": 1 }, /* */ "storage": { "sqlite": { "path": "/*\"//" } } } //)",
      "f.json");
  EXPECT_EQ(got.http.port, 1);
  EXPECT_EQ(got.sqlite.path, "/*\"//");
  EXPECT_THAT(fault_of("{\"http: 1,\n\"storage\": {\"sqlite\": {\"path\": \"/*\"}}}"),
              HasSubstr("f.json:1: not valid JSON"))
      << "one missing quote does not turn texts into comments";
}

TEST(Config, UnknownNameNamesItsPlaceAndTheNearestAllowedOne) {
  const std::string fault = fault_of("{\n  \"http\": {\n    \"prot\": 1\n  }\n}");
  EXPECT_THAT(fault,
              StartsWith("f.json:3: http.prot: unknown name \"prot\", did you mean \"port\"?; allowed: "));
  EXPECT_THAT(fault, HasSubstr("backlog"));
  EXPECT_THAT(fault_of("{\"htpt\": {}}"), HasSubstr("did you mean \"http\"?"));
  EXPECT_THAT(fault_of("{\"storage\": {\"sqlite\": {\"Path\": \"x\"}}}"),
              HasSubstr("did you mean \"path\"?"));
}

TEST(Config, WrongTypesAreRefused) {
  EXPECT_EQ(fault_of("{\"http\": {\"port\": \"8080\"}}"),
            "f.json:1: http.port: is a string; allowed: an integer, 0 to 65535");
  EXPECT_THAT(fault_of("{\"http\": {\"port\": 80.0}}"), HasSubstr("is a number with a fraction"));
  EXPECT_THAT(fault_of("{\"http\": {\"port\": null}}"), HasSubstr("is null"));
  EXPECT_THAT(fault_of("{\"http\": 1}"), HasSubstr("http: is an integer; allowed: an object"));
  EXPECT_THAT(fault_of("[]"), HasSubstr("is an array; allowed: an object"));
  EXPECT_THAT(fault_of("{\"cores\": {\"pin\": 1}}"), HasSubstr("allowed: true, false"));
  EXPECT_THAT(fault_of("{\"log\": {\"level\": 1}}"), HasSubstr("allowed: a string"));
  EXPECT_THAT(fault_of("{\"log\": {\"path\": \"a\\u0000b\"}}"), HasSubstr("control characters"));
}

TEST(Config, ValuesOutOfRangeAreRefused) {
  EXPECT_EQ(fault_of("{\"http\":\n{\"port\": 65536}}"),
            "f.json:2: http.port: 65536 is out of range; allowed: 0 to 65535");
  EXPECT_THAT(fault_of("{\"http\": {\"port\": -1}}"), HasSubstr("out of range"));
  EXPECT_THAT(fault_of("{\"bulk\": {\"batch_rows\": 18446744073709551615}}"), HasSubstr("out of range"));
  EXPECT_THAT(fault_of("{\"log\": {\"level\": \"loud\"}}"),
              HasSubstr("allowed: trace, debug, info, warn, error, off"));
  EXPECT_THAT(fault_of("{\"cache\": {\"l1_stripes\": 48}}"), HasSubstr("no power of two"));
  EXPECT_THAT(fault_of("{\"rest\": {\"page_limit_max\": 10}}"), HasSubstr("above rest.page_limit_max"));
}

TEST(Config, NameGivenTwiceIsRefusedInAnySpelling) {
  EXPECT_EQ(fault_of("{\"http\": {\"port\": 1,\n\"port\": 1}}"),
            "f.json:2: http.port: given twice (first on line 1)");
  EXPECT_THAT(fault_of("{\"http\": {\"port\": 1, \"p\\u006frt\": 2}}"), HasSubstr("given twice"));
}

TEST(Config, BrokenTextNamesTheLine) {
  EXPECT_THAT(fault_of("{\n\"http\": {\n\"port\" 1}}"), StartsWith("f.json:3: not valid JSON"));
  EXPECT_THAT(fault_of("{}\n{}"), StartsWith("f.json:2: not valid JSON"));
  EXPECT_THAT(fault_of(""), HasSubstr("not valid JSON"));
  EXPECT_THAT(fault_of("{\"log\": {\"path\": \"\xFF\"}}"), HasSubstr("not valid JSON"));
}

TEST(Config, AddressesBeyondThisMachineNeedAuthentication) {
  for (const char* address : {"0.0.0.0", "192.168.1.1", "::", "::ffff:127.0.0.1"}) {
    EXPECT_THAT(fault_of(std::string("{\"http\": {\"address\": \"") + address + "\"}}"),
                HasSubstr("needs authentication, which is not built yet"))
        << address;
    EXPECT_THAT(fault_of(std::string("{\"admin\": {\"address\": \"") + address + "\"}}"),
                HasSubstr("needs authentication, which is not built yet"))
        << address;
  }
  EXPECT_THAT(fault_of("{\"http\": {\"address\": \"example.org\"}}"), HasSubstr("is no IP address"));
  for (const char* address : {"127.0.0.2", "::1", "unix:/tmp/s.sock"}) {
    EXPECT_EQ(fault_of(std::string("{\"http\": {\"address\": \"") + address + "\"}}"), "accepted");
  }
  EXPECT_THAT(fault_of("{\"http\": {\"port\": 8081}}"), HasSubstr("is where the public listener is"));
  EXPECT_EQ(fault_of("{\"http\": {\"port\": 0}, \"admin\": {\"port\": 0}}"), "accepted");
}

TEST(Config, LaterSourcesWin) {
  const syncline::testing::temp_directory folder;
  const std::string file =
      folder.write("f.json", "{\"http\": {\"port\": 1, \"backlog\": 1, \"accept_pause_ms\": 1}}");
  config_sources sources;
  sources.file = file;
  sources.environment = {{"SYNCLINE_HTTP__BACKLOG", "2"},
                         {"SYNCLINE_HTTP__ACCEPT_PAUSE_MS", "2"},
                         {"SYNCLINE_DRAIN_DEADLINE_MS", "2"}};
  sources.overrides = {"http.accept_pause_ms=3", "storage.sqlite.path=a=b.db", "cores.pin=false"};
  const config got = load_config(sources);
  EXPECT_EQ(got.http.port, 1);
  EXPECT_EQ(got.http.backlog, 2);
  EXPECT_EQ(got.http.limit.accept_pause_ms, 3u);
  EXPECT_EQ(got.drain_deadline_ms, 2u);
  EXPECT_EQ(got.sqlite.path, "a=b.db");
  EXPECT_FALSE(got.cores.pin);
}

TEST(Config, FaultsOfVariablesAndOverridesNameTheirSource) {
  config_sources sources;
  sources.environment = {{"SYNCLINE_HTTP__PORT", "abc"}};
  EXPECT_THAT(fault_of(sources),
              AllOf(HasSubstr("SYNCLINE_HTTP__PORT: http.port: "), HasSubstr("0 to 65535")));
  sources.environment = {{"SYNCLINE_HTTP__PROT", "1"}};
  EXPECT_THAT(fault_of(sources), AllOf(HasSubstr("unknown setting"), HasSubstr("http.port")));
  sources.environment = {{"SYNCLINE_HTTP__ADDRESS", "0.0.0.0"}};
  EXPECT_THAT(fault_of(sources), StartsWith("environment variable SYNCLINE_HTTP__ADDRESS: http.address: "));
  // What container platforms set for a service named "syncline" is none of our settings.
  sources.environment = {
      {"SYNCLINE_PORT", "tcp://10.0.0.1:80"}, {"SYNCLINE_SERVICE_HOST", "10.0.0.1"}, {"PATH", "x"}};
  EXPECT_EQ(fault_of(sources), "accepted");
  sources.overrides = {"http.port"};
  EXPECT_THAT(fault_of(sources), HasSubstr("allowed: path=value"));
  sources.overrides = {"http.port=-1"};
  EXPECT_THAT(fault_of(sources), HasSubstr("--set http.port=-1: http.port: "));
  sources.overrides.clear();
  sources.file = "/no/such/file.json";
  EXPECT_THAT(fault_of(sources), HasSubstr("/no/such/file.json:1: cannot be opened"));
}

TEST(ConfigResources, ReadsTheWholeGrammar) {
  const config got = parse_config(R"({"resources": {"items": {
    "table": "Items", "key": ["a", "b"],
    "columns": {"b": "string", "a": {"type": "int64", "as_string": true}, "t": {"type": "string", "bytes_max": 20}, "j": "json", "u": "int64"},
    "scope": {"user": "u", "group": "a"}, "where": "u > 0", "search": ["t", "b"], "short_names": {"t": "x"},
    "cache": {"ttl_s": 1, "stale_s": 2, "negative_s": 3, "l1": false, "l2": true},
    "write": {"create": true, "update": false, "delete": true, "bulk": true}}}})",
                                  "f.json");
  ASSERT_EQ(got.resources.size(), 1u);
  const storage::resource& items = got.resources.at(0);
  EXPECT_EQ(items.table, "Items");
  EXPECT_EQ(items.key, (std::vector<std::size_t>{1, 0}));
  EXPECT_TRUE(items.columns[1].as_string);
  EXPECT_EQ(items.columns[2].bytes_max, 20u);
  EXPECT_EQ(items.columns[2].short_name, "x");
  ASSERT_EQ(items.scopes.size(), 2u);
  EXPECT_EQ(items.scopes[0].name, "user");
  EXPECT_EQ(items.scopes[0].column, 4u);
  EXPECT_EQ(items.scopes[1].name, "group");
  EXPECT_EQ(items.where, "u > 0");
  EXPECT_EQ(items.search, (std::vector<std::size_t>{2, 0}));
  EXPECT_EQ(items.cache.ttl_s, 1u);
  EXPECT_EQ(items.cache.stale_s, 2u);
  EXPECT_EQ(items.cache.negative_s, 3u);
  EXPECT_FALSE(items.cache.l1);
  EXPECT_TRUE(items.cache.l2);
  EXPECT_TRUE(items.write.create && items.write.remove && items.write.bulk);
  EXPECT_FALSE(items.write.update);
  EXPECT_TRUE(items.synced);
}

TEST(ConfigResources, NothingMayBeWrittenUnlessItSaysSo) {
  const config got = parse_config(with_users(""), "f.json");
  const storage::write_rules& write = got.resources.find("users")->write;
  EXPECT_FALSE(write.create || write.update || write.remove || write.bulk);
}

TEST(ConfigResources, ViewIsForReadsOnlyAndNeverSynced) {
  const config got = parse_config(with_users("\"view\": true"), "f.json");
  EXPECT_TRUE(got.resources.find("users")->view);
  EXPECT_FALSE(got.resources.find("users")->synced);
  EXPECT_THAT(fault_of(with_users("\"view\": true, \"write\": {\"bulk\": true}")),
              HasSubstr("a view is for reads only"));
}

TEST(ConfigResources, MistakesNameTheirPlace) {
  const auto fault = [](std::string_view members) { return fault_of(with_users(members)); };
  EXPECT_THAT(fault("\"scope\": {\"user\": \"idd\"}"),
              AllOf(StartsWith("f.json:3: resources.users.scope.user: no declared column"),
                    HasSubstr("did you mean \"id\"?"), HasSubstr("allowed: id, name")));
  EXPECT_THAT(fault("\"scope\": {\"user\": \"score\"}"), HasSubstr("column \"score\" is of type float64"));
  EXPECT_THAT(fault("\"scope\": {\"User\": \"id\"}"), HasSubstr("[a-z][a-z0-9_]*"));
  EXPECT_THAT(fault("\"search\": [\"state\"]"), HasSubstr("string columns"));
  EXPECT_THAT(fault("\"search\": [\"name\", \"name\"]"), HasSubstr("resources.users.search[1]: named twice"));
  EXPECT_THAT(fault("\"short_names\": {\"name\": \"id\"}"), HasSubstr("two columns would be sent as \"id\""));
  EXPECT_THAT(fault("\"short_names\": {\"nam\": \"n\"}"), HasSubstr("did you mean \"name\"?"));
  EXPECT_THAT(fault("\"cache\": {\"ttl\": 1}"), HasSubstr("did you mean \"ttl_s\"?"));
  EXPECT_THAT(fault("\"write\": {\"remove\": true}"), HasSubstr("allowed: create, update, delete, bulk"));
  EXPECT_THAT(fault("\"tabel\": 1"), HasSubstr("did you mean \"table\"?"));
}

TEST(ConfigResources, NamesAndColumnsAreChecked) {
  const auto fault = [](std::string_view name, std::string_view members) {
    return fault_of("{\"resources\": {\"" + std::string(name) + "\": {" + std::string(members) + "}}}");
  };
  constexpr std::string_view kGood = R"("table": "t", "key": "id", "columns": {"id": "int64"})";
  EXPECT_EQ(fault("a_1", kGood), "accepted");
  for (const char* name : {"", "A", "1a", "a-b", "a.b"})
    EXPECT_THAT(fault(name, kGood), HasSubstr("the name does not fit")) << name;
  for (const char* name : {"sync", "subscribe", "syncline_feed"})
    EXPECT_THAT(fault(name, kGood), HasSubstr("another name")) << name;
  EXPECT_THAT(fault("a", R"("key": "id", "columns": {"id": "int64"})"),
              HasSubstr("resources.a: \"table\" is missing"));
  EXPECT_THAT(fault("a", R"("table": "syncline_feed", "key": "id", "columns": {"id": "int64"})"),
              HasSubstr("another table"));
  EXPECT_THAT(fault("a", R"("table": "t", "key": "id", "columns": {"id": "integer"})"),
              HasSubstr("unknown type \"integer\"; allowed: int64, float64, boolean, string, json, "
                        "timestamp, date, decimal, bytes"));
  EXPECT_THAT(
      fault("a", R"("table": "t", "key": "id", "columns": {"id": {"type": "int64", "bytes_max": 1}})"),
      HasSubstr("only texts have a length"));
  EXPECT_THAT(
      fault("a", R"("table": "t", "key": "id", "columns": {"id": {"type": "string", "as_string": true}})"),
      HasSubstr("columns of type int64"));
  EXPECT_THAT(fault("a", R"("table": "t", "key": "id", "columns": {"id": "json"})"),
              HasSubstr("resources.a.key: column \"id\" is of type json"));
  EXPECT_THAT(fault("a", R"("table": "t", "key": [], "columns": {"id": "int64"})"),
              HasSubstr("names 0 columns"));
  EXPECT_THAT(fault("a", R"("table": "t", "key": "id", "columns": {})"), HasSubstr("has 0 columns"));
}

TEST(ConfigMerges, ReadsPartsByKey) {
  const config got = parse_config(
      with_users("", R"({"profile": {"of": "users", "parts": {"user": {"resource": "users", "one": true},
        "follows": {"resource": "follows", "by": ["user_id"], "rows_max": 5}}}})"),
      "f.json");
  const storage::resource* users = got.resources.find("users");
  const storage::merge* profile = got.resources.find_merge(*users, "profile");
  ASSERT_NE(profile, nullptr);
  ASSERT_EQ(profile->parts.size(), 2u);
  EXPECT_EQ(profile->parts[0].from, users);
  EXPECT_EQ(profile->parts[0].by, users->key);
  EXPECT_TRUE(profile->parts[0].one);
  EXPECT_EQ(profile->parts[1].from, got.resources.find("follows"));
  EXPECT_EQ(profile->parts[1].by, std::vector<std::size_t>{0});
  EXPECT_EQ(profile->parts[1].rows_max, 5u);
}

TEST(ConfigMerges, MistakesNameTheirPlace) {
  const auto fault = [](std::string_view part) {
    return fault_of(
        with_users("", "{\"m\": {\"of\": \"users\", \"parts\": {\"p\": " + std::string(part) + "}}}"));
  };
  EXPECT_THAT(fault(R"({"resource": "follow"})"),
              HasSubstr("merges.m.parts.p.resource: no declared resource"));
  EXPECT_THAT(fault(R"({"resource": "follows"})"), HasSubstr("\"by\" is missing"));
  EXPECT_THAT(fault(R"({"resource": "follows", "by": "note"})"),
              HasSubstr("does not fit the key of \"users\"; allowed: columns for id (int64)"));
  EXPECT_THAT(fault(R"({"resource": "follows", "by": ["user_id", "target_id"]})"),
              HasSubstr("does not fit the key"));
  EXPECT_THAT(fault(R"({"resource": "users", "one": true, "rows_max": 3})"),
              HasSubstr("has no meaning beside \"one\""));
  EXPECT_THAT(fault_of(with_users("", R"({"m": {"of": "users", "parts": {}}})")), HasSubstr("has 0 parts"));
}

TEST(ConfigSchema, EveryDefaultIsAllowedByItsTable) {
  for (const setting& each : all_settings()) {
    config scratch = default_config();
    std::string text = value_text(scratch, each);
    if (type_name(each) == "string") text = text.substr(1, text.size() - 2);
    const auto fault = assign_text(scratch, each, text);
    EXPECT_FALSE(fault.has_value()) << each.path << ": " << (fault ? fault->what : "");
    EXPECT_EQ(value_text(scratch, each), value_text(default_config(), each)) << each.path;
    EXPECT_EQ(find_setting(each.path), &each) << each.path << " stands twice";
  }
}

TEST(ConfigSchema, EverySettingCanBeGivenByVariable) {
  for (const setting& each : all_settings()) {
    const config defaults = default_config();
    std::string text = value_text(defaults, each);
    if (type_name(each) == "string") text = text.substr(1, text.size() - 2);
    config_sources sources;
    sources.environment = {{environment_name(each.path), text}};
    EXPECT_EQ(fault_of(sources), "accepted") << environment_name(each.path);
  }
}

TEST(ConfigDocument, DocumentationHoldsTheTableOfSettings) {
  EXPECT_NE(read_source("docs/config.md").find(settings_table()), std::string::npos)
      << "docs/config.md is not up to date: put in the output of `syncline check-config --defaults`";
}

TEST(ConfigDocument, DemoConfigIsAccepted) {
  const config demo = parse_config(read_source("configs/demo/syncline.json"), "configs/demo/syncline.json");
  EXPECT_EQ(demo.resources.size(), 7u);
  EXPECT_EQ(demo.resources.find("users")->columns.size(), 13u);
  EXPECT_EQ(demo.resources.find("donations")->scopes.size(), 2u);
  EXPECT_NE(demo.resources.find_merge(*demo.resources.find("users"), "profile"), nullptr);
}

TEST(ConfigJson, NearestNamesComeFirstAndAreFew) {
  const std::vector<std::string_view> names{"port", "sort", "part", "fort", "address"};
  EXPECT_THAT(nearest_names("prot", names), ::testing::ElementsAre("port", "part"));
  EXPECT_TRUE(nearest_names("zzzzzzz", names).empty());
  EXPECT_TRUE(nearest_names(std::string(10'000, 'x'), names).empty());
}

}  // namespace
}  // namespace syncline::server
