#include "server/accept_encoding.h"

#include <gtest/gtest.h>

namespace syncline::server {
namespace {

TEST(AcceptEncoding, TakesGzipWhenItIsNamedOrAnythingGoes) {
  for (const char* header : {"gzip", "x-gzip", "GZip", "deflate, gzip;q=0.5", "gzip ; q=1.000", "*",
                             "*;q=0.1", "br,gzip", "identity;q=0, *;q=0.5"}) {
    EXPECT_TRUE(accepts_gzip(header)) << header;
  }
}

TEST(AcceptEncoding, LeavesItWhenItIsRefusedAbsentOrGarbled) {
  for (const char* header : {"", "identity", "gzip;q=0", "gzip;q=0.000", "*;q=0", "gzip;q=0, *;q=1", "br",
                             "gzip;q=2", "gzip;q=abc", "gzip;level=1", ",,;"}) {
    EXPECT_FALSE(accepts_gzip(header)) << header;
  }
}

}  // namespace
}  // namespace syncline::server
