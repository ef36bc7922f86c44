// What one session has not sent yet, apart from its range of the turn's broadcasts.
//
// Not for use outside of the session: it has one while there is something in it, and gives it back to its
// core after. Thread: the core. Bound: session::send() checks; control frames kControlBytesMax and one pong.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "net/core/output_queue.h"
#include "net/websocket/frame.h"

namespace syncline::net::websocket {

struct session_output {
  // About thirty pongs of full size. A peer that pings without reading is owed the latest pong alone (RFC
  // 6455 section 5.5.3).
  static constexpr std::size_t kControlBytesMax = 4096;

  output_queue queue;
  // Control frames in the queue, as if they were first in it: never less than there are beyond what was sent
  // since.
  std::size_t control_bytes = 0;
  std::array<char, kControlPayloadBytesMax> pong;  // the latest that had no room
  std::uint8_t pong_bytes = 0;
  bool owes_pong = false;
};

}  // namespace syncline::net::websocket
