#include "storage/mysql/single_write.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "storage/mysql/cell_form.h"
#include "storage/mysql/row_fault.h"
#include "storage/row_json.h"
#include "storage/row_reader.h"
#include "storage/scalar_text.h"

namespace syncline::storage::mysql {

namespace {

using net::errc;
using net::error;
using row_answer = net::result<row_result>;

row_result done(fate what) {
  row_result out;
  out.what = what;
  return out;
}

// A key from a path has not gone through row_reader.h, which refuses dates that no calendar has.
bool in_calendar(storage::column_type type, const cell& value) {
  std::string ignored;
  if (type == storage::column_type::date) return check_date(value.text) == text_fault::none;
  if (type == storage::column_type::timestamp)
    return append_timestamp(value.text, ignored) == text_fault::none;
  return true;
}

// A new value for a column; without one, its default.
struct assignment {
  std::size_t column = 0;
  cell value;  // absent: DEFAULT
};

class single_write {
 public:
  single_write(write_session& session, const write_batch& batch, std::span<const cell> row,
               write_outcome& out)
      : session_(session),
        plan_(session.plan),
        batch_(batch),
        row_(row),
        out_(out),
        before_(session.plan),
        after_(session.plan) {}

  [[nodiscard]] net::task<row_answer> run();

 private:
  [[nodiscard]] net::task<row_answer> run_kind();
  [[nodiscard]] net::task<row_answer> create();
  [[nodiscard]] net::task<row_answer> insert(std::span<const cell> row);
  [[nodiscard]] net::task<row_answer> replace();
  [[nodiscard]] net::task<row_answer> patch();
  [[nodiscard]] net::task<row_answer> update(std::vector<assignment> sets);
  [[nodiscard]] net::task<row_answer> remove();
  [[nodiscard]] net::result<std::optional<row_result>> check_condition();
  [[nodiscard]] net::task<net::result<void>> read_after();
  [[nodiscard]] net::result<void> add_row(row_result& to);

