#include "storage/feed.h"

#include <fmt/format.h>

#include "storage/row_json.h"

namespace syncline::storage {

std::string_view to_string(reset_reason reason) noexcept {
  switch (reason) {
    case reset_reason::none:
      return "none";
    case reset_reason::declaration_changed:
      return "declaration-changed";
    case reset_reason::history_purged:
      return "history-purged";
    case reset_reason::unknown_generation:
      return "unknown-generation";
    case reset_reason::feed_went_back:
      return "feed-went-back";
  }
  return "none";
}

std::uint64_t hash_of_stream(const std::vector<stream_part>& parts,
                             std::span<const std::int64_t> incarnations) {
  std::string text;
  for (std::size_t i = 0; i < parts.size(); ++i)
    text += fmt::format("{}\n{:x}\n{}\n{}\n", parts[i].of->name, parts[i].of->declaration_hash(),
                        incarnations[i], parts[i].scope);
  return hash_bytes(text);
}

bool is_primary_scope(const resource& of, std::string_view scope) noexcept {
  if (scope.empty() || of.scopes.empty()) return scope.empty();
  const std::string& name = of.scopes.front().name;
  return scope.size() > name.size() && scope[name.size()] == ':' && scope.starts_with(name);
}

}  // namespace syncline::storage
