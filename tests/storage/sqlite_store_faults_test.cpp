#include <sys/mount.h>

#include <csignal>
#include <filesystem>
#include <fstream>

#include <sys/resource.h>

#include <fmt/format.h>

#include "tests/storage/sqlite_store_fixture.h"

namespace syncline::storage::sqlite::testing {

class sqlite_store_faults : public store_test {
 protected:
  net::result<write_outcome> put(std::int64_t id, std::string_view name = "a", prepare_context prepare = {}) {
    batch_builder b(users(), write_kind::upsert);
    b.row({{"id", I(id)}, {"name", T(name)}});
    return write(std::move(b.batch), std::move(prepare));
  }
};

TEST_F(sqlite_store_faults, AForeignLockGivesLockedAndThenRecovers) {
  options_.busy_timeout_ms = 50;
  open_store();
  connection db = open_or_die(file_.path());
  run(db, "BEGIN IMMEDIATE");
  auto made = put(1);
  ASSERT_FALSE(made.has_value());
  EXPECT_EQ(made.error().code, net::errc::locked);
  EXPECT_FALSE(store_->read_figures().healthy);
  EXPECT_FALSE(store_->read_figures().trouble.empty());
  EXPECT_EQ(row_of(users(), "1"), "");  // reads go on
  run(db, "ROLLBACK");
  EXPECT_EQ(fates(put(1)), "c");
  EXPECT_TRUE(store_->read_figures().healthy);
}

TEST_F(sqlite_store_faults, HealthRecoversWithoutAWrite) {
  options_.busy_timeout_ms = 20;
  open_store();
  connection db = open_or_die(file_.path());
  run(db, "BEGIN IMMEDIATE");
  ASSERT_FALSE(put(1).has_value());
  run(db, "ROLLBACK");
  EXPECT_TRUE(eventually([&] { return store_->read_figures().healthy; }));
}

TEST_F(sqlite_store_faults, ALockThatIsShortIsWaitedFor) {
  options_.busy_timeout_ms = 20000;
  open_store();
  connection db = open_or_die(file_.path());
  run(db, "BEGIN IMMEDIATE");
  net::result<write_outcome> made = net::error();
  batch_builder b(users(), write_kind::upsert);
  b.row({{"id", I(1)}, {"name", T("a")}});
  auto ended = start_write(std::move(b.batch), made);
  ASSERT_TRUE(eventually([&] { return store_->read_figures().write_queue_batches == 1; }));
  run(db, "ROLLBACK");
  ASSERT_EQ(ended.wait_for(net::testing::kTestWait), std::future_status::ready);
  EXPECT_EQ(fates(made), "c");
}

// A full disk: a small tmpfs where that may be mounted, else a limit on the size of files.
class full_disk {
 public:
  explicit full_disk(const std::string& folder) : folder_(folder) {
    std::filesystem::create_directories(folder_);
    mounted_ = mount("tmpfs", folder_.c_str(), "tmpfs", 0, "size=512k") == 0;
  }
  ~full_disk() {
    if (mounted_) umount2(folder_.c_str(), MNT_DETACH);
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
  }
  full_disk(const full_disk&) = delete;
  full_disk& operator=(const full_disk&) = delete;
  void fill() {
    if (!mounted_) return limit(300 * 1024);
    std::ofstream out(folder_ + "/filler", std::ios::binary);
    const std::string block(4096, 'x');
    while (out.write(block.data(), 4096) && out.flush()) {
    }
  }
  void make_room() {
    if (!mounted_) return limit(RLIM_INFINITY);
    std::filesystem::remove(folder_ + "/filler");
  }

