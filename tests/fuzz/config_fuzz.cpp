// Any text is a config or a config_error that names the file and a line; nothing else is thrown and nothing
// hangs.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "server/config.h"

namespace {

// "f.json:12: …": a place of the text itself, with a line that exists.
bool names_a_place(std::string_view message, std::string_view text) {
  constexpr std::string_view kFile = "f.json:";
  if (!message.starts_with(kFile)) return false;
  message.remove_prefix(kFile.size());
  std::size_t line = 0;
  while (!message.empty() && message.front() >= '0' && message.front() <= '9') {
    line = line * 10 + static_cast<std::size_t>(message.front() - '0');
    message.remove_prefix(1);
  }
  std::size_t lines = 1;
  for (const char c : text) lines += c == '\n' ? 1 : 0;
  return line >= 1 && line <= lines && message.starts_with(": ");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(bytes), size);
  try {
    const auto got = syncline::server::parse_config(text, "f.json");
    // What was accepted keeps the promises the rest of the server builds on.
    for (std::size_t i = 0; i < got.resources.size(); ++i) {
      const auto& each = got.resources.at(i);
      if (each.key.empty() || each.columns.empty()) std::abort();
      for (const std::size_t column : each.key) {
        if (column >= each.columns.size()) std::abort();
      }
      if (each.view && (each.synced || each.write.bulk || each.write.create)) std::abort();
    }
    for (const auto& merged : got.resources.merges()) {
      for (const auto& part : merged.parts) {
        if (part.by.size() != merged.root->key.size()) std::abort();
      }
    }
  } catch (const syncline::server::config_error& failed) {
    if (!names_a_place(failed.what(), text)) std::abort();
  }
  return 0;
}
