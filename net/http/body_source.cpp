#include "net/http/body_source.h"

#include <algorithm>
#include <utility>

namespace syncline::net::http {

void body_source::start(const request_head& head, std::size_t head_bytes) noexcept {
  kind_ = head.chunked ? kind::chunked : head.content_length.value_or(0) > 0 ? kind::length : kind::none;
  moved_ = false;
  used_ = head_bytes;
  left_ = head.content_length.value_or(0);
  received_ = 0;
  decoder_ = chunked_decoder();
  more_.clear();
}

body_source::state body_source::next(byte_buffer& input, std::string_view& piece) noexcept {
  piece = {};
  if (kind_ == kind::none) return state::done;
  if (decoder_.error() != chunk_error::none) return state::failed;
  char* const from = moved_ ? more_.data() : input.data() + used_;
  const std::size_t have = moved_ ? more_.size() : input.size() - used_;
  if (have == 0) return state::need_more;

  chunked_decoder::step step{chunk_status::need_more, 0, 0};
  if (kind_ == kind::length) {
    step.consumed = step.produced = static_cast<std::size_t>(std::min<std::uint64_t>(left_, have));
    left_ -= step.produced;
    if (left_ == 0) step.status = chunk_status::done;
  } else {
    step = decoder_.decode(from, have);
  }
  if (moved_) {
    more_.consume(step.consumed);
  } else {
    used_ += step.consumed;
  }
  received_ += step.produced;
  if (step.status == chunk_status::done) kind_ = kind::none;
  if (step.produced != 0) {  // a failure comes up again at the next call
    piece = std::string_view(from, step.produced);
    return state::piece;
  }
  if (step.status == chunk_status::failed) return state::failed;
  return step.status == chunk_status::done ? state::done : state::need_more;
}

char* body_source::room() {
  moved_ = true;  // the input buffer is used up: next() said so
  more_.clear();
  return more_.prepare(kBodyReadBytes);
}

void body_source::finish(byte_buffer& input) noexcept {
  if (!moved_) return input.consume(std::exchange(used_, 0));  // TLS may finish a closing in two steps
  input.clear();
  if (!more_.empty()) input.swap(more_);
}

}  // namespace syncline::net::http
