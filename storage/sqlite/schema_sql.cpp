// The objects that Syncline puts into a SQLite file, as text.

#include <fmt/format.h>

#include "storage/sqlite/schema.h"
#include "storage/sqlite/triggers.h"

namespace syncline::storage::sqlite {

std::vector<named_sql> common_objects() {
  return {
      {"syncline_clock",
       "CREATE TABLE syncline_clock(id INTEGER PRIMARY KEY CHECK(id=1), seq INTEGER NOT NULL, horizon "
       "INTEGER NOT "
       "NULL)"},
      {"syncline_feed",
       "CREATE TABLE syncline_feed(seq INTEGER PRIMARY KEY, resource INTEGER NOT NULL, scope TEXT NOT NULL, "
       "\"key\" TEXT "
       "NOT NULL, gone_at INTEGER, UNIQUE(resource, scope, \"key\"))"},
      {"syncline_feed_scope", "CREATE INDEX syncline_feed_scope ON syncline_feed(resource, scope, seq)"},
      // Holds tombstones only, so that it costs nothing for rows that are there.
      {"syncline_feed_gone",
       "CREATE INDEX syncline_feed_gone ON syncline_feed(gone_at) WHERE gone_at IS NOT NULL"},
      {"syncline_resource",
       "CREATE TABLE syncline_resource(id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE, "
       "incarnation "
       "INTEGER NOT NULL, declaration TEXT NOT NULL, identity TEXT NOT NULL)"},
      {"syncline_generation",
       "CREATE TABLE syncline_generation(number INTEGER PRIMARY KEY AUTOINCREMENT, id INTEGER NOT NULL, "
       "first_seq INTEGER "
       "NOT NULL, created_at INTEGER NOT NULL)"},
      {"syncline_idempotency",
       "CREATE TABLE syncline_idempotency(\"key\" TEXT PRIMARY KEY, fingerprint INTEGER NOT NULL, lines_done "
       "INTEGER NOT "
       "NULL, saved BLOB NOT NULL, complete INTEGER NOT NULL, created_at INTEGER NOT NULL)"},
      {"syncline_idempotency_age",
       "CREATE INDEX syncline_idempotency_age ON syncline_idempotency(created_at)"},
      {"syncline_search_dirty",
       "CREATE TABLE syncline_search_dirty(resource INTEGER, docid INTEGER, PRIMARY KEY(resource, docid)) "
       "WITHOUT ROWID"},
  };
}

net::result<std::vector<named_sql>> resource_objects(connection& db, const resource& of,
                                                     std::int64_t resource_id) {
  auto shape = read_table_shape(db, of.table);
  if (!shape) return shape.error();
  if (shape->kind != table_shape::object::table)
    return net::error(net::errc::schema_mismatch, "only a table can be synced",
                      fmt::format("resource {}: {} is no table", of.name, of.table));
  auto out = feed_triggers(db, of, *shape, resource_id);
  if (!out) return out.error();
  for (named_sql& object : search_objects(of, *shape, resource_id)) out->push_back(std::move(object));
  return out;
}

}  // namespace syncline::storage::sqlite