  write_session& session_;
  const table_plan& plan_;
  const write_batch& batch_;
  std::span<const cell> row_;
  write_outcome& out_;
  std::string key_;  // canonical; empty: the database makes it
  std::vector<cell> key_cells_;
  text_arena arena_;
  stored_rows before_, after_;
  const stored_row* there_ = nullptr;  // the row as it was
  const stored_row* now_ = nullptr;    // and as it is
};

net::result<std::optional<row_result>> single_write::check_condition() {
  const write_condition& asked = batch_.condition;
  if (asked.empty() || key_.empty()) return std::optional<row_result>();
  const bool there = there_ != nullptr && there_->visible;
  std::string tag;
  if (there) {
    std::string json;
    if (auto made = plan_.whole_row().encode(there_->cells, json); !made) return made.error();
    tag = etag_of(json);
  }
  const auto has = [&](const std::vector<std::string>& tags) {
    return there && std::find(tags.begin(), tags.end(), tag) != tags.end();
  };
  const bool failed = (asked.must_exist && !there) || (asked.must_not_exist && there) ||
                      (!asked.any_of.empty() && !has(asked.any_of)) || has(asked.none_of);
  if (!failed) return std::optional<row_result>();
  return std::optional<row_result>(
      rejected(error(errc::precondition_failed, "the row is not in the state that was asked for",
                     there ? "its ETag is " + tag : std::string("it does not exist"))));
}

net::task<net::result<void>> single_write::read_after() {
  after_.clear();
  auto looking = session_.look(key_cells_, after_);
  if (auto looked = co_await std::move(looking); !looked) co_return looked;
  now_ = after_.find(key_);
  co_return net::result<void>();
}

net::result<void> single_write::add_row(row_result& to) {
  to.key_at = static_cast<std::uint32_t>(out_.bytes.size());
  to.key_size = static_cast<std::uint32_t>(key_.size());
  out_.bytes += key_;
  if (!batch_.return_rows || now_ == nullptr || !now_->visible) return {};
  if (to.what == fate::rejected || to.what == fate::removed) return {};
  to.json_at = static_cast<std::uint32_t>(out_.bytes.size());
  if (auto made = plan_.whole_row().encode(now_->cells, out_.bytes); !made) return made;
  to.json_size = static_cast<std::uint32_t>(out_.bytes.size() - to.json_at);
  return {};
}

net::task<row_answer> single_write::run() {
  const resource& of = plan_.of();
  for (std::size_t i = 0; i < row_.size(); ++i)
    if (row_[i].present() && plan_.generated(i))
      co_return rejected(error(errc::invalid, "the table computes this column", of.columns[i].name));
  key_ = batch_.key;
  if (batch_.kind == write_kind::create) {
    key_.clear();
    if (std::all_of(of.key.begin(), of.key.end(), [&](std::size_t k) { return row_[k].present(); })) {
      auto made = key_of_row(of, row_);
      if (!made) co_return rejected(made.error());
      key_ = std::move(*made);
    } else if (!plan_.makes_key()) {
      co_return error(errc::unsupported, "a key that the database makes needs AUTO_INCREMENT", of.name);
    }
  }
  if (key_.empty()) {
    auto first = session_.settle_ahead();
    if (auto settled = co_await std::move(first); !settled) co_return settled.error();
  } else {
    auto cells = plan_.split(key_, arena_);
    if (!cells) co_return rejected(cells.error());
    key_cells_ = std::move(*cells);
    auto locking = session_.lock(key_cells_, before_);
    if (auto locked = co_await std::move(locking); !locked) co_return locked.error();
    there_ = before_.find(key_);
  }
  auto refused = check_condition();
  if (!refused) co_return refused.error();
  if (*refused) co_return std::move(**refused);
  auto running = run_kind();
  row_answer made = co_await std::move(running);
  if (!made) co_return made;
  if (made->what == fate::created && now_ == nullptr && (batch_.return_rows || !batch_.of->where.empty())) {
    auto reading = read_after();
    if (auto read = co_await std::move(reading); !read) co_return read.error();
  }
  if (auto added = add_row(*made); !added) co_return added.error();
  co_return made;
}

net::task<row_answer> single_write::run_kind() {
  switch (batch_.kind) {
    case write_kind::create:
      return create();
    case write_kind::replace:
      return replace();
    case write_kind::patch:
      return patch();
    default:
      return remove();
  }
}

net::task<row_answer> single_write::create() {
  if (there_ != nullptr) co_return rejected(error(errc::conflict, "the key exists"));
  auto inserting = insert(row_);
  co_return co_await std::move(inserting);
}

net::task<row_answer> single_write::insert(std::span<const cell> row) {
  const statement made = insert_of(plan_, row, arena_);
  auto running = session_.run(made);
  const net::result<statement_notes> ran = co_await std::move(running);
  if (!ran) {
    auto fault = row_fault(ran.error());
    if (!fault) co_return ran.error();
    if (is_duplicate(ran.error()) && before_.size() > 0 && there_ == nullptr)
      fault = error(errc::conflict, "a row has a key that the table's collation takes for this one");
    co_return rejected(std::move(*fault));
  }
  if (key_.empty()) {
    key_ = std::to_string(ran->last_insert_id);
    auto cells = plan_.split(key_, arena_);
    if (!cells) co_return cells.error();
    key_cells_ = std::move(*cells);
  }
  co_return done(fate::created);
}

net::task<row_answer> single_write::replace() {
  const resource& of = plan_.of();
  text_arena arena;
  auto key = split_key(of, key_, arena);
  if (!key) co_return rejected(key.error());
  std::vector<cell> whole(row_.begin(), row_.end());
  for (std::size_t i = 0; i < of.key.size(); ++i) {
    cell& given = whole[of.key[i]];
    if (given.present() && !same_for_client(of.columns[of.key[i]].type, (*key)[i], given))
      co_return rejected(error(errc::invalid, "the key in the row is not the one that was asked for",
                               of.columns[of.key[i]].name));
    given = (*key)[i];
  }
  if (there_ == nullptr) {
    // A stored one is found by such a key; none is made.
    for (const std::size_t k : of.key)
      if (!in_calendar(of.columns[k].type, whole[k]))
        co_return rejected(error(errc::invalid, "there is no such date or time", of.columns[k].name));
    auto inserting = insert(whole);
    co_return co_await std::move(inserting);
  }
  std::vector<assignment> sets;
  for (std::size_t i = 0; i < whole.size(); ++i)
    if (!of.is_key(i) && !plan_.generated(i)) sets.push_back({i, whole[i]});
  const bool shown = there_->visible;
  auto updating = update(std::move(sets));
  row_answer made = co_await std::move(updating);
  if (!made || made->what == fate::rejected || shown) co_return made;
  // The key belonged to a row outside `where`. It may come back, but not be written in the dark. (A rejected
  // single write is rolled back.)
  if (now_ == nullptr || !now_->visible)
    co_return rejected(error(errc::conflict, "the key belongs to a removed row"));
  made->what = fate::created;
  co_return made;
}

net::task<row_answer> single_write::patch() {
  const resource& of = plan_.of();
  if (there_ == nullptr || !there_->visible)
    co_return rejected(error(errc::not_found, "there is no such row"));
  std::vector<assignment> changed;
  for (std::size_t i = 0; i < row_.size(); ++i) {
    if (!row_[i].present()) continue;
    const cell& before = there_->cells[i];
    cell after = row_[i];
    if (of.columns[i].type == storage::column_type::json && after.k == cell::kind::text) {
      const std::string_view text = before.k == cell::kind::text ? before.text : std::string_view("null");
      after = cell::of_text(arena_.copy(merge_patch_json(text, after.text)));
    }
    if (same_for_client(of.columns[i].type, before, after)) continue;
    if (of.is_key(i))
      co_return rejected(error(errc::invalid, "a patch cannot change the key", of.columns[i].name));
    changed.push_back({i, after});
  }
  now_ = there_;
  if (changed.empty()) co_return done(fate::unchanged);
  auto updating = update(std::move(changed));
  co_return co_await std::move(updating);
}

net::task<row_answer> single_write::update(std::vector<assignment> sets) {
  now_ = there_;
  if (sets.empty()) co_return done(fate::unchanged);
  statement asked{fmt::format("UPDATE {} SET ", plan_.name()), {}};
  for (std::size_t i = 0; i < sets.size(); ++i) {
    const auto& [column, value] = sets[i];
    if (i > 0) asked.text += ',';
    asked.text += plan_.column_name(column);
    asked.text += value.present() ? "=?" : "=DEFAULT";
    if (value.present())
      asked.with.push_back(argument::of_cell(server_cell(plan_.of().columns[column].type, value, arena_)));
  }
  asked.text += " WHERE ";
  plan_.add_key_is(key_cells_, asked);
  auto running = session_.run(asked);
  const net::result<statement_notes> ran = co_await std::move(running);
  if (!ran) {
    auto fault = row_fault(ran.error());
    if (!fault) co_return ran.error();
    co_return rejected(std::move(*fault));
  }
  auto reading = read_after();
  if (auto read = co_await std::move(reading); !read) co_return read.error();
  const bool same = now_ != nullptr && std::equal(there_->cells.begin(), there_->cells.end(),
                                                  now_->cells.begin(), now_->cells.end(), same_value);
  co_return done(same ? fate::unchanged : fate::updated);
}

net::task<row_answer> single_write::remove() {
  if (there_ == nullptr || !there_->visible)
    co_return rejected(error(errc::not_found, "there is no such row"));
  statement asked{fmt::format("DELETE FROM {} WHERE ", plan_.name()), {}};
  plan_.add_key_is(key_cells_, asked);
  auto running = session_.run(asked);
  const net::result<statement_notes> ran = co_await std::move(running);
  if (ran) co_return done(fate::removed);
  auto fault = row_fault(ran.error());
  if (!fault) co_return ran.error();
  co_return rejected(std::move(*fault));
}

}  // namespace

row_result rejected(net::error why) {
  row_result out;
  out.what = fate::rejected;
  out.why = std::move(why);
  return out;
}

statement insert_of(const table_plan& plan, std::span<const cell> row, text_arena& arena) {
  std::string names;
  std::string values;
  statement out;
  for (std::size_t i = 0; i < row.size(); ++i) {
    if (!row[i].present()) continue;
    if (!names.empty()) {
      names += ',';
      values += ',';
    }
    names += plan.column_name(i);
    values += '?';
    out.with.push_back(argument::of_cell(server_cell(plan.of().columns[i].type, row[i], arena)));
  }
  out.text = fmt::format("INSERT INTO {}({}) VALUES({})", plan.name(), names, values);
  return out;
}

net::task<net::result<row_result>> write_one(write_session& session, const write_batch& batch,
                                             std::span<const cell> row, write_outcome& out) {
  single_write writing(session, batch, row, out);
  auto running = writing.run();
  co_return co_await std::move(running);
}

}  // namespace syncline::storage::mysql
