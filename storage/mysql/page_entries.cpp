#include "storage/mysql/page_entries.h"

#include <algorithm>
#include <array>
#include <deque>
#include <utility>

#include <fmt/format.h>

#include "storage/mysql/literal.h"
#include "storage/mysql/page_reader.h"
#include "storage/mysql/small_result.h"

namespace syncline::storage::mysql {

namespace {

using answering = net::task<net::result<result_rows>>;

constexpr std::size_t kPartsAtOnce = 40;  // of the 64 that a session may owe

constexpr std::string_view kClock = "SELECT seq, horizon FROM syncline_clock WHERE id=1";
// The newest generation; whether the cursor's is known; where the one after it begins (starts never fall, so
// the least of the later ones).
constexpr std::string_view kGenerations =
    "SELECT (SELECT id FROM syncline_generation ORDER BY number DESC LIMIT 1), "
    "(SELECT g.number FROM syncline_generation AS g WHERE g.id=? ORDER BY g.number LIMIT 1), "
    "(SELECT MIN(n.first_seq) FROM syncline_generation AS n WHERE n.number > "
    "(SELECT g.number FROM syncline_generation AS g WHERE g.id=? ORDER BY g.number LIMIT 1))";
constexpr std::string_view kResources = "SELECT id, name, incarnation FROM syncline_resource";
constexpr std::string_view kPending = "SELECT 1 FROM syncline_pending LIMIT 1";
constexpr std::string_view kOfScope =
    "SELECT seq, `key` FROM syncline_feed WHERE resource=? AND scope=? AND seq>? ORDER BY seq LIMIT ?";

// A cursor comes from a client: its seq may be anything.
std::int64_t look_upto(const cursor& from) noexcept {
  return from.seq > INT64_MAX - kEntriesMax ? INT64_MAX : from.seq + kEntriesMax;
}

// Entries of the parts without scope, in one walk along the feed.
struct whole_query {
  std::string text;
  std::vector<argument> with;
};

whole_query walk_for(const entries_wanted& wanted, const std::vector<std::int64_t>& ids) {
  whole_query out;
  out.text = "SELECT seq, resource, `key` FROM syncline_feed WHERE seq>? AND seq<=? AND (";
  out.with.push_back(argument::of_int(wanted.from->seq));
  out.with.push_back(argument::of_int(look_upto(*wanted.from)));
  bool any = false;
  for (std::uint32_t i = 0; i < ids.size(); ++i) {
    const stream_part& part = wanted.what->parts[i];
    if (!part.scope.empty()) continue;
    if (any) out.text += " OR ";
    any = true;
    // A row has exactly one primary entry: that of its first scope, or the one without.
    out.text += "resource=? AND (scope=''";
    out.with.push_back(argument::of_int(ids[i]));
    if (!part.of->scopes.empty()) {
      const std::string& name = part.of->scopes.front().name;
      out.text += fmt::format(" OR LEFT(scope,{})={}", name.size() + 1, blob_literal(name + ":"));
    }
    out.text += ')';
  }
  out.text += ") ORDER BY seq LIMIT ?";
  out.with.push_back(argument::of_unsigned(wanted.rows_max));
  if (!any) out.text.clear();
  return out;
}

class page_begin {
 public:
  page_begin(net::request_context& context, sql_connection& db, const entries_wanted& wanted)
      : context_(context), db_(db), wanted_(wanted) {}

  void open();
  // Asks for the next kPartsAtOnce scoped parts, and once for the others.
  void ask_entries(const std::vector<std::int64_t>& ids);
  [[nodiscard]] net::task<net::result<void>> take_opening();
  // All of them, also those that were not asked for yet.
  [[nodiscard]] net::task<net::result<void>> take_entries(const std::vector<std::int64_t>& ids);
  void drop_entries() {
    running_.clear();
    next_part_ = 0;
    walked_ = false;
  }
  page_beginning out;

 private:
  struct asked {
    answering answer;
    std::optional<std::uint32_t> part;  // none: the walk
  };
  void judge(const small_result& found);
  void take_rows(const small_result& rows, const asked& of, const std::vector<std::int64_t>& ids);

