// Whichever allocation fails while a task streams gzip: that connection is answered whole or cut off, the
// next one is as ever, and no deflate state stays behind.
#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <string_view>

#include "net/core/deflate_pool.h"
#include "net/core/gzip.h"
#include "tests/net/scripted_server.h"
#include "tests/net/watched_memory.h"

namespace syncline::net::http {
namespace {

namespace memory = syncline::testing::memory;

using testing::eventually;
using testing::raw_client;
using testing::some_rows;

// Streams `text` packed, a flush a row.
class packing_handler final : public http::handler {
 public:
  explicit packing_handler(std::string_view text) : text_(text) {}
  http::tried try_answer(http::exchange& x) override {
    x.set_route("packed");
    return http::tried::need_task;
  }
  task<void> answer(http::exchange& x) override {
    x.begin(http::response_head{200, "text/plain", "Content-Encoding: gzip\r\n", false});
    gzip_encoder packs;
    for (std::size_t at = 0; at < text_.size(); at += kRowBytes) {
      std::string out;
      packs.append(text_.substr(at, kRowBytes), true, out);
      if (at % 3 == 0) packs.rest();
      const result<void> sent = co_await x.write(out);
      if (sent.has_error()) co_return;
    }
    std::string out;
    packs.finish(out);
    static_cast<void>(co_await x.write(out));
    x.end();
  }

 private:
  static constexpr std::size_t kRowBytes = 1000;
  const std::string_view text_;
};

std::string unpacked(std::string_view packed) {
  std::string out;
  gzip_decoder decoder;
  EXPECT_TRUE(decoder.decode(packed, 1 << 20, out).has_value());
  EXPECT_TRUE(decoder.complete());
  return out;
}

// The chunks of an answer, put together.
std::string body_of(std::string_view answer) {
  std::string out;
  answer.remove_prefix(answer.find("\r\n\r\n") + 4);
  for (;;) {
    const std::size_t n = std::stoul(std::string(answer.substr(0, 16)), nullptr, 16);
    if (n == 0) return out;
    answer.remove_prefix(answer.find("\r\n") + 2);
    out.append(answer.substr(0, n));
    answer.remove_prefix(n + 2);
  }
}

// Not even one that looks whole and is not.
TEST(GzipMemory, WhicheverAllocationFailsAStreamIsWholeOrCutOff) {
  const std::string text = some_rows(1000);
  packing_handler handles(text);
  const std::size_t held_before = deflate_bytes();
  int whole = 0, cut_off = 0;
  std::uint64_t nth = 0;
  for (bool more = true; more;) {
    SCOPED_TRACE(++nth);
    core_group group(core_group_options{1, false});
    http::server serves(group, handles, testing::quick_options());
    group.start();
    ASSERT_TRUE(serves.start().has_value());
    raw_client c(serves.port());
    memory::fail_nth("core-", nth);
    c.send(testing::get("/", "Connection: close\r\n"));
    const std::string all = c.receive_all();
    EXPECT_TRUE(eventually([&] { return serves.connections() == 0; }));
    more = memory::nth_failed();
    memory::fail_nth({}, 0);
    (all.ends_with("\r\n0\r\n\r\n") ? whole : cut_off) += 1;
    if (all.ends_with("\r\n0\r\n\r\n")) {
      EXPECT_TRUE(unpacked(body_of(all)) == text);
    }
    // With nothing in the way it comes, and no state is out but the core's spare one.
    for (int i = 0; i < 2; ++i) {
      raw_client next(serves.port());
      EXPECT_TRUE(unpacked(next.ask(testing::get("/")).body) == text);
    }
    EXPECT_LE(deflate_bytes(), held_before + deflate_state::kBytes);
    if (HasFailure()) return;
  }
  EXPECT_GT(whole, 0);
  EXPECT_GT(cut_off, 10);
}

}  // namespace
}  // namespace syncline::net::http
