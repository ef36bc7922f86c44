#include "storage/mysql/bulk_write.h"

#include <algorithm>
#include <map>
#include <unordered_set>
#include <utility>

#include <fmt/format.h>

#include "storage/mysql/bulk_text.h"
#include "storage/mysql/cell_form.h"
#include "storage/mysql/row_fault.h"
#include "storage/mysql/single_write.h"

namespace syncline::storage::mysql {

namespace {

using net::errc;
using net::error;
using row_list = std::vector<std::uint32_t>;

class bulk_write {
 public:
  bulk_write(write_session& session, const write_batch& batch, write_outcome& out)
      : session_(session),
        plan_(session.plan),
        of_(*batch.of),
        batch_(batch),
        out_(out),
        keys_(batch.row_count),
        changed_(batch.row_count),
        stored_(session.plan) {
    new_rows_.width = of_.columns.size();
  }
  [[nodiscard]] net::task<net::result<void>> run();

 private:
  enum class form : std::uint8_t { insert, update };

  // Rows that can be written at all, with their keys; others are rejected.
  void prepare();
  [[nodiscard]] bool check_row(std::uint32_t row);
  // Rows [first, …) until a key comes again: at most one row of each key.
  [[nodiscard]] row_list next_wave(std::uint32_t& first) const;
  [[nodiscard]] net::task<net::result<void>> write_wave(const row_list& wave);
  [[nodiscard]] net::task<net::result<void>> lock(const row_list& wave);
  void judge(std::uint32_t row, row_list& inserts, row_list& updates);
  // Which columns that the row has are not what is stored.
  [[nodiscard]] bool differs(std::uint32_t row, const stored_row& stored);
  [[nodiscard]] net::task<net::result<void>> update_all(const row_list& rows);
  [[nodiscard]] net::task<net::result<void>> write_all(form how, std::span<const std::uint32_t> rows);
  // One statement; its halves where it fails for a row.
  [[nodiscard]] net::task<net::result<void>> write_part(form how, std::span<const std::uint32_t> rows);
  [[nodiscard]] net::task<net::result<void>> blame(form how, std::uint32_t row, error said);
  [[nodiscard]] net::task<net::result<void>> insert_without_key(std::uint32_t row);
  [[nodiscard]] net::task<net::result<void>> update_one(std::uint32_t row);
  // Rows that may have been given another spelling of what is there: did MySQL change anything?
  [[nodiscard]] net::task<net::result<void>> look_again(const row_list& rows);
  [[nodiscard]] net::task<net::result<void>> read_back();
  void settle(std::uint32_t row, fate what) { out_.rows[row].what = what; }
  void reject(std::uint32_t row, error why) { out_.rows[row] = rejected(std::move(why)); }
  [[nodiscard]] std::span<const cell> given(std::uint32_t row) const {
    return std::span<const cell>(batch_.cells).subspan(row * new_rows_.width, new_rows_.width);
  }

