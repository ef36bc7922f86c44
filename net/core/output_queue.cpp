#include "net/core/output_queue.h"

#include <algorithm>

namespace syncline::net {

void output_queue::append(shared_bytes body, std::size_t sent) {
  const std::size_t left = body->size() - sent;
  if (left == 0) return;
  shared_.push_back({appended_, std::move(body)});
  shared_bytes_ += left;
  if (sent != 0) first_sent_ = sent;
}

std::size_t output_queue::gather_parts(std::span<iovec> out) noexcept {
  std::size_t used = 0, sent = first_sent_;
  std::uint64_t at = consumed_;
  char* copied = bytes_.data();
  for (const shared_part& part : shared_) {
    if (used + 2 > out.size()) return used;
    if (part.at > at) {
      const auto n = static_cast<std::size_t>(part.at - at);
      out[used++] = {copied, n};
      copied += n;
      at = part.at;
    }
    // iovec is shared with readv, hence not const; sendmsg only reads.
    out[used++] = {const_cast<char*>(part.body->data()) + sent, part.body->size() - sent};
    sent = 0;
  }
  if (appended_ > at && used < out.size()) out[used++] = {copied, static_cast<std::size_t>(appended_ - at)};
  return used;
}

void output_queue::consume_parts(std::size_t n) noexcept {
  std::size_t done = 0;  // shared parts sent completely
  while (n != 0) {
    const bool more_shared = done < shared_.size();
    const std::uint64_t copied_until = more_shared ? shared_[done].at : appended_;
    const auto copied = static_cast<std::size_t>(std::min<std::uint64_t>(n, copied_until - consumed_));
    bytes_.consume(copied);
    consumed_ += copied;
    n -= copied;
    if (n == 0 || !more_shared) break;
    const std::size_t taken = std::min(n, shared_[done].body->size() - first_sent_);
    first_sent_ += taken;
    shared_bytes_ -= taken;
    n -= taken;
    if (first_sent_ == shared_[done].body->size()) {
      first_sent_ = 0;
      ++done;
    }
  }
  if (done != 0) shared_.erase(shared_.begin(), shared_.begin() + static_cast<std::ptrdiff_t>(done));
}

void output_queue::clear() noexcept {
  bytes_.clear();
  shared_.clear();
  shared_bytes_ = first_sent_ = 0;
  appended_ = consumed_ = 0;
}

void output_queue::release() noexcept {
  clear();
  bytes_.release();
  std::vector<shared_part>().swap(shared_);
}

}  // namespace syncline::net