 private:
  static void limit(rlim_t bytes) {
    std::signal(SIGXFSZ, SIG_IGN);
    rlimit now{};
    getrlimit(RLIMIT_FSIZE, &now);
    now.rlim_cur = std::min(bytes, now.rlim_max);
    setrlimit(RLIMIT_FSIZE, &now);
  }
  std::string folder_;
  bool mounted_ = false;
};

TEST_F(sqlite_store_faults, AFullDiskAppliesNothingByHalvesAndRecovers) {
  full_disk disk(file_.path() + ".d");
  options_.path = file_.path() + ".d/full.db";
  {
    connection db = open_or_die(options_.path);
    run(db, kTables);
  }
  open_store();
  create_users(1, 5);
  disk.fill();
  const std::string big(20000, 'x');
  bool failed = false;
  std::int64_t last_good = 5;
  for (std::int64_t id = 100; id < 200 && !failed; id += 2) {
    batch_builder b(users(), write_kind::upsert);
    b.row({{"id", I(id)}, {"name", T(big)}}).row({{"id", I(id + 1)}, {"name", T(big)}});
    auto made = write(b);
    failed = !made.has_value();
    if (!failed) {
      last_good = id + 1;
    } else {
      // At once: what the writer does by itself in between may fit and end the trouble.
      EXPECT_FALSE(store_->read_figures().healthy);
      EXPECT_TRUE(made.error().code == net::errc::disk_full || made.error().code == net::errc::down)
          << made.error().text();
      EXPECT_EQ(row_of(users(), std::to_string(id)), "");
      EXPECT_EQ(row_of(users(), std::to_string(id + 1)), "");
    }
  }
  ASSERT_TRUE(failed);
  EXPECT_NE(row_of(users(), std::to_string(last_good)), "");
  disk.make_room();
  EXPECT_EQ(fates(put(300, big)), "c");
  EXPECT_TRUE(store_->read_figures().healthy);
  connection db = open_or_die(options_.path);
  EXPECT_EQ(db.query_text("PRAGMA integrity_check").value(), "ok");
  EXPECT_TRUE(check_feed(db, all_, false)->clean());
  close_store();
}

TEST_F(sqlite_store_faults, AGarbageFileIsRefusedWhenOpening) {
  for (const char* end : {"", "-wal", "-shm"}) std::filesystem::remove(file_.path() + end);
  std::ofstream(file_.path(), std::ios::binary) << std::string(8192, 'g');
  auto made = open_sqlite_store(options_, all_);
  ASSERT_FALSE(made.has_value());
  EXPECT_EQ(made.error().code, net::errc::corrupt);
  EXPECT_FALSE(made.error().text().empty());
}

TEST_F(sqlite_store_faults, AMissingFileOrFeedIsRefusedWhenOpening) {
  options_.migrate_on_start = false;
  auto unprepared = open_sqlite_store(options_, all_);
  ASSERT_FALSE(unprepared.has_value());
  EXPECT_EQ(unprepared.error().code, net::errc::schema_mismatch);
  EXPECT_NE(unprepared.error().text().find("syncline migrate"), std::string::npos);
  options_.path = file_.path() + ".not-there";
  auto missing = open_sqlite_store(options_, all_);
  ASSERT_FALSE(missing.has_value());
  EXPECT_EQ(missing.error().code, net::errc::down);
}

TEST_F(sqlite_store_faults, AReplacedFileStopsTheStore) {
  open_store();
  create_users(1, 1);
  const std::string aside = file_.path() + ".aside";
  std::filesystem::rename(file_.path(), aside);
  std::filesystem::copy_file(aside, file_.path());
  ASSERT_TRUE(eventually([&] { return !store_->read_figures().healthy; }));
  EXPECT_NE(store_->read_figures().trouble.find("replaced"), std::string::npos);
  auto made = put(2);
  ASSERT_FALSE(made.has_value());
  EXPECT_EQ(made.error().code, net::errc::down);
  EXPECT_EQ(get(users(), {"1"}).error().code, net::errc::down);
  close_store();
  std::filesystem::remove(aside);
}

TEST_F(sqlite_store_faults, AFullQueueAnswersOverloadedAtOnce) {
  options_.write_queue_limit_rows = 10;
  options_.busy_timeout_ms = 20000;
  open_store();
  connection db = open_or_die(file_.path());
  run(db, "BEGIN IMMEDIATE");
  std::vector<std::future<void>> done;
  std::atomic<int> overloaded{0}, written{0};
  for (int i = 0; i < 8; ++i) {
    done.push_back(
        net::testing::start_task(cores_.at(0), [this, i, &overloaded, &written]() -> net::task<void> {
          net::request_context context(cores_.at(0));
          batch_builder b(users(), write_kind::upsert);
          for (int k = 0; k < 3; ++k) b.row({{"id", I(i * 10 + k)}, {"name", T("a")}});
          auto running = store_->write(context, std::move(b.batch));
          auto made = co_await std::move(running);
          if (made) {
            ++written;
          } else if (made.error().code == net::errc::overloaded && made.error().retry_after_ms > 0) {
            ++overloaded;
          }
        }));
  }
  ASSERT_TRUE(eventually([&] { return overloaded == 5; }));
  run(db, "ROLLBACK");
  for (auto& each : done) ASSERT_EQ(each.wait_for(net::testing::kTestWait), std::future_status::ready);
  EXPECT_EQ(written, 3);
}

// What a broken disk does: the page of a table's root reads as nonsense, and later as what it was.
class damaged_root {
 public:
  damaged_root(const std::string& path, std::string_view table) : path_(path), db_(open_or_die(path)) {
    run(db_, "PRAGMA wal_checkpoint(TRUNCATE); CREATE TABLE other(x); PRAGMA wal_checkpoint(TRUNCATE)");
    const auto page_bytes = db_.query_int("PRAGMA page_size").value();
    const auto root = db_.query_int(fmt::format("SELECT rootpage FROM sqlite_master WHERE name='{}'", table));
    at_ = (root.value() - 1) * page_bytes;
    good_.resize(static_cast<std::size_t>(page_bytes));
    std::ifstream(path_, std::ios::binary).seekg(at_).read(good_.data(), page_bytes);
    overwrite(std::string(good_.size(), '\xa5'));
  }
  void mend() { overwrite(good_); }

