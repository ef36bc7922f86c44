// What a schema holds of Syncline's objects, compared with what should be there.
//
// Thread: the connection's core. Failure: result<>.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "storage/mysql/schema.h"
#include "storage/mysql/table_shape.h"
#include "storage/mysql/triggers.h"

namespace syncline::storage::mysql {

// What tells one table from another of the same name. `id` is InnoDB's number of it, which changes when the
// table is truncated, swapped or rebuilt; only accounts with PROCESS see it. Others go by `created`, which
// harmless ALTERs change too.
struct table_identity {
  std::string id;  // empty: not to be seen
  std::string created;
  // False only when both can be compared and differ.
  [[nodiscard]] bool may_be(const table_identity& other) const;
};

// The row of a resource in syncline_resource. Its column `identity` holds words: `triggers=<hash>`,
// `table=…`, `created=…`, and one for each piece of work that is left: `old` while entries of the time before
// the last restart are being marked, `rows` while existing rows are being numbered.
struct resource_state {
  std::int64_t id = 0;
  std::string name;
  std::int64_t incarnation = 0;
  std::string declaration;
  std::string triggers;  // hash; empty: the resource is not followed now
  table_identity table;
  bool old_left = false;
  bool rows_left = false;

  [[nodiscard]] std::string identity_text() const;
  void read_identity(std::string_view text);
};

// Empty when there is no syncline_resource yet.
[[nodiscard]] net::task<net::result<std::vector<resource_state>>> resource_states(
    net::request_context& context, sql_connection& db);
[[nodiscard]] const resource_state* find_state(const std::vector<resource_state>& all, std::string_view name);

// Our triggers in the schema, by name.
struct trigger_there {
  std::string table;
  std::string when;
  std::string body;
};
using triggers_there = std::map<std::string, trigger_there, std::less<>>;
[[nodiscard]] net::task<net::result<triggers_there>> read_triggers(net::request_context& context,
                                                                   sql_connection& db);
[[nodiscard]] bool is_there(const triggers_there& all, const trigger_text& wanted);
// Names of triggers of that resource which are not wanted (any more).
[[nodiscard]] std::vector<std::string> leftovers(const triggers_there& all,
                                                 const std::vector<trigger_text>& wanted, std::int64_t id);

// Everything that a resource needs of triggers, and the hash that identifies it.
struct resource_plan {
  table_shape shape;
  std::vector<trigger_text> triggers;
  std::string hash;
};
[[nodiscard]] net::task<net::result<resource_plan>> plan_resource(net::request_context& context,
                                                                  sql_connection& db, const resource& of,
                                                                  const std::vector<foreign_key>& keys,
                                                                  std::int64_t resource_id);

[[nodiscard]] net::task<net::result<table_identity>> read_identity(net::request_context& context,
                                                                   sql_connection& db, std::string table);

// The FULLTEXT index of a resource with search: ours by name, and whether any over exactly these columns is
// there.
[[nodiscard]] std::string search_index_name(const resource& of);
[[nodiscard]] bool covers_search(const resource& of, const table_index& index);
[[nodiscard]] bool has_search_index(const resource& of, const table_shape& t);

[[nodiscard]] inline bool is_followed(const resource& of) {
  return of.synced && !of.view;
}
// Whether `name` is a resource that has feed and triggers.
[[nodiscard]] bool follows(const catalog& all, std::string_view name);

}  // namespace syncline::storage::mysql
