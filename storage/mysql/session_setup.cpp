#include "storage/mysql/session_setup.h"

#include <algorithm>
#include <utility>

#include "storage/mysql/literal.h"

namespace syncline::storage::mysql {

net::result<std::shared_ptr<const session_options>> store_session(const mysql_options& options,
                                                                  const session_options& server) {
  auto out = std::make_shared<session_options>(server);
  for (std::string& each : session_setup(options.lock_wait_timeout_s)) out->setup.push_back(std::move(each));
  // Read once: sessions of a pool would each read the files again.
  if (out->socket_path.empty() && out->tls.mode != net::tls_mode::disabled && out->tls_context == nullptr) {
    auto loaded = net::tls_client_context::load(out->tls);
    if (!loaded) return loaded.error();
    out->tls_context = std::move(*loaded);
  }
  return std::shared_ptr<const session_options>(std::move(out));
}

net::result<std::shared_ptr<const session_options>> patient_session(const mysql_options& options,
                                                                    session_options server,
                                                                    std::uint32_t silence_ms) {
  server.limits.silence_timeout_ms = std::max(server.limits.silence_timeout_ms, silence_ms);
  return store_session(options, server);
}

}  // namespace syncline::storage::mysql
