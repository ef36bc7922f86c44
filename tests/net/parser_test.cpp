#include "net/http/parser.h"

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#include "net/http/server.h"
#include "tests/net/bad_requests.h"

namespace syncline::net::http {
namespace {

struct parsed {
  parse_status status = parse_status::incomplete;
  parse_error error = parse_error::none;
  std::size_t size = 0;
  std::vector<header_field> fields;
  request_head head;
};

parsed parse_once(const std::string& bytes, const limits& bounds = {}) {
  parsed out;
  head_parser parser;
  out.status = parser.parse(bytes, bounds, out.fields, out.head);
  out.error = parser.error();
  out.size = parser.size();
  return out;
}

// Every byte arrives alone; parsing stops at the first verdict.
parsed parse_bytewise(const std::string& bytes, const limits& bounds = {}) {
  parsed out;
  head_parser parser;
  for (std::size_t i = 1; i <= bytes.size() && out.status == parse_status::incomplete; ++i) {
    out.status = parser.parse(std::string_view(bytes).substr(0, i), bounds, out.fields, out.head);
  }
  out.error = parser.error();
  out.size = parser.size();
  return out;
}

std::string request_to(const std::string& target, const std::string& lines = "Host: a\r\n") {
  return "GET " + target + " HTTP/1.1\r\n" + lines + "\r\n";
}

TEST(Parser, ReadsAPlainRequest) {
  const std::string bytes =
      "POST /a/b?c=d HTTP/1.1\r\nHost: example.org:8080\r\nX-A:  b c \t\r\ncontent-length: 12\r\n\r\nbody";
  const parsed p = parse_once(bytes);
  ASSERT_EQ(p.status, parse_status::complete);
  EXPECT_EQ(p.size, bytes.size() - 4);
  EXPECT_EQ(p.head.verb, method::post);
  EXPECT_EQ(p.head.method_text, "POST");
  EXPECT_EQ(p.head.target, "/a/b?c=d");
  EXPECT_EQ(p.head.path, "/a/b");
  EXPECT_EQ(p.head.query, "c=d");
  EXPECT_EQ(p.head.host, "example.org:8080");
  EXPECT_EQ(p.head.content_length, 12U);
  EXPECT_TRUE(p.head.keep_alive);
  EXPECT_EQ(p.head.headers.size(), 3U);
  EXPECT_EQ(p.head.header("x-a"), "b c");
  EXPECT_EQ(p.head.header("missing").data(), nullptr);
}

TEST(Parser, KnowsEveryMethodAndPassesOthersOn) {
  const std::vector<std::pair<std::string, method>> all{
      {"GET", method::get},         {"HEAD", method::head},   {"POST", method::post},
      {"PUT", method::put},         {"PATCH", method::patch}, {"DELETE", method::del},
      {"OPTIONS", method::options}, {"get", method::other},   {"PROPFIND", method::other}};
  for (const auto& [text, verb] : all) {
    const std::string bytes = text + " / HTTP/1.1\r\nHost: a\r\n\r\n";
    const parsed p = parse_once(bytes);
    ASSERT_EQ(p.status, parse_status::complete) << text;
    EXPECT_EQ(p.head.verb, verb) << text;
  }
}

TEST(Parser, TakesTheHostOfAnAbsoluteTarget) {
  const std::string bytes = request_to("http://b.example:81/x?y", "Host: a\r\n");
  const parsed p = parse_once(bytes);
  ASSERT_EQ(p.status, parse_status::complete);
  EXPECT_EQ(p.head.host, "b.example:81");
  EXPECT_EQ(p.head.path, "/x");
  EXPECT_EQ(p.head.query, "y");
}

TEST(Parser, ReadsTheEmptyPathOfAnAbsoluteTarget) {
  const std::string plain = request_to("HTTPS://b?y");
  EXPECT_EQ(parse_once(plain).head.path, "/");
  const std::string options = "OPTIONS http://b HTTP/1.1\r\nHost: a\r\n\r\n";
  EXPECT_EQ(parse_once(options).head.path, "*");
}

TEST(Parser, AcceptsAnAsteriskForOptions) {
  const std::string bytes = "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n";
  const parsed p = parse_once(bytes);
  ASSERT_EQ(p.status, parse_status::complete);
  EXPECT_EQ(p.head.path, "*");
}

TEST(Parser, AcceptsHostsOfEveryForm) {
  for (const std::string host : {"a", "a.b-c_d~e", "127.0.0.1:80", "[::1]", "[::1]:8080", "a%20b", "a:"}) {
    const std::string bytes = request_to("/", "Host: " + host + "\r\n");
    const parsed p = parse_once(bytes);
    ASSERT_EQ(p.status, parse_status::complete) << host;
    EXPECT_EQ(p.head.host, host);
  }
}

// The latest valid host is not checked again; nothing else may pass for it.
TEST(Parser, AHostIsJudgedTheSameWhateverCameBefore) {
  const auto with_host = [](const std::string& host) { return request_to("/", "Host: " + host + "\r\n"); };
  const std::string longest(60, 'h');  // more than is remembered
  const std::vector<std::string> good{"a", "ab", "a:80", "[::1]", longest, longest + "i"};
  const std::vector<std::string> bad{"", "a b", "a:", "a:8x", "ab c", "@a", longest + "@a", "[::1"};
  std::vector<std::string> before = good;
  before.emplace_back();  // nothing: HTTP/1.0 without Host
  for (const std::string& first : before) {
    for (const std::vector<std::string>* const kind : {&good, &bad}) {
      for (const std::string& host : *kind) {
        parsed p;
        head_parser parser;
        const std::string earlier = first.empty() ? "GET / HTTP/1.0\r\n\r\n" : with_host(first);
        ASSERT_EQ(parser.parse(earlier, limits(), p.fields, p.head), parse_status::complete);
        parser.reset();
        const std::string now = with_host(host);
        const parse_status alone = parse_once(now).status;
        EXPECT_EQ(parser.parse(now, limits(), p.fields, p.head), alone) << first << " then " << host;
        if (alone == parse_status::complete) {
          EXPECT_EQ(p.head.host, host);
        }
      }
    }
  }
  EXPECT_EQ(parse_once(with_host("")).status, parse_status::failed);
}

TEST(Parser, ToleratesOneEmptyLineBeforeTheRequest) {
  const std::string bytes = "\r\n" + request_to("/");
  const parsed p = parse_once(bytes);
  ASSERT_EQ(p.status, parse_status::complete);
  EXPECT_EQ(p.size, bytes.size());
}

TEST(Parser, Http10NeedsNoHostAndClosesUnlessAskedToStay) {
  const std::string plain = "GET / HTTP/1.0\r\n\r\n";
  ASSERT_EQ(parse_once(plain).status, parse_status::complete);
  EXPECT_FALSE(parse_once(plain).head.keep_alive);
  const std::string stay = "GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n";
  EXPECT_TRUE(parse_once(stay).head.keep_alive);
}

TEST(Parser, ReadsTheConnectionListOfEveryLine) {
  const std::string listed = request_to("/", "Host: a\r\nConnection: x, Close\r\n");
  EXPECT_FALSE(parse_once(listed).head.keep_alive);
  const std::string second = request_to("/", "Host: a\r\nConnection: keep-alive\r\nConnection: close\r\n");
  EXPECT_FALSE(parse_once(second).head.keep_alive);
  const std::string other = request_to("/", "Host: a\r\nConnection: closed\r\n");
  EXPECT_TRUE(parse_once(other).head.keep_alive);
}

TEST(Parser, ReadsExpectationAndChunked) {
  const std::string bytes =
      "PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-Continue\r\nTransfer-Encoding: Chunked\r\n\r\n";
  const parsed p = parse_once(bytes);
  ASSERT_EQ(p.status, parse_status::complete);
  EXPECT_TRUE(p.head.expect_continue);
  EXPECT_TRUE(p.head.chunked);
  EXPECT_TRUE(p.head.has_body());
}

TEST(Parser, AcceptsObsoleteTextInValues) {
  const std::string bytes = request_to("/", "Host: a\r\nX: caf\xc3\xa9\ttab\r\n");
  ASSERT_EQ(parse_once(bytes).status, parse_status::complete);
}

class BadRequests : public ::testing::TestWithParam<testing::bad_request> {};

TEST_P(BadRequests, AreRefusedHoweverTheyArrive) {
  const testing::bad_request& bad = GetParam();
  const parsed whole = parse_once(bad.bytes);
  EXPECT_EQ(whole.status, parse_status::failed);
  EXPECT_EQ(describe(whole.error).label, describe(bad.expected).label);
  const parsed bytewise = parse_bytewise(bad.bytes);
  EXPECT_EQ(bytewise.status, parse_status::failed);
  EXPECT_EQ(bytewise.error, bad.expected);
}

INSTANTIATE_TEST_SUITE_P(Parser, BadRequests, ::testing::ValuesIn(testing::all_bad_requests()),
                         [](const auto& param) { return param.param.name; });

TEST(Parser, RefusesATargetOverItsLimit) {
  const std::string just_fits = request_to("/" + std::string(8191, 'a'));
  EXPECT_EQ(parse_once(just_fits).status, parse_status::complete);
  const std::string over = request_to("/" + std::string(8192, 'a'));
  EXPECT_EQ(parse_once(over).error, parse_error::target_too_long);
  const std::string endless = "GET /" + std::string(20000, 'a');
  EXPECT_EQ(parse_once(endless).error, parse_error::target_too_long);
  EXPECT_EQ(parse_bytewise(endless).error, parse_error::target_too_long);
}

TEST(Parser, RefusesHeadersOverTheirLimits) {
  limits bounds;
  bounds.header_count_max = 3;
  bounds.header_bytes_max = 200;
  const std::string three = request_to("/", "Host: a\r\nX: 1\r\nX: 2\r\n");
  EXPECT_EQ(parse_once(three, bounds).status, parse_status::complete);
  const std::string four = request_to("/", "Host: a\r\nX: 1\r\nX: 2\r\nX: 3\r\n");
  EXPECT_EQ(parse_once(four, bounds).error, parse_error::too_many_headers);
  const std::string large = request_to("/", "Host: a\r\nX: " + std::string(300, 'x') + "\r\n");
  EXPECT_EQ(parse_once(large, bounds).error, parse_error::headers_too_large);
  EXPECT_EQ(parse_bytewise(large, bounds).error, parse_error::headers_too_large);
}

TEST(Parser, EveryErrorHasAStatusAndAText) {
  for (std::size_t i = 1; i < kParseErrors; ++i) {
    const parse_error_text& text = describe(static_cast<parse_error>(i));
    EXPECT_GE(text.status, 400) << i;
    EXPECT_FALSE(text.label.empty()) << i;
    EXPECT_FALSE(text.detail.empty()) << i;
  }
}

// A single wrong byte anywhere in a request must give the same verdict however the request arrives.
TEST(Parser, VerdictDoesNotDependOnHowBytesArrive) {
  const std::uint32_t seed = std::random_device{}();
  SCOPED_TRACE(seed);
  std::mt19937 random(seed);
  const std::string good =
      "\r\nPOST http://h:1/p?q HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nX-Request-Id: "
      "1234567890abcdef\r\n\r\n";
  const std::string alphabet(
      "\r\n :\t,;/*\0\x7f\xff"
      "aHTP1.0",
      20);
  for (int round = 0; round < 3000; ++round) {
    std::string bytes = good;
    for (int changes = 0; changes < 1 + round % 3; ++changes) {
      bytes[random() % bytes.size()] = alphabet[random() % alphabet.size()];
    }
    const parsed whole = parse_once(bytes);
    const parsed bytewise = parse_bytewise(bytes);
    ASSERT_EQ(whole.status, bytewise.status) << ::testing::PrintToString(bytes);
    ASSERT_EQ(whole.error, bytewise.error) << ::testing::PrintToString(bytes);
    ASSERT_EQ(whole.size, bytewise.size) << ::testing::PrintToString(bytes);
  }
}

}  // namespace
}  // namespace syncline::net::http