 private:
  void overwrite(const std::string& bytes) {
    std::fstream file(path_, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(at_).write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    file.close();
    run(db_, "INSERT INTO other VALUES(1)");  // pages in memory are read anew
  }

  const std::string path_;
  connection db_;
  std::int64_t at_ = 0;
  std::string good_;
};

TEST_F(sqlite_store_faults, ADamagedPageIsToldAndForgottenWhenItIsWhole) {
  open_store();
  create_users(1, 500);
  damaged_root root(file_.path(), "users");
  auto read = get(users(), {"1"});
  ASSERT_FALSE(read.has_value());
  EXPECT_EQ(read.error().code, net::errc::corrupt);
  auto made = put(1, "b");
  ASSERT_FALSE(made.has_value());
  EXPECT_EQ(made.error().code, net::errc::corrupt);
  root.mend();
  EXPECT_TRUE(eventually([&] { return get(users(), {"1"}).has_value(); }));
  EXPECT_EQ(fates(put(1, "b")), "u");
  EXPECT_TRUE(eventually([&] { return store_->read_figures().healthy; }));
}

// Lets SQLite open no file while one lives, as when the process has no descriptor left.
class no_descriptors {
 public:
  no_descriptors() {
    sqlite3_vfs* const vfs = sqlite3_vfs_find(nullptr);
    vfs->xSetSystemCall(vfs, "open", reinterpret_cast<sqlite3_syscall_ptr>(&refuse));
  }
  ~no_descriptors() {
    sqlite3_vfs* const vfs = sqlite3_vfs_find(nullptr);
    vfs->xSetSystemCall(vfs, "open", nullptr);
  }
  no_descriptors(const no_descriptors&) = delete;
  no_descriptors& operator=(const no_descriptors&) = delete;

