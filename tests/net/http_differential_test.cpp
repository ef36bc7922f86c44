// What our parser makes of a connection's bytes is what the reference makes of them: valid requests and what
// random changes turn them into, at each level of the scans, however the bytes arrive.
#include <gtest/gtest.h>

#include <iostream>
#include <random>
#include <string>
#include <vector>

#include "net/http/scan.h"
#include "tests/net/bad_requests.h"
#include "tests/net/differential.h"

namespace syncline::net::http {
namespace {

using testing::conversation;

std::string describe_all(const conversation& c) {
  std::string out = "refused " + std::to_string(c.refused);
  for (const testing::message& m : c.messages) {
    out += "\n  " + m.method + " " + m.target + " path " + m.path + " query " + m.query + " host " + m.host +
           " minor " + std::to_string(m.minor) + (m.keep_alive ? " stays" : " closes") +
           (m.chunked ? " chunked" : "") + (m.expect_continue ? " expects" : "") + " length " +
           (m.length ? std::to_string(*m.length) : "-") + " fields " + std::to_string(m.headers.size()) +
           " body " + std::to_string(m.body.size()) + (m.body_complete ? " whole" : " part");
  }
  return out;
}

const std::vector<std::string>& valid_requests() {
  static const std::vector<std::string> all{
      "GET /v1/users/17 HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n\r\n",
      "\r\nGET /v1/users?limit=50&after=a%20b HTTP/1.1\r\nhOST:[2001:db8::1.2.3.4]:80 \t\r\nAccept: "
      "*/*\r\n\r\n",
      "POST /v1/users HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Type: text/plain\r\n\r\nabcde",
      "PUT /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n"
      "3\r\nabc\r\nA;x=\"y z\"\r\n0123456789\r\n00\r\nTrailer: v\r\nOther:\r\n\r\n",
      "OPTIONS * HTTP/1.1\r\nHost: a.example\r\nConnection: keep-alive, x\r\n\r\n",
      "OPTIONS http://a.example HTTP/1.1\r\nHost: b\r\n\r\n",
      "DELETE https://a.example:8443/x/y?q HTTP/1.1\r\nHost: b\r\nIf-Match: \"1\"\r\n\r\n",
      "GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n",
      "HEAD / HTTP/1.0\r\nHost: a\r\n\r\n",
      "PATCH /" + std::string(60, 'p') + " HTTP/1.1\r\nHost: a\r\nX-Long: " + std::string(200, 'v') +
          "\r\nCookie: a=b; caf\xc3\xa9=1\r\nConnection: close\r\n\r\n",
      "PROPFIND /a'(b)!,;=@ HTTP/1.1\r\nX_y.z~1|: 1\r\nHost: a%20b\r\n\r\n",
  };
  return all;
}

const std::vector<std::string>& pieces() {
  static const std::vector<std::string> all{"\r\n",
                                            "\r",
                                            "\n",
                                            "\r\n\r\n",
                                            " ",
                                            "\t",
                                            ":",
                                            ",",
                                            ";",
                                            "/",
                                            "?",
                                            "#",
                                            "%",
                                            "%4",
                                            "[",
                                            "]",
                                            "::",
                                            "*",
                                            "0",
                                            std::string(1, '\0'),
                                            "\x7f",
                                            "\x80",
                                            "\xff",
                                            "\x1f",
                                            "\x0b",
                                            "Host: b\r\n",
                                            "Content-Length: 3\r\n",
                                            "Content-Length: 18446744073709551616\r\n",
                                            "Transfer-Encoding: chunked\r\n",
                                            "Transfer-Encoding: gzip, chunked\r\n",
                                            "Connection: close\r\n",
                                            "Expect: x\r\n",
                                            "chunked",
                                            ", chunked",
                                            "HTTP/1.1",
                                            "HTTP/1.0",
                                            "HTTP/2.0",
                                            "CONNECT ",
                                            "http://",
                                            "https://[::1]",
                                            " HTTP/1.1\r\n",
                                            "0\r\n\r\n",
                                            "7fffffffffffffff\r\n",
                                            "8000000000000000\r\n",
                                            "5;",
                                            std::string(100, 'a'),
                                            std::string(300, 'b'),
                                            "1.2.3.4",
                                            "65536",
                                            "close",
                                            "keep-alive"};
  return all;
}

class mutator {
 public:
  explicit mutator(std::uint32_t seed) : random_(seed) {}

  std::string make() {
    std::string bytes;
    for (std::size_t n = 1 + below(3); n > 0; --n) bytes += pick(valid_requests());
    for (std::size_t n = below(4); n > 0; --n) change(bytes);
    return bytes;
  }
  std::size_t below(std::size_t n) { return std::uniform_int_distribution<std::size_t>(0, n - 1)(random_); }

