// Records are found by a state machine that looks at each byte once, however small the pieces are: looking
// again from the record's start after each piece would let a client who sends byte by byte cost us the square
// of the record's length.
#include "storage/line_splitter.h"

#include <utility>

#include "storage/text_scan.h"

namespace syncline::storage {
namespace {

void append_without_doubled(std::string_view text, std::string& out) {
  for (std::size_t i = 0; i < text.size(); ++i) {
    out.push_back(text[i]);
    if (text[i] == '"') ++i;
  }
}

}  // namespace

csv_splitter::csv_splitter(std::size_t record_bytes_max) : record_bytes_max_(record_bytes_max) {}

void csv_splitter::feed(std::string_view piece) {
  if (at_ > 0) {
    buffer_.erase(0, at_);
    scanned_ -= at_;
    at_ = 0;
  }
  buffer_.append(piece);
}

void csv_splitter::finish() {
  finished_ = true;
}

void csv_splitter::start_record() {
  at_ = scanned_;
  record_line_ = line_;
  marks_.clear();
  open_ = {};
  wrong_ = {};
  place_ = place::field_start;
  dropped_ = 0;
  skipping_ = false;
}

void csv_splitter::mark_malformed(std::string_view why) {
  wrong_ = why;
  place_ = place::malformed;
}

void csv_splitter::close_field(std::size_t end) {
  if (marks_.size() == kCsvFieldsMax) {
    mark_malformed("too many fields");
    return;
  }
  if (!open_.quoted) open_.end = end;
  marks_.push_back(open_);
  open_ = {};
  open_.begin = end + 1;
  place_ = place::field_start;
}

// One byte that does not end the record.
void csv_splitter::step(char c) {
  const std::size_t offset = dropped_ + (scanned_ - at_);
  switch (place_) {
    case place::field_start:
      if (c == '"') {
        open_.quoted = true;
        open_.begin = offset + 1;
        place_ = place::quoted;
        return;
      }
      place_ = place::unquoted;
      [[fallthrough]];
    case place::unquoted:
      if (c == ',') close_field(offset);
      if (c == '"') mark_malformed("a quote inside an unquoted field");
      return;
    case place::quoted:
      if (c == '"') {
        open_.end = offset;
        place_ = place::quote_seen;
      }
      return;
    case place::quote_seen:
      if (c == '"') {
        open_.doubled = true;
        place_ = place::quoted;
        return;
      }
      place_ = place::after_quoted;
      if (c == '\r') return;  // the record's end, if LF follows
      [[fallthrough]];
    case place::after_quoted:
      if (c == ',' && open_.end + 1 == offset) {
        close_field(offset);
      } else {
        mark_malformed("text after a closing quote");
      }
      return;
    case place::malformed:
      return;
  }
}

// True when the byte at scanned_ is the LF that ends the record.
bool csv_splitter::scan_to_record_end() {
  for (; scanned_ < buffer_.size(); ++scanned_) {
    const char c = buffer_[scanned_];
    if (c == '\n') {
      if (place_ != place::quoted) return true;
      ++line_;
    } else if (place_ != place::unquoted || c == ',' || c == '"') {
      step(c);
    }
  }
  return false;
}

csv_splitter::got csv_splitter::take_record(std::size_t size, std::vector<row_reader::csv_field>& fields,
                                            std::string& detail) {
  if (place_ == place::quoted) mark_malformed("an unclosed quote");
  if (wrong_.empty()) close_field(size);
  if (!wrong_.empty()) {
    detail = wrong_;
    return got::malformed;
  }
  const std::string_view record = std::string_view(buffer_).substr(at_, size);
  fields.clear();
  unescaped_.clear();
  unescaped_.reserve(size);  // never grows below: fields point into it
  for (const mark& m : marks_) {
    std::string_view text = record.substr(m.begin, m.end - m.begin);
    if (m.doubled) {
      const std::size_t start = unescaped_.size();
      append_without_doubled(text, unescaped_);
      text = std::string_view(unescaped_).substr(start);
    }
    fields.push_back({text, m.quoted});
  }
  return got::record;
}

csv_splitter::got csv_splitter::next(std::vector<row_reader::csv_field>& fields, std::uint64_t& number,
                                     std::string& detail) {
  if (!started_) {
    const std::string_view start = std::string_view(buffer_).substr(0, kByteOrderMark.size());
    if (start.size() < kByteOrderMark.size() && kByteOrderMark.starts_with(start) && !finished_)
      return got::need_more;
    if (start == kByteOrderMark) scanned_ = kByteOrderMark.size();
    started_ = true;
    start_record();
  }
  for (;;) {
    const bool ended = scan_to_record_end();
    const bool ends_with_cr = scanned_ > at_ && buffer_[scanned_ - 1] == '\r';
    std::size_t size = scanned_ - at_;
    if (!ended && !finished_) {
      if (!skipping_) {
        // One byte beyond the bound may still be the CR of the record's end.
        if (size <= record_bytes_max_ || (size == record_bytes_max_ + 1 && ends_with_cr))
          return got::need_more;
        number = record_line_;
      }
      dropped_ += size;
      at_ = scanned_;
      return std::exchange(skipping_, true) ? got::need_more : got::too_long;
    }
    if (!ended && (skipping_ || size == 0)) return got::end;
    if (ended) {
      ++scanned_;
      ++line_;
    }
    if (ends_with_cr && place_ != place::quoted) --size;
    if (skipping_ || size == 0) {
      start_record();
      continue;
    }
    number = record_line_;
    const got what = size > record_bytes_max_ ? got::too_long : take_record(size, fields, detail);
    start_record();
    return what;
  }
}

}  // namespace syncline::storage
