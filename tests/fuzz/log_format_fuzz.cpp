// Whatever a client manages to get into a log value, the log stays one line of printable UTF-8 per record.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "perf/log_format.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(bytes), size);
  std::string line;
  syncline::perf::append_log_key(line, text);
  line += '=';
  const std::size_t value_at = line.size();
  syncline::perf::append_log_value(line, text);

  for (const char c : line) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7f) std::abort();
  }
  // A quoted value ends at its own closing quote: no quote inside stands without a backslash before it.
  const std::string_view value = std::string_view(line).substr(value_at);
  if (value.empty()) std::abort();
  if (value.front() != '"')
    return value.find_first_of(" =\"\\") == std::string_view::npos ? 0 : (std::abort(), 0);
  std::size_t at = 1;
  while (value[at] != '"') at += value[at] == '\\' ? 2 : 1;
  if (at + 1 != value.size()) std::abort();
  return 0;
}
