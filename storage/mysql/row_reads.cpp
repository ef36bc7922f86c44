#include "storage/mysql/row_reads.h"

#include <algorithm>
#include <bit>
#include <deque>
#include <optional>
#include <unordered_map>

#include <fmt/format.h>

#include "storage/mysql/column_value.h"
#include "storage/mysql/literal.h"
#include "storage/mysql/search_words.h"

namespace syncline::storage::mysql {

namespace {

constexpr std::size_t kStatementsAtOnce = 4;

row_slice slice_of(const row_maker::place& at, std::uint32_t group) {
  row_slice out;
  out.key_at = at.key_at;
  out.key_size = at.key_size;
  out.json_at = at.json_at;
  out.json_size = at.json_size;
  out.group = group;
  return out;
}

row_slice missing(std::string_view key, std::string& bytes) {
  row_slice out;
  out.found = false;
  out.key_at = static_cast<std::uint32_t>(bytes.size());
  out.key_size = static_cast<std::uint32_t>(key.size());
  out.json_at = out.key_at + out.key_size;
  bytes += key;
  return out;
}

// Statements whose answers are read one after the other, a few sent ahead.
class statement_train {
 public:
  statement_train(net::request_context& context, sql_connection& db, clock_sink* position)
      : context_(context), db_(db) {
    if (position != nullptr) running_.push_back(db_.read(context_, kPositionSql, {}, *position));
  }
  // `with` is copied, `into` outlives the train.
  [[nodiscard]] net::task<net::result<void>> send(const statement& what, row_sink& into) {
    if (running_.size() == kStatementsAtOnce) {
      auto front = take();
      net::result<statement_notes> ended = co_await std::move(front);
      if (!ended) co_return ended.error();
    }
    running_.push_back(db_.read(context_, what.text, what.with, into));
    co_return net::result<void>();
  }
  [[nodiscard]] net::task<net::result<void>> finish() {
    while (!running_.empty()) {
      auto front = take();
      net::result<statement_notes> ended = co_await std::move(front);
      if (!ended) co_return ended.error();
    }
    co_return net::result<void>();
  }

 private:
  using reading = net::task<net::result<statement_notes>>;
  [[nodiscard]] reading take() {
    reading out = std::move(running_.front());
    running_.pop_front();
    return out;
  }
  net::request_context& context_;
  sql_connection& db_;
  std::deque<reading> running_;
};

// Rows found by their key, in any order.
class keyed_rows final : public row_sink {
 public:
  keyed_rows(const row_select& select, rows& out) : maker_(select), out_(out) {}
  void expect(std::string_view key) { places_.try_emplace(key, std::nullopt); }
  net::result<bool> row(const std::vector<column>& columns, const row_fields& fields) override {
    auto at = maker_.append(columns, fields, out_.bytes);
    if (!at && leave_out(at.error())) return true;
    if (!at) return at.error();
    const row_slice made = slice_of(*at, 0);
    // MySQL found it by the collation of its column; it may be another one.
    if (const auto found = places_.find(out_.key(made)); found != places_.end()) found->second = made;
    return true;
  }
  void fill(const std::vector<std::string>& keys) {
    for (const std::string& key : keys) {
      const std::optional<row_slice>& found = places_.find(key)->second;
      out_.slices.push_back(found ? *found : missing(key, out_.bytes));
    }
  }

 private:
  row_maker maker_;
  rows& out_;
  std::unordered_map<std::string_view, std::optional<row_slice>> places_;
};

// Rows in the order of the answer, at most `limit` of a group; one more tells that there are more. A row that
// fits no declaration counts in a group, whose statement gives no others for it, and not where there is none.
class counted_rows final : public row_sink {
 public:
  // `groups`: what the numbers behind the SELECT list stand for; empty: there is no such number.
  counted_rows(const row_select& select, rows& out, std::uint32_t limit, std::vector<std::uint32_t> groups)
      : maker_(select), out_(out), limit_(limit), groups_(std::move(groups)), group_at_(select.columns()) {}
  net::result<bool> row(const std::vector<column>& columns, const row_fields& fields) override {
    std::uint32_t group = 0;
    if (!groups_.empty()) {
      auto number = group_of(columns, fields);
      if (!number) return number.error();
      group = *number;
    }
    if (group != group_) taken_ = 0;
    group_ = group;
    if (taken_ == limit_ || out_.bytes.size() >= kAnswerBytesMax) {
      out_.more = true;
      if (group < out_.truncated.size()) out_.truncated[group] = true;
      return !groups_.empty();  // other groups of the statement
    }
    ++taken_;
    auto at = maker_.append(columns, fields, out_.bytes);
    if (!at && leave_out(at.error())) {
      if (groups_.empty()) --taken_;
      ++left_out_;
      return true;
    }
    if (!at) return at.error();
    out_.slices.push_back(slice_of(*at, group));
    return true;
  }
  [[nodiscard]] std::uint32_t left_out() const noexcept { return left_out_; }

