// Lines and CSV records are the same however the network cuts them into pieces.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "storage/line_splitter.h"

using namespace syncline::storage;

namespace {

// Sizes of the pieces, used round and round.
using cuts = std::vector<std::size_t>;

struct report {
  int what = 0;
  std::uint64_t number = 0;
  std::vector<std::string> texts;
  bool operator==(const report&) const = default;
};

template <class Splitter, class Next>
std::vector<report> split(Splitter splitter, std::string_view input, const cuts& pieces, std::size_t bound,
                          Next next) {
  std::vector<report> out;
  const auto drain = [&] {
    for (;;) {
      report one;
      const auto what = next(splitter, one);
      if (what == Splitter::got::need_more || what == Splitter::got::end) return what;
      one.what = static_cast<int>(what);
      for (const std::string& text : one.texts) {  // one byte more: the mark of a quoted field
        if (text.size() > bound + 1) std::abort();
      }
      out.push_back(std::move(one));
    }
  };
  for (std::size_t i = 0; !input.empty(); ++i) {
    const std::size_t size = std::min(std::max<std::size_t>(1, pieces[i % pieces.size()]), input.size());
    splitter.feed(input.substr(0, size));
    input.remove_prefix(size);
    if (drain() != Splitter::got::need_more) std::abort();
  }
  splitter.finish();
  if (drain() != Splitter::got::end) std::abort();
  return out;
}

std::vector<report> split_lines(std::string_view input, const cuts& pieces, std::size_t bound) {
  return split(line_splitter(bound), input, pieces, bound, [](line_splitter& s, report& one) {
    std::string_view line;
    const auto what = s.next(line, one.number);
    if (what == line_splitter::got::line) one.texts.emplace_back(line);
    return what;
  });
}

std::vector<report> split_csv(std::string_view input, const cuts& pieces, std::size_t bound) {
  return split(csv_splitter(bound), input, pieces, bound, [](csv_splitter& s, report& one) {
    std::vector<row_reader::csv_field> fields;
    std::string detail;
    const auto what = s.next(fields, one.number, detail);
    if (what == csv_splitter::got::record) {
      for (const auto& f : fields) one.texts.push_back((f.quoted ? "q" : "") + std::string(f.text));
    }
    if (what == csv_splitter::got::malformed) one.texts.push_back(detail.substr(0, 1));
    return what;
  });
}

// What RFC 4180 writes for these fields reads back as these fields.
void check_round_trip(std::string_view input) {
  std::vector<std::string> wanted(1);
  for (const char c : input) {
    if (c == ';') {
      wanted.emplace_back();
    } else {
      wanted.back().push_back(c);
    }
  }
  if (wanted.size() > kCsvFieldsMax) return;
  std::string record;
  for (const std::string& text : wanted) {
    if (!record.empty()) record.push_back(',');
    record.push_back('"');
    for (const char c : text) record.append(c == '"' ? 2 : 1, c);
    record.push_back('"');
  }
  const auto got = split_csv(record + "\r\n", {7}, record.size());
  if (got.size() != 1 || got[0].texts.size() != wanted.size()) std::abort();
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    if (got[0].texts[i] != "q" + wanted[i]) std::abort();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  if (size < 2) return 0;
  const std::size_t bound = bytes[0] % 64;
  const std::size_t piece = 1U + bytes[1] % 16U;
  const std::string_view input(reinterpret_cast<const char*>(bytes) + 2, size - 2);
  const cuts whole = {input.size()};
  for (const cuts& pieces : {cuts{1}, cuts{piece}, cuts{1, piece, 3}}) {
    if (split_lines(input, pieces, bound) != split_lines(input, whole, bound)) std::abort();
    if (split_csv(input, pieces, bound) != split_csv(input, whole, bound)) std::abort();
  }
  check_round_trip(input);
  return 0;
}
