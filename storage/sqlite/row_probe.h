// Whether the row of a feed entry is there: found by key, in the entry's scope, and inside `where`, as a
// reader of the feed would find it.
//
// Thread: its connection's; keep one per resource while checking many entries. Failure: result<>; a key text
// that no row could have is "not there".
#pragma once

#include <optional>
#include <vector>

#include "storage/sqlite/schema_state.h"
#include "storage/sqlite/table_shape.h"

namespace syncline::storage::sqlite {

class row_probe {
 public:
  [[nodiscard]] static net::result<row_probe> make(connection& db, const resource& of);
  [[nodiscard]] net::result<bool> there(std::string_view scope, std::string_view key);
  [[nodiscard]] const resource& of() const noexcept { return *of_; }
  [[nodiscard]] const table_shape& shape() const noexcept { return shape_; }

 private:
  row_probe(connection& db, const resource& of) : db_(&db), of_(&of) {}
  connection* db_;
  const resource* of_;
  table_shape shape_;
  statement find_;
};

// The probes of the followed resources, by their id in the feed.
class row_probes {
 public:
  [[nodiscard]] static net::result<row_probes> make(connection& db, const catalog& all);
  [[nodiscard]] row_probe* find(std::int64_t resource_id) noexcept;
  struct item {
    std::int64_t id;
    row_probe probe;
  };
  [[nodiscard]] std::vector<item>& items() noexcept { return items_; }

 private:
  std::vector<item> items_;
};

}  // namespace syncline::storage::sqlite
