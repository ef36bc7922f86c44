// One suite for every store: the same tests, one parameter apart.
#pragma once

#include <memory>

#include "tests/storage/store_calls.h"
#include "tests/store/engine.h"

namespace syncline::storage::testing {

class store_suite : public store_calls, public ::testing::WithParamInterface<engine_kind> {
 protected:
  ~store_suite() override { close_store(); }
  void SetUp() override {
    database_ = make_engine(GetParam());
    if (const std::string why = database_->missing(); !why.empty()) GTEST_SKIP() << why;
    database_->make_tables();
  }
  void open_store() {
    auto made = database_->open(settings_, all_, cores_);
    ASSERT_TRUE(made.has_value()) << made.error().text();
    store_ = std::move(*made);
    store_->set_listener(&listener_);
  }
  // Beside an open store: returns when the feed has what was done.
  void run(std::string_view sql) {
    database_->run(sql);
    if (!store_) return;
    EXPECT_TRUE(eventually([&] { return database_->all_in_feed(); })) << sql;
  }

  std::unique_ptr<engine> database_;
  engine_settings settings_;
};

inline auto every_engine() {
  return ::testing::Values(engine_kind::sqlite, engine_kind::mysql);
}

}  // namespace syncline::storage::testing
