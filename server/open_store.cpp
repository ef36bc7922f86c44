#include "server/open_store.h"

#include <fmt/format.h>

#include "server/mysql_settings.h"
#include "storage/mysql/mysql_store.h"

namespace syncline::server {

net::result<std::unique_ptr<storage::store>> open_store(config& settings, net::core_group& cores,
                                                        net::blocking_threads& threads) {
  if (settings.engine != "mysql")
    return storage::sqlite::open_sqlite_store(settings.sqlite, settings.resources);
  settings.mysql.connections_max = connections_for(settings.mysql, cores.size());
  auto options = mysql_options_of(settings.mysql);
  if (!options) return options.error();
  options->primary.resolver = &threads;
  for (storage::mysql::session_options& each : options->replicas) each.resolver = &threads;
  return storage::mysql::open_mysql_store(*options, settings.resources, cores);
}

std::string database_name(const config& settings) {
  if (settings.engine != "mysql") return settings.sqlite.path;
  const mysql_settings& m = settings.mysql;
  return m.socket.empty() ? fmt::format("{}:{}/{}", m.host, m.port, m.schema)
                          : fmt::format("{}/{}", m.socket, m.schema);
}

}  // namespace syncline::server
