#include "server/stream_request.h"

#include <algorithm>
#include <vector>

#include "server/query.h"
#include "storage/key.h"

namespace syncline::server {
namespace {

using net::errc;
using net::error;

net::result<std::vector<const storage::resource*>> named_resources(const services& with,
                                                                   std::string_view list) {
  std::vector<const storage::resource*> found;
  for (const std::string_view name : split_commas(list)) {
    const storage::resource* of = with.resources->find(name);
    if (of == nullptr) return error(errc::not_found, "no such resource", std::string(name));
    if (!of->synced)
      return error(errc::invalid, "this resource is a view, which cannot be synced", std::string(name));
    if (std::find(found.begin(), found.end(), of) != found.end()) {
      return error(errc::invalid, "parameter `resources` names a resource twice", std::string(name));
    }
    found.push_back(of);
  }
  return found;
}

error too_many_parts() {
  return {errc::invalid, "too many scopes and resources in one stream"};
}

// Asked while the parts are added: what follows looks through all of them for each.
bool has_room(const services& with, const std::vector<storage::stream_part>& parts) {
  return parts.size() < with.settings->sync.parts_max;
}

net::result<void> add_scope_parts(const services& with, const storage::scope_text& scope,
                                  const std::vector<const storage::resource*>& named,
                                  std::vector<storage::stream_part>& parts) {
  bool known = false;
  for (std::size_t i = 0; i < with.resources->size(); ++i) {
    const storage::resource& of = with.resources->at(i);
    const storage::scope_rule* rule = of.find_scope(scope.name);
    if (rule == nullptr || !of.synced) continue;
    known = true;
    if (!named.empty() && std::find(named.begin(), named.end(), &of) == named.end()) continue;
    // In the feed's spelling, which may be another one in each table: else the rows would be found, and no
    // change of them.
    auto value = storage::canonical_scope_value(of, *rule, scope.value);
    if (!value)
      return error(errc::invalid, "parameter `scope` has a value that does not fit its column",
                   scope.text() + "; " + value.error().detail);
    if (!has_room(with, parts)) return too_many_parts();
    parts.push_back({&of, storage::scope_text{scope.name, std::move(*value)}.text()});
  }
  if (!known) return error(errc::invalid, "no resource declares this scope", scope.name);
  return {};
}

}  // namespace

net::result<stream_request> make_stream_request(const services& with, std::string_view scopes,
                                                std::string_view resources, std::string_view since) {
  std::vector<const storage::resource*> named;
  if (!resources.empty()) {
    auto found = named_resources(with, resources);
    if (!found) return found.error();
    named = std::move(*found);
  }
  std::vector<storage::stream_part> parts;
  if (!scopes.empty()) {
    for (const std::string_view text : split_commas(scopes)) {
      auto scope = storage::parse_scope(text);
      if (!scope) return scope.error();
      if (auto added = add_scope_parts(with, *scope, named, parts); !added) return added.error();
    }
  }
  for (const storage::resource* of : named) {
    const bool scoped =
        std::any_of(parts.begin(), parts.end(), [of](const auto& part) { return part.of == of; });
    if (scoped) continue;
    // A scoped stream must not bring another client's rows: a scoped resource comes whole only without a
    // scope.
    if (!scopes.empty() && !of->scopes.empty())
      return error(errc::invalid, "this resource does not declare the asked scope", of->name);
    if (!has_room(with, parts)) return too_many_parts();
    parts.push_back({of, {}});
  }
  if (parts.empty())
    return error(errc::invalid, "name what to sync", "give `scope=name:value`, `resources=a,b` or both");
  stream_request request;
  if (!since.empty()) {
    auto at = storage::cursor::parse(since);
    if (!at) return error(errc::invalid, "parameter `since` is no cursor of this server");
    request.since = std::move(*at);
  }
  request.what = with.store->make_stream(std::move(parts));
  return request;
}

}  // namespace syncline::server
