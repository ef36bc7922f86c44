// Everything a client can get wrong: each has its status and its stable problem type, is counted, and harms
// nobody else.
#include <gtest/gtest.h>

#include <map>

#include <fmt/format.h>

#include "tests/e2e/small_server.h"

namespace syncline::e2e {
namespace {

struct bad_input {
  std::string name;
  std::string method;
  std::string target;
  int status;
  std::string type;
  std::string body = {};
  std::vector<std::string> headers = {};
  std::string code = {};  // of invalid-row
};

const std::string kJson = "Content-Type: application/json";

bad_input write_of(const std::string& name, const std::string& body, const std::string& code,
                   const std::string& method = "POST", const std::string& target = "/v1/items") {
  return {name, method, target, 422, "invalid-row", body, {kJson}, code};
}

std::vector<bad_input> bad_rows() {
  return {
      write_of("malformed JSON", R"({"name":)", "malformed-json"),
      write_of("JSON with a comma too many", R"({"name":"a",})", "malformed-json"),
      write_of("two JSON values", R"({"name":"a"}{})", "malformed-json"),
      write_of("JSON nested too deep", R"({"name":)" + std::string(2000, '[') + std::string(2000, ']') + "}",
               {}),
      write_of("no object", R"([1,2])", {}),
      write_of("no body at all", "", {}),
      write_of("unknown column", R"({"colour":"red"})", "unknown-column"),
      write_of("a column that is in the table but not declared", R"({"deleted":1})", "unknown-column"),
      write_of("a member twice", R"({"name":"a","name":"b"})", "duplicate-member"),
      write_of("text for a number", R"({"size":"5"})", "wrong-type"),
      write_of("number for a text", R"({"name":5})", "wrong-type"),
      write_of("object for a text", R"({"name":{"a":1}})", "wrong-type"),
      write_of("fraction for an integer", R"({"size":1.5})", {}),
      write_of("integer out of range", R"({"size":9223372036854775808})", {}),
      write_of("value too long", R"({"name":")" + std::string(41, 'x') + "\"}", "too-long"),
      write_of("invalid UTF-8", "{\"name\":\"\xc3\x28\"}", "invalid-utf8"),
      write_of("NUL in text", R"({"name":"a\u0000b"})", "nul-in-text"),
      write_of("half a surrogate pair", R"({"name":"\ud800"})", {}),
      write_of("refused by the table's owner", R"({"size":-1})", "refused-by-database"),
      write_of("missing key", R"({"word":"a"})", "missing-key", "POST", "/v1/tags"),
      write_of("another key in the body", R"({"id":2})", "key-change", "PUT", "/v1/items/1"),
      write_of("key change by patch", R"({"id":2})", "key-change", "PATCH", "/v1/items/1"),
      write_of("null for a key", R"({"word":null,"place":"b"})", {}, "POST", "/v1/tags"),
  };
}

std::vector<bad_input> bad_requests() {
  const std::string too_much(20000, 'x');
  return {
      {"unknown resource", "GET", "/v1/nothing", 404, "not-found"},
      {"unknown path", "GET", "/v2/items", 404, "not-found"},
      {"unknown merge", "GET", "/v1/items/1/profile", 404, "not-found"},
      {"Syncline's own table", "GET", "/v1/syncline_feed", 404, "not-found"},
      {"SQL in the path", "GET", "/v1/items%3BDROP%20TABLE%20items", 404, "not-found"},
      {"slash at the end", "GET", "/v1/items/", 404, "not-found"},
      {"dot segment", "GET", "/v1/../v1/items", 404, "not-found"},
      {"missing row", "GET", "/v1/items/999", 404, "not-found"},
      {"missing row to delete", "DELETE", "/v1/items/999", 404, "not-found"},
      {"missing row to patch", "PATCH", "/v1/items/999", 404, "not-found", R"({"name":"x"})", {kJson}},
      {"key of the wrong type", "GET", "/v1/items/abc", 400, "invalid-request"},
      {"key in another spelling", "GET", "/v1/items/007", 400, "invalid-request"},
      {"key of too many columns", "GET", "/v1/items/1,2", 400, "invalid-request"},
      {"key of too few columns", "GET", "/v1/tags/a", 400, "invalid-request"},
      {"broken percent code in a key", "GET", "/v1/tags/a%2,b", 400, "invalid-request"},
      {"unknown query parameter", "GET", "/v1/items?color=red", 400, "invalid-request"},
      {"query parameter twice", "GET", "/v1/items?limit=1&limit=2", 400, "invalid-request"},
      {"unknown parameter of one row", "GET", "/v1/items/1?limit=2", 400, "invalid-request"},
      {"query on a write", "DELETE", "/v1/items/1?force=1", 400, "invalid-request"},
      {"limit of zero", "GET", "/v1/items?limit=0", 400, "invalid-request"},
      {"limit too large", "GET", "/v1/items?limit=1000000", 400, "invalid-request"},
      {"limit that is no number", "GET", "/v1/items?limit=ten", 400, "invalid-request"},
      {"unknown field", "GET", "/v1/items?fields=id,deleted", 400, "invalid-request"},
      {"no field", "GET", "/v1/items?fields=", 400, "invalid-request"},
      {"unknown names", "GET", "/v1/items?names=tiny", 400, "invalid-request"},
      {"ids of the wrong type", "GET", "/v1/items?ids=1,x", 400, "invalid-request"},
      {"ids and limit", "GET", "/v1/items?ids=1&limit=2", 400, "invalid-request"},
      {"ids that do not divide", "GET", "/v1/tags?ids=a,b,c", 400, "invalid-request"},
      {"search where none is declared", "GET", "/v1/items?q=x", 400, "invalid-request"},
      {"after and before", "GET", "/v1/items?after=1&before=5", 400, "invalid-request"},
      {"after with no key", "GET", "/v1/items?after=x", 400, "invalid-request"},
      {"scope that is not declared", "GET", "/v1/items?scope=team:1", 400, "invalid-request"},
      {"scope of the wrong type", "GET", "/v1/items?scope=user:x", 400, "invalid-request"},
      {"invalid UTF-8 in a parameter", "GET", "/v1/items?scope=%C3%28", 400, "invalid-request"},
      {"NUL in a parameter", "GET", "/v1/items?after=%00", 400, "invalid-request"},
      {"wrong method on a collection", "PUT", "/v1/items", 405, "method-not-allowed", "{}", {kJson}},
      {"wrong method on a row", "POST", "/v1/items/1", 405, "method-not-allowed", "{}", {kJson}},
      {"wrong method on sync", "POST", "/v1/sync", 405, "method-not-allowed", "{}", {kJson}},
      {"a method nobody knows", "BREW", "/v1/items", 405, "method-not-allowed"},
      {"form instead of JSON",
       "POST",
       "/v1/items",
       415,
       "unsupported-media-type",
       "name=a",
       {"Content-Type: application/x-www-form-urlencoded"}},
      {"no media type", "POST", "/v1/items", 415, "unsupported-media-type", "{}"},
      {"If-Match without quotes",
       "PATCH",
       "/v1/items/1",
       400,
       "invalid-request",
       R"({"name":"x"})",
       {kJson, "If-Match: abc"}},
      {"If-Match with half a quote",
       "PATCH",
       "/v1/items/1",
       400,
       "invalid-request",
       R"({"name":"x"})",
       {kJson, "If-Match: \"abc"}},
      {"If-Match of another state",
       "PATCH",
       "/v1/items/1",
       412,
       "precondition-failed",
       R"({"name":"x"})",
       {kJson, "If-Match: \"abc\""}},
      {"weak If-Match",
       "PATCH",
       "/v1/items/1",
       412,
       "precondition-failed",
       R"({"name":"x"})",
       {kJson, "If-Match: W/\"abc\""}},
      {"create what exists",
       "PUT",
       "/v1/items/1",
       412,
       "precondition-failed",
       R"({"name":"x"})",
       {kJson, "If-None-Match: *"}},
      {"key that is taken", "POST", "/v1/items", 409, "conflict", R"({"id":1})", {kJson}},
      {"unique value that is taken", "POST", "/v1/items", 409, "conflict", R"({"name":"one"})", {kJson}},
      {"empty Idempotency-Key",
       "POST",
       "/v1/items",
       400,
       "invalid-request",
       "{}",
       {kJson, "Idempotency-Key:"}},
      {"Idempotency-Key with a space",
       "POST",
       "/v1/items",
       400,
       "invalid-request",
       "{}",
       {kJson, "Idempotency-Key: a b"}},
      {"Idempotency-Key too long",
       "POST",
       "/v1/items",
       400,
       "invalid-request",
       "{}",
       {kJson, "Idempotency-Key: " + std::string(201, 'k')}},
      {"cursor that is none", "GET", "/v1/sync?scope=user:1&since=hello", 400, "invalid-request"},
      {"cursor cut in half", "GET", "/v1/sync?scope=user:1&since=AQAAAA", 400, "invalid-request"},
      {"cursor of the wrong alphabet", "GET", "/v1/sync?scope=user:1&since=%21%21%21", 400,
       "invalid-request"},
      {"sync of nothing", "GET", "/v1/sync", 400, "invalid-request"},
      {"sync of an unknown scope", "GET", "/v1/sync?scope=team:1", 400, "invalid-request"},
      {"sync of a scope without value", "GET", "/v1/sync?scope=user", 400, "invalid-request"},
      {"sync of an unknown resource", "GET", "/v1/sync?resources=nothing", 404, "not-found"},
      {"sync with an unknown parameter", "GET", "/v1/sync?scope=user:1&depth=3", 400, "invalid-request"},
      {"live that is no flag", "GET", "/v1/sync?scope=user:1&live=maybe", 400, "invalid-request"},
      {"upload with an unknown conflict", "POST", "/v1/items/bulk?conflict=merge", 400, "invalid-request",
       "{}\n"},
      {"upload with an unknown format", "POST", "/v1/items/bulk?format=xml", 400, "invalid-request", "{}\n"},
      {"upload with an unknown coding",
       "POST",
       "/v1/items/bulk",
       415,
       "unsupported-encoding",
       "{}\n",
       {"Content-Encoding: br"}},
      {"upload that is no gzip",
       "POST",
       "/v1/items/bulk",
       400,
       "bad-body",
       "this is no gzip at all",
       {"Content-Encoding: gzip"}},
      {"CSV without a header", "POST", "/v1/items/bulk", 400, "bad-body", "", {"Content-Type: text/csv"}},
      {"CSV without its key",
       "POST",
       "/v1/items/bulk",
       400,
       "bad-body",
       "name\r\na\r\n",
       {"Content-Type: text/csv"}},
      {"body over its limit",
       "POST",
       "/v1/items",
       413,
       "body-too-large",
       R"({"note":")" + too_much + "\"}",
       {kJson}},
      {"header over its limit", "GET", "/v1/items", 431, "headers-too-large", "", {"X-Long: " + too_much}},
      {"target over its limit", "GET", "/v1/items?q=" + std::string(9000, 'x'), 414, "target-too-long"},
      {"unknown expectation", "GET", "/v1/items", 417, "unknown-expectation", "", {"Expect: tea"}},
  };
}

