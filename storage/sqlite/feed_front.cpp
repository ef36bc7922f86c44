#include "storage/sqlite/feed_front.h"

#include <algorithm>
#include <unordered_map>

#include "storage/sqlite/snapshot.h"
#include "storage/sqlite/table_plan.h"

namespace syncline::storage::sqlite {

void feed_front::set_listener(feed_listener* listener) {
  const std::lock_guard lock(advancing_);
  listener_ = listener;
}

net::result<feed_front::step> feed_front::advance(connection& db) {
  const std::lock_guard lock(advancing_);
  // Taken under the lock: a snapshot taken later never shows less, so a lower clock means that the file was
  // restored.
  snapshot view(db);
  if (!view.opened()) return view.opened().error();
  auto clock = read_clock(db);
  if (!clock) return clock.error();
  const std::int64_t told = watermark_.load(std::memory_order_relaxed);
  if (clock->seq == told) return step::same;
  if (clock->seq < told) {
    lowest_seen_.store(std::min(lowest_seen_.load(), clock->seq));
    return step::went_back;
  }
  if (listener_ == nullptr) {
    watermark_.store(clock->seq, std::memory_order_release);
    return step::moved;
  }
  auto notice = read_notice(db, told, clock->seq);
  if (!notice) return notice.error();
  tell(*notice);
  return step::moved;
}

void feed_front::restart(std::int64_t seq) {
  const std::lock_guard lock(advancing_);
  auto notice = std::make_shared<change_notice>();
  notice->watermark = seq;
  notice->everything = true;
  lowest_seen_.store(INT64_MAX);
  tell(notice);
}

void feed_front::tell_everything(std::int64_t seq) {
  const std::lock_guard lock(advancing_);
  if (seq <= watermark_.load(std::memory_order_relaxed)) return;
  auto notice = std::make_shared<change_notice>();
  notice->watermark = seq;
  notice->everything = true;
  tell(notice);
}

std::int64_t feed_front::lowest_seen(std::int64_t clock_seq) const noexcept {
  return std::min(clock_seq, lowest_seen_.load());
}

void feed_front::tell(const change_notice_ptr& notice) {
  if (listener_ != nullptr) listener_->changed(notice);
  watermark_.store(notice->watermark, std::memory_order_release);
}

net::result<change_notice_ptr> feed_front::read_notice(connection& db, std::int64_t after,
                                                       std::int64_t upto) {
  auto notice = std::make_shared<change_notice>();
  notice->watermark = upto;
  const auto rows = resources();
  std::unordered_map<std::int64_t, std::uint32_t> ordinals;
  for (std::size_t i = 0; i < rows->size(); ++i)
    if ((*rows)[i].id != 0) ordinals[(*rows)[i].id] = static_cast<std::uint32_t>(i);

  auto s = db.cached(
      "SELECT resource, scope, key FROM syncline_feed WHERE seq>?1 AND seq<=?2 ORDER BY seq LIMIT ?3");
  if (!s) return s.error();
  const statement_use entries(**s);
  entries->bind(1, after);
  entries->bind(2, upto);
  entries->bind(3, kNoticeItemsMax + 1);
  int code = SQLITE_ROW;
  std::int64_t met = 0;
  while ((code = entries->step()) == SQLITE_ROW) {
    if (++met > kNoticeItemsMax) {  // there may be more behind, whatever these are
      notice->everything = true;
      notice->items.clear();
      return change_notice_ptr(notice);
    }
    const auto found = ordinals.find(entries->integer(0));
    // An entry of a resource that the config does not name (any more) concerns nobody.
    if (found == ordinals.end()) continue;
    change_notice::item& item = notice->items.emplace_back();
    item.resource = found->second;
    item.scope = entries->text(1);
    item.key = entries->text(2);
    item.primary = is_primary_scope(all_->at(found->second), item.scope);
  }
  if (code != SQLITE_DONE) return db.error(code, "reading the feed");
  return change_notice_ptr(notice);
}

void feed_front::set_resources(std::vector<resource_row> rows) {
  auto made = std::make_shared<const std::vector<resource_row>>(std::move(rows));
  auto notice =
      std::make_shared<change_notice>();  // before anything changes: without memory there is a next time
  const std::lock_guard order(advancing_);
  {
    const std::lock_guard lock(resources_mutex_);
    std::swap(resources_, made);
  }
  if (!made || std::equal(made->begin(), made->end(), resources()->begin(), resources()->end(),
                          [](const resource_row& a, const resource_row& b) {
                            return a.id == b.id && a.incarnation == b.incarnation;
                          }))
    return;
  // What went while nobody noted it has no entry.
  notice->watermark = watermark_.load(std::memory_order_relaxed);
  notice->everything = true;
  tell(notice);
}

std::shared_ptr<const std::vector<resource_row>> feed_front::resources() const {
  const std::lock_guard lock(resources_mutex_);
  return resources_;
}

}  // namespace syncline::storage::sqlite
