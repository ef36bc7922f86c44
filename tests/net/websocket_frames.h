// What WebSocket tests and the fuzzer share: frames as text, and everything a reader says about some bytes.
//
// Thread: one. Not for production code.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "net/websocket/frame_writer.h"
#include "net/websocket/message_reader.h"

namespace syncline::net::websocket::testing {

inline constexpr mask_key kTestKey = 0x3dfa2137;

// A client's frame.
inline std::string frame(frame_shape shape, std::string_view payload, mask_key key = kTestKey) {
  std::string out;
  append_masked_frame(out, shape, payload, key);
  return out;
}

inline std::string from_bytes(std::initializer_list<unsigned> list) {
  std::string out;
  for (const unsigned c : list) out.push_back(static_cast<char>(c));
  return out;
}

// One message, control frame or failure; pieces of a message are joined.
struct seen {
  event_kind what = event_kind::need_more;
  std::string bytes;
  std::uint16_t code = 0;
  bool whole = true;  // false: the message's end did not come
  bool operator==(const seen&) const = default;
};

inline seen text(std::string_view bytes) {
  return {event_kind::text, std::string(bytes), 0, true};
}

// How many bytes the next read brings.
using split = std::function<std::size_t()>;
inline split every(std::size_t n) {
  return [n] { return n; };
}
inline split at_random(std::uint64_t seed, std::size_t most) {
  return [state = seed * 2 + 1, most]() mutable {
    state = state * 6364136223846793005ULL + 1442695040888963407ULL;
    return 1 + static_cast<std::size_t>(state >> 33U) % most;
  };
}

inline void note(const message_event& e, std::vector<seen>& out, std::size_t& open) {
  const bool message = e.what == event_kind::text || e.what == event_kind::binary;
  if (message && !e.first) {
    out[open].bytes.append(e.bytes);
    out[open].whole = e.last;
    return;
  }
  if (message) open = out.size();
  seen now;
  now.what = e.what;
  now.bytes = std::string(e.bytes);
  now.code = message ? std::uint16_t{0} : static_cast<std::uint16_t>(e.code);
  now.whole = e.last || !message;
  out.push_back(std::move(now));
}

// Everything `reader` says about `bytes`, which come in reads of `next_size`. A message is listed where its
// first piece came. Ends at a failure.
inline std::vector<seen> read_all(message_reader& reader, std::string_view bytes, split next_size) {
  std::vector<seen> out;
  std::size_t open = 0;
  while (!bytes.empty()) {
    const std::size_t n = std::min(next_size(), bytes.size());
    // A copy of exactly this read, so that a sanitizer sees every byte beyond it.
    const std::unique_ptr<char[]> exact(new char[n]);
    bytes.copy(exact.get(), n);
    bytes.remove_prefix(n);
    std::span<char> in(exact.get(), n);
    for (message_event e = reader.next(in); e.what != event_kind::need_more; e = reader.next(in)) {
      note(e, out, open);
      if (e.what == event_kind::failed) return out;
    }
  }
  return out;
}

}  // namespace syncline::net::websocket::testing
