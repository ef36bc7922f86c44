#include "storage/mysql/frame_reader.h"

#include <cassert>

namespace syncline::storage::mysql {

frame_state frame_reader::next(frame& out) {
  if (broken_ != frame_state::whole) return broken_;
  // What was unpacked consists of whole frames.
  if (!unpacked_.empty()) return read_frame(unpacked_.view(), message_bytes_max_, out);
  const frame_state state = read_frame(link_->input().view(), message_bytes_max_, out);
  if (state != frame_state::whole || out.type != server_message::compression || !unpacks_) return state;
  assert(!link_->reading());
  const frame_state unpacked = unpacks_->unpack(out.body, unpacked_);
  link_->input().consume(out.bytes());
  if (unpacked != frame_state::whole) {
    unpacked_.release();
    return broken_ = unpacked;
  }
  return read_frame(unpacked_.view(), message_bytes_max_, out);
}

void frame_reader::consume(std::size_t bytes) noexcept {
  if (unpacked_.empty()) {
    link_->input().consume(bytes);
    return;
  }
  unpacked_.consume(bytes);
  if (unpacked_.empty() && unpacked_.capacity() > link::kKeepBytes) unpacked_.release();
}

}  // namespace syncline::storage::mysql