 private:
  [[nodiscard]] net::result<std::uint32_t> group_of(const std::vector<column>& columns,
                                                    const row_fields& fields) const {
    text_arena none;
    if (fields.size() > group_at_) {
      auto number = decode_value(columns[group_at_], fields[group_at_], none);
      if (number && static_cast<std::size_t>(number->integer) < groups_.size())
        return groups_[static_cast<std::size_t>(number->integer)];
    }
    return net::error(net::errc::internal, "a row belongs to nothing that was asked for");
  }

  row_maker maker_;
  rows& out_;
  std::uint32_t limit_;
  std::vector<std::uint32_t> groups_;
  std::size_t group_at_;
  std::uint32_t group_ = UINT32_MAX;
  std::uint32_t taken_ = 0;
  std::uint32_t left_out_ = 0;
};

// ` AND …` for the words; errc::invalid when the resource has no search.
net::result<void> add_search(const table_plan& plan, const search_words& words, statement& out) {
  const resource& of = plan.of();
  if (of.search.empty())
    return net::error(net::errc::invalid, "the resource declares no search columns", of.name);
  std::string columns;
  for (const std::size_t c : of.search) {
    if (!columns.empty()) columns += ',';
    append_identifier(of.columns[c].name, columns);
  }
  if (!words.boolean_mode.empty()) {
    out.text += fmt::format(" AND MATCH({}) AGAINST(? IN BOOLEAN MODE)", columns);
    out.with.push_back(argument::of_text(words.boolean_mode));
  }
  for (const std::string& pattern : words.patterns) {
    out.text += fmt::format(" AND REGEXP_LIKE(CONCAT_WS(' ',{}), ?, 'i')", columns);
    out.with.push_back(argument::of_text(pattern));
  }
  return {};
}

// One SELECT for each group, each with its own limit; the group's number is behind the SELECT list.
statement union_of_groups(const table_plan& plan, const std::vector<std::size_t>& by,
                          std::span<const cell> values, std::uint32_t rows_max) {
  const std::string& head = plan.whole_row().head();
  const std::string_view list =
      std::string_view(head).substr(0, head.size() - std::string_view(" FROM ").size() - plan.name().size());
  statement out;
  for (std::size_t i = 0; i * by.size() < values.size(); ++i) {
    if (i > 0) out.text += " UNION ALL ";
    out.text += fmt::format("({},{} FROM {} WHERE ", list, i, plan.name());
    plan.add_columns_are(by, values.subspan(i * by.size(), by.size()), out);
    out.text += plan.visible();
    plan.add_order(false, out.text);
    out.text += " LIMIT ?)";
    out.with.push_back(argument::of_unsigned(std::uint64_t{rows_max} + 1));
  }
  return out;
}

}  // namespace

net::result<bool> clock_sink::row(const std::vector<column>& columns, const row_fields& fields) {
  text_arena none;
  auto seq = decode_value(columns[0], fields[0], none);
  if (!seq) return seq.error();
  auto generation = decode_value(columns[1], fields[1], none);
  if (!generation) return generation.error();
  seq_ = seq->integer;
  generation_ = generation->k == cell::kind::integer ? generation->integer : 0;
  return true;
}

net::task<net::result<rows>> read_by_key(net::request_context& context, sql_connection& db,
                                         const table_plan& plan, const projection& what,
                                         const std::vector<std::string>& keys, clock_sink* clock) {
  rows out;
  if (keys.empty()) co_return out;
  const row_select select(plan.of(), what);
  keyed_rows into(select, out);
  text_arena arena;
  std::vector<cell> wanted;
  for (const std::string& key : keys) {
    into.expect(key);
    auto cells = plan.split(key, arena);
    if (!cells) co_return cells.error();
    wanted.insert(wanted.end(), cells->begin(), cells->end());
  }
  out.slices.reserve(keys.size());
  const std::size_t width = plan.of().key.size();
  statement_train train(context, db, clock);
  for (std::size_t at = 0; at < keys.size(); at += kKeysOfStatementMax) {
    const std::size_t count = std::min(kKeysOfStatementMax, keys.size() - at);
    const auto part = std::span<const cell>(wanted).subspan(at * width, count * width);
    statement asked{select.head() + " WHERE ", {}};
    if (count == 1) {
      plan.add_key_is(part, asked);
    } else {
      plan.add_key_in(part, asked);
    }
    asked.text += plan.visible();
    auto sending = train.send(asked, into);
    if (auto sent = co_await std::move(sending); !sent) co_return sent.error();
  }
  auto ending = train.finish();
  if (auto ended = co_await std::move(ending); !ended) co_return ended.error();
  into.fill(keys);
  co_return out;
}

net::task<net::result<rows>> read_list(net::request_context& context, sql_connection& db,
                                       const table_plan& plan, const list_query& query, clock_sink* clock) {
  const row_select select(plan.of(), query.what);
  const bool descending = query.from == page_from::before || query.from == page_from::last;
  const bool keyset = query.from == page_from::after || query.from == page_from::before;
  text_arena arena;
  statement asked{select.head() + " WHERE 1" + plan.visible(), {}};
  if (auto scoped = plan.add_scope(query.scope, asked, arena); !scoped) co_return scoped.error();
  const search_words words = read_search_words(query.search);
  if (!words.empty())
    if (auto added = add_search(plan, words, asked); !added) co_return added.error();
  std::vector<cell> key;
  if (keyset) {
    auto cells = plan.split(query.key, arena);
    if (!cells) co_return cells.error();
    key = std::move(*cells);
    asked.text += " AND ";
    plan.add_key_beyond(key, descending, asked);
  }
  plan.add_order(descending, asked.text);
  asked.text += " LIMIT ?";
  asked.with.push_back(argument::of_unsigned(0));  // set below
  // Hardly a page has rows that fit no declaration: it is asked for once more, with room for them.
  for (std::uint32_t room = 0;; room = kLeftOutMax) {
    asked.with.back() = argument::of_unsigned(std::uint64_t{query.limit} + 1 + room);
    rows out;
    counted_rows into(select, out, query.limit, {});
    statement_train train(context, db, clock);
    auto sending = train.send(asked, into);
    if (auto sent = co_await std::move(sending); !sent) co_return sent.error();
    auto ending = train.finish();
    if (auto ended = co_await std::move(ending); !ended) co_return ended.error();
    if (into.left_out() > kLeftOutMax)
      co_return net::error(net::errc::schema_mismatch, "too many stored rows of a page fit no declaration",
                           plan.of().name);
    if (!out.more && into.left_out() > room) continue;
    if (descending) std::reverse(out.slices.begin(), out.slices.end());
    co_return out;
  }
}

net::task<net::result<rows>> read_by_columns(net::request_context& context, sql_connection& db,
                                             const table_plan& plan, const std::vector<std::size_t>& by,
                                             const std::vector<std::string>& keys, std::uint32_t rows_max,
                                             clock_sink* clock) {
  const resource& of = plan.of();
  // The asked values are key texts of these columns: split_key checks and splits them as it does the
  // resource's own key.
  resource keyed;
  keyed.name = of.name;
  keyed.columns = of.columns;
  keyed.key = by;
  rows out;
  out.truncated.resize(keys.size());
  text_arena arena;
  std::vector<cell> wanted;
  std::vector<std::uint32_t> groups;
  for (std::size_t i = 0; i < keys.size(); ++i) {
    auto cells = split_key(keyed, keys[i], arena);
    // A value that these columns cannot hold: no row has it.
    if (!cells || !plan.prepare(by, *cells, arena)) continue;
    wanted.insert(wanted.end(), cells->begin(), cells->end());
    groups.push_back(static_cast<std::uint32_t>(i));
  }
  std::deque<counted_rows> sinks;
  statement_train train(context, db, clock);
  for (std::size_t at = 0; at < groups.size();) {
    // Few sizes, so that few statements are prepared.
    const std::size_t count = std::bit_floor(std::min(kGroupsOfStatementMax, groups.size() - at));
    const auto first = groups.begin() + static_cast<std::ptrdiff_t>(at);
    counted_rows& into =
        sinks.emplace_back(plan.whole_row(), out, rows_max,
                           std::vector<std::uint32_t>(first, first + static_cast<std::ptrdiff_t>(count)));
    const auto part = std::span<const cell>(wanted).subspan(at * by.size(), count * by.size());
    const statement asked = union_of_groups(plan, by, part, rows_max);
    auto sending = train.send(asked, into);
    if (auto sent = co_await std::move(sending); !sent) co_return sent.error();
    at += count;
  }
  auto ending = train.finish();
  if (auto ended = co_await std::move(ending); !ended) co_return ended.error();
  co_return out;
}

}  // namespace syncline::storage::mysql
