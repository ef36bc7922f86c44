// A database behind the store, as the shared tests see it: its tables, the store on them, and another program
// that uses them too.
#pragma once

#include <cstdint>
#include <memory>
#include <ostream>
#include <string>
#include <string_view>

#include "net/core/core.h"
#include "storage/schema_report.h"
#include "storage/store.h"

namespace syncline::storage::testing {

struct engine_settings {
  std::uint32_t transaction_idle_ms = 10000;
  std::uint32_t tombstone_days = 30;
  std::uint32_t idempotency_keep_h = 24;
  std::uint32_t purge_interval_s = 60;
};

class engine {
 public:
  virtual ~engine() = default;
  // Empty: it can be used; else why not.
  [[nodiscard]] virtual std::string missing() const { return {}; }
  virtual void make_tables() = 0;
  [[nodiscard]] virtual net::result<std::unique_ptr<store>> open(const engine_settings& settings,
                                                                 catalog& all, net::core_group& cores) = 0;
  // Statements of another program, with "; " between them.
  virtual void run(std::string_view sql) = 0;
  // Until what others committed is in the feed.
  [[nodiscard]] virtual bool all_in_feed() { return true; }
  // The one integer that a statement of another program gives.
  [[nodiscard]] virtual std::int64_t number(std::string_view sql) = 0;
  // The one text.
  [[nodiscard]] virtual std::string text(std::string_view sql) = 0;
  [[nodiscard]] virtual net::result<check_report> check_feed(catalog& all) = 0;
  // Purges at once what is gone for longer than `older_than_s`.
  [[nodiscard]] virtual net::result<std::uint64_t> purge(catalog& all, std::int64_t older_than_s) = 0;
};

enum class engine_kind : std::uint8_t { sqlite, mysql };
inline void PrintTo(engine_kind kind, std::ostream* out) {
  *out << (kind == engine_kind::sqlite ? "Sqlite" : "Mysql");
}
[[nodiscard]] std::unique_ptr<engine> make_engine(engine_kind kind);

}  // namespace syncline::storage::testing
