#include "server/config.h"

#include <algorithm>
#include <bit>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <optional>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/un.h>

#include <fmt/format.h>

#include "server/config_json.h"
#include "server/config_resources.h"
#include "server/config_schema.h"

namespace syncline::server {
namespace {

// Says where a setting's value came from: `fail(path, what, allowed)`.
using fail_function = std::function<void(std::string_view, std::string_view, std::string_view)>;

constexpr std::string_view kResources = "resources";
constexpr std::string_view kMerges = "merges";
constexpr std::string_view kInclude = "include";
constexpr std::string_view kVariablePrefix = "SYNCLINE_";

// What may stand directly below `section` ("" is the file itself).
std::vector<std::string_view> names_below(std::string_view section) {
  std::vector<std::string_view> out;
  for (const setting& each : all_settings()) {
    std::string_view rest = each.path;
    if (!section.empty()) {
      if (!rest.starts_with(section) || rest.size() <= section.size() || rest[section.size()] != '.')
        continue;
      rest.remove_prefix(section.size() + 1);
    }
    const std::string_view name = rest.substr(0, rest.find('.'));
    if (std::find(out.begin(), out.end(), name) == out.end()) out.push_back(name);
  }
  if (section.empty()) out.insert(out.end(), {kResources, kMerges, kInclude});
  return out;
}

void read_section(const config_node& section, config& into) {
  const auto allowed = names_below(section.path());
  for (const auto& [name, node] : section.members()) {
    if (section.path().empty() && (name == kResources || name == kMerges || name == kInclude)) continue;
    if (const setting* which = find_setting(node.path())) {
      if (const auto fault = assign(into, *which, node.value())) node.fail(fault->what, fault->allowed);
    } else if (std::find(allowed.begin(), allowed.end(), name) != allowed.end()) {
      read_section(node, into);
    } else {
      const auto [what, names] = describe_unknown(name, allowed);
      node.fail(what, names);
    }
  }
}

// Default deny: until there is authentication, whoever can connect may do everything, so only this machine
// may connect.
bool is_loopback(const std::string& address, bool& known) {
  in_addr v4{};
  in6_addr v6{};
  known = true;
  if (inet_pton(AF_INET, address.c_str(), &v4) == 1) return (ntohl(v4.s_addr) >> 24) == 127;
  if (inet_pton(AF_INET6, address.c_str(), &v6) == 1) return IN6_IS_ADDR_LOOPBACK(&v6);
  known = false;
  return false;
}

void check_address(std::string_view path, const std::string& address, const fail_function& fail) {
  constexpr std::string_view kUnix = "unix:";
  constexpr std::string_view kAllowed = "127.0.0.1 (or another of 127.0.0.0/8), ::1, unix:/path";
  if (address.starts_with(kUnix)) {
    const std::size_t bytes = address.size() - kUnix.size();
    if (bytes == 0 || bytes >= sizeof(sockaddr_un::sun_path)) {
      fail(path, "the path of the unix socket is empty or too long",
           fmt::format("1 to {} bytes", sizeof(sockaddr_un::sun_path) - 1));
    }
    return;
  }
  bool known = false;
  if (is_loopback(address, known)) return;
  if (!known) fail(path, fmt::format("\"{}\" is no IP address", address), kAllowed);
  fail(path, fmt::format("{} is not loopback: that needs authentication, which is not built yet", address),
       kAllowed);
}

// What one setting alone cannot say.
void check_together(const config& of, const fail_function& fail) {
  check_address("http.address", of.http.address, fail);
  check_address("admin.address", of.admin.address, fail);
  const net::tls_options& tls = of.http.tls;
  if (tls.certificate_file.empty() != tls.key_file.empty()) {
    fail(tls.key_file.empty() ? "http.tls.key" : "http.tls.certificate", "is missing: TLS needs both",
         "http.tls.certificate and http.tls.key, or neither");
  }
  const bool same_unix = of.http.address.starts_with("unix:");
  if (of.http.address == of.admin.address &&
      (same_unix || (of.http.port == of.admin.port && of.http.port != 0))) {
    fail(same_unix ? "admin.address" : "admin.port", "is where the public listener is", "a place of its own");
  }
  if (!std::has_single_bit(of.l1.stripes)) {
    fail("cache.l1_stripes", fmt::format("{} is no power of two", of.l1.stripes), "1, 2, 4, … 4096");
  }
  if (of.rest.page_limit_default > of.rest.page_limit_max) {
    fail("rest.page_limit_default",
         fmt::format("{} is above rest.page_limit_max", of.rest.page_limit_default),
         fmt::format("1 to {}", of.rest.page_limit_max));
  }
  if (of.bulk.row_bytes_max > of.bulk.body_bytes_max) {
    fail("bulk.row_bytes_max", "is above bulk.body_bytes_max",
         fmt::format("up to {}", of.bulk.body_bytes_max));
  }
  if (of.engine == "mysql") {
    if (of.mysql.user.empty()) fail("storage.mysql.user", "is empty", "an account of the server");
    if (of.mysql.schema.empty()) fail("storage.mysql.schema", "is empty", "a schema of the server");
  }
  const std::uint32_t reserved = of.mysql.reserved_interactive_percent + of.mysql.reserved_sync_percent +
                                 of.mysql.reserved_refresh_percent + of.mysql.reserved_bulk_percent;
  if (reserved > 100) {
    fail("storage.mysql.reserved_interactive_percent",
         fmt::format("the reserved parts of the pool are {} % together", reserved), "up to 100 % together");
  }
  if (of.mysql.connections_max != 0 && of.mysql.connections_min > of.mysql.connections_max) {
    fail("storage.mysql.connections_min", "is above storage.mysql.connections_max",
         fmt::format("0 to {}", of.mysql.connections_max));
  }
  if (of.mysql.silence_timeout_ms <= of.mysql.lock_wait_timeout_s * 1000) {
    fail("storage.mysql.silence_timeout_ms", "is no longer than storage.mysql.lock_wait_timeout_s",
         fmt::format("more than {}", of.mysql.lock_wait_timeout_s * 1000));
  }
  if (of.sqlite.path.empty()) fail("storage.sqlite.path", "is empty", "the name of a file");
}

std::optional<config_node> find_include(const config_document& document) {
  return config_node(document, document.root(), {}).find(kInclude);
}

void read_document(const config_document& document, config& into) {
  const config_node root(document, document.root(), {});
  into.file = document.file();
  read_section(root, into);
  for (const std::string_view each : {kResources, kMerges}) {
    const auto node = root.find(each);
    const bool taken = each == kResources ? into.resources.size() > 0 : !into.resources.merges().empty();
    if (node && taken) node->fail("the included file declares some as well", "to declare all in one file");
  }
  if (const auto node = root.find(kResources)) read_resources(*node, into.resources);
  if (const auto node = root.find(kMerges)) read_merges(*node, into.resources);
}

std::string read_file(const std::string& name) {
  std::ifstream in(name, std::ios::binary);
  if (!in)
    throw config_error(fmt::format("{}:1: cannot be opened; allowed: the name of a readable file", name));
  std::string text;
  text.resize(kConfigBytesMax + 1);
  in.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (in.bad()) throw config_error(fmt::format("{}:1: cannot be read", name));
  text.resize(static_cast<std::size_t>(in.gcount()));
  return text;
}

// One file may stand on another: what the other says comes first.
void read_included(const config_document& by, config& into) {
  const auto node = find_include(by);
  if (!node) return;
  const std::filesystem::path name(node->as_text());
  const std::string file = (std::filesystem::path(by.file()).parent_path() / name).string();
  const config_document document(read_file(file), file);
  if (const auto again = find_include(document)) again->fail("an included file may include no other");
  read_document(document, into);
}

[[noreturn]] void fail_source(std::string_view source, std::string_view path, std::string_view what,
                              std::string_view allowed) {
  throw config_error(
      fmt::format("{}: {}: {}{}{}", source, path, what, allowed.empty() ? "" : "; allowed: ", allowed));
}

const setting& known_setting(std::string_view source, std::string_view path) {
  if (const setting* which = find_setting(path)) return *which;
  std::vector<std::string_view> paths;
  for (const setting& each : all_settings()) paths.push_back(each.path);
  const auto near = nearest_names(path, paths);
  fail_source(
      source, path, "unknown setting",
      near.empty() ? "see `syncline check-config --defaults`" : fmt::format("{}", fmt::join(near, ", ")));
}

// Where the value in force was given, for a fault that is only seen when all is put together.
using origins = std::vector<std::pair<std::string, std::string>>;  // path → source; the last one counts

void apply_text(config& into, std::string_view source, std::string_view path, std::string_view text,
                origins& from) {
  const setting& which = known_setting(source, path);
  if (const auto fault = assign_text(into, which, text))
    fail_source(source, path, fault->what, fault->allowed);
  from.emplace_back(path, source);
}

// SYNCLINE_HTTP__PORT is http.port. A variable without "__" that names no setting is not ours to judge:
// container platforms set SYNCLINE_PORT and SYNCLINE_SERVICE_HOST for a service of this name.
void apply_variable(config& into, const std::string& name, std::string_view text, origins& from) {
  if (!name.starts_with(kVariablePrefix)) return;
  std::string path;
  for (std::size_t i = kVariablePrefix.size(); i < name.size(); ++i) {
    if (name.compare(i, 2, "__") == 0) {
      path += '.';
      ++i;
    } else {
      path += (name[i] >= 'A' && name[i] <= 'Z') ? static_cast<char>(name[i] - 'A' + 'a') : name[i];
    }
  }
  if (find_setting(path) == nullptr && path.find('.') == std::string::npos) return;
  apply_text(into, "environment variable " + name, path, text, from);
}

void apply_override(config& into, const std::string& text, origins& from) {
  const std::size_t equals = text.find('=');
  const std::string source = "--set " + text;
  if (equals == std::string::npos) fail_source(source, text, "has no value", "path=value");
  apply_text(into, source, std::string_view(text).substr(0, equals),
             std::string_view(text).substr(equals + 1), from);
}

}  // namespace

config load_config(const config_sources& sources) {
  config out = default_config();
  std::optional<config_document> document;
  if (!sources.file.empty()) {
    document.emplace(read_file(sources.file), sources.file);
    read_included(*document, out);
    read_document(*document, out);
  }
  origins from;
  for (const auto& [name, text] : sources.environment) apply_variable(out, name, text, from);
  for (const std::string& each : sources.overrides) apply_override(out, each, from);
  check_together(out, [&](std::string_view path, std::string_view what, std::string_view allowed) {
    const auto given =
        std::find_if(from.rbegin(), from.rend(), [&](const auto& each) { return each.first == path; });
    if (given != from.rend()) fail_source(given->second, path, what, allowed);
    if (document) document->fail(path, what, allowed);
    fail_source("defaults", path, what, allowed);
  });
  return out;
}

std::string spool_directory(const config& settings) {
  if (!settings.bulk.spool_directory.empty()) return settings.bulk.spool_directory;
  if (settings.engine != "sqlite") return "/var/tmp";
  const std::string beside = std::filesystem::path(settings.sqlite.path).parent_path().string();
  return beside.empty() ? "." : beside;
}

config parse_config(std::string_view text, std::string_view file_name) {
  const config_document document(text, std::string(file_name));
  config out = default_config();
  if (const auto node = find_include(document)) node->fail("needs a file that it stands in");
  read_document(document, out);
  check_together(out, [&](std::string_view path, std::string_view what, std::string_view allowed) {
    document.fail(path, what, allowed);
  });
  return out;
}

}  // namespace syncline::server
