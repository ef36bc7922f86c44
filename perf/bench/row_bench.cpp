// Rows in and out: a row of 12 columns (about 380 bytes of JSON) encoded, read from JSON, and an upload of
// 26,000 users encoded, cut and read.
#include <benchmark/benchmark.h>

#include <string>
#include <vector>

#include "storage/line_splitter.h"
#include "storage/row_json.h"
#include "storage/row_reader.h"

namespace {

using namespace syncline::storage;

constexpr std::size_t kUsers = 26'000;

resource users() {
  resource out;
  out.name = "users";
  const auto add = [&out](std::string name, column_type type) {
    column c;
    c.name = std::move(name);
    c.type = type;
    out.columns.push_back(std::move(c));
  };
  add("id", column_type::int64);
  add("name", column_type::string);
  add("email", column_type::string);
  add("city", column_type::string);
  add("bio", column_type::string);
  add("visits", column_type::int64);
  add("score", column_type::float64);
  add("active", column_type::boolean);
  add("state", column_type::json);
  add("created_at", column_type::timestamp);
  add("updated_at", column_type::timestamp);
  add("balance", column_type::decimal);
  out.key = {0};
  return out;
}

std::vector<cell> user(std::size_t i) {
  return {cell::of_int(static_cast<std::int64_t>(i)),
          cell::of_text("Ann-Katrin O'Example"),
          cell::of_text("ann.katrin.example@mail.example.org"),
          cell::of_text("Sankt P\xC3\xB6lten"),
          cell::of_text("Runs, reads and says \"hello\" to everyone she meets on the way to work."),
          cell::of_int(static_cast<std::int64_t>(i * 7)),
          cell::of_real(static_cast<double>(i) * 0.37),
          cell::of_int(1),
          cell::of_text(R"({"theme":"dark","tags":["a","b"],"n":3})"),
          cell::of_text("2026-11-20T12:00:00Z"),
          cell::of_text("2026-11-20T12:00:00.123Z"),
          cell::of_text("1234.50")};
}

std::string upload(const resource& of) {
  const row_encoder encoder(of, projection::all(of));
  std::string out;
  for (std::size_t i = 0; i < kUsers; ++i) {
    if (!encoder.append(user(i), out)) std::abort();
    out.append("\r\n");
  }
  return out;
}

void encode_row(benchmark::State& state) {
  const resource of = users();
  const row_encoder encoder(of, projection::all(of));
  const std::vector<cell> row = user(12345);
  std::string out;
  for (auto _ : state) {
    out.clear();
    if (!encoder.append(row, out)) state.SkipWithError("not encoded");
    benchmark::DoNotOptimize(out.data());
  }
  state.SetBytesProcessed(static_cast<std::int64_t>(out.size()) * state.iterations());
}
BENCHMARK(encode_row);

void encode_26000_rows(benchmark::State& state) {
  const resource of = users();
  const row_encoder encoder(of, projection::all(of));
  std::vector<std::vector<cell>> rows;
  for (std::size_t i = 0; i < kUsers; ++i) rows.push_back(user(i));
  std::string out;
  for (auto _ : state) {
    out.clear();
    for (const auto& row : rows) {
      if (!encoder.append(row, out)) state.SkipWithError("not encoded");
    }
    benchmark::DoNotOptimize(out.data());
  }
}
BENCHMARK(encode_26000_rows)->Unit(benchmark::kMillisecond);

void read_row(benchmark::State& state) {
  const resource of = users();
  std::string text;
  if (!row_encoder(of, projection::all(of)).append(user(12345), text)) std::abort();
  row_reader reader(of);
  text_arena arena;
  std::vector<cell> cells(of.columns.size());
  for (auto _ : state) {
    if (arena.bytes() > 256 * 1024) arena.clear();
    if (reader.read_json(text, row_form::partial, arena, cells)) state.SkipWithError("refused");
    benchmark::DoNotOptimize(cells.data());
  }
  state.SetBytesProcessed(static_cast<std::int64_t>(text.size()) * state.iterations());
}
BENCHMARK(read_row);

// In pieces of 64 KB, as a socket gives them.
void cut_and_read_26000_rows(benchmark::State& state) {
  const resource of = users();
  const std::string input = upload(of);
  for (auto _ : state) {
    row_reader reader(of);
    line_splitter splitter(1024 * 1024);
    text_arena arena;
    std::vector<cell> cells(of.columns.size());
    std::size_t rows = 0;
    for (std::size_t at = 0; at < input.size(); at += 64 * 1024) {
      splitter.feed(std::string_view(input).substr(at, 64 * 1024));
      std::string_view line;
      std::uint64_t number = 0;
      while (splitter.next(line, number) == line_splitter::got::line) {
        if (arena.bytes() > 256 * 1024) arena.clear();
        if (!reader.read_json(line, row_form::partial, arena, cells)) ++rows;
      }
    }
    if (rows != kUsers) state.SkipWithError("rows are missing");
  }
  state.SetBytesProcessed(static_cast<std::int64_t>(input.size()) * state.iterations());
}
BENCHMARK(cut_and_read_26000_rows)->Unit(benchmark::kMillisecond);

void cut_csv(benchmark::State& state) {
  std::string input;
  for (std::size_t i = 0; i < kUsers; ++i) {
    input.append(std::to_string(i))
        .append(
            ",Ann-Katrin,ann@example.org,\"says \"\"hi\"\", often\",,12.50,2026-11-20T12:00:00Z,true\r\n");
  }
  for (auto _ : state) {
    csv_splitter splitter(1024 * 1024);
    std::vector<row_reader::csv_field> fields;
    std::uint64_t number = 0;
    std::string detail;
    std::size_t rows = 0;
    for (std::size_t at = 0; at < input.size(); at += 64 * 1024) {
      splitter.feed(std::string_view(input).substr(at, 64 * 1024));
      while (splitter.next(fields, number, detail) == csv_splitter::got::record) ++rows;
    }
    if (rows != kUsers) state.SkipWithError("records are missing");
  }
  state.SetBytesProcessed(static_cast<std::int64_t>(input.size()) * state.iterations());
}
BENCHMARK(cut_csv)->Unit(benchmark::kMillisecond);

void check_utf8(benchmark::State& state) {
  std::string text;
  while (text.size() < 4096) text.append(state.range(0) != 0 ? "Gr\xC3\xBC\xC3\x9F Gott " : "good morning ");
  for (auto _ : state) benchmark::DoNotOptimize(valid_utf8(text));
  state.SetBytesProcessed(static_cast<std::int64_t>(text.size()) * state.iterations());
}
BENCHMARK(check_utf8)->Arg(0)->Arg(1);

}  // namespace