 private:
  static int refuse(const char*, int, int) {
    errno = EMFILE;
    return -1;
  }
};

// What the watcher asked of the writer's connection while that could not be made anew is asked again.
TEST_F(sqlite_store_faults, AStoreThatCouldNotReopenItsFileRecoversWithoutAWrite) {
  open_store();
  create_users(1, 500);
  damaged_root root(file_.path(), "users");
  const auto made = put(1, "b");
  ASSERT_FALSE(made.has_value());
  ASSERT_EQ(made.error().code, net::errc::corrupt);
  {
    const no_descriptors now;
    const auto cannot_open = [&] { return store_->read_figures().trouble.find("open") != std::string::npos; };
    EXPECT_TRUE(eventually(cannot_open)) << store_->read_figures().trouble;
    std::this_thread::sleep_for(std::chrono::milliseconds(1200));  // the watcher has asked once more
  }
  root.mend();
  EXPECT_TRUE(eventually([&] { return store_->read_figures().healthy; })) << store_->read_figures().trouble;
  EXPECT_EQ(fates(put(1, "b")), "u");
}

TEST_F(sqlite_store_faults, ATransactionThatNobodyWaitsForHoldsUpNobody) {
  options_.busy_timeout_ms = 20000;
  options_.transaction_idle_ms = 60000;
  open_store();
  connection db = open_or_die(file_.path());
  run(db, "BEGIN IMMEDIATE");
  const auto opened = ask<std::uint64_t>(
      [this](net::request_context& context) { return store_->begin_transaction(context); },
      [](net::request_context& context) {
        context.set_deadline(std::chrono::steady_clock::now() + std::chrono::milliseconds(200));
      });
  ASSERT_FALSE(opened.has_value());
  run(db, "ROLLBACK");
  const auto made = put(1, "a", [](net::request_context& context) {
    context.set_deadline(std::chrono::steady_clock::now() + std::chrono::seconds(15));
  });
  EXPECT_EQ(fates(made), "c");
}

// A clause of the owner's table ends the transaction of all because of one row.
TEST_F(sqlite_store_faults, OneRowThatEndsTheTransactionCostsNoOtherAnything) {
  connection db = open_or_die(file_.path());
  run(db,
      "CREATE TABLE audit(x NOT NULL ON CONFLICT ROLLBACK); CREATE TRIGGER noted AFTER INSERT ON users WHEN "
      "NEW.name='bad' "
      "BEGIN INSERT INTO audit VALUES(NULL); END");
  open_store();
  run(db, "BEGIN IMMEDIATE");  // so that both come into one group
  net::result<write_outcome> good = net::error(), bad = net::error();
  const auto start = [&](std::int64_t id, std::string_view name, net::result<write_outcome>& out) {
    batch_builder b(users(), write_kind::upsert);
    b.row({{"id", I(id)}, {"name", T(name)}});
    return start_write(std::move(b.batch), out);
  };
  auto first = start(1, "good", good);
  ASSERT_TRUE(eventually([&] { return store_->read_figures().write_queue_batches == 1; }));
  auto second = start(2, "bad", bad);
  ASSERT_TRUE(eventually([&] { return store_->read_figures().write_queue_batches == 2; }));
  run(db, "ROLLBACK");
  for (auto* each : {&first, &second})
    ASSERT_EQ(each->wait_for(net::testing::kTestWait), std::future_status::ready);
  EXPECT_EQ(fates(good), "c");
  EXPECT_FALSE(bad.has_value() && fates(bad) == "c");
  EXPECT_TRUE(store_->read_figures().healthy) << store_->read_figures().trouble;
  EXPECT_NE(row_of(users(), "1"), "");
  EXPECT_EQ(row_of(users(), "2"), "");
}

TEST_F(sqlite_store_faults, AWriteThatIsTooLateIsNotBegun) {
  options_.busy_timeout_ms = 20000;
  open_store();
  connection db = open_or_die(file_.path());
  run(db, "BEGIN IMMEDIATE");
  auto late = put(1, "a", [](net::request_context& context) {
    context.set_deadline(std::chrono::steady_clock::now() + std::chrono::milliseconds(50));
  });
  ASSERT_FALSE(late.has_value());
  EXPECT_EQ(late.error().code, net::errc::timed_out);
  net::result<write_outcome> cancelled = net::error();
  std::shared_ptr<net::request_context> asking;
  net::testing::run_on(cores_.at(0), [&] { asking = std::make_shared<net::request_context>(cores_.at(0)); });
  auto ended = net::testing::start_task(cores_.at(0), [this, asking, &cancelled]() -> net::task<void> {
    batch_builder b(users(), write_kind::upsert);
    b.row({{"id", I(2)}, {"name", T("a")}});
    auto running = store_->write(*asking, std::move(b.batch));
    cancelled = co_await std::move(running);
  });
  ASSERT_TRUE(eventually([&] { return store_->read_figures().write_queue_batches > 0; }));
  net::testing::run_on(cores_.at(0), [&] { asking->cancel(); });
  ASSERT_EQ(ended.wait_for(net::testing::kTestWait), std::future_status::ready);
  EXPECT_EQ(cancelled.error().code, net::errc::cancelled);
  run(db, "ROLLBACK");
  EXPECT_EQ(fates(put(3)), "c");
  EXPECT_EQ(row_of(users(), "1"), "");
  EXPECT_EQ(row_of(users(), "2"), "");
}

TEST_F(sqlite_store_faults, StopFinishesWhatIsQueuedAndRefusesTheRest) {
  open_store();
  std::vector<std::future<void>> done;
  std::atomic<int> written{0}, refused{0};
  for (int i = 0; i < 50; ++i) {
    done.push_back(net::testing::start_task(cores_.at(0), [this, i, &written, &refused]() -> net::task<void> {
      net::request_context context(cores_.at(0));
      batch_builder b(users(), write_kind::upsert);
      b.row({{"id", I(i)}, {"name", T("a")}});
      auto running = store_->write(context, std::move(b.batch));
      auto made = co_await std::move(running);
      ++(made ? written : refused);
    }));
  }
  store_->stop();
  for (auto& each : done) ASSERT_EQ(each.wait_for(net::testing::kTestWait), std::future_status::ready);
  EXPECT_EQ(written + refused, 50);
  connection db = open_or_die(file_.path());
  EXPECT_EQ(db.query_int("SELECT count(*) FROM users").value(), written);
}

}  // namespace syncline::storage::sqlite::testing