  net::request_context& context_;
  sql_connection& db_;
  const entries_wanted& wanted_;
  std::vector<answering> opening_;
  std::deque<asked> running_;
  std::uint32_t next_part_ = 0;
  bool walked_ = false;
};

void page_begin::open() {
  opening_.push_back(db_.sql(context_, "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"));
  opening_.push_back(db_.sql(context_, "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY"));
  opening_.push_back(db_.execute(context_, kClock, {}));
  const std::int64_t generation = wanted_.from ? static_cast<std::int64_t>(wanted_.from->generation) : 0;
  const std::array<argument, 2> with{argument::of_int(generation), argument::of_int(generation)};
  opening_.push_back(db_.execute(context_, kGenerations, with));
  opening_.push_back(db_.execute(context_, kResources, {}));
  opening_.push_back(db_.execute(context_, kPending, {}));
}

void page_begin::ask_entries(const std::vector<std::int64_t>& ids) {
  if (!wanted_.from) return;
  for (; next_part_ < ids.size() && running_.size() < kPartsAtOnce; ++next_part_) {
    const stream_part& part = wanted_.what->parts[next_part_];
    if (part.scope.empty()) continue;
    const std::array<argument, 4> with{argument::of_int(ids[next_part_]), argument::of_blob(part.scope),
                                       argument::of_int(wanted_.from->seq),
                                       argument::of_unsigned(wanted_.rows_max)};
    running_.push_back({db_.execute(context_, kOfScope, with), next_part_});
  }
  if (std::exchange(walked_, true)) return;
  const whole_query walk = walk_for(wanted_, ids);
  if (!walk.text.empty()) running_.push_back({db_.execute(context_, walk.text, walk.with), std::nullopt});
}

void page_begin::judge(const small_result& found) {
  out.generation = static_cast<std::uint64_t>(found.integer(0, 0));
  if (!wanted_.from) return;
  const std::int64_t at = wanted_.from->seq;
  const std::int64_t newest = wanted_.from->newest();
  if (found.null(0, 1)) {
    out.standing = reset_reason::unknown_generation;
  } else if ((!found.null(0, 2) && newest > found.integer(0, 2)) || at > out.seq || at < 0 ||
             newest > out.seq + (out.pending ? 1 : 0)) {
    out.standing = reset_reason::feed_went_back;
  } else if (out.horizon > 0 && at < out.horizon) {
    out.standing = reset_reason::history_purged;
  }
}

net::task<net::result<void>> page_begin::take_opening() {
  std::vector<result_rows> got;
  for (answering& each : opening_) {
    net::result<result_rows> one = co_await std::move(each);
    if (!one) co_return one.error();
    got.push_back(std::move(*one));
  }
  const small_result clock(got[2]);
  if (clock.size() == 0)
    co_return net::error(net::errc::schema_mismatch, "the feed's clock is missing; run `syncline migrate`");
  out.seq = clock.integer(0, 0);
  out.horizon = clock.integer(0, 1);
  out.pending = small_result(got[5]).size() != 0;
  const small_result generations(got[3]);
  if (generations.size() == 0 || generations.null(0, 0))
    co_return net::error(net::errc::schema_mismatch, "the feed has no generation");
  judge(generations);
  const small_result resources(got[4]);
  for (const stream_part& part : wanted_.what->parts) {
    resource_row found;
    for (std::size_t i = 0; i < resources.size() && found.id == 0; ++i)
      if (resources.text(i, 1) == part.of->name) found = {resources.integer(i, 0), resources.integer(i, 2)};
    if (found.id == 0)
      co_return net::error(net::errc::schema_mismatch,
                           "the feed does not know the resource; run `syncline migrate`", part.of->name);
    out.resources.push_back(found);
  }
  co_return net::result<void>();
}

void page_begin::take_rows(const small_result& rows, const asked& of, const std::vector<std::int64_t>& ids) {
  std::int64_t last = 0;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    last = rows.integer(i, 0);
    if (of.part) {
      out.entries.push_back({last, *of.part, std::string(rows.text(i, 1))});
      continue;
    }
    for (std::uint32_t part = 0; part < ids.size(); ++part) {
      if (ids[part] != rows.integer(i, 1) || !wanted_.what->parts[part].scope.empty()) continue;
      out.entries.push_back({last, part, std::string(rows.text(i, 2))});
      break;
    }
  }
  if (rows.size() == wanted_.rows_max) out.complete_upto = std::min(out.complete_upto, last);
  if (!of.part) out.complete_upto = std::min(out.complete_upto, look_upto(*wanted_.from));
}

net::task<net::result<void>> page_begin::take_entries(const std::vector<std::int64_t>& ids) {
  out.complete_upto = out.seq;
  while (!running_.empty()) {
    asked next = std::move(running_.front());
    running_.pop_front();
    net::result<result_rows> got = co_await std::move(next.answer);
    if (!got) co_return got.error();
    take_rows(small_result(*got), next, ids);
    if (running_.empty()) ask_entries(ids);
  }
  std::stable_sort(out.entries.begin(), out.entries.end(),
                   [](const found_entry& a, const found_entry& b) { return a.seq < b.seq; });
  co_return net::result<void>();
}

}  // namespace

net::task<net::result<page_beginning>> begin_page(net::request_context& context, sql_connection& db,
                                                  entries_wanted wanted,
                                                  const std::vector<resource_row>& hint) {
  std::vector<std::int64_t> ids;
  for (const stream_part& part : wanted.what->parts)
    ids.push_back(part.of->ordinal < hint.size() ? hint[part.of->ordinal].id : 0);
  page_begin beginning(context, db, wanted);
  beginning.open();
  beginning.ask_entries(ids);
  auto opening = beginning.take_opening();
  if (auto opened = co_await std::move(opening); !opened) co_return opened.error();
  bool as_hinted = true;
  for (std::size_t i = 0; i < ids.size(); ++i) {
    const std::int64_t now = beginning.out.resources[i].id;
    as_hinted = as_hinted && ids[i] == now;
    ids[i] = now;
  }
  if (!as_hinted) {
    beginning.drop_entries();
    beginning.ask_entries(ids);
  }
  auto taking = beginning.take_entries(ids);
  if (auto taken = co_await std::move(taking); !taken) co_return taken.error();
  co_return std::move(beginning.out);
}

}  // namespace syncline::storage::mysql
