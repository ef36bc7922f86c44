#include "storage/sqlite/watcher.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <filesystem>
#include <utility>

#include "perf/log.h"
#include "storage/sqlite/clocks.h"
#include "storage/sqlite/idempotency_records.h"
#include "storage/sqlite/schema.h"
#include "storage/sqlite/scoped_transaction.h"
#include "storage/sqlite/search_refresh.h"

namespace syncline::storage::sqlite {

namespace {

using clock = std::chrono::steady_clock;
constexpr std::chrono::seconds kFileCheck{1};
constexpr std::chrono::seconds kSchemaCheck{10};
constexpr std::chrono::seconds kWalCheck{10};
constexpr std::chrono::seconds kSearchCheck{10};
constexpr int kAfterThrowMs = 10;
constexpr int kLookEachMs = 1;
constexpr int kLookEachMsOwn = 4;                   // while our own writer commits
constexpr std::chrono::milliseconds kAfterOne{10};  // how long to look on after a commit was found

// migrate_objects() fills in what it reads from the schema, and the store's catalog is being read by every
// core.
void copy_catalog(const catalog& from, catalog& to) {
  for (std::size_t i = 0; i < from.size(); ++i) to.add(from.at(i));
}

// In a transaction of its own; how many rows.
net::result<std::uint64_t> index_slice(store_shared& shared, connection& db) {
  auto transaction = scoped_transaction::begin(db);
  if (!transaction) return transaction.error();
  auto plans = shared.writing_plans.current(db);
  if (!plans) return plans.error();
  auto made = refresh_search(db, *shared.all, **plans, *shared.front.resources(), kSearchRefreshRows);
  if (!made || *made == 0) return made;
  if (auto done = transaction->commit(); !done) return done.error();
  return made;
}

}  // namespace

watcher::watcher(store_shared& shared, writer& writing) : shared_(shared), writing_(writing) {}

watcher::~watcher() {
  stop();
  if (inotify_ >= 0) ::close(inotify_);
  if (stop_event_ >= 0) ::close(stop_event_);
}

net::result<void> watcher::start() {
  struct stat status {};
  if (::stat(shared_.options.path.c_str(), &status) != 0)
    return net::error(net::errc::down, "the database file cannot be looked at", shared_.options.path);
  opened_ = {static_cast<std::uint64_t>(status.st_dev), static_cast<std::uint64_t>(status.st_ino)};
  connection_options how;
  how.path = shared_.options.path;
  how.read_only = true;
  how.cache_kb = 512;
  how.busy_timeout_ms = 100;
  auto db = connection::open(how);
  if (!db) return db.error();
  stop_event_ = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (auto schema = db->query_int("PRAGMA schema_version")) schema_version_ = *schema;
  watch_files();
  next_purge_ = clock::now() + std::chrono::seconds(shared_.options.purge_interval_s);
  next_schema_check_ = clock::now() + kSchemaCheck;
  thread_ = std::thread([this, own = std::move(*db)]() mutable { run(std::move(own)); });
  return {};
}

void watcher::stop() {
  stopping_.store(true);
  const std::uint64_t one = 1;
  if (stop_event_ >= 0) [[maybe_unused]]
    const auto written = ::write(stop_event_, &one, sizeof one);
  if (thread_.joinable()) thread_.join();
}

void watcher::watch_files() {
  inotify_ = ::inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
  if (inotify_ < 0) {
    perf::log_warn("no inotify: changes of other processes are noticed by polling",
                   {{"poll_interval_ms", shared_.options.poll_interval_ms}});
    return;
  }
  std::filesystem::path folder = std::filesystem::path(shared_.options.path).parent_path();
  if (folder.empty()) folder = ".";
  ::inotify_add_watch(inotify_, folder.c_str(), IN_CREATE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE);
  wal_watch_ = ::inotify_add_watch(inotify_, (shared_.options.path + "-wal").c_str(), IN_MODIFY);
}

// True when there was any.
bool watcher::drain_events() {
  alignas(inotify_event) std::array<char, 4096> buffer;
  bool any = false;
  bool folder = false;
  for (ssize_t size = 0; inotify_ >= 0 && (size = ::read(inotify_, buffer.data(), buffer.size())) > 0;) {
    any = true;
    for (ssize_t at = 0; at < size;) {
      inotify_event event;
      std::memcpy(&event, buffer.data() + at, sizeof event);
      folder = folder || event.wd != wal_watch_;
      at += static_cast<ssize_t>(sizeof event) + static_cast<ssize_t>(event.len);
    }
  }
  // The log may be a new file, as after everybody else closed it.
  if (folder) wal_watch_ = ::inotify_add_watch(inotify_, (shared_.options.path + "-wal").c_str(), IN_MODIFY);
  return any;
}

bool watcher::wait(int timeout_ms) {
  std::array<pollfd, 2> fds{{{stop_event_, POLLIN, 0}, {inotify_, POLLIN, 0}}};
  return ::poll(fds.data(), inotify_ >= 0 ? 2 : 1, timeout_ms) > 0 && drain_events();
}

bool watcher::look(connection& db) {
  shared_.metrics.wakeups.add();
  auto s = db.cached("PRAGMA data_version");
  if (!s) return false;
  std::int64_t version = version_;
  {
    const statement_use row(**s);
    if (row->step() == SQLITE_ROW) version = row->integer(0);
  }
  if (version == version_) return false;
  auto told = shared_.front.advance(db);
  if (!told) {
    perf::log_warn("the feed could not be read", {{"why", told.error().text()}});
    return false;  // the version is kept, so the next look tries again
  }
  version_ = version;
  // Whoever changed the schema may have taken triggers away: look at once, not at the next round.
  if (auto schema = db.query_int("PRAGMA schema_version"); schema && *schema != schema_version_) {
    schema_version_ = *schema;
    shared_.check_schema.store(true);
  }
  if (*told == feed_front::step::moved) shared_.metrics.foreign_commits.add();
  if (*told == feed_front::step::went_back) writing_.queue().push_chore([](connection&) {});
  if (!chores_->index_fails.load()) check_search(db);
  return true;
}

// After an event: the commit it belongs to becomes visible within milliseconds.
void watcher::look_closely(connection& db) {
  auto until = clock::now() + std::chrono::milliseconds(kLookMs);
  const auto latest = clock::now() + std::chrono::milliseconds(kLookMaxMs);  // then look_after() has its turn
  std::uint64_t own = shared_.commits.load(std::memory_order_relaxed);
  while (!stopping()) {
    if (look(db)) until = clock::now() + kAfterOne;
    if (clock::now() >= std::min(until, latest)) return;
    if (chores_->more_to_number.exchange(false)) number_rows();  // commits that follow each other stop it not
    // At most one look a millisecond, and fewer while it is our own commits that make the events: then each
    // of them also tells of what others wrote before it.
    const std::uint64_t commits = shared_.commits.load(std::memory_order_relaxed);
    pollfd stop{stop_event_, POLLIN, 0};
    ::poll(&stop, 1, commits == own ? kLookEachMs : kLookEachMsOwn);
    own = commits;
    if (drain_events()) until = std::max(until, clock::now() + kAfterOne);
  }
}

void watcher::run(connection db) {
  shared_.metrics.commits.add(
      0);  // see perf/log.cpp: a thread's first allocation must not meet a lack of memory
  name_this_thread("sqlite-watch");
  bool threw = false;
  while (!stopping()) {
    try {
      look_after(db);
      if (wait(static_cast<int>(std::max(shared_.options.poll_interval_ms, 1U)))) {
        look_closely(db);
      } else {
        (void)look(db);
      }
      threw = false;
    } catch (...) {
      // What it was about is looked at again; in the end memory comes back.
      if (!std::exchange(threw, true)) perf::log_caught("the database's watcher threw");
      static_cast<void>(wait(kAfterThrowMs));
    }
  }
}

void watcher::look_after(connection& db) {
  const auto now = clock::now();
  if (now >= next_file_check_) {
    next_file_check_ = now + kFileCheck;
    check_file();
    probe_writes();
  }
  if (now >= next_schema_check_ || shared_.check_schema.exchange(false)) {
    next_schema_check_ = now + kSchemaCheck;
    check_schema(db);
  }
  if (chores_->more_to_number.exchange(false)) number_rows();
  if (now >= next_wal_check_) {
    next_wal_check_ = now + kWalCheck;
    check_wal();
  }
  if (now >= next_search_check_ || chores_->more_to_index.exchange(false)) {
    next_search_check_ = now + kSearchCheck;
    check_search(db);
  }
  if (now >= next_purge_ || chores_->more_to_purge.exchange(false)) {
    next_purge_ = now + std::chrono::seconds(std::max(shared_.options.purge_interval_s, 1U));
    purge();
  }
}

void watcher::check_file() {
  if (shared_.health.file_gone()) return;
  struct stat status {};
  if (::stat(shared_.options.path.c_str(), &status) == 0 &&
      opened_ ==
          file_identity{static_cast<std::uint64_t>(status.st_dev), static_cast<std::uint64_t>(status.st_ino)})
    return;
  shared_.health.trouble(store_health::part::file, "database file was replaced; restart");
}

// A store that failed to write says so until a write works again; nobody may be writing, so try.
void watcher::probe_writes() {
  if (shared_.health.healthy(store_health::part::writes)) return;
  push_once(&chore_state::probing, [&shared = shared_](connection& db) {
    auto tried = db.exec("BEGIN IMMEDIATE; UPDATE syncline_clock SET seq=seq WHERE id=1; COMMIT");
    if (tried) {
      shared.health.well(store_health::part::writes);
    } else {
      shared.health.trouble(store_health::part::writes, tried.error().text());
    }
  });
}

void watcher::check_schema(connection& db) {
  auto gaps = find_gaps(db, *shared_.all);
  if (!gaps && gaps.error().code == net::errc::locked) return;
  if (!gaps || !gaps->objects.empty()) {
    perf::log_warn("the feed's triggers are not what they should be; installing them again",
                   {{"missing", gaps ? gaps->objects.front() : std::string("unknown")}});
    install();
    return;
  }
  auto rows = resource_rows(db, *shared_.all);
  if (rows) shared_.front.set_resources(std::move(*rows));
  if (gaps->rows.empty()) {
    shared_.health.well(store_health::part::schema);
  } else {
    number_rows();
  }
}

void watcher::install() {
  push_once(&chore_state::migrating, [&shared = shared_, state = chores_](connection& writing) {
    catalog copy;
    copy_catalog(*shared.all, copy);
    auto done = migrate_objects(writing, copy, false);
    if (!done) {
      shared.health.trouble(store_health::part::schema, done.error().text());
      return;
    }
    auto rows = resource_rows(writing, copy);
    if (rows) shared.front.set_resources(std::move(*rows));
    for (const std::string& name : done->resources_restarted)
      perf::log_warn("a resource starts over", {{"resource", name}});
    state->more_to_number.store(true);
  });
}

void watcher::number_rows() {
  const bool first =
      push_once(&chore_state::numbering, [&shared = shared_, state = chores_](connection& writing) {
        const auto made =
            state->rows.run(writing, *shared.all, {clock::now() + kNumberTurn, shared.front.watermark()});
        if (made) {
          // When nothing is left, that look says that the store is well.
          (made->of != nullptr ? state->more_to_number : shared.check_schema).store(true);
        } else if (made.error().code == net::errc::locked || made.error().code == net::errc::conflict) {
          state->more_to_number.store(true);
        } else {
          shared.health.trouble(store_health::part::schema, made.error().text());
        }
      });
  if (!first) chores_->more_to_number.store(true);
}

// A log that readers keep from being rewound grows without bound: TRUNCATE waits for them for a moment.
void watcher::check_wal() {
  struct stat status {};
  if (::stat((shared_.options.path + "-wal").c_str(), &status) != 0 || status.st_size < kWalBytesMax) return;
  push_once(&chore_state::checkpointing, [](connection& db) {
    sqlite3_wal_checkpoint_v2(db.get(), nullptr, SQLITE_CHECKPOINT_TRUNCATE, nullptr, nullptr);
  });
}

void watcher::check_search(connection& db) {
  const auto waits = search_waits(db);
  if (!waits || !*waits) return;
  const bool first =
      push_once(&chore_state::indexing, [&shared = shared_, state = chores_](connection& writing) {
        const auto made = index_slice(shared, writing);
        const bool locked = !made && made.error().code == net::errc::locked;
        state->index_fails.store(!made && !locked);
        if (!made && !locked)
          perf::log_warn("a keyword index could not be written", {{"why", made.error().text()}});
        if (locked || (made && *made >= kSearchRefreshRows)) state->more_to_index.store(true);
      });
  if (!first) chores_->more_to_index.store(true);
}

void watcher::purge() {
  const bool first = push_once(&chore_state::purging, [&shared = shared_, state = chores_](connection& db) {
    const std::int64_t day = 86400;
    auto gone = purge_tombstones(db, *shared.all, shared.options.tombstone_days * day, kPurgeRows);
    if (!gone) perf::log_warn("tombstones could not be purged", {{"why", gone.error().text()}});
    if (auto now = read_clock(db)) shared.horizon.store(now->horizon);
    auto old = purge_idempotency(db, unix_seconds() - std::int64_t{3600} * shared.options.idempotency_keep_h,
                                 kPurgeRows);
    if (!old) perf::log_warn("idempotency records could not be purged", {{"why", old.error().text()}});
    if ((gone && gone->more) || (old && *old == kPurgeRows)) state->more_to_purge.store(true);
  });
  if (!first) chores_->more_to_purge.store(true);
}

// False while the last chore of its kind is still to end. That ends when it is gone: it ran, found no room,
// or was dropped because the database cannot be opened.
bool watcher::push_once(std::atomic<bool> chore_state::*kind, write_chore what) {
  if (((*chores_).*kind).exchange(true)) return false;
  const auto free_again = [state = chores_, kind](void*) { ((*state).*kind).store(false); };
  std::shared_ptr<void> busy(nullptr, free_again);  // calls it with its last copy
  writing_.queue().push_chore([busy = std::move(busy), run = std::move(what)](connection& db) { run(db); });
  return true;
}

}  // namespace syncline::storage::sqlite
