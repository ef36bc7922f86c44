#include "storage/mysql/page_reader.h"

#include <algorithm>
#include <deque>
#include <unordered_map>
#include <unordered_set>

#include <fmt/format.h>

#include "storage/key.h"
#include "storage/mysql/page_entries.h"
#include "storage/mysql/small_result.h"

namespace syncline::storage::mysql {

namespace {

constexpr std::size_t kRowsAtOnceMax = 256;
constexpr std::size_t kFirstRows = 32;  // while nothing is known about how large they are
// Of rows looked up together, before the page's own limit cuts; more are read again in smaller pieces.
constexpr std::size_t kLookUpBytesMax = 8U * 1024 * 1024;
// More changes without a number are not looked at one by one.
constexpr std::size_t kPendingMax = 5000;

// Whether the part shows the row of these cells. Bytewise, with the texts that the triggers make; `scratch`
// keeps its memory.
bool shows(const stream_part& part, std::span<const cell> row, std::string& scratch) {
  if (part.scope.empty()) return true;
  const std::size_t colon = part.scope.find(':');
  const scope_rule* rule = part.of->find_scope(std::string_view(part.scope).substr(0, colon));
  if (rule == nullptr) return false;
  scratch.assign(rule->name).push_back(':');
  return append_key_part(part.of->columns[rule->column].type, row[rule->column], scratch) &&
         scratch == part.scope;
}

// Rows of one resource by key, kept aside until their turn in the order of entries.
class looked_up final : public row_sink {
 public:
  looked_up(const table_plan& plan, const stream& what)
      : plan_(plan), what_(what), maker_(plan.whole_row()) {}

  net::result<bool> row(const std::vector<column>& columns, const row_fields& fields) override {
    auto at = maker_.append(columns, fields, bytes_);
    if (!at && leave_out(at.error())) return true;
    if (!at) return at.error();
    if (!in_stream()) {
      bytes_.resize(at->key_at);
      return true;
    }
    rows_.emplace(bytes_.substr(at->key_at, at->key_size), *at);
    cut_ = bytes_.size() > kLookUpBytesMax;
    return !cut_;
  }
  [[nodiscard]] const row_maker::place* find(const std::string& key) const {
    const auto found = rows_.find(key);
    return found == rows_.end() ? nullptr : &found->second;
  }
  [[nodiscard]] const std::string& bytes() const noexcept { return bytes_; }
  [[nodiscard]] bool cut() const noexcept { return cut_; }
  [[nodiscard]] const table_plan& plan() const noexcept { return plan_; }

  std::vector<cell> keys;  // asked for

 private:
  // Whether any part of the stream shows the row: a row that left one scope may still be the client's by
  // another.
  [[nodiscard]] bool in_stream() {
    return std::any_of(what_.parts.begin(), what_.parts.end(), [this](const stream_part& part) {
      return part.of == &plan_.of() && shows(part, maker_.cells(), scope_);
    });
  }

  const table_plan& plan_;
  const stream& what_;
  row_maker maker_;
  std::string bytes_;
  std::string scope_;
  std::unordered_map<std::string, row_maker::place> rows_;
  bool cut_ = false;
};

class page_reading {
 public:
  page_reading(net::request_context& context, sql_connection& db, const table_plans& plans,
               const stream& what, page_limits limits)
      : context_(context), db_(db), plans_(plans), what_(what), limits_(limits) {
    limits_.rows_max = std::max(limits_.rows_max, 1U);
  }
  [[nodiscard]] net::task<net::result<void>> run(const std::vector<resource_row>& hint,
                                                 std::optional<cursor> from);
  [[nodiscard]] feed_page take() { return std::move(page_); }

