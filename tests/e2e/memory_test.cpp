// Memory stays flat: what the server holds does not grow with the upload, with the table, or with clients
// that do not read.
#include <gtest/gtest.h>

#include <fstream>
#include <vector>

#include <fmt/format.h>

#include "tests/e2e/small_server.h"

namespace syncline::e2e {
namespace {

// Sanitizers and their shadow memory are not what is measured here; everything else of the test holds with
// them, on fewer rows.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kMeasures = false;
constexpr int kRows =
    80000;  // about 8 MB of lines, more than the kernel buffers for a reader that does not read
#else
constexpr bool kMeasures = true;
constexpr int kRows = 200000;
#endif
constexpr int kSlowReaders = 100;
constexpr std::int64_t kPeakBytesMax = 100 * 1024 * 1024;

// The most that was ever resident.
std::int64_t peak_bytes(pid_t pid) {
  std::ifstream in(fmt::format("/proc/{}/status", pid));
  for (std::string line; std::getline(in, line);) {
    if (line.starts_with("VmHWM:")) return std::stoll(line.substr(6)) * 1024;
  }
  return 0;
}

TEST(Memory, StaysFlatForALargeUploadAndAHundredSlowReaders) {
  // They are to be there to the end, however long a sanitizer takes for the rest.
  const small_server server({"bulk.batch_rows=250", "sync.page_rows_max=1000", "drain_deadline_ms=0",
                             "http.write_progress_timeout_ms=600000"});
  http_client uploader(server.port());
  uploader.begin_upload("/v1/items/bulk");
  std::string piece;
  for (int id = 1; id <= kRows; ++id) {
    piece += fmt::format(R"({{"id":{0},"owner":{1},"note":"row {0} of many"}})"
                         "\n",
                         id, id % 100);
    if (piece.size() < 256 * 1024 && id != kRows) continue;
    uploader.send_piece(piece);
    piece.clear();
  }
  uploader.last_piece();
  EXPECT_EQ(upload_answer(uploader.read_answer()).count("created"), kRows);

  // Each reads a few lines and then no more: 4 KB of the whole table fit into its window.
  std::vector<http_client> slow;
  for (int i = 0; i < kSlowReaders; ++i) {
    slow.emplace_back(server.port(), 4096);
    ASSERT_EQ(slow.back().open_stream("/v1/sync?resources=items"), 200);
    ASSERT_TRUE(slow.back().next_line(20000));
  }
  std::int64_t lines = 0;
  http_client fast(server.port());
  ASSERT_EQ(fast.open_stream("/v1/sync?resources=items"), 200);
  while (const auto line = fast.next_line(20000)) lines += line->starts_with(R"({"op":"put")") ? 1 : 0;
  EXPECT_EQ(lines, kRows);
  EXPECT_EQ(server.metric("syncline_sync_streams"), kSlowReaders);
  const std::int64_t peak = peak_bytes(server.process->pid());
  fmt::print("peak resident: {} MB\n", peak / 1024 / 1024);
  EXPECT_GT(peak, 0);
  if (kMeasures) {
    EXPECT_LT(peak, kPeakBytesMax);
  }
}

}  // namespace
}  // namespace syncline::e2e
