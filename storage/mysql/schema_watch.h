// Looks, at start and every schema_check_s, whether the triggers are there with our text and the tables are
// the ones that they were made for; makes good what is not.
//
// TRUNCATE, DROP and CREATE, and the swap at the end of an online schema change fire no trigger. A resource
// whose triggers are gone or whose table is another one starts over (migration.h); every node's sequencer
// sees the new incarnation with its next look. A resource that another node has migrated to another
// declaration is left alone and reported (trouble(), in the store's figures; the log): two nodes must not
// undo each other's triggers.
//
// Thread: start() and stop() like the sequencer's, the checks on the core it was made on, with a connection
// of its own that is open only while it looks. Bound: one check at a time. Failure: trouble(), also for what
// a check throws; the next check tries again.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "storage/mysql/lasting_task.h"
#include "storage/mysql/sequencer.h"

namespace syncline::net {
class core;
}

namespace syncline::storage::mysql {

struct schema_findings {
  std::vector<std::string> restarted;  // resources
  std::vector<std::string> troubles;   // one line each, about what cannot be made good
};
// Sets the deadline of `context`: a minute for each look, none for what is made good.
[[nodiscard]] net::task<net::result<schema_findings>> check_schema(net::request_context& context,
                                                                   sql_connection& db, const catalog& all);

class schema_watch {
 public:
  // The catalog outlives it.
  schema_watch(net::core& on, const mysql_options& options, const catalog& all, connection_maker connect);
  ~schema_watch();
  schema_watch(const schema_watch&) = delete;
  schema_watch& operator=(const schema_watch&) = delete;

  void start();
  void stop();  // from a thread that is no core; the core's loop still runs
  // Empty: all is well. Any thread.
  [[nodiscard]] std::string trouble() const;
  [[nodiscard]] std::uint64_t checks() const noexcept;

 private:
  struct state;
  std::shared_ptr<state> state_;
  lasting_task task_;
};

}  // namespace syncline::storage::mysql