 private:
  const std::string& pick(const std::vector<std::string>& from) { return from[below(from.size())]; }
  void change(std::string& bytes) {
    if (bytes.empty()) return;
    const std::size_t at = below(bytes.size());
    switch (below(7)) {
      case 0:
        bytes[at] = static_cast<char>(below(256));
        break;
      case 1:
        bytes.erase(at, 1 + below(3));
        break;
      case 2:
      case 3:
        bytes.insert(at, pick(pieces()));
        break;
      case 4:
        bytes.insert(below(bytes.size()), bytes.substr(at, 1 + below(40)));
        break;
      case 5: {  // at the start of a line, where most meaning is
        const std::size_t line = bytes.find("\r\n", at);
        if (line != std::string::npos) bytes.insert(line + 2, pick(pieces()));
        break;
      }
      default:
        bytes.replace(at, 1 + below(3), pick(pieces()));
        break;
    }
  }
  std::mt19937 random_;
};

// Every way of arriving, at the level in force.
void expect_agreement(const std::string& bytes, const limits& bounds, mutator& random) {
  const conversation expected = testing::read_with_reference(bytes, bounds);
  const auto compare = [&](const char* how, const conversation& got) {
    ASSERT_EQ(got, expected) << how << ", " << to_string(active_scan().level) << "\n"
                             << ::testing::PrintToString(bytes) << "\nours: " << describe_all(got)
                             << "\nreference: " << describe_all(expected);
  };
  compare("whole", testing::read_with_ours(bytes, bounds, [&] { return bytes.size(); }));
  compare("by byte", testing::read_with_ours(bytes, bounds, [] { return std::size_t{1}; }));
  compare("split", testing::read_with_ours(bytes, bounds, [&] { return 1 + random.below(60); }));
}

class every_level {
 public:
  template <class Do>
  void operator()(Do what) const {
    for (const scan_functions& level : scan_levels()) {
      use_scan_level(level.level);
      what();
    }
    use_scan_level(scan_levels().back().level);
  }
};

TEST(HttpDifferential, ValidRequestsMeanTheSameAndAreAccepted) {
  mutator random(1);
  every_level()([&] {
    for (const std::string& bytes : valid_requests()) {
      expect_agreement(bytes, testing::small_limits(), random);
      const conversation got = testing::read_with_reference(bytes, testing::small_limits());
      ASSERT_EQ(got.refused, 0) << bytes;
      ASSERT_EQ(got.messages.size(), 1U) << bytes;
      ASSERT_TRUE(got.messages.front().body_complete) << bytes;
    }
  });
}

TEST(HttpDifferential, BadRequestsAreRefusedByBoth) {
  mutator random(1);
  for (const testing::bad_request& bad : testing::all_bad_requests()) {
    SCOPED_TRACE(bad.name);
    expect_agreement(bad.bytes, limits(), random);
    const conversation got = testing::read_with_reference(bad.bytes, limits());
    EXPECT_TRUE(got.messages.empty());
    EXPECT_EQ(got.refused, describe(bad.expected).status / 100);
  }
}

// NUL, control characters and high bytes everywhere: refused, or the same in both.
TEST(HttpDifferential, EveryByteAtEveryPlaceMeansTheSame) {
  mutator random(1);
  for (const std::string& good : valid_requests()) {
    std::string bytes = good;
    for (std::size_t at = 0; at < bytes.size(); ++at) {
      for (unsigned byte = 0; byte < 256; ++byte) {
        bytes[at] = static_cast<char>(byte);
        const conversation expected = testing::read_with_reference(bytes, testing::small_limits());
        const conversation got =
            testing::read_with_ours(bytes, testing::small_limits(), [&] { return bytes.size(); });
        ASSERT_EQ(got, expected) << ::testing::PrintToString(bytes) << "\nours: " << describe_all(got)
                                 << "\nreference: " << describe_all(expected);
      }
      bytes[at] = good[at];
    }
  }
}

TEST(HttpDifferential, RandomChangesMeanTheSame) {
  const std::uint32_t seed = std::random_device{}();
  std::cout << "seed " << seed << '\n';
  SCOPED_TRACE(seed);
  mutator random(seed);
  const limits small = testing::small_limits(), usual;
  for (int round = 0; round < 8000; ++round) {
    const std::string bytes = random.make();
    every_level()([&] { expect_agreement(bytes, round % 4 == 0 ? usual : small, random); });
    if (::testing::Test::HasFatalFailure()) return;
  }
}

}  // namespace
}  // namespace syncline::net::http
