#include "perf/access_log.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <iterator>

#include <fmt/format.h>

#include "perf/log_format.h"

namespace syncline::perf {
namespace {

// Values that are no longer are written straight into the line.
constexpr std::size_t kShortBytesMax = 256;
// All constant parts, four such values, a route of the same size, and four numbers.
constexpr std::size_t kLineBytesMax = 256 + 5 * kShortBytesMax + 4 * 20;

// Whether a byte of eight must be quoted: outside of '!' to '~', or one of `"=\`. Exact as a yes or no
// (Bit Twiddling Hacks, "determine if a word has a byte less than n").
bool has_unplain_byte(std::uint64_t bytes) noexcept {
  constexpr std::uint64_t kOnes = 0x0101010101010101;
  constexpr std::uint64_t kHighs = kOnes * 0x80;
  const auto has = [&](unsigned char c) {
    const std::uint64_t x = bytes ^ (kOnes * c);
    return (x - kOnes) & ~x;
  };
  const std::uint64_t below = (bytes - kOnes * 0x21) & ~bytes;
  return ((below | bytes | has(0x7f) | has('"') | has('=') | has('\\')) & kHighs) != 0;
}

// True when append_log_value() would leave it as it is.
bool is_plain(std::string_view text) noexcept {
  std::uint64_t word = 0;
  if (text.size() < sizeof word) {
    word = 0x6161616161616161;
    std::memcpy(&word, text.data(), text.size());
    return !text.empty() && !has_unplain_byte(word);
  }
  const char* p = text.data();
  const char* const last = p + text.size() - sizeof word;
  for (; p < last; p += sizeof word) {
    std::memcpy(&word, p, sizeof word);
    if (has_unplain_byte(word)) return false;
  }
  std::memcpy(&word, last, sizeof word);  // may overlap the one before
  return !has_unplain_byte(word);
}

char* put(char* to, std::string_view text) noexcept {
  std::memcpy(to, text.data(), text.size());
  return to + text.size();
}

char* put_number(char* to, std::uint64_t n) noexcept {
  return std::to_chars(to, to + 20, n).ptr;
}

std::string_view take(std::string_view& from, std::size_t bytes) noexcept {
  const std::string_view out = from.substr(0, bytes);
  from.remove_prefix(out.size());
  return out;
}

// One line being written: a buffer, emptied into `out` when a value must be escaped or is long.
class writer {
 public:
  explicit writer(std::string& out) : out_(out) {}
  void text(std::string_view constant) noexcept { at_ = put(at_, constant); }
  void number(std::uint64_t n) noexcept { at_ = put_number(at_, n); }
  // `plain`: it is known to be, and short.
  void value(std::string_view v, bool plain = false) {
    if (plain || (v.size() <= kShortBytesMax && is_plain(v))) {
      at_ = put(at_, v);
    } else {
      flush();
      append_log_value(out_, v);
    }
  }
  // A value that needs no escaping any more.
  void ready(std::string_view v) {
    if (v.size() <= kShortBytesMax) {
      at_ = put(at_, v);
    } else {
      flush();
      out_ += v;
    }
  }
  void flush() {
    out_.append(buffer_.data(), static_cast<std::size_t>(at_ - buffer_.data()));
    at_ = buffer_.data();
  }

 private:
  std::string& out_;
  std::array<char, kLineBytesMax> buffer_;  // filled up to at_
  char* at_ = buffer_.data();
};

}  // namespace

std::string_view access_line::time_of(std::int64_t at_s) {
  if (at_s != second_) {
    second_ = at_s;
    second_text_.clear();
    append_log_time(second_text_, at_s * 1000);
    second_text_.resize(second_text_.size() - 4);  // without "000Z"
  }
  return second_text_;
}

std::string_view access_line::name_of(const access_record& record) {
  const auto address = reinterpret_cast<std::uintptr_t>(record.route);
  named& slot = named_[(address >> 3U) * 0x9E3779B97F4A7C15ULL >> 58U];
  if (slot.route != record.route || slot.bytes != record.route_bytes || slot.text.empty()) {
    slot.route = record.route;
    slot.bytes = record.route_bytes;
    slot.text.clear();
    append_log_value(slot.text, std::string_view(record.route, record.route_bytes));
  }
  return slot.text;
}

void access_line::append(std::string& out, std::int64_t at_ms, std::string_view record_and_texts) {
  access_record record;
  std::memcpy(&record, record_and_texts.data(), sizeof record);
  record_and_texts.remove_prefix(sizeof record);
  // Nearly always nothing needs quoting, which one look at all four texts tells: they lie behind each other.
  const bool plain = record.method_bytes != 0 && record.target_stored != 0 && record.peer_bytes != 0 &&
                     record.id_bytes != 0 && record.target_bytes == record.target_stored &&
                     record.target_stored <= kShortBytesMax && is_plain(record_and_texts);
  writer line(out);
  line.text("ts=");
  line.text(time_of(at_ms / 1000));
  const auto ms = static_cast<unsigned>(at_ms % 1000);
  const std::array<char, 4> fraction{static_cast<char>('0' + ms / 100), static_cast<char>('0' + ms / 10 % 10),
                                     static_cast<char>('0' + ms % 10), 'Z'};
  line.text({fraction.data(), fraction.size()});
  line.text(" level=info msg=\"request\" method=");
  line.value(take(record_and_texts, record.method_bytes), plain);
  line.text(" target=");
  const std::string_view target = take(record_and_texts, record.target_stored);
  if (record.target_bytes == target.size()) {
    line.value(target, plain);
  } else {
    line_ = fmt::format("{}...({} bytes more)", target, record.target_bytes - target.size());
    line.value(line_);
  }
  line.text(" route=");
  line.ready(name_of(record));
  line.text(" status=");
  line.number(record.status);
  line.text(" bytes=");
  line.number(record.bytes);
  line.text(" us=");
  line.number(record.us);
  line.text(" peer=");
  line.value(take(record_and_texts, record.peer_bytes), plain);
  line.text(" request_id=");
  line.value(take(record_and_texts, record.id_bytes), plain);
  line.text("\n");
  line.flush();
}

}  // namespace syncline::perf
