#include "storage/sqlite/page_reader.h"

#include <algorithm>
#include <string>
#include <unordered_set>

#include <fmt/format.h>

#include "perf/log.h"
#include "perf/metrics.h"
#include "storage/sqlite/generation.h"
#include "storage/sqlite/snapshot.h"

namespace syncline::storage::sqlite {

namespace {

// One part of the stream with what its SQL needs.
struct open_part {
  const stream_part* what = nullptr;
  const table_plan* plan = nullptr;
  std::int64_t resource_id = 0;
  std::string lookup_sql;  // by key, scope and where; key parameters from 2, the scope is 1
  cell scope;
  bool scoped = false;
};

struct found_entry {
  std::int64_t seq = 0;
  std::uint32_t part = 0;
  std::string key;
};

class page_reading {
 public:
  page_reading(connection& db, schema_plans& plans, const stream& what, page_limits limits)
      : db_(db), plans_(plans), what_(what), limits_(limits) {
    limits_.rows_max = std::max(limits_.rows_max, 1U);
  }
  net::result<feed_page> run(const std::optional<cursor>& from);

 private:
  net::result<void> open_parts();
  net::result<bool> start(const std::optional<cursor>& from);
  net::result<void> follow_feed();
  net::result<void> collect_scoped(std::uint32_t part, std::uint32_t wanted);
  net::result<void> collect_whole(std::uint32_t wanted);
  net::result<bool> look_up(const found_entry& entry);
  net::result<bool> find_row(const open_part& part, std::span<const cell> key, change& out);
  net::result<void> scan();
  net::result<bool> scan_part();
  // A row that another program stored in a form the declaration does not know: it is sent to nobody until it
  // is mended, which makes a new entry, and everything else goes on.
  [[nodiscard]] static bool leave_out(const net::error& why);
  // True when the row that was just appended does not fit any more; it is taken back.
  bool too_much(std::size_t bytes_before);
  [[nodiscard]] bool has_room() const { return page_.changes.size() < limits_.rows_max && !full_; }
  bool note(const resource& of, std::string_view key);  // false: the page has it already

