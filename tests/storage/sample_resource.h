// A resource with a column of every type, for tests and benchmarks of rows.
#pragma once

#include <string>
#include <utility>

#include "storage/resource.h"

namespace syncline::storage {

inline column make_column(std::string name, column_type type, std::string short_name = {}) {
  column out;
  out.name = std::move(name);
  out.type = type;
  out.short_name = std::move(short_name);
  return out;
}

// id (the key), name (NOT NULL), visits, score, active, state, created_at, born_on, balance, avatar, big,
// email (NOT NULL with a default)
inline resource sample_resource() {
  resource out;
  out.name = "users";
  out.table = "users";
  out.columns = {make_column("id", column_type::int64, "i"),
                 make_column("name", column_type::string, "n"),
                 make_column("visits", column_type::int64),
                 make_column("score", column_type::float64),
                 make_column("active", column_type::boolean),
                 make_column("state", column_type::json),
                 make_column("created_at", column_type::timestamp),
                 make_column("born_on", column_type::date),
                 make_column("balance", column_type::decimal),
                 make_column("avatar", column_type::bytes),
                 make_column("big", column_type::int64),
                 make_column("email", column_type::string)};
  out.key = {0};
  out.columns[1].nullable = false;
  out.columns[10].as_string = true;
  out.columns[11].nullable = false;
  out.columns[11].has_default = true;
  out.scopes = {{"user", 0}};
  return out;
}

inline const resource kUsers = sample_resource();

}  // namespace syncline::storage
