// Golden bytes of the lines a bulk upload answers with.
#include "server/bulk_report.h"

#include <gtest/gtest.h>

namespace syncline::server {
namespace {

storage::row_result fate_of(storage::fate what) {
  storage::row_result row;
  row.what = what;
  if (what == storage::fate::rejected) row.why = net::error(net::errc::conflict, "the key exists", "17");
  return row;
}

TEST(BulkReport, NamesRejectedRowsInOrderThenCountsTheBatch) {
  bulk_report report(100);
  bulk_batch sent;
  sent.lines_done = 5;
  sent.numbers = {1, 3, 4};
  sent.rejected = {{2, "wrong-type", "age", "expected a number, got \"x\""}};
  storage::write_outcome outcome;
  outcome.position = 42;
  outcome.rows = {fate_of(storage::fate::created), fate_of(storage::fate::rejected),
                  fate_of(storage::fate::unchanged)};
  report.batch(sent, outcome);
  EXPECT_EQ(report.text(),
            "{\"line\":\"rejected\",\"number\":2,\"code\":\"wrong-type\",\"column\":\"age\",\"detail\":"
            "\"expected a number, got \\\"x\\\"\"}\r\n"
            "{\"line\":\"rejected\",\"number\":3,\"code\":\"conflict\",\"detail\":\"the key exists: 17\"}\r\n"
            "{\"line\":\"batch\",\"rows\":4,\"lines_done\":5,\"created\":1,\"updated\":0,\"unchanged\":1,"
            "\"skipped\":0,\"rejected\":2,\"position\":42}\r\n");
}

TEST(BulkReport, StopsNamingButGoesOnCounting) {
  bulk_report report(1);
  report.rejected({{1, "a", "", "x"}, {2, "a", "", "x"}, {3, "a", "", "x"}});
  report.summary(true, "");
  EXPECT_EQ(report.text(),
            "{\"line\":\"rejected\",\"number\":1,\"code\":\"a\",\"detail\":\"x\"}\r\n"
            "{\"line\":\"summary\",\"rows\":3,\"created\":0,\"updated\":0,\"unchanged\":0,\"skipped\":0,"
            "\"rejected\":3,\"position\":0,\"complete\":true}\r\n");
}

TEST(BulkReport, TellsWhyAnUploadEnded) {
  bulk_report report(1);
  report.failure("disk-full", "no room");
  EXPECT_EQ(report.text(),
            "{\"line\":\"error\",\"type\":\"/problems/disk-full\",\"detail\":\"no room\"}\r\n");
}

TEST(BulkReport, CountersSurviveTheirText) {
  bulk_counters counters;
  counters.created = 1;
  counters.updated = 2;
  counters.unchanged = 3;
  counters.skipped = 4;
  counters.rejected = 5;
  counters.position = 6;
  bulk_counters back;
  ASSERT_TRUE(back.parse(counters.text()));
  EXPECT_EQ(back.text(), counters.text());
  EXPECT_FALSE(back.parse("1 2 three"));
}

}  // namespace
}  // namespace syncline::server