  connection& db_;
  schema_plans& plans_;
  std::shared_ptr<const table_plans> current_;  // the schema's of this page
  const stream& what_;
  page_limits limits_;
  text_arena arena_;
  std::vector<open_part> parts_;
  std::uint64_t declaration_ = 0;
  clock_row clock_;
  std::vector<found_entry> entries_;
  std::int64_t complete_upto_ = 0;  // all entries of the stream up to here are in entries_
  std::unordered_set<std::string> seen_;
  std::string seen_key_;
  std::size_t bytes_room_ = 0;  // of what is read now: the feed, then the scan
  bool full_ = false;           // in bytes
  feed_page page_;
};

net::result<void> page_reading::open_parts() {
  auto current = plans_.current(db_);
  if (!current) return current.error();
  current_ = std::move(*current);
  std::vector<std::int64_t> incarnations;
  for (const stream_part& part : what_.parts) {
    if (!part.of->synced || part.of->view)
      return net::error(net::errc::invalid, "the resource is not synced", part.of->name);
    open_part& opened = parts_.emplace_back();
    opened.what = &part;
    opened.plan = &current_->of(*part.of);
    opened.scoped = !part.scope.empty();
    auto scope = opened.plan->scope(part.scope, 1, arena_);
    if (!scope) return scope.error();
    opened.scope = scope->value;
    opened.lookup_sql = fmt::format("{} WHERE {}{}{}", opened.plan->whole_row().head(),
                                    opened.plan->key_is(2), scope->sql, opened.plan->visible());
    auto s = db_.cached("SELECT id, incarnation FROM syncline_resource WHERE name=?1");
    if (!s) return s.error();
    const statement_use row(**s);
    row->bind(1, std::string_view(part.of->name));
    const int code = row->step();
    if (code == SQLITE_DONE)
      return net::error(net::errc::schema_mismatch,
                        "the feed does not know the resource; run `syncline migrate`", part.of->name);
    if (code != SQLITE_ROW) return db_.error(code, "reading the feed's resources");
    opened.resource_id = row->integer(0);
    incarnations.push_back(row->integer(1));
  }
  declaration_ = hash_of_stream(what_.parts, incarnations);
  return {};
}

// Puts page_.next where the page begins; false when the client must start over.
net::result<bool> page_reading::start(const std::optional<cursor>& from) {
  auto generation = current_generation(db_);
  if (!generation) return generation.error();
  page_.watermark = clock_.seq;
  if (from) {
    if (from->declaration != declaration_) {
      page_.reset = reset_reason::declaration_changed;
    } else {
      auto checked = check_position(db_, *from, clock_);
      if (!checked) return checked.error();
      page_.reset = *checked;
    }
    if (page_.reset != reset_reason::none) return false;
    page_.next = *from;
    if (from->scanning && from->scanning->part >= parts_.size())
      return net::error(net::errc::invalid, "the cursor names a part that the stream does not have");
  } else {
    page_.next.seq = clock_.seq;
    page_.next.scanning.emplace();
    page_.next.declaration = declaration_;
  }
  // The position was found to be on this file's line, so it may carry the newest generation.
  page_.next.generation = *generation;
  if (parts_.empty()) page_.next.scanning.reset();
  return true;
}

net::result<void> page_reading::collect_scoped(std::uint32_t part, std::uint32_t wanted) {
  auto s = db_.cached(
      "SELECT seq, key FROM syncline_feed WHERE resource=?1 AND scope=?2 AND seq>?3 AND seq<=?4 ORDER BY seq "
      "LIMIT ?5");
  if (!s) return s.error();
  const statement_use rows(**s);
  rows->bind(1, parts_[part].resource_id);
  rows->bind(2, std::string_view(parts_[part].what->scope));
  rows->bind(3, page_.next.seq);
  rows->bind(4, clock_.seq);
  rows->bind(5, static_cast<std::int64_t>(wanted));
  int code = SQLITE_ROW;
  std::uint32_t taken = 0;
  while ((code = rows->step()) == SQLITE_ROW) {
    entries_.push_back({rows->integer(0), part, std::string(rows->text(1))});
    ++taken;
  }
  if (code != SQLITE_DONE) return db_.error(code, "following the feed");
  if (taken == wanted) complete_upto_ = std::min(complete_upto_, entries_.back().seq);
  return {};
}

// All parts without scope in one walk along the feed, which is ordered by seq.
net::result<void> page_reading::collect_whole(std::uint32_t wanted) {
  auto s = db_.cached(
      "SELECT seq, resource, scope, key FROM syncline_feed WHERE seq>?1 AND seq<=?2 ORDER BY seq LIMIT ?3");
  if (!s) return s.error();
  const statement_use rows(**s);
  rows->bind(1, page_.next.seq);
  rows->bind(2, clock_.seq);
  rows->bind(3, kEntriesMax);
  int code = SQLITE_ROW;
  std::uint32_t taken = 0;
  std::int64_t looked_at = 0;
  std::int64_t last = page_.next.seq;
  while (taken < wanted && (code = rows->step()) == SQLITE_ROW) {
    last = rows->integer(0);
    ++looked_at;
    const std::int64_t id = rows->integer(1);
    for (std::uint32_t i = 0; i < parts_.size(); ++i) {
      const open_part& part = parts_[i];
      if (part.scoped || part.resource_id != id) continue;
      if (!is_primary_scope(*part.what->of, rows->text(2))) continue;
      entries_.push_back({last, i, std::string(rows->text(3))});
      ++taken;
      break;
    }
  }
  if (code != SQLITE_DONE && code != SQLITE_ROW) return db_.error(code, "following the feed");
  if (taken == wanted || looked_at == kEntriesMax) complete_upto_ = std::min(complete_upto_, last);
  return {};
}

net::result<void> page_reading::follow_feed() {
  if (page_.next.seq == clock_.seq) return {};
  // A first sync keeps half of each page for its scan, so that a busy table cannot hold it up for ever.
  const std::uint32_t room = page_.next.scanning ? std::max(limits_.rows_max / 2, 1U) : limits_.rows_max;
  complete_upto_ = clock_.seq;
  bool whole = false;
  for (std::uint32_t i = 0; i < parts_.size(); ++i) {
    if (!parts_[i].scoped) {
      whole = true;
      continue;
    }
    if (auto done = collect_scoped(i, room); !done) return done;
  }
  if (whole)
    if (auto done = collect_whole(room); !done) return done;
  std::stable_sort(entries_.begin(), entries_.end(),
                   [](const found_entry& a, const found_entry& b) { return a.seq < b.seq; });

  for (const found_entry& entry : entries_) {
    if (entry.seq > complete_upto_) break;
    if (page_.changes.size() >= room) return {};
    auto fits = look_up(entry);
    if (!fits) return fits.error();
    if (!*fits) return {};
    page_.next.seq = entry.seq;
  }
  page_.next.seq = complete_upto_;
  return {};
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

bool page_reading::leave_out(const net::error& why) {
  static const perf::counter left_out = perf::metrics::add_counter(
      "syncline_sync_rows_left_out_total",
      "Stored rows that fit no declaration and are not sent, each time one is met");
  if (why.code != net::errc::schema_mismatch) return false;
  left_out.add();
  perf::log_warn("a stored row is left out of sync", {{"why", why.text()}});
  return true;
}

net::result<bool> page_reading::find_row(const open_part& part, std::span<const cell> key, change& out) {
  auto s = db_.cached(part.lookup_sql);
  if (!s) return s.error();
  const statement_use row(**s);
  if (part.scoped) row->bind(1, part.scope);
  bind_key(*row, 2, key);
  const int code = row->step();
  if (code == SQLITE_DONE) return false;
  if (code != SQLITE_ROW) return db_.error(code, "reading a changed row");
  auto at = part.plan->whole_row().append(*row, page_.bytes);
  if (!at && leave_out(at.error())) return false;
  if (!at) return at.error();
  out.put = true;
  out.key_at = at->key_at;
  out.key_size = at->key_size;
  out.row_at = at->json_at;
  out.row_size = at->json_size;
  return true;
}

// False when the page is full; the entry was not taken then.
net::result<bool> page_reading::look_up(const found_entry& entry) {
  const open_part& own = parts_[entry.part];
  const resource& of = *own.what->of;
  if (!note(of, entry.key)) return true;
  const std::size_t bytes_before = page_.bytes.size();
  change made;
  made.of = &of;
  auto key = split_key(of, entry.key, arena_);
  if (key) {
    auto found = find_row(own, *key, made);
    if (!found) return found.error();
    // A row that left this scope may still be the client's by another part of the stream.
    for (const open_part& other : parts_) {
      if (*found || &other == &own || other.what->of != &of) continue;
      found = find_row(other, *key, made);
      if (!found) return found.error();
    }
  }
  // A key text that is none (a trigger met a value that does not fit the declaration) was never sent as a row
  // either.
  if (!made.put) {
    made.key_at = static_cast<std::uint32_t>(page_.bytes.size());
    made.key_size = static_cast<std::uint32_t>(entry.key.size());
    page_.bytes += entry.key;
  }
  page_.changes.push_back(made);
  return !too_much(bytes_before);
}

// Scans on in the current part; true when the part is finished.
net::result<bool> page_reading::scan_part() {
  first_sync& at = *page_.next.scanning;
  const open_part& part = parts_[at.part];
  const table_plan& plan = *part.plan;
  auto scope = plan.scope(part.what->scope, 1, arena_);
  if (!scope) return scope.error();
  std::string sql = plan.whole_row().head() + " WHERE 1" + scope->sql + plan.visible();
  std::vector<cell> after;
  if (at.begun) {
    auto key = split_key(*part.what->of, at.after_key, arena_);
    if (!key) return key.error();
    after = std::move(*key);
    sql += " AND " + plan.key_beyond(3, false);
  }
  sql += plan.order(false) + " LIMIT ?2";
  auto s = db_.cached(sql);
  if (!s) return s.error();
  const statement_use rows(**s);
  if (part.scoped) rows->bind(1, part.scope);
  rows->bind(2, static_cast<std::int64_t>(limits_.rows_max) + 1);
  bind_key(*rows, 3, after);
  // One row more than fits in any page is asked for, so DONE before that many means that the part has ended.
  bool moved = false;
  for (std::uint32_t stepped = 0;; ++stepped) {
    const int code = rows->step();
    if (code == SQLITE_DONE && stepped > limits_.rows_max && !moved)
      return net::error(net::errc::schema_mismatch, "too many rows in a row whose key fits no declaration",
                        part.what->of->name);
    if (code == SQLITE_DONE) return stepped <= limits_.rows_max;
    if (code != SQLITE_ROW) return db_.error(code, "scanning rows");
    if (!has_room()) return false;
    const std::size_t bytes_before = page_.bytes.size();
    auto place = plan.whole_row().append(*rows, page_.bytes);
    if (!place) {
      if (!leave_out(place.error())) return place.error();
      std::string key;
      // Without a key there is no place to go on from; such a row costs its page nothing but the look.
      if (plan.whole_row().append_key(*rows, key)) {
        at.begun = moved = true;
        at.after_key = std::move(key);
      }
      continue;
    }
    change made;
    made.of = part.what->of;
    made.put = true;
    made.key_at = place->key_at;
    made.key_size = place->key_size;
    made.row_at = place->json_at;
    made.row_size = place->json_size;
    page_.changes.push_back(made);
    if (too_much(bytes_before)) return false;
    at.begun = moved = true;
    at.after_key = page_.key(made);
  }
}

net::result<void> page_reading::scan() {
  while (page_.next.scanning && has_room()) {
    auto finished = scan_part();
    if (!finished) return finished.error();
    if (!*finished) return {};
    const std::uint32_t next_part = page_.next.scanning->part + 1;
    if (next_part == parts_.size()) {
      page_.next.scanning.reset();
    } else {
      page_.next.scanning = first_sync{next_part, false, {}};
    }
  }
  return {};
}

net::result<feed_page> page_reading::run(const std::optional<cursor>& from) {
  const snapshot view(db_);
  if (!view.opened()) return view.opened().error();
  auto clock = read_clock(db_);
  if (!clock) return clock.error();
  clock_ = *clock;
  if (auto opened = open_parts(); !opened) return opened.error();
  auto started = start(from);
  if (!started) return started.error();
  if (!*started) return std::move(page_);
  bytes_room_ = page_.next.scanning ? limits_.bytes_max / 2 : limits_.bytes_max;
  if (auto done = follow_feed(); !done) return done.error();
  bytes_room_ = limits_.bytes_max;
  full_ = false;
  if (auto done = scan(); !done) return done.error();
  page_.next.note_rows(clock_.seq);
  page_.up_to_date = !page_.next.scanning && page_.next.seq == clock_.seq;
  return std::move(page_);
}

}  // namespace

net::result<feed_page> read_feed_page(connection& db, schema_plans& plans, const stream& what,
                                      const std::optional<cursor>& from, page_limits limits) {
  page_reading reading(db, plans, what, limits);
  return reading.run(from);
}

}  // namespace syncline::storage::sqlite
