// RFC 7396 on texts: a tree of doubles would bend numbers that the patch does not even name.
#include <optional>
#include <unordered_map>
#include <vector>

#include "storage/json_text.h"
#include "storage/row_json.h"
#include "storage/row_reader.h"

namespace syncline::storage {
namespace {

struct member {
  std::string name;
  std::string value;  // compact
};

// The members of an object, in order, the last of equal names; nothing when `text` (compact, valid) is no
// object.
std::optional<std::vector<member>> members_of(std::string_view text) {
  if (!text.starts_with('{')) return std::nullopt;
  std::vector<member> out;
  std::unordered_map<std::string, std::size_t> known;
  json_scanner scanner(text);
  if (!scanner.take('{')) return std::nullopt;
  for (char next = scanner.peek(); next != '}'; next = scanner.peek()) {
    if (next == ',') {
      if (!scanner.take(',')) return std::nullopt;
      (void)scanner.peek();
    }
    member m;
    json_string name;
    if (!scanner.read_string(name) || !scanner.take(':') || !scanner.copy_value(m.value)) return std::nullopt;
    unescape_json(name.raw, m.name);
    const auto [at, added] = known.try_emplace(m.name, out.size());
    if (added) {
      out.push_back(std::move(m));
    } else {
      out[at->second].value = std::move(m.value);
    }
  }
  return out;
}

// Recursive like the RFC's pseudocode; kJsonDepthMax bounds it, because compact texts are no deeper.
std::string merged(std::string_view target, std::string_view patch) {
  const auto changes = members_of(patch);
  if (!changes) return std::string(patch);
  std::vector<member> result = members_of(target).value_or(std::vector<member>{});
  std::unordered_map<std::string_view, std::size_t> known;
  known.reserve(result.size());
  const std::size_t old_count = result.size();
  for (std::size_t i = 0; i < old_count; ++i) known.emplace(result[i].name, i);
  std::vector<bool> removed(old_count, false);
  std::vector<member> added;
  for (const member& change : *changes) {
    const auto at = known.find(change.name);
    if (change.value == "null") {
      if (at != known.end()) removed[at->second] = true;
    } else if (at != known.end()) {
      result[at->second].value = merged(result[at->second].value, change.value);
    } else {
      added.push_back({change.name, merged({}, change.value)});
    }
  }
  std::string out = "{";
  const auto append_member = [&out](const member& m) {
    if (out.size() > 1) out.push_back(',');
    append_json_string(m.name, out);
    out.push_back(':');
    out.append(m.value);
  };
  for (std::size_t i = 0; i < old_count; ++i) {
    if (!removed[i]) append_member(result[i]);
  }
  for (const member& m : added) append_member(m);
  out.push_back('}');
  return out;
}

}  // namespace

std::string merge_patch_json(std::string_view stored, std::string_view patch) {
  std::string target;
  std::string change;
  if (!append_compact_json(stored, target)) target.clear();
  if (!append_compact_json(patch, change)) return target;
  return merged(target, change);
}

}  // namespace syncline::storage
