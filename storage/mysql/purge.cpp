// Takes old tombstones out of the feed and moves the horizon with them.

#include <algorithm>

#include <fmt/format.h>

#include "storage/mysql/clock_hold.h"
#include "storage/mysql/row_probe.h"
#include "storage/mysql/text_rows.h"

namespace syncline::storage::mysql {

namespace {

struct verdict {
  std::vector<std::string> present, purged;  // seqs
  std::int64_t highest = 0;
};

net::task<net::result<verdict>> judge(net::request_context& context, sql_connection& db,
                                      const row_probes& probes, std::int64_t older_than_s,
                                      std::uint32_t limit) {
  auto reading =
      query(context, db,
            fmt::format("SELECT seq, resource, scope, `key` FROM syncline_feed WHERE gone_at IS NOT "
                        "NULL AND gone_at<=UNIX_TIMESTAMP()-({}) ORDER BY gone_at LIMIT {}",
                        older_than_s, limit));
  net::result<text_rows> rows = co_await std::move(reading);
  if (!rows) co_return rows.error();
  std::vector<feed_entry> entries;
  for (const text_row& row : *rows)
    entries.push_back({row.integer(0), row.integer(1), row.text(2), row.text(3), true});
  auto probing = probes.there(context, db, entries);
  net::result<std::vector<bool>> there = co_await std::move(probing);
  if (!there) co_return there.error();
  verdict out;
  for (std::size_t i = 0; i < entries.size(); ++i) {
    ((*there)[i] ? out.present : out.purged).push_back(std::to_string(entries[i].seq));
    if (!(*there)[i]) out.highest = std::max(out.highest, entries[i].seq);
  }
  co_return out;
}

net::task<net::result<std::uint64_t>> carry_out(net::request_context& context, sql_connection& db,
                                                const verdict& of) {
  if (!of.present.empty()) {
    auto clearing =
        run(context, db,
            fmt::format("UPDATE syncline_feed SET gone_at=NULL WHERE seq IN ({})", joined(of.present, ",")));
    net::result<std::uint64_t> cleared = co_await std::move(clearing);
    if (!cleared) co_return cleared;
  }
  if (of.purged.empty()) co_return std::uint64_t{0};
  auto deleting =
      run(context, db, fmt::format("DELETE FROM syncline_feed WHERE seq IN ({})", joined(of.purged, ",")));
  co_return co_await std::move(deleting);
}

}  // namespace

net::task<net::result<purge_result>> purge_tombstones(net::request_context& context, sql_connection& db,
                                                      const catalog& all, std::int64_t older_than_s,
                                                      std::uint32_t limit) {
  auto reading = row_probes::read(context, db, all);
  net::result<row_probes> probes = co_await std::move(reading);
  if (!probes) co_return probes.error();
  auto beginning = clock_hold::begin(context, db);
  net::result<clock_hold> hold = co_await std::move(beginning);
  if (!hold) co_return hold.error();
  auto judging = judge(context, db, *probes, older_than_s, limit);
  net::result<verdict> judged = co_await std::move(judging);
  net::result<std::uint64_t> purged = std::uint64_t{0};
  if (judged) {
    auto carrying = carry_out(context, db, *judged);
    purged = co_await std::move(carrying);
  } else {
    purged = judged.error();
  }
  if (!purged) {
    auto undoing = hold->rollback(context);
    co_await std::move(undoing);
    co_return purged.error();
  }
  hold->horizon = std::max(hold->horizon, judged->highest);
  auto ending = hold->commit(context);
  net::result<void> ended = co_await std::move(ending);
  if (!ended) co_return ended.error();
  co_return purge_result{*purged, judged->present.size() + judged->purged.size() == limit};
}

}  // namespace syncline::storage::mysql
