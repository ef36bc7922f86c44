#include "storage/mysql/statement_notes.h"

#include <x_protocol.pb.h>
#include "storage/mysql/message.h"
#include "storage/mysql/wire_reader.h"

namespace syncline::storage::mysql {

namespace {

enum class notice : std::uint64_t { warning = 1, session_state_changed = 3 };
enum class scope : std::uint64_t { global = 1, local = 2 };
enum class parameter : std::uint32_t { generated_insert_id = 3, rows_affected = 4, client_id = 11 };

// What a server says to everybody it is about to leave: I/O error, shutdown, killed.
[[nodiscard]] bool is_farewell(std::uint32_t code) noexcept {
  return code == 1810 || code == 1053 || code == 3169;
}

net::result<void> read_warning(std::string_view payload, bool global, statement_notes& of_statement,
                               server_notes& of_server) {
  wire::Warning said;
  net::result<void> parsed = parse_body(payload, said);
  if (parsed.has_error()) return parsed;
  if (global) {
    if (is_farewell(said.code())) of_server.going_away = true;
    return {};
  }
  ++of_statement.warnings_seen;
  if (of_statement.warnings.size() == kWarningsMax) return {};
  warning& kept = of_statement.warnings.emplace_back();
  if (said.level() >= 1 && said.level() <= 3) kept.how = static_cast<warning::level>(said.level());
  kept.code = said.code();
  kept.text = said.text();
  return {};
}

net::result<void> read_state(std::string_view payload, statement_notes& of_statement,
                             server_notes& of_server) {
  // One comes with every statement: a message that is used again allocates nothing.
  static thread_local wire::SessionStateChanged said;
  net::result<void> parsed = parse_body(payload, said);
  if (parsed.has_error()) return parsed;
  if (said.values_size() != 1 || !said.values(0).has_unsigned_value()) return {};
  const std::uint64_t value = said.values(0).unsigned_value();
  switch (static_cast<parameter>(said.parameter())) {
    case parameter::generated_insert_id:
      of_statement.last_insert_id = value;
      break;
    case parameter::rows_affected:
      of_statement.rows_affected = value;
      break;
    case parameter::client_id:
      of_server.client_id = value;
      break;
  }
  return {};
}

}  // namespace

net::result<void> read_notice(std::string_view body, statement_notes& of_statement, server_notes& of_server) {
  std::uint64_t type = 0;
  auto reaches = static_cast<std::uint64_t>(scope::global);
  std::string_view payload;
  wire_reader fields(body);
  while (fields.next()) {
    if (fields.number() == 1 && fields.type() == wire_reader::kind::varint) type = fields.varint();
    if (fields.number() == 2 && fields.type() == wire_reader::kind::varint) reaches = fields.varint();
    if (fields.number() == 3 && fields.type() == wire_reader::kind::bytes) payload = fields.bytes();
  }
  if (!fields.ok()) return net::error(net::errc::corrupt, "a notice from MySQL makes no sense");
  const bool global = reaches == static_cast<std::uint64_t>(scope::global);
  if (type == static_cast<std::uint64_t>(notice::warning))
    return read_warning(payload, global, of_statement, of_server);
  if (type == static_cast<std::uint64_t>(notice::session_state_changed))
    return read_state(payload, of_statement, of_server);
  return {};
}

}  // namespace syncline::storage::mysql
