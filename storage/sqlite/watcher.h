// Notices commits of other processes and looks after the file: is it still ours, are the triggers there, what
// can be purged.
//
// A commit of another process changes the WAL file, which inotify tells; it becomes visible a little later
// (an fsync lies between), so after an event `PRAGMA data_version` is polled each millisecond for up to
// kLookMs. Without events it is polled each poll_interval_ms. Thread: its own, with its own connection; what
// writes is done as a chore of the writer. Bound: one notice at a time, kPurgeRows a chore, kNumberTurn and
// one range of kNumberRangeRows of a table that was swapped. Failure: it logs, sets the store's health, and
// tries again, also after an exception; without inotify it polls.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>

#include "storage/sqlite/number_rows.h"
#include "storage/sqlite/store_shared.h"
#include "storage/sqlite/writer.h"

namespace syncline::storage::sqlite {

inline constexpr int kLookMs = 50;
inline constexpr int kLookMaxMs = 500;
inline constexpr std::uint32_t kPurgeRows = 1000;
inline constexpr std::uint32_t kNumberRangeRows = 500;
inline constexpr std::chrono::milliseconds kNumberTurn{10};
inline constexpr std::int64_t kWalBytesMax = 64LL * 1024 * 1024;

class watcher {
 public:
  watcher(store_shared& shared, writer& writing);
  ~watcher();
  watcher(const watcher&) = delete;
  watcher& operator=(const watcher&) = delete;

  [[nodiscard]] net::result<void> start();
  void stop();

 private:
  struct file_identity {
    std::uint64_t device = 0, inode = 0;
    bool operator==(const file_identity&) const = default;
  };
  void run(connection db);
  void watch_files();
  // Waits; true when a file changed.
  [[nodiscard]] bool wait(int timeout_ms);
  [[nodiscard]] bool drain_events();
  [[nodiscard]] bool stopping() const noexcept { return stopping_.load(std::memory_order_relaxed); }
  // True when somebody committed since the last look.
  [[nodiscard]] bool look(connection& db);
  void look_closely(connection& db);
  void look_after(connection& db);
  void check_file();
  void check_schema(connection& db);
  // Makes Syncline's objects again, and then, a batch a chore, the entries of the rows that are there.
  void install();
  void number_rows();
  void check_wal();
  // Rows that others wrote, or that a crash or a failing index left, go into the keyword indexes.
  void check_search(connection& db);
  void probe_writes();
  void purge();

  // What a chore left to be done; chores may outlast the watcher's thread, so they share it.
  struct chore_state {
    std::atomic<bool> migrating{false}, purging{false}, probing{false}, checkpointing{false},
        more_to_purge{false}, indexing{false}, more_to_index{false}, index_fails{false}, numbering{false},
        more_to_number{false};
    row_numbering rows{kNumberRangeRows};  // the writer's thread
  };
  bool push_once(std::atomic<bool> chore_state::*kind, write_chore what);

  store_shared& shared_;
  writer& writing_;
  file_identity opened_;
  std::int64_t version_ = -1;
  std::int64_t schema_version_ = -1;
  int inotify_ = -1;
  int wal_watch_ = -1;
  int stop_event_ = -1;
  std::atomic<bool> stopping_{false};
  std::shared_ptr<chore_state> chores_ = std::make_shared<chore_state>();
  net::steady_time next_file_check_{}, next_schema_check_{}, next_purge_{}, next_wal_check_{},
      next_search_check_{};
  std::thread thread_;
};

}  // namespace syncline::storage::sqlite
