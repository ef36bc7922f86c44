#include "server/accept_encoding.h"

#include <gtest/gtest.h>

#include <vector>

namespace syncline::server {
namespace {

TEST(AcceptEncoding, TakesGzipWhenItIsNamedOrAnythingGoes) {
  for (const char* header :
       {"gzip", "x-gzip", "GZip", "deflate, gzip;q=0.5", "gzip ; q=1.000", "*", "*;q=0.1", "br,gzip",
        "identity;q=0, *;q=0.5", "gzip, identity", "identity;q=0.5, gzip;q=0.5"}) {
    EXPECT_TRUE(accepts_gzip(header)) << header;
  }
}

TEST(AcceptEncoding, LeavesItWhenItIsRefusedAbsentOrGarbled) {
  for (const char* header : {"", "identity", "gzip;q=0", "gzip;q=0.000", "*;q=0", "gzip;q=0, *;q=1", "br",
                             "gzip;q=2", "gzip;q=abc", "gzip;level=1", ",,;", "identity;q=1, gzip;q=0.1",
                             "gzip;q=0.5, identity", "Identity, *;q=0.9"}) {
    EXPECT_FALSE(accepts_gzip(header)) << header;
  }
}

TEST(AcceptEncoding, ReadsAllLines) {
  const auto takes = [](std::vector<net::http::header_field> lines) {
    net::http::request_head head;
    head.headers = lines;
    return accepts_gzip(head);
  };
  EXPECT_TRUE(takes({{"accept-encoding", "br"}, {"Accept", "*"}, {"Accept-Encoding", "gzip"}}));
  EXPECT_FALSE(takes({{"Accept-Encoding", "*"}, {"Accept-Encoding", "gzip;q=0"}}));
  EXPECT_FALSE(takes({{"Accept", "gzip"}}));
}

}  // namespace
}  // namespace syncline::server