// Bytes that are no HTTP request.
std::vector<std::pair<std::string, std::string>> bad_bytes() {
  return {{"GET /v1/items HTTP/1.1\nHost: x\n\n", "bare-lf"},
          {"GET /v1/items HTTP/1.1\r\n\r\n", "missing-host"},
          {"GET  /v1/items HTTP/1.1\r\nHost: x\r\n\r\n", "bad-request-line"},
          {"GET /v1/items HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", "duplicate-host"},
          {"POST /v1/items HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
           "length-and-encoding"},
          {"POST /v1/items HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n", "bad-content-length"},
          {"POST /v1/items HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: "
           "chunked\r\n\r\nxyz\r\n",
           "bad-body"},
          {std::string("\x16\x03\x01\x02\x00\x01\x00\x01", 8) + "\r\n\r\n", "bad-method"}};
}

class BadInput : public ::testing::Test {
 protected:
  BadInput() : server({"rest.write_body_bytes_max=16384"}) {
    sql_file(server.database).run("INSERT INTO items(id,owner,name) VALUES(1,1,'one')");
  }

  void check(const bad_input& bad) {
    SCOPED_TRACE(bad.name);
    const answer got = fetch(server.port(), bad.method, bad.target, bad.body, bad.headers);
    EXPECT_EQ(got.status, bad.status) << got.body;
    EXPECT_EQ(problem_type(got), bad.type) << got.body;
    if (!bad.code.empty() && got.status == 422) {
      EXPECT_EQ(json_object(got.body)["code"], boost::json::value(bad.code)) << got.body;
    }
    if (got.status == 405) {
      EXPECT_FALSE(got.header("allow").empty());
    }
    ++answered[bad.type];
  }
  void expect_unharmed() const {
    EXPECT_EQ(server.get("/v1/items/1").body, R"({"id":1,"owner":1,"name":"one","note":null,"size":null})");
    EXPECT_EQ(sql_file(server.database).rows("SELECT id, name FROM items"),
              (std::vector<std::string>{"1|one"}));
    EXPECT_EQ(sql_file(server.database).number("SELECT count(*) FROM tags"), 0);
  }

