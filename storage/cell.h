// One value of a row on its way between JSON or CSV and SQL. 32 bytes; text is a view into somebody else's
// memory.
//
// Thread: a value. `text` must outlive the cell: a text_arena owns what was made, or it points into an input
// buffer.
#pragma once

#include <cstdint>
#include <cstring>
#include <memory>
#include <string_view>
#include <utility>
#include <vector>

namespace syncline::storage {

struct cell {
  enum class kind : std::uint8_t { absent, null, integer, real, text, blob };
  kind k = kind::absent;
  union {
    std::int64_t integer = 0;
    double real;
  };
  std::string_view text;

  static cell of_null() noexcept {
    cell c;
    c.k = kind::null;
    return c;
  }
  static cell of_int(std::int64_t v) noexcept {
    cell c;
    c.k = kind::integer;
    c.integer = v;
    return c;
  }
  static cell of_real(double v) noexcept {
    cell c;
    c.k = kind::real;
    c.real = v;
    return c;
  }
  static cell of_text(std::string_view v) noexcept {
    cell c;
    c.k = kind::text;
    c.text = v;
    return c;
  }
  static cell of_blob(std::string_view v) noexcept {
    cell c;
    c.k = kind::blob;
    c.text = v;
    return c;
  }
  [[nodiscard]] bool present() const noexcept { return k != kind::absent; }
};

// Whether a stored value and a new one are the same for a client; a number may be stored as integer or real.
[[nodiscard]] inline bool same_value(const cell& stored, const cell& made) noexcept {
  using kind = cell::kind;
  if (stored.k == kind::integer && made.k == kind::real)
    return static_cast<double>(stored.integer) == made.real;
  if (stored.k == kind::real && made.k == kind::integer)
    return stored.real == static_cast<double>(made.integer);
  if (stored.k != made.k) return false;
  switch (stored.k) {
    case kind::integer:
      return stored.integer == made.integer;
    case kind::real:
      return stored.real == made.real;
    case kind::text:
    case kind::blob:
      return stored.text == made.text;
    default:
      return true;
  }
}

// Owns copied text until it is cleared or destroyed; blocks of 64 KB, larger texts their own.
class text_arena {
 public:
  text_arena() = default;
  // A moved-from arena is empty and may be used again: its next text must not land in the block it gave away.
  text_arena(text_arena&& other) noexcept { *this = std::move(other); }
  text_arena& operator=(text_arena&& other) noexcept {
    if (this == &other) return *this;
    blocks_ = std::move(other.blocks_);
    current_ = other.current_;
    used_ = other.used_;
    capacity_ = other.capacity_;
    bytes_ = other.bytes_;
    other.clear();
    return *this;
  }
  ~text_arena() = default;
  [[nodiscard]] std::string_view copy(std::string_view text);
  [[nodiscard]] std::size_t bytes() const noexcept { return bytes_; }
  void clear() noexcept {
    blocks_.clear();
    current_ = nullptr;
    used_ = capacity_ = bytes_ = 0;
  }

 private:
  static constexpr std::size_t kBlockBytes = 64 * 1024;
  std::vector<std::unique_ptr<char[]>> blocks_;
  char* current_ = nullptr;
  std::size_t used_ = 0;
  std::size_t capacity_ = 0;
  std::size_t bytes_ = 0;
};

inline std::string_view text_arena::copy(std::string_view text) {
  bytes_ += text.size();
  if (text.size() > kBlockBytes / 4) {
    auto own = std::make_unique<char[]>(text.size());
    std::memcpy(own.get(), text.data(), text.size());
    const std::string_view out(own.get(), text.size());
    blocks_.push_back(std::move(own));
    return out;
  }
  if (capacity_ - used_ < text.size() || current_ == nullptr) {
    blocks_.push_back(std::make_unique<char[]>(kBlockBytes));
    current_ = blocks_.back().get();
    used_ = 0;
    capacity_ = kBlockBytes;
  }
  if (!text.empty()) std::memcpy(current_ + used_, text.data(), text.size());
  const std::string_view out(current_ + used_, text.size());
  used_ += text.size();
  return out;
}

}  // namespace syncline::storage
