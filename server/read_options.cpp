#include "server/read_options.h"

#include <unordered_set>

#include "storage/key.h"

namespace syncline::server {

using net::errc;
using net::error;

net::result<read_options> read_options::from(const query& asked, const storage::resource& of) {
  read_options out;
  if (const std::string* fields = asked.find("fields")) {
    auto narrowed = storage::projection::from_fields(of, *fields);
    if (!narrowed) return narrowed.error();
    out.what = std::move(*narrowed);
    out.whole = false;
  } else {
    out.what = storage::projection::all(of);
  }
  if (const std::string* names = asked.find("names")) {
    if (*names != "short" && *names != "long")
      return error(errc::invalid, "parameter `names` must be short or long");
    out.what.short_names = *names == "short";
    out.whole = out.whole && !out.what.short_names;
  }
  const auto refresh = asked.flag("refresh");
  if (!refresh) return refresh.error();
  out.refresh = *refresh;
  return out;
}

net::result<std::vector<std::string>> read_ids(const storage::resource& of, std::string_view ids,
                                               std::size_t ids_max) {
  const auto parts = split_commas(ids);
  const std::size_t columns = of.key.size();
  if (parts.size() % columns != 0) {
    return error(errc::invalid, "parameter `ids` has another number of values than the key has columns",
                 of.name + " takes " + std::to_string(columns) + " for each row");
  }
  if (parts.size() / columns > ids_max) {
    return error(errc::invalid, "too many keys in parameter `ids`", "at most " + std::to_string(ids_max));
  }
  std::vector<std::string> keys;
  std::unordered_set<std::string> seen;
  for (std::size_t i = 0; i < parts.size(); i += columns) {
    std::string key(parts[i]);
    for (std::size_t c = 1; c < columns; ++c) key.append(",").append(parts[i + c]);
    auto canonical = storage::canonical_key(of, key);
    if (!canonical) return canonical.error();
    if (seen.insert(*canonical).second) keys.push_back(std::move(*canonical));
  }
  return keys;
}

}  // namespace syncline::server
