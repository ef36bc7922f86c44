// Bytes with a front to consume and a back to fill: what a socket is read into and written from.
//
// Thread: one. Bound: its users', who check size() before they append. Failure: std::bad_alloc.
// A view is valid until the next prepare() or append(). Memory is not cleared, unlike a std::string that is
// resized.
#pragma once

#include <cstddef>
#include <cstring>
#include <memory>
#include <string_view>
#include <utility>

namespace syncline::net {

class byte_buffer {
 public:
  [[nodiscard]] bool empty() const noexcept { return begin_ == end_; }
  [[nodiscard]] std::size_t size() const noexcept { return end_ - begin_; }
  [[nodiscard]] char* data() noexcept { return bytes_.get() + begin_; }
  [[nodiscard]] const char* data() const noexcept { return bytes_.get() + begin_; }
  [[nodiscard]] std::string_view view() const noexcept { return {data(), size()}; }
  [[nodiscard]] std::size_t capacity() const noexcept { return capacity_; }

  // Where the next bytes go, with room for at least `room`; then commit() what was written.
  [[nodiscard]] char* prepare(std::size_t room) {
    if (capacity_ - end_ < room) make_room(room);
    return bytes_.get() + end_;
  }
  [[nodiscard]] std::size_t room() const noexcept { return capacity_ - end_; }
  void commit(std::size_t n) noexcept { end_ += n; }
  void append(std::string_view text) {
    if (text.empty()) return;
    std::memcpy(prepare(text.size()), text.data(), text.size());
    commit(text.size());
  }
  void consume(std::size_t n) noexcept {
    begin_ += n;
    if (begin_ == end_) clear();
  }
  void clear() noexcept { begin_ = end_ = 0; }
  void release() noexcept {
    bytes_.reset();
    capacity_ = 0;
    clear();
  }
  void swap(byte_buffer& other) noexcept {
    std::swap(bytes_, other.bytes_);
    std::swap(capacity_, other.capacity_);
    std::swap(begin_, other.begin_);
    std::swap(end_, other.end_);
  }

 private:
  void make_room(std::size_t room);

  std::unique_ptr<char[]> bytes_;
  std::size_t capacity_ = 0;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
};

inline void byte_buffer::make_room(std::size_t room) {
  constexpr std::size_t kFirstBytes = 4096;
  const std::size_t have = size();
  if (have + room <= capacity_) {
    std::memmove(bytes_.get(), data(), have);
  } else {
    std::size_t wanted = capacity_ == 0 ? kFirstBytes : capacity_ * 2;
    if (wanted < have + room) wanted = have + room;
    std::unique_ptr<char[]> larger(new char[wanted]);
    if (have != 0) std::memcpy(larger.get(), data(), have);
    bytes_ = std::move(larger);
    capacity_ = wanted;
  }
  begin_ = 0;
  end_ = have;
}

}  // namespace syncline::net
