#include "storage/mysql/where_check.h"

#include <fmt/format.h>

#include "storage/mysql/literal.h"
#include "storage/mysql/place_sql.h"
#include "storage/mysql/server_error.h"
#include "storage/mysql/text_rows.h"

namespace syncline::storage::mysql {

namespace {

constexpr std::string_view kTable = "syncline_where_check";
// Refusals of the expression itself; others (rights, connection) are no judgement.
constexpr std::uint32_t kAccessDenied[] = {1044, 1045, 1142, 1227};

std::string temporary_table(const resource& of, const table_shape& t) {
  std::vector<std::string> columns;
  for (const table_column& c : t.columns) {
    std::string line = identifier(c.name) + " " + c.declared_type;
    if (!c.character_set.empty())
      line += fmt::format(" CHARACTER SET {} COLLATE {}", c.character_set, c.collation);
    columns.push_back(line + " NULL");
  }
  return fmt::format("CREATE TEMPORARY TABLE {} ({}, CHECK ({} IS TRUE))", kTable, joined(columns, ", "),
                     where_sql(of));
}

}  // namespace

net::task<net::result<void>> check_where(net::request_context& context, sql_connection& db,
                                         const resource& of, const table_shape& t) {
  if (of.where.empty()) co_return net::result<void>();
  std::string make = temporary_table(of, t);
  auto making = run(context, db, std::move(make));
  net::result<std::uint64_t> made = co_await std::move(making);
  if (made) {
    auto dropping = run(context, db, fmt::format("DROP TEMPORARY TABLE {}", kTable));
    net::result<std::uint64_t> dropped = co_await std::move(dropping);
    if (!dropped) co_return dropped.error();
    co_return net::result<void>();
  }
  const std::uint32_t code = server_code(made.error());
  for (const std::uint32_t denied : kAccessDenied)
    if (code == denied)
      co_return net::error(net::errc::down,
                           "the account needs CREATE TEMPORARY TABLES to check a where clause",
                           made.error().detail);
  if (code == 0) co_return made.error();
  co_return net::error(net::errc::schema_mismatch, "a where clause cannot be followed",
                       fmt::format("resource {}: where \"{}\": it must depend on the row alone, as a CHECK "
                                   "constraint does; MySQL says {}",
                                   of.name, of.where, made.error().detail));
}

}  // namespace syncline::storage::mysql
