#include "storage/line_splitter.h"

#include <cstring>

#include "storage/text_scan.h"

namespace syncline::storage {

line_splitter::line_splitter(std::size_t line_bytes_max) : line_bytes_max_(line_bytes_max) {}

void line_splitter::feed(std::string_view piece) {
  if (at_ > 0) {
    buffer_.erase(0, at_);
    scanned_ -= at_;
    at_ = 0;
  }
  buffer_.append(piece);
}

void line_splitter::finish() {
  finished_ = true;
}

line_splitter::got line_splitter::next(std::string_view& line, std::uint64_t& number) {
  if (!started_) {
    const std::string_view start = std::string_view(buffer_).substr(0, kByteOrderMark.size());
    if (start.size() < kByteOrderMark.size() && kByteOrderMark.starts_with(start) && !finished_)
      return got::need_more;
    if (start == kByteOrderMark) at_ = scanned_ = kByteOrderMark.size();
    started_ = true;
  }
  for (;;) {
    const std::size_t left = buffer_.size() - scanned_;
    const void* const found = left == 0 ? nullptr : std::memchr(buffer_.data() + scanned_, '\n', left);
    if (found == nullptr && !finished_) {
      scanned_ = buffer_.size();
      if (skipping_) {
        at_ = scanned_;
        return got::need_more;
      }
      // One byte beyond the bound may still be the CR of the line's end.
      const std::size_t size = scanned_ - at_;
      if (size <= line_bytes_max_ || (size == line_bytes_max_ + 1 && buffer_.back() == '\r'))
        return got::need_more;
      skipping_ = true;
      at_ = scanned_;
      number = ++number_;
      return got::too_long;
    }
    if (found == nullptr && (at_ == buffer_.size() || skipping_)) {
      at_ = scanned_ = buffer_.size();
      return got::end;
    }
    const std::size_t end = found == nullptr
                                ? buffer_.size()
                                : static_cast<std::size_t>(static_cast<const char*>(found) - buffer_.data());
    std::string_view text = std::string_view(buffer_).substr(at_, end - at_);
    at_ = scanned_ = found == nullptr ? end : end + 1;
    if (skipping_) {
      skipping_ = false;
      continue;
    }
    ++number_;
    if (text.ends_with('\r')) text.remove_suffix(1);
    if (text.empty()) continue;
    number = number_;
    if (text.size() > line_bytes_max_) return got::too_long;
    line = text;
    return got::line;
  }
}

}  // namespace syncline::storage