 private:
  friend class scanned;
  [[nodiscard]] net::result<void> check_parts();
  [[nodiscard]] net::result<bool> start(const std::optional<cursor>& from);
  [[nodiscard]] net::task<net::result<void>> follow_feed();
  // Looks up the rows of entries [first, last) and adds them; false when the page is full before the end.
  [[nodiscard]] net::task<net::result<bool>> look_up(std::size_t first, std::size_t last);
  [[nodiscard]] bool take_entry(const found_entry& entry, const looked_up* rows);
  [[nodiscard]] net::task<net::result<void>> scan();
  // Reads on in the current part; true when the part is finished.
  [[nodiscard]] net::task<net::result<bool>> scan_part();
  // Whether what the page says may be newer than the clock: a change that is not numbered yet is among it, or
  // among what a scan passed by.
  [[nodiscard]] net::task<net::result<bool>> beyond_clock(bool by_any);
  // True when the row that was just appended does not fit any more; it is taken back.
  [[nodiscard]] bool too_much(std::size_t bytes_before);
  [[nodiscard]] bool has_room() const { return page_.changes.size() < limits_.rows_max && !full_; }
  // How many rows to ask for, by what is left of the page and the mean of those that came.
  [[nodiscard]] std::size_t rows_that_fit() const;
  [[nodiscard]] bool note(const resource& of, std::string_view key);

  net::request_context& context_;
  sql_connection& db_;
  const table_plans& plans_;
  const stream& what_;
  page_limits limits_;
  page_beginning begun_;
  std::unordered_set<std::string> seen_;
  std::string seen_key_;
  std::uint32_t room_ = 0;  // rows that the feed may fill
  std::size_t rows_seen_ = 0, bytes_seen_ = 0;
  std::size_t bytes_room_ = 0;  // of what is read now: the feed, then the scan
  bool full_ = false;           // in bytes
  feed_page page_;
};

// Rows of a scan, straight into the page.
class scanned final : public row_sink {
 public:
  scanned(page_reading& page, const table_plan& plan, const stream_part& part)
      : page_(page), plan_(plan), part_(part), maker_(plan.whole_row()) {}
  net::result<bool> row(const std::vector<column>& columns, const row_fields& fields) override {
    ++rows;
    if (!page_.has_room()) {
      left = true;
      return false;
    }
    auto at = maker_.append(columns, fields, page_.page_.bytes);
    if (!at) {
      if (!leave_out(at.error())) return at.error();
      std::string key;
      // Without a key there is no place to go on from; such a row costs its page nothing but the look.
      if (maker_.append_key(columns, fields, key)) note_place(std::move(key));
      return true;
    }
    // Found by value, followed by text: they differ when the column's digits were changed under us.
    if (!shows(part_, maker_.cells(), scope_))
      return net::error(net::errc::schema_mismatch,
                        "a scope's column has other digits than when the server started; restart it",
                        plan_.of().name + " " + part_.scope);
    change made;
    made.of = &plan_.of();
    made.put = true;
    made.key_at = at->key_at;
    made.key_size = at->key_size;
    made.row_at = at->json_at;
    made.row_size = at->json_size;
    page_.page_.changes.push_back(made);
    page_.bytes_seen_ += at->json_size;
    ++page_.rows_seen_;
    if (page_.too_much(at->key_at)) {
      left = true;
      return false;
    }
    note_place(std::string(page_.page_.key(made)));
    return true;
  }
  std::size_t rows = 0;
  bool left = false;   // a row was not taken
  bool moved = false;  // the place to go on from did

