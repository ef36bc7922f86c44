#include "server/bulk_reader.h"

#include <gtest/gtest.h>

#include <fmt/format.h>

namespace syncline::server {
namespace {

using reader_got = bulk_reader::got;
using storage::write_kind;

storage::resource things() {
  storage::resource of;
  of.name = "things";
  for (const auto& [name, type] :
       {std::pair{"id", storage::column_type::int64}, std::pair{"name", storage::column_type::string}}) {
    storage::column c;
    c.name = name;
    c.type = type;
    of.columns.push_back(c);
  }
  of.columns[0].nullable = false;
  of.key = {0};
  return of;
}

bulk_options small_batches() {
  bulk_options options;
  options.batch_rows = 3;
  options.row_bytes_max = 100;
  return options;
}

struct read_all {
  std::uint32_t rows = 0;
  std::uint32_t batches = 0;
  std::vector<std::string> rejected;
};

// Feeds `text` in pieces of `step` bytes.
read_all run(bulk_reader& reader, std::string_view text, std::size_t step) {
  read_all all;
  bulk_batch batch = reader.new_batch();
  for (;;) {
    const reader_got what = reader.fill(batch, 1);
    if (what == reader_got::need_more) {
      text.empty() ? reader.finish() : reader.feed(text.substr(0, step));
      text.remove_prefix(std::min(step, text.size()));
      continue;
    }
    if (what == reader_got::paused) continue;
    EXPECT_NE(what, reader_got::bad_header) << reader.header_fault();
    EXPECT_LE(batch.rows.row_count + batch.rejected.size(), 3u);
    EXPECT_EQ(batch.rows.cells.size(), batch.rows.row_count * 2u);
    EXPECT_EQ(batch.numbers.size(), batch.rows.row_count);
    all.rows += batch.rows.row_count;
    ++all.batches;
    for (const auto& bad : batch.rejected) all.rejected.push_back(fmt::format("{}:{}", bad.number, bad.code));
    batch = reader.new_batch();
    if (what != reader_got::batch_full) return all;
  }
}

TEST(BulkReader, CutsBatchesAndNamesBadLinesWhateverThePieces) {
  const auto of = things();
  const std::string text =
      "{\"id\":1,\"name\":\"a\"}\n{\"id\":2}\r\n\n{\"id\":\"x\"}\n{\"id\":3,\"nme\":1}\n{\"id\":4\n" +
      std::string(200, 'x') + "\n{\"id\":1}\n{\"name\":\"no key\"}\n{\"id\":5,\"name\":\"last\"}";
  const std::vector<std::string> expected{"4:wrong-type",    "5:unknown-column", "6:malformed-json",
                                          "7:row-too-large", "8:duplicate-key",  "9:missing-key"};
  for (const std::size_t step : {std::size_t{1}, std::size_t{7}, std::size_t{100000}}) {
    bulk_reader reader(of, bulk_format::ndjson, write_kind::upsert, small_batches());
    const read_all all = run(reader, text, step);
    EXPECT_EQ(all.rows, 3u) << step;
    EXPECT_EQ(all.rejected, expected) << step;
    EXPECT_EQ(reader.lines(), 10u) << step;
  }
}

TEST(BulkReader, ReadsCsvByItsHeader) {
  const auto of = things();
  bulk_reader reader(of, bulk_format::csv, write_kind::upsert, small_batches());
  const read_all all = run(reader, "name,id\r\n\"a, \"\"b\"\"\",1\r\nx,2\r\ny\r\nz,two\r\n", 5);
  EXPECT_EQ(all.rows, 2u);
  EXPECT_EQ(all.rejected, (std::vector<std::string>{"4:field-count", "5:wrong-type"}));
}

TEST(BulkReader, RefusesACsvWhoseHeaderIsWrong) {
  const auto of = things();
  for (const char* text : {"", "id,nme\n", "id,id\n", "name\n"}) {
    bulk_reader reader(of, bulk_format::csv, write_kind::upsert, small_batches());
    reader.feed(text);
    reader.finish();
    bulk_batch batch = reader.new_batch();
    reader_got what = reader_got::paused;
    while (what == reader_got::paused) what = reader.fill(batch, 10);
    EXPECT_EQ(what, reader_got::bad_header) << text;
    EXPECT_FALSE(reader.header_fault().empty());
  }
}

TEST(BulkReader, ResumesBehindWhatIsKnownToBeStored) {
  const auto of = things();
  const std::string text = "{\"id\":1}\n{\"id\":2}\n{\"id\":3}\n{\"id\":1}\n{\"id\":4}\n";
  bulk_reader reader(of, bulk_format::ndjson, write_kind::upsert, small_batches());
  reader.skip_through(2);
  const read_all all = run(reader, text, 100);
  EXPECT_EQ(all.rows, 2u);
  EXPECT_EQ(all.rejected, (std::vector<std::string>{"4:duplicate-key"}));
}

TEST(BulkReader, PausesExactlyBehindWhatIsKnownToBeStored) {
  const auto of = things();
  bulk_reader reader(of, bulk_format::ndjson, write_kind::upsert, small_batches());
  reader.skip_through(2);
  reader.feed("{\"id\":1}\n{\"id\":\n{\"id\":3}\n");
  reader.finish();
  bulk_batch batch = reader.new_batch();
  EXPECT_EQ(reader.fill(batch, 64), reader_got::paused);
  EXPECT_EQ(reader.lines(), 2u);
  EXPECT_TRUE(batch.empty()) << "a row behind the prefix, or a rejection that was told before";
  EXPECT_EQ(reader.fill(batch, 64), reader_got::end);
  EXPECT_EQ(batch.numbers, (std::vector<std::uint64_t>{3}));
}

TEST(BulkReader, TheHashOfALinePrefixDependsOnItsBytes) {
  const auto of = things();
  const auto hash = [&of](std::string_view text) {
    bulk_reader reader(of, bulk_format::ndjson, write_kind::upsert, small_batches());
    run(reader, text, 100);
    return reader.prefix_hash();
  };
  EXPECT_EQ(hash("{\"id\":1}\n{\"id\":2}\n"), hash("{\"id\":1}\r\n{\"id\":2}"));
  EXPECT_NE(hash("{\"id\":1}\n{\"id\":2}\n"), hash("{\"id\":2}\n{\"id\":1}\n"));
}

}  // namespace
}  // namespace syncline::server
