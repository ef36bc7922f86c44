// Whether the rows of feed entries are there: found by key, in the entry's scope, and inside `where`, as a
// reader of the feed would find them.
//
// Many entries at a time, one statement for each resource among them and `kProbeKeys` keys. Thread: the
// connection's core. Failure: result<>; a key text that no row could have is "not there".
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "storage/mysql/schema_state.h"

namespace syncline::storage::mysql {

inline constexpr std::size_t kProbeKeys = 500;

struct feed_entry {
  std::int64_t seq = 0;
  std::int64_t resource = 0;
  std::string scope;
  std::string key;
  bool gone = false;
};

class row_probes {
 public:
  struct item {
    std::int64_t id = 0;
    const resource* of = nullptr;
    table_shape shape;
  };
  // The catalog outlives it.
  [[nodiscard]] static net::task<net::result<row_probes>> read(net::request_context& context,
                                                               sql_connection& db, const catalog& all);
  // By entry; those of unknown resources are not there.
  [[nodiscard]] net::task<net::result<std::vector<bool>>> there(net::request_context& context,
                                                                sql_connection& db,
                                                                std::span<const feed_entry> entries) const;
  [[nodiscard]] const item* find(std::int64_t resource_id) const noexcept;
  [[nodiscard]] const std::vector<item>& items() const noexcept { return items_; }

 private:
  std::vector<item> items_;
};

}  // namespace syncline::storage::mysql
