// What the tests of every store share: resources in a line.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "storage/resource.h"

namespace syncline::storage::testing {

using lines = std::vector<std::string>;

// "id:int64 name email:string": string when no type is given.
inline std::vector<column> columns_of(std::string_view text) {
  std::vector<column> out;
  while (!text.empty()) {
    const auto end = std::min(text.find(' '), text.size());
    const std::string_view word = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    const auto colon = word.find(':');
    column c;
    c.name = word.substr(0, colon);
    if (colon != std::string_view::npos) c.type = parse_column_type(word.substr(colon + 1)).value();
    out.push_back(std::move(c));
  }
  return out;
}

inline resource make_resource(std::string name, std::string_view columns, const std::vector<std::string>& key,
                              const std::vector<std::pair<std::string, std::string>>& scopes = {},
                              std::string where = {}) {
  resource r;
  r.name = r.table = std::move(name);
  r.columns = columns_of(columns);
  for (const std::string& k : key) r.key.push_back(r.find_column(k).value());
  for (const auto& [scope, column] : scopes) r.scopes.push_back({scope, r.find_column(column).value()});
  r.where = std::move(where);
  return r;
}

}  // namespace syncline::storage::testing
