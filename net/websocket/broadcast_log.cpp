#include "net/websocket/broadcast_log.h"

#include <algorithm>
#include <string_view>
#include <utility>

namespace syncline::net::websocket {

std::uint32_t broadcast_log::find_or_append(const shared_bytes& frame, std::uint32_t expected) {
  // Message by message over all sockets, the last entry is it; socket by socket over all messages, the
  // expected one, after a first that is among the first few.
  constexpr std::size_t kSearched = 64;
  const std::size_t n = entries_.size();
  if (expected < n && entries_[expected].frame == frame) return expected;
  if (n != 0 && entries_.back().frame == frame) return static_cast<std::uint32_t>(n - 1);
  for (std::size_t i = 0; i < std::min(n, kSearched) && expected == kNone; ++i) {
    if (entries_[i].frame == frame) return static_cast<std::uint32_t>(i);
  }
  if (held_ == 0) clear();
  if (bytes_ + frame->size() > kBytesMax) return kNone;
  const bool is_long = frame->size() > kCopyBytesMax;
  const std::size_t text_at = text_.size();
  // All that may throw comes first: an entry without its bytes would be found by the next socket.
  if (entries_.size() == entries_.capacity()) entries_.reserve(std::max<std::size_t>(8, 2 * entries_.size()));
  if (!is_long) text_.append(*frame);
  entries_.push_back({frame, text_at, bytes_, long_frames_, is_long});
  if (is_long) ++long_frames_;
  bytes_ += frame->size();
  return static_cast<std::uint32_t>(entries_.size() - 1);
}

std::size_t broadcast_log::bytes(std::uint32_t from, std::uint32_t to) const noexcept {
  const std::size_t end = to < entries_.size() ? entries_[to].bytes_before : bytes_;
  return end - entries_[from].bytes_before;
}

// Where the short frames before entry `to` end in text_.
std::size_t broadcast_log::text_end(std::uint32_t to) const noexcept {
  return to < entries_.size() ? entries_[to].text_at : text_.size();
}

std::size_t broadcast_log::gather(std::uint32_t from, std::uint32_t to, std::span<iovec> out) noexcept {
  std::size_t used = 0;
  while (from < to && used < out.size()) {
    std::uint32_t until = from;
    const std::uint32_t longs = to < entries_.size() ? entries_[to].long_before : long_frames_;
    if (entries_[from].long_before == longs) {
      until = to;  // only short ones are left
    } else {
      while (until < to && !entries_[until].is_long) ++until;
    }
    if (until > from) {
      const std::size_t at = entries_[from].text_at;
      out[used++] = {text_.data() + at, text_end(until) - at};
      from = until;
      continue;
    }
    // iovec is shared with readv, hence not const; sendmsg only reads.
    const shared_bytes& frame = entries_[from].frame;
    out[used++] = {const_cast<char*>(frame->data()), frame->size()};
    ++from;
  }
  return used;
}

void broadcast_log::copy(std::uint32_t from, std::uint32_t to, std::size_t sent, output_queue& out) const {
  for (; from < to; ++from) {
    const shared_bytes& frame = entries_[from].frame;
    if (sent >= frame->size()) {
      sent -= frame->size();
    } else if (entries_[from].is_long && (sent == 0 || out.empty())) {
      out.append(frame, std::exchange(sent, 0));
    } else {
      out.append(std::string_view(*frame).substr(std::exchange(sent, 0)));
    }
  }
}

void broadcast_log::clear() noexcept {
  constexpr std::size_t kTextKept = 64 * 1024;
  entries_.clear();
  text_.clear();
  if (text_.capacity() > kTextKept) std::string().swap(text_);
  bytes_ = 0;
  long_frames_ = 0;
}

}  // namespace syncline::net::websocket