  write_session& session_;
  const table_plan& plan_;
  const resource& of_;
  const write_batch& batch_;
  write_outcome& out_;
  std::vector<std::string> keys_;  // canonical; empty: the database makes it, or the row is rejected
  std::vector<bool> changed_;      // by more than what MySQL may bend
  std::vector<cell> cells_;        // in the form that MySQL takes
  bulk_rows new_rows_;
  text_arena arena_;
  stored_rows stored_;  // of the wave
};

bool bulk_write::check_row(std::uint32_t row) {
  const std::span<const cell> cells = given(row);
  for (std::size_t i = 0; i < cells.size(); ++i) {
    if (!cells[i].present() || !plan_.generated(i)) continue;
    reject(row, error(errc::invalid, "the table computes this column", of_.columns[i].name));
    return false;
  }
  if (!std::all_of(of_.key.begin(), of_.key.end(), [&](std::size_t k) { return cells[k].present(); })) {
    if (plan_.makes_key()) return true;
    reject(row, error(errc::invalid, "a key column has no value, and the table makes none"));
    return false;
  }
  auto key = key_of_row(of_, cells);
  if (!key) {
    reject(row, key.error());
    return false;
  }
  keys_[row] = std::move(*key);
  return true;
}

void bulk_write::prepare() {
  out_.rows.resize(batch_.row_count);
  cells_ = batch_.cells;
  for (std::size_t i = 0; i < cells_.size(); ++i)
    cells_[i] = server_cell(of_.columns[i % new_rows_.width].type, cells_[i], arena_);
  new_rows_.cells = cells_;
}

row_list bulk_write::next_wave(std::uint32_t& first) const {
  row_list out;
  std::unordered_set<std::string_view> seen;
  for (; first < batch_.row_count; ++first) {
    if (out_.rows[first].why) continue;
    if (!keys_[first].empty() && !seen.insert(keys_[first]).second) break;
    out.push_back(first);
  }
  return out;
}

net::task<net::result<void>> bulk_write::lock(const row_list& wave) {
  std::vector<cell> keys;
  for (const std::uint32_t row : wave) {
    if (keys_[row].empty()) continue;
    for (const std::size_t k : of_.key) keys.push_back(new_rows_.row(row)[k]);
  }
  stored_.clear();
  auto locking = session_.lock(keys, stored_);
  co_return co_await std::move(locking);
}

bool bulk_write::differs(std::uint32_t row, const stored_row& stored) {
  const std::span<const cell> cells = given(row);
  bool any = false;
  for (std::size_t i = 0; i < cells.size(); ++i) {
    if (!cells[i].present() || of_.is_key(i)) continue;
    if (same_for_client(of_.columns[i].type, stored.cells[i], cells[i])) continue;
    any = true;
    changed_[row] = changed_[row] || !plan_.bends(i, cells[i]);
  }
  return any;
}

void bulk_write::judge(std::uint32_t row, row_list& inserts, row_list& updates) {
  const stored_row* stored = keys_[row].empty() ? nullptr : stored_.find(keys_[row]);
  if (stored == nullptr) {
    inserts.push_back(row);
  } else if (batch_.kind == write_kind::skip) {
    settle(row, fate::skipped);
  } else if (batch_.kind == write_kind::insert) {
    reject(row, error(errc::conflict, "the key exists"));
  } else if (differs(row, *stored)) {
    updates.push_back(row);
  } else {
    settle(row, fate::unchanged);
  }
}

net::task<net::result<void>> bulk_write::write_wave(const row_list& wave) {
  auto locking = lock(wave);
  if (auto locked = co_await std::move(locking); !locked) co_return locked;
  row_list inserts;
  row_list updates;
  row_list keyless;
  for (const std::uint32_t row : wave) {
    if (keys_[row].empty()) {
      keyless.push_back(row);
    } else {
      judge(row, inserts, updates);
    }
  }
  auto inserting = write_all(form::insert, inserts);
  if (auto done = co_await std::move(inserting); !done) co_return done;
  auto updating = update_all(updates);
  if (auto done = co_await std::move(updating); !done) co_return done;
  for (const std::uint32_t row : keyless) {
    auto one = insert_without_key(row);
    if (auto done = co_await std::move(one); !done) co_return done;
  }
  auto looking = look_again(updates);
  co_return co_await std::move(looking);
}

net::task<net::result<void>> bulk_write::update_all(const row_list& rows) {
  // Rows that set the same columns go together; mostly that is all of them.
  std::map<std::vector<bool>, row_list> groups;
  for (const std::uint32_t row : rows) {
    std::vector<bool> mask;
    for (const cell& each : given(row)) mask.push_back(each.present());
    groups[std::move(mask)].push_back(row);
  }
  for (const auto& [mask, together] : groups) {
    auto writing = write_all(form::update, together);
    if (auto done = co_await std::move(writing); !done) co_return done;
  }
  co_return net::result<void>();
}

net::task<net::result<void>> bulk_write::write_all(form how, std::span<const std::uint32_t> rows) {
  while (!rows.empty()) {
    std::size_t bytes = 0;
    std::size_t count = 0;
    while (count < rows.size() && (count == 0 || bytes < kStatementBytes)) {
      for (const cell& each : given(rows[count])) bytes += each.text.size() + 8;
      ++count;
    }
    auto writing = write_part(how, rows.first(count));
    if (auto done = co_await std::move(writing); !done) co_return done;
    rows = rows.subspan(count);
  }
  co_return net::result<void>();
}

net::task<net::result<void>> bulk_write::write_part(form how, std::span<const std::uint32_t> rows) {
  const std::string text =
      how == form::insert ? insert_text(plan_, new_rows_, rows) : update_text(plan_, new_rows_, rows);
  if (text.empty()) {
    for (const std::uint32_t row : rows) {
      auto one = update_one(row);
      if (auto done = co_await std::move(one); !done) co_return done;
    }
    co_return net::result<void>();
  }
  auto running = session_.run_text(text);
  const net::result<statement_notes> ran = co_await std::move(running);
  if (ran) {
    for (const std::uint32_t row : rows) settle(row, how == form::insert ? fate::created : fate::updated);
    co_return net::result<void>();
  }
  if (!row_fault(ran.error())) co_return ran.error();
  if (rows.size() == 1) {
    auto blaming = blame(how, rows[0], ran.error());
    co_return co_await std::move(blaming);
  }
  const std::size_t half = rows.size() / 2;
  auto left = write_part(how, rows.first(half));
  if (auto done = co_await std::move(left); !done) co_return done;
  auto right = write_part(how, rows.subspan(half));
  co_return co_await std::move(right);
}

// The statement of one row failed for that row's fault.
net::task<net::result<void>> bulk_write::blame(form how, std::uint32_t row, error said) {
  error fault = *row_fault(said);
  if (how == form::insert && is_duplicate(said) && !keys_[row].empty()) {
    // Another transaction may have made the key since we looked, or the index takes another one for it.
    stored_rows now(plan_);
    std::vector<cell> key;
    for (const std::size_t k : of_.key) key.push_back(new_rows_.row(row)[k]);
    auto locking = session_.lock(key, now);
    if (auto locked = co_await std::move(locking); !locked) co_return locked;
    if (const stored_row* stored = now.find(keys_[row])) {
      if (batch_.kind == write_kind::skip) {
        settle(row, fate::skipped);
      } else if (batch_.kind == write_kind::insert) {
        reject(row, error(errc::conflict, "the key exists"));
      } else if (!differs(row, *stored)) {
        settle(row, fate::unchanged);
      } else {
        auto updating = update_one(row);
        co_return co_await std::move(updating);
      }
      co_return net::result<void>();
    }
    if (now.size() > 0)
      fault = error(errc::conflict, "a row has a key that the table's collation takes for this one");
  }
  reject(row, std::move(fault));
  co_return net::result<void>();
}

net::task<net::result<void>> bulk_write::insert_without_key(std::uint32_t row) {
  const statement made = insert_of(plan_, given(row), arena_);
  auto running = session_.run(made);
  const net::result<statement_notes> ran = co_await std::move(running);
  if (!ran) {
    auto fault = row_fault(ran.error());
    if (!fault) co_return ran.error();
    reject(row, std::move(*fault));
    co_return net::result<void>();
  }
  keys_[row] = std::to_string(ran->last_insert_id);
  settle(row, fate::created);
  co_return net::result<void>();
}

net::task<net::result<void>> bulk_write::update_one(std::uint32_t row) {
  const std::span<const cell> cells = new_rows_.row(row);
  statement asked{fmt::format("UPDATE {} SET ", plan_.name()), {}};
  for (std::size_t i = 0; i < cells.size(); ++i) {
    if (!cells[i].present() || of_.is_key(i)) continue;
    asked.text += fmt::format("{}{}=?", asked.with.empty() ? "" : ",", plan_.column_name(i));
    asked.with.push_back(argument::of_cell(cells[i]));
  }
  std::vector<cell> key;
  for (const std::size_t k : of_.key) key.push_back(cells[k]);
  asked.text += " WHERE ";
  plan_.add_key_is(key, asked);
  auto running = session_.run(asked);
  const net::result<statement_notes> ran = co_await std::move(running);
  if (!ran) {
    auto fault = row_fault(ran.error());
    if (!fault) co_return ran.error();
    reject(row, std::move(*fault));
    co_return net::result<void>();
  }
  settle(row, fate::updated);
  co_return net::result<void>();
}

net::task<net::result<void>> bulk_write::look_again(const row_list& rows) {
  row_list doubtful;
  std::vector<cell> keys;
  for (const std::uint32_t row : rows) {
    if (out_.rows[row].what != fate::updated || changed_[row]) continue;
    doubtful.push_back(row);
    for (const std::size_t k : of_.key) keys.push_back(new_rows_.row(row)[k]);
  }
  if (doubtful.empty()) co_return net::result<void>();
  stored_rows now(plan_);
  auto looking = session_.look(keys, now);
  if (auto looked = co_await std::move(looking); !looked) co_return looked;
  for (const std::uint32_t row : doubtful) {
    const stored_row* before = stored_.find(keys_[row]);
    const stored_row* after = now.find(keys_[row]);
    if (before != nullptr && after != nullptr &&
        std::equal(before->cells.begin(), before->cells.end(), after->cells.begin(), after->cells.end(),
                   same_value))
      settle(row, fate::unchanged);
  }
  co_return net::result<void>();
}

net::task<net::result<void>> bulk_write::read_back() {
  text_arena arena;
  std::vector<cell> keys;
  for (std::uint32_t row = 0; row < batch_.row_count; ++row) {
    if (out_.rows[row].why || keys_[row].empty()) continue;
    auto key = plan_.split(keys_[row], arena);
    if (key) keys.insert(keys.end(), key->begin(), key->end());
  }
  stored_rows now(plan_);
  auto looking = session_.look(keys, now);
  if (auto looked = co_await std::move(looking); !looked) co_return looked;
  for (std::uint32_t row = 0; row < batch_.row_count; ++row) {
    row_result& made = out_.rows[row];
    const stored_row* stored = made.why ? nullptr : now.find(keys_[row]);
    if (stored == nullptr || !stored->visible) continue;
    made.json_at = static_cast<std::uint32_t>(out_.bytes.size());
    if (auto encoded = plan_.whole_row().encode(stored->cells, out_.bytes); !encoded) co_return encoded;
    made.json_size = static_cast<std::uint32_t>(out_.bytes.size() - made.json_at);
  }
  co_return net::result<void>();
}

net::task<net::result<void>> bulk_write::run() {
  prepare();
  bool any = false;
  for (std::uint32_t row = 0; row < batch_.row_count; ++row) any = check_row(row) || any;
  if (!any) {
    auto first = session_.settle_ahead();
    co_return co_await std::move(first);
  }
  for (std::uint32_t next = 0; next < batch_.row_count;) {
    const row_list wave = next_wave(next);
    if (wave.empty()) continue;
    auto writing = write_wave(wave);
    if (auto done = co_await std::move(writing); !done) co_return done;
  }
  for (std::uint32_t row = 0; row < batch_.row_count; ++row) {
    row_result& made = out_.rows[row];
    made.key_at = static_cast<std::uint32_t>(out_.bytes.size());
    made.key_size = static_cast<std::uint32_t>(keys_[row].size());
    out_.bytes += keys_[row];
  }
  if (!batch_.return_rows) co_return net::result<void>();
  auto reading = read_back();
  co_return co_await std::move(reading);
}

}  // namespace

net::task<net::result<void>> write_rows(write_session& session, const write_batch& batch,
                                        write_outcome& out) {
  bulk_write writing(session, batch, out);
  auto running = writing.run();
  co_return co_await std::move(running);
}

}  // namespace syncline::storage::mysql
