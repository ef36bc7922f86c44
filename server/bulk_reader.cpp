#include "server/bulk_reader.h"

#include <algorithm>

#include "storage/key.h"
#include "storage/row_json.h"

namespace syncline::server {

using storage::row_form;
using storage::write_kind;

// An open-addressing set of 64-bit key hashes that doubles up to kKeysRemembered entries and then stops
// learning. Two different keys of one upload share a hash with probability 3e-8 at a million rows.
struct bulk_reader::seen_keys {
  std::vector<std::uint64_t> slots = std::vector<std::uint64_t>(4096, 0);
  std::size_t used = 0;

  // False when it was there already.
  bool add(std::uint64_t hash) {
    if (hash == 0) hash = 1;
    const std::size_t mask = slots.size() - 1;
    std::size_t at = static_cast<std::size_t>(hash) & mask;
    while (slots[at] != 0) {
      if (slots[at] == hash) return false;
      at = (at + 1) & mask;
    }
    if (used >= kKeysRemembered) return true;
    slots[at] = hash;
    if (++used * 2 > slots.size() && used < kKeysRemembered) grow();
    return true;
  }

  void grow() {
    std::vector<std::uint64_t> old(slots.size() * 2, 0);
    old.swap(slots);
    const std::size_t mask = slots.size() - 1;
    for (const std::uint64_t hash : old) {
      if (hash == 0) continue;
      std::size_t at = static_cast<std::size_t>(hash) & mask;
      while (slots[at] != 0) at = (at + 1) & mask;
      slots[at] = hash;
    }
  }
};

bulk_reader::bulk_reader(const storage::resource& of, bulk_format format, write_kind kind,
                         const bulk_options& options)
    : of_(&of),
      format_(format),
      kind_(kind),
      options_(options),
      reader_(of, options.row_bytes_max),
      lines_in_(options.row_bytes_max),
      records_in_(options.row_bytes_max),
      row_(of.columns.size()),
      seen_(std::make_unique<seen_keys>()) {}

bulk_reader::~bulk_reader() = default;

void bulk_reader::feed(std::string_view piece) {
  format_ == bulk_format::csv ? records_in_.feed(piece) : lines_in_.feed(piece);
}
void bulk_reader::finish() {
  format_ == bulk_format::csv ? records_in_.finish() : lines_in_.finish();
}

bulk_batch bulk_reader::new_batch() const {
  bulk_batch batch;
  batch.rows.of = of_;
  batch.rows.kind = kind_;
  batch.rows.cells.reserve(static_cast<std::size_t>(options_.batch_rows) * of_->columns.size());
  batch.lines_done = lines_;
  batch.prefix_hash = prefix_hash_;
  return batch;
}

bulk_reader::got bulk_reader::fill(bulk_batch& batch, std::uint32_t pause_after) {
  // Rejections count towards a full batch too: an upload of nothing but bad rows must not gather them all.
  for (std::uint32_t read = 0; read < pause_after; ++read) {
    if (batch.rows.row_count + batch.rejected.size() >= options_.batch_rows) return got::batch_full;
    if (batch.rows.arena.bytes() >= options_.batch_bytes_max) return got::batch_full;
    const bool skipping = lines_ < skip_through_;
    const got what = format_ == bulk_format::csv ? next_csv(batch) : next_ndjson(batch);
    batch.lines_done = lines_;
    batch.prefix_hash = prefix_hash_;
    if (what != got::paused) return what;
    // The caller compares the prefix here, before a row behind it is given out.
    if (skipping && lines_ >= skip_through_) return got::paused;
  }
  return got::paused;
}

bulk_reader::got bulk_reader::next_ndjson(bulk_batch& batch) {
  std::string_view line;
  std::uint64_t number = 0;
  switch (lines_in_.next(line, number)) {
    case storage::line_splitter::got::need_more:
      return got::need_more;
    case storage::line_splitter::got::end:
      return got::end;
    case storage::line_splitter::got::too_long:
      note_line(number, {});
      reject(batch, number, "row-too-large", {}, "the line is longer than bulk.row_bytes_max");
      return got::paused;
    case storage::line_splitter::got::line:
      break;
  }
  note_line(number, line);
  const row_form form = kind_ == write_kind::upsert ? row_form::partial : row_form::whole;
  add_row(batch, number, reader_.read_json(line, form, batch.rows.arena, row_));
  return got::paused;
}

bulk_reader::got bulk_reader::next_csv(bulk_batch& batch) {
  std::uint64_t number = 0;
  std::string detail;
  switch (records_in_.next(fields_, number, detail)) {
    case storage::csv_splitter::got::need_more:
      return got::need_more;
    case storage::csv_splitter::got::end:
      if (header_read_) return got::end;
      header_fault_ = "the file is empty: its first record must name the columns";
      return got::bad_header;
    case storage::csv_splitter::got::too_long:
      note_line(number, {});
      reject(batch, number, "row-too-large", {}, "the record is longer than bulk.row_bytes_max");
      return got::paused;
    case storage::csv_splitter::got::malformed:
      note_line(number, detail);
      reject(batch, number, "malformed-csv", {}, detail);
      return got::paused;
    case storage::csv_splitter::got::record:
      break;
  }
  if (!header_read_) {
    header_read_ = true;
    lines_ = number;
    return read_header(fields_) ? got::paused : got::bad_header;
  }
  std::uint64_t hash = 0;
  for (const auto& field : fields_) hash = hash * 31 + storage::hash_bytes(field.text);
  note_line(number, std::string_view(reinterpret_cast<const char*>(&hash), sizeof hash));
  add_row(batch, number, reader_.read_csv(header_, fields_, batch.rows.arena, row_));
  return got::paused;
}

bool bulk_reader::read_header(const std::vector<storage::row_reader::csv_field>& fields) {
  for (const auto& field : fields) {
    const auto column = of_->find_column(field.text);
    if (!column) {
      header_fault_ =
          "the header names a column that is not declared: " + std::string(field.text.substr(0, 100));
      return false;
    }
    if (std::find(header_.begin(), header_.end(), *column) != header_.end()) {
      header_fault_ = "the header names a column twice: " + std::string(field.text);
      return false;
    }
    header_.push_back(*column);
  }
  for (const std::size_t key : of_->key) {
    if (std::find(header_.begin(), header_.end(), key) != header_.end()) continue;
    header_fault_ = "the header lacks the key column " + of_->columns[key].name;
    return false;
  }
  return true;
}

void bulk_reader::add_row(bulk_batch& batch, std::uint64_t number, std::optional<storage::row_fault> fault) {
  if (fault) {
    reject(batch, number, fault->code, fault->column, fault->detail);
    return;
  }
  std::string key;
  if (!remember_key(row_, key)) {
    reject(batch, number, "duplicate-key", {}, "the key was given before in this upload: " + key);
    return;
  }
  if (number <= skip_through_) return;
  batch.rows.cells.insert(batch.rows.cells.end(), row_.begin(), row_.end());
  ++batch.rows.row_count;
  batch.numbers.push_back(number);
}

bool bulk_reader::remember_key(std::span<const storage::cell> row, std::string& key) {
  auto text = storage::key_of_row(*of_, row);
  if (!text) return true;  // a key the database assigns, or one the store will refuse with its reason
  key = std::move(*text);
  return seen_->add(storage::hash_bytes(key));
}

void bulk_reader::reject(bulk_batch& batch, std::uint64_t number, std::string_view code,
                         std::string_view column, std::string_view detail) const {
  if (number <= skip_through_) return;  // it was told when these lines came first
  batch.rejected.push_back({number, std::string(code), std::string(column), std::string(detail)});
}

void bulk_reader::note_line(std::uint64_t number, std::string_view text) {
  lines_ = number;
  prefix_hash_ = prefix_hash_ * 0x9E3779B97F4A7C15ull + storage::hash_bytes(text);
}

}  // namespace syncline::server