  small_server server;
  std::map<std::string, int> answered;
};

TEST_F(BadInput, ARowThatBreaksARuleIsRefusedWithItsCode) {
  for (const auto& bad : bad_rows()) check(bad);
  EXPECT_EQ(server.metric(R"(syncline_problems_total{type="invalid-row"})"), answered["invalid-row"]);
  expect_unharmed();
}

TEST_F(BadInput, ARequestThatBreaksARuleIsRefusedWithItsType) {
  for (const auto& bad : bad_requests()) check(bad);
  for (const char* type :
       {"invalid-request", "not-found", "method-not-allowed", "conflict", "precondition-failed",
        "unsupported-media-type", "unsupported-encoding", "bad-body"}) {
    EXPECT_EQ(server.metric(fmt::format(R"(syncline_problems_total{{type="{}"}})", type)), answered[type])
        << type;
  }
  expect_unharmed();
}

TEST_F(BadInput, BytesThatAreNoRequestAreRefusedAndCounted) {
  for (const auto& [bytes, label] : bad_bytes()) {
    http_client client(server.port());
    client.send_raw(bytes);
    EXPECT_EQ(problem_type(client.read_answer()), label);
  }
  EXPECT_EQ(server.metric(R"(syncline_http_parse_errors_total{listener="public",reason="bare-lf"})"), 1);
  expect_unharmed();
}

TEST_F(BadInput, AConnectionSurvivesWhatDoesNotBreakItsFraming) {
  http_client client(server.port());
  EXPECT_EQ(client.request("POST", "/v1/items", "{broken", {kJson}).status, 422);
  EXPECT_EQ(client.request("GET", "/v1/nothing").status, 404);
  EXPECT_EQ(client.request("GET", "/v1/items/1").status, 200);
}

}  // namespace
}  // namespace syncline::e2e
