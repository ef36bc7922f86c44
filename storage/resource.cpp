#include "storage/resource.h"

#include <algorithm>
#include <array>
#include <utility>

#include "storage/row_json.h"

namespace syncline::storage {
namespace {

constexpr std::array<std::string_view, 9> kTypeNames = {"int64",     "float64", "boolean", "string", "json",
                                                        "timestamp", "date",    "decimal", "bytes"};

// Numbers are eight bytes, texts their length and bytes: no two declarations have the same bytes.
void append_number(std::uint64_t value, std::string& out) {
  for (unsigned shift = 0; shift < 64; shift += 8) out.push_back(static_cast<char>((value >> shift) & 0xFFU));
}

void append_text(std::string_view text, std::string& out) {
  append_number(text.size(), out);
  out.append(text);
}

}  // namespace

std::string_view to_string(column_type type) noexcept {
  const auto index = static_cast<std::size_t>(type);
  return index < kTypeNames.size() ? kTypeNames[index] : "unknown";
}

std::optional<column_type> parse_column_type(std::string_view text) noexcept {
  for (std::size_t i = 0; i < kTypeNames.size(); ++i) {
    if (kTypeNames[i] == text) return static_cast<column_type>(i);
  }
  return std::nullopt;
}

std::optional<std::size_t> resource::find_column(std::string_view column_name) const noexcept {
  for (std::size_t i = 0; i < columns.size(); ++i) {
    if (columns[i].name == column_name) return i;
  }
  return std::nullopt;
}

const scope_rule* resource::find_scope(std::string_view scope_name) const noexcept {
  for (const scope_rule& rule : scopes) {
    if (rule.name == scope_name) return &rule;
  }
  return nullptr;
}

bool resource::is_key(std::size_t column_index) const noexcept {
  return std::find(key.begin(), key.end(), column_index) != key.end();
}

std::uint64_t resource::declaration_hash() const {
  std::string bytes;
  append_text(name, bytes);
  append_text(table, bytes);
  append_number(columns.size(), bytes);
  for (const column& c : columns) {
    append_text(c.name, bytes);
    append_text(to_string(c.type), bytes);
    append_text(c.short_name, bytes);
    append_number(c.as_string ? 1 : 0, bytes);
  }
  append_number(key.size(), bytes);
  for (const std::size_t index : key) append_number(index, bytes);
  append_number(scopes.size(), bytes);
  for (const scope_rule& rule : scopes) {
    append_text(rule.name, bytes);
    append_number(rule.column, bytes);
  }
  append_text(where, bytes);
  return hash_bytes(bytes);
}

resource& catalog::add(resource r) {
  r.ordinal = static_cast<std::uint32_t>(resources_.size());
  resources_.push_back(std::make_unique<resource>(std::move(r)));
  return *resources_.back();
}

void catalog::add(merge m) {
  merges_.push_back(std::move(m));
}

const resource* catalog::find(std::string_view name) const noexcept {
  for (const auto& r : resources_) {
    if (r->name == name) return r.get();
  }
  return nullptr;
}

resource* catalog::find(std::string_view name) noexcept {
  return const_cast<resource*>(std::as_const(*this).find(name));
}

const merge* catalog::find_merge(const resource& root, std::string_view name) const noexcept {
  for (const merge& m : merges_) {
    if (m.root == &root && m.name == name) return &m;
  }
  return nullptr;
}

}  // namespace syncline::storage
