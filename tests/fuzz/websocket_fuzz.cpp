// Arbitrary bytes from a client: what the reader says must not depend on how they are split into reads, or on
// whether messages are wanted whole or in pieces, and nothing may be read out of bounds. The first byte
// chooses what was agreed on. The same bytes are also read as a deflate offer and as a text.
#include <cstdint>
#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "net/websocket/deflate.h"
#include "net/websocket/deflate_offer.h"
#include "net/websocket/utf8.h"
#include "tests/net/websocket_frames.h"

namespace {

using namespace syncline::net::websocket;

std::vector<testing::seen> read(std::string_view bytes, bool whole, role as,
                                const std::optional<deflate_agreement>& agreed, testing::split how) {
  deflate_pool pool;
  reader_options options;
  options.limits.frame_bytes_max = 70'000;
  options.limits.message_bytes_max = 100'000;
  options.limits.fragments_max = 20;
  options.whole_messages = whole;
  std::vector<testing::seen> out;
  {
    message_reader reader(options, as, agreed, &pool);
    out = testing::read_all(reader, bytes, std::move(how));
  }
  if (pool.borrowed() != 0) std::abort();
  return out;
}

// Streamed messages are listed where they begin, whole ones where they end, and one that never ends is not
// given at all: compare what came to an end, in the order of ends, which control frames do not change.
void check_streamed(const std::vector<testing::seen>& whole, const std::vector<testing::seen>& streamed) {
  const auto is_message = [](const testing::seen& s) {
    return s.what == event_kind::text || s.what == event_kind::binary;
  };
  for (const bool messages : {true, false}) {
    std::vector<testing::seen> a;
    std::vector<testing::seen> b;
    for (const testing::seen& s : whole) {
      if (is_message(s) == messages) a.push_back(s);
    }
    for (const testing::seen& s : streamed) {
      if (is_message(s) == messages && s.whole) b.push_back(s);
    }
    if (a != b) std::abort();
  }
}

void check_offer(std::string_view text) {
  const deflate_choice choice = choose_deflate(text, {});
  if (choice.malformed && choice.agreed) std::abort();
  if (!choice.agreed) return;
  if (choice.agreed->server_window_bits < 9 || choice.agreed->server_window_bits > 15) std::abort();
  std::string line;
  append_answer(*choice.agreed, line);
  const auto back = read_deflate_answer(line);
  // A client whose window is 8 must not be believed by ours, which cannot do it.
  if (back ? *back != *choice.agreed : choice.agreed->client_window_bits != 8) std::abort();
}

void check_text(std::string_view text) {
  utf8_validator bytewise;
  std::size_t good = 0;
  while (good < text.size() && bytewise.feed(text.substr(good, 1)) == 1) ++good;
  for (const instructions form : {instructions::scalar, instructions::sse2, instructions::avx2}) {
    utf8_validator whole;
    if (form <= best_instructions() && whole.feed(text, form) != good) std::abort();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::uint8_t choice = data[0];
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  std::optional<deflate_agreement> agreed;
  if ((choice & 1U) != 0) {
    agreed.emplace();
    agreed->server_no_context_takeover = agreed->client_no_context_takeover = (choice & 2U) != 0;
  }
  const role as = (choice & 4U) != 0 ? role::client : role::server;
  const auto wanted = read(bytes, true, as, agreed, testing::every(size));
  if (read(bytes, true, as, agreed, testing::every(1)) != wanted) std::abort();
  if (read(bytes, true, as, agreed, testing::at_random(choice, 30)) != wanted) std::abort();
  check_streamed(wanted, read(bytes, false, as, agreed, testing::every(size)));
  check_streamed(wanted, read(bytes, false, as, agreed, testing::every(1)));
  check_offer(bytes);
  check_text(bytes);
  return 0;
}
