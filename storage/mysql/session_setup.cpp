#include "storage/mysql/session_setup.h"

#include <utility>

#include <fmt/format.h>

namespace syncline::storage::mysql {

net::result<std::shared_ptr<const session_options>> store_session(const mysql_options& options,
                                                                  const session_options& server) {
  auto out = std::make_shared<session_options>(server);
  // NAMES first: the server may have another default, and the other texts are in it.
  out->setup.emplace_back("SET NAMES utf8mb4");
  out->setup.push_back(
      fmt::format("SET SESSION time_zone='+00:00',sql_mode='STRICT_TRANS_TABLES,NO_ENGINE_SUBSTITUTION',"
                  "transaction_isolation='READ-COMMITTED',autocommit=1,innodb_lock_wait_timeout={}",
                  options.lock_wait_timeout_s));
  // Read once: sessions of a pool would each read the files again.
  if (out->socket_path.empty() && out->tls.mode != tls_mode::disabled && out->tls_context == nullptr) {
    auto loaded = tls_client_context::load(out->tls);
    if (!loaded) return loaded.error();
    out->tls_context = std::move(*loaded);
  }
  return std::shared_ptr<const session_options>(std::move(out));
}

}  // namespace syncline::storage::mysql