 private:
  void note_place(std::string key) {
    first_sync& at = *page_.page_.next.scanning;
    at.begun = moved = true;
    at.after_key = std::move(key);
  }
  page_reading& page_;
  const table_plan& plan_;
  const stream_part& part_;
  row_maker maker_;
  std::string scope_;
};

net::result<void> page_reading::check_parts() {
  for (const stream_part& part : what_.parts) {
    if (!part.of->synced || part.of->view)
      return net::error(net::errc::invalid, "the resource is not synced", part.of->name);
    statement ignored;
    text_arena arena;
    if (auto fits = plans_.of(*part.of).add_scope(part.scope, ignored, arena); !fits) return fits;
  }
  return {};
}

// Puts page_.next where the page begins; false when the client must start over.
net::result<bool> page_reading::start(const std::optional<cursor>& from) {
  std::vector<std::int64_t> incarnations;
  for (const resource_row& each : begun_.resources) incarnations.push_back(each.incarnation);
  const std::uint64_t declaration = hash_of_stream(what_.parts, incarnations);
  page_.watermark = begun_.seq;
  if (from) {
    page_.reset = from->declaration != declaration ? reset_reason::declaration_changed : begun_.standing;
    if (page_.reset != reset_reason::none) return false;
    page_.next = *from;
    if (from->scanning && from->scanning->part >= what_.parts.size())
      return net::error(net::errc::invalid, "the cursor names a part that the stream does not have");
  } else {
    page_.next.seq = begun_.seq;
    page_.next.scanning.emplace();
    page_.next.declaration = declaration;
  }
  // The position was found to be on this server's line, so it may carry the newest generation.
  page_.next.generation = begun_.generation;
  if (what_.parts.empty()) page_.next.scanning.reset();
  return true;
}

bool page_reading::note(const resource& of, std::string_view key) {
  seen_key_.assign(reinterpret_cast<const char*>(&of.ordinal), sizeof of.ordinal);
  seen_key_ += key;
  return seen_.insert(seen_key_).second;
}

bool page_reading::too_much(std::size_t bytes_before) {
  if (page_.bytes.size() <= bytes_room_ || page_.changes.size() <= 1) return false;
  page_.bytes.resize(bytes_before);
  page_.changes.pop_back();
  full_ = true;
  return true;
}

std::size_t page_reading::rows_that_fit() const {
  const std::size_t left = bytes_room_ - std::min(bytes_room_, page_.bytes.size());
  const std::size_t rows_left =
      limits_.rows_max - std::min<std::size_t>(limits_.rows_max, page_.changes.size());
  const std::size_t fit = rows_seen_ == 0 ? kFirstRows : left / (bytes_seen_ / rows_seen_ + 1) + 2;
  return std::max<std::size_t>(std::min({fit, rows_left, kRowsAtOnceMax}), 1);
}

// False when the page is full; the entry was not taken then.
bool page_reading::take_entry(const found_entry& entry, const looked_up* rows) {
  const resource& of = *what_.parts[entry.part].of;
  if (!note(of, entry.key)) return true;
  const std::size_t bytes_before = page_.bytes.size();
  change made;
  made.of = &of;
  made.key_at = static_cast<std::uint32_t>(bytes_before);
  made.key_size = static_cast<std::uint32_t>(entry.key.size());
  page_.bytes += entry.key;
  if (const row_maker::place* found = rows != nullptr ? rows->find(entry.key) : nullptr) {
    made.put = true;
    made.row_at = static_cast<std::uint32_t>(page_.bytes.size());
    made.row_size = found->json_size;
    page_.bytes.append(rows->bytes(), found->json_at, found->json_size);
    bytes_seen_ += found->json_size;
    ++rows_seen_;
  }
  page_.changes.push_back(made);
  return !too_much(bytes_before);
}

net::task<net::result<bool>> page_reading::look_up(std::size_t first, std::size_t last) {
  std::deque<looked_up> tables;
  std::unordered_map<const resource*, looked_up*> of_resource;
  text_arena arena;
  for (std::size_t i = first; i < last; ++i) {
    const found_entry& entry = begun_.entries[i];
    const resource* of = what_.parts[entry.part].of;
    looked_up*& table = of_resource[of];
    if (table == nullptr) table = &tables.emplace_back(plans_.of(*of), what_);
    // A key text that is none (a trigger met a value that does not fit the declaration) was never sent as a
    // row either.
    if (auto key = table->plan().split(entry.key, arena))
      table->keys.insert(table->keys.end(), key->begin(), key->end());
  }
  std::vector<net::task<net::result<statement_notes>>> running;
  for (looked_up& table : tables) {
    if (table.keys.empty()) continue;
    statement asked{table.plan().whole_row().head() + " WHERE ", {}};
    table.plan().add_key_in(table.keys, asked);
    asked.text += table.plan().visible();
    running.push_back(db_.read(context_, asked.text, asked.with, table));
  }
  bool cut = false;
  for (auto& each : running) {
    net::result<statement_notes> ended = co_await std::move(each);
    if (!ended) co_return ended.error();
  }
  for (const looked_up& table : tables) cut = cut || table.cut();
  if (cut && last - first > 1) {
    const std::size_t middle = first + (last - first) / 2;
    auto left = look_up(first, middle);
    net::result<bool> fits = co_await std::move(left);
    if (!fits || !*fits) co_return fits;
    auto right = look_up(middle, last);
    co_return co_await std::move(right);
  }
  for (std::size_t i = first; i < last; ++i) {
    const found_entry& entry = begun_.entries[i];
    if (page_.changes.size() >= room_) co_return false;
    if (!take_entry(entry, of_resource[what_.parts[entry.part].of])) co_return false;
    page_.next.seq = entry.seq;
  }
  co_return true;
}

net::task<net::result<void>> page_reading::follow_feed() {
  if (page_.next.seq == begun_.seq) co_return net::result<void>();
  std::vector<found_entry>& entries = begun_.entries;
  std::size_t complete = 0;
  while (complete < entries.size() && entries[complete].seq <= begun_.complete_upto) ++complete;
  for (std::size_t at = 0; at < complete;) {
    const std::size_t upto = std::min(complete, at + rows_that_fit());
    auto looking = look_up(at, upto);
    net::result<bool> fits = co_await std::move(looking);
    if (!fits) co_return fits.error();
    if (!*fits) co_return net::result<void>();
    at = upto;
  }
  page_.next.seq = begun_.complete_upto;
  co_return net::result<void>();
}

net::task<net::result<bool>> page_reading::scan_part() {
  const stream_part& part = what_.parts[page_.next.scanning->part];
  const table_plan& plan = plans_.of(*part.of);
  for (;;) {
    text_arena arena;
    statement asked{plan.whole_row().head() + " WHERE 1" + plan.visible(), {}};
    if (auto scoped = plan.add_scope(part.scope, asked, arena); !scoped) co_return scoped.error();
    if (page_.next.scanning->begun) {
      auto key = plan.split(page_.next.scanning->after_key, arena);
      if (!key) co_return key.error();
      asked.text += " AND ";
      plan.add_key_beyond(*key, false, asked);
    }
    plan.add_order(false, asked.text);
    asked.text += " LIMIT ?";
    const std::size_t wanted = rows_that_fit() + 1;
    asked.with.push_back(argument::of_unsigned(wanted));
    scanned into(*this, plan, part);
    auto reading = db_.read(context_, asked.text, asked.with, into);
    net::result<statement_notes> ended = co_await std::move(reading);
    if (!ended) co_return ended.error();
    if (into.left) co_return false;
    // Fewer than were asked for: the part has ended.
    if (into.rows < wanted) co_return true;
    if (!into.moved)
      co_return net::error(net::errc::schema_mismatch, "too many rows in a row whose key fits no declaration",
                           part.of->name);
    if (!has_room()) co_return false;
  }
}

net::task<net::result<void>> page_reading::scan() {
  while (page_.next.scanning && has_room()) {
    auto scanning = scan_part();
    net::result<bool> finished = co_await std::move(scanning);
    if (!finished) co_return finished.error();
    if (!*finished) co_return net::result<void>();
    const std::uint32_t next_part = page_.next.scanning->part + 1;
    if (next_part == what_.parts.size()) {
      page_.next.scanning.reset();
    } else {
      page_.next.scanning = first_sync{next_part, false, {}};
    }
  }
  co_return net::result<void>();
}

net::task<net::result<bool>> page_reading::beyond_clock(bool by_any) {
  if (!begun_.pending || what_.parts.empty() || (page_.changes.empty() && !by_any)) co_return false;
  std::string ids;
  for (const resource_row& each : begun_.resources) ids += (ids.empty() ? "" : ",") + std::to_string(each.id);
  // A scan passes by what is not there, so any row counts; only a page of changes needs to know which. The
  // row without a resource says that there are more than are looked at.
  auto asking = db_.sql(
      context_,
      fmt::format("(SELECT resource, `key` FROM (SELECT resource, `key` FROM syncline_pending ORDER BY "
                  "id LIMIT {}) AS oldest WHERE resource IN ({}) LIMIT {}) UNION ALL (SELECT 0, '' FROM "
                  "syncline_pending LIMIT 1 OFFSET {})",
                  kPendingMax, ids, by_any ? 1 : kPendingMax, kPendingMax));
  net::result<result_rows> got = co_await std::move(asking);
  if (!got) co_return got.error();
  const small_result pending(*got);
  if (by_any && pending.size() != 0) co_return true;
  std::unordered_map<const resource*, std::unordered_set<std::string_view>> changed;
  for (std::size_t i = 0; i < pending.size(); ++i) {
    if (pending.integer(i, 0) == 0) co_return true;
    for (std::size_t part = 0; part < what_.parts.size(); ++part)
      if (begun_.resources[part].id == pending.integer(i, 0))
        changed[what_.parts[part].of].insert(pending.text(i, 1));
  }
  for (const change& each : page_.changes) {
    const auto of = changed.find(each.of);
    if (of != changed.end() && of->second.contains(page_.key(each))) co_return true;
  }
  co_return false;
}

net::task<net::result<void>> page_reading::run(const std::vector<resource_row>& hint,
                                               std::optional<cursor> from) {
  if (auto fit = check_parts(); !fit) co_return fit;
  // A first sync keeps half of each page for its scan, so that a busy table cannot hold it up for ever.
  room_ = from && from->scanning ? std::max(limits_.rows_max / 2, 1U) : limits_.rows_max;
  bytes_room_ = from && from->scanning ? limits_.bytes_max / 2 : limits_.bytes_max;
  entries_wanted wanted;
  wanted.what = &what_;
  wanted.from = from;
  wanted.rows_max = room_;
  auto beginning = begin_page(context_, db_, std::move(wanted), hint);
  net::result<page_beginning> begun = co_await std::move(beginning);
  if (!begun) co_return begun.error();
  begun_ = std::move(*begun);
  auto started = start(from);
  if (!started) co_return started.error();
  if (!*started) co_return net::result<void>();
  auto following = follow_feed();
  if (auto done = co_await std::move(following); !done) co_return done;
  bytes_room_ = limits_.bytes_max;
  full_ = false;
  auto scanning = scan();
  if (auto done = co_await std::move(scanning); !done) co_return done;
  // What is not on the page counts as well where it scanned, or ended before the clock, or is the first of a
  // client that comes back: it may keep rows of a page whose cursor it never got, and this cursor is its
  // next.
  const bool whole = from && !from->scanning && page_.next.seq == begun_.seq && !limits_.resumes;
  auto comparing = beyond_clock(!whole);
  const net::result<bool> beyond = co_await std::move(comparing);
  if (!beyond) co_return beyond.error();
  page_.next.note_rows(begun_.seq);
  if (*beyond) page_.next.note_rows(begun_.seq + 1);
  page_.up_to_date = !page_.next.scanning && page_.next.seq == begun_.seq;
  co_return net::result<void>();
}

}  // namespace

net::task<page_outcome> read_feed_page(net::request_context& context, sql_connection& db,
                                       const table_plans& plans,
                                       std::shared_ptr<const std::vector<resource_row>> hint,
                                       std::shared_ptr<const stream> what, std::optional<cursor> from,
                                       page_limits limits) {
  page_reading reading(context, db, plans, *what, limits);
  auto running = reading.run(*hint, std::move(from));
  const net::result<void> done = co_await std::move(running);
  // Also after an error: the statements before it may have opened the snapshot.
  auto ending = db.sql(context, "COMMIT");
  const net::result<result_rows> ended = co_await std::move(ending);
  page_outcome out{done ? net::result<feed_page>(reading.take()) : net::result<feed_page>(done.error()),
                   ended.has_value()};
  co_return out;
}

}  // namespace syncline::storage::mysql
