#include "storage/mysql/row_probe.h"

#include <set>

#include <fmt/format.h>

#include "storage/mysql/literal.h"
#include "storage/mysql/place_sql.h"
#include "storage/mysql/text_rows.h"

namespace syncline::storage::mysql {

namespace {

using place_set = std::set<std::pair<std::string, std::string>>;

// The places of the rows with these keys.
std::string places_sql(const row_probes::item& item, const std::vector<std::string>& keys) {
  const resource& of = *item.of;
  std::vector<std::string> columns;
  for (const std::size_t k : of.key) columns.push_back(identifier(of.columns[k].name));
  const std::string where = where_sql(of);
  std::vector<std::string> parts;
  for (const place_sql& place : places_of(of, item.shape, columns_of(identifier(item.shape.name) + "."))) {
    parts.push_back(fmt::format("SELECT {}, {} FROM {} WHERE ({}) IN ({}){}{}", place.scope, place.key,
                                identifier(item.shape.name), joined(columns, ","), joined(keys, ","),
                                place.exists.empty() ? "" : " AND " + place.exists,
                                where.empty() ? "" : " AND " + where));
  }
  return joined(parts, " UNION ALL ");
}

}  // namespace

net::task<net::result<row_probes>> row_probes::read(net::request_context& context, sql_connection& db,
                                                    const catalog& all) {
  auto reading = resource_rows(context, db, all);
  net::result<std::vector<resource_row>> rows = co_await std::move(reading);
  if (!rows) co_return rows.error();
  row_probes out;
  for (std::size_t i = 0; i < all.size(); ++i) {
    if ((*rows)[i].id == 0) continue;
    auto shaping = read_table_shape(context, db, all.at(i).table);
    net::result<table_shape> shape = co_await std::move(shaping);
    if (!shape) co_return shape.error();
    if (shape->kind == table_shape::object::table)
      out.items_.push_back({(*rows)[i].id, &all.at(i), std::move(*shape)});
  }
  co_return out;
}

const row_probes::item* row_probes::find(std::int64_t resource_id) const noexcept {
  for (const item& i : items_)
    if (i.id == resource_id) return &i;
  return nullptr;
}

net::task<net::result<std::vector<bool>>> row_probes::there(net::request_context& context, sql_connection& db,
                                                            std::span<const feed_entry> entries) const {
  std::vector<bool> out(entries.size(), false);
  for (const item& each : items_) {
    std::size_t at = 0;
    while (at < entries.size()) {
      std::vector<std::string> keys;
      const std::size_t from = at;
      for (; at < entries.size() && keys.size() < kProbeKeys; ++at) {
        if (entries[at].resource != each.id) continue;
        auto literals = key_literals(*each.of, entries[at].key);
        if (literals) keys.push_back("(" + joined(*literals, ",") + ")");
      }
      if (keys.empty()) continue;
      auto asking = query(context, db, places_sql(each, keys));
      net::result<text_rows> rows = co_await std::move(asking);
      if (!rows) co_return rows.error();
      place_set found;
      for (const text_row& row : *rows) found.emplace(row.text(0), row.text(1));
      for (std::size_t i = from; i < at; ++i)
        if (entries[i].resource == each.id) out[i] = found.contains({entries[i].scope, entries[i].key});
    }
  }
  co_return out;
}

}  // namespace syncline::storage::mysql
