// Puts the triggers of resources in place and starts those over that may have missed something: what
// migrate() and the schema watch have in common.
//
// What happened to a table is told by its triggers and its identity: DROP TABLE takes the triggers away, a
// RENAME swap leaves them on the old table, TRUNCATE changes the identity, a changed declaration asks for
// another text. In each case rows may have changed unseen, so a resource that was known before starts over:
// new incarnation, its old entries marked for the purge, its rows numbered again. DDL commits by itself in
// MySQL, so the order is what makes a crash harmless: a row of syncline_resource whose hash no plan has,
// where the resource was known; new triggers, old triggers away; that row with its new incarnation and the
// words for the work that is left; then that work. Keyword indexes come before all of it: the first one of a
// table rebuilds it, which then has another identity. A TRUNCATE that waited for the index comes right after
// it and looks the same, so both start the resource over.
//
// Thread: the connection's core; the connection is held in a lock of the server (GET_LOCK) so that nodes do
// not do this at once. Failure: result<>; DDL that waits longer than `kDdlWaitS` for transactions on the
// table gives up (it would hold up every new statement on it) and is tried again `kDdlTries` times.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "storage/mysql/schema_state.h"

namespace syncline::storage::mysql {

inline constexpr int kDdlWaitS = 5;
inline constexpr int kDdlTries = 4;

class migration {
 public:
  migration(sql_connection& db, const catalog& all, bool dry_run) : db_(&db), all_(&all), dry_run_(dry_run) {}

  // The server's lock, until leave(). errc::locked when another node has it for longer than a minute.
  [[nodiscard]] net::task<net::result<void>> enter(net::request_context& context);
  net::task<void> leave(net::request_context& context);

  [[nodiscard]] net::task<net::result<void>> common(net::request_context& context);
  // Resources that the catalog does not have any more: triggers and entries away.
  [[nodiscard]] net::task<net::result<void>> forget_others(net::request_context& context);
  // The keyword index of a resource, where it covers other columns than are declared now.
  [[nodiscard]] net::task<net::result<void>> drop_unfit_index(net::request_context& context,
                                                              const resource& of);
  // The keyword index of a resource that has none; those of a table before install() of any of its resources.
  [[nodiscard]] net::task<net::result<void>> place_index(net::request_context& context, const resource& of);
  // Triggers and the row of one resource.
  [[nodiscard]] net::task<net::result<void>> install(net::request_context& context, const resource& of,
                                                     const std::vector<foreign_key>& keys);
  // The work that the row says is left; a crash leaves it for the next one.
  [[nodiscard]] net::task<net::result<void>> finish(net::request_context& context, const resource& of,
                                                    migrate_progress progress);

  migrate_report report;

 private:
  [[nodiscard]] net::task<net::result<void>> ddl(net::request_context& context, std::string sql);
  [[nodiscard]] net::task<net::result<std::uint64_t>> change(net::request_context& context, std::string sql);
  [[nodiscard]] net::task<net::result<resource_state>> row_of(net::request_context& context,
                                                              const resource& of, bool& known);
  [[nodiscard]] net::task<net::result<void>> write_row(net::request_context& context, resource_state state);
  [[nodiscard]] net::task<net::result<table_shape>> shape_of(net::request_context& context,
                                                             const resource& of);
  [[nodiscard]] net::task<net::result<void>> drop_triggers(net::request_context& context,
                                                           std::vector<std::string> names);
  [[nodiscard]] net::task<net::result<void>> place_triggers(net::request_context& context,
                                                            const resource_plan& plan,
                                                            const triggers_there& there, std::int64_t id);
  [[nodiscard]] net::task<net::result<void>> forget(net::request_context& context,
                                                    const resource_state& other, const triggers_there& there);

  sql_connection* db_;
  const catalog* all_;
  bool dry_run_;
  bool generation_begun_ = false;
  std::int64_t made_up_ids_ = 0;  // in a dry run
  // In a dry run: tables as their indexes would have made them.
  struct imagined_table {
    table_shape shape;
    bool rebuilt = false;
  };
  std::map<std::string, imagined_table, std::less<>> imagined_;
};

}  // namespace syncline::storage::mysql
