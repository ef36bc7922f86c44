#include "storage/mysql/bulk_text.h"

#include <fmt/format.h>

#include "storage/mysql/literal.h"

namespace syncline::storage::mysql {

std::string insert_text(const table_plan& plan, const bulk_rows& from, std::span<const std::uint32_t> rows) {
  std::vector<std::size_t> columns;
  for (std::size_t c = 0; c < from.width; ++c) {
    for (const std::uint32_t r : rows) {
      if (!from.row(r)[c].present()) continue;
      columns.push_back(c);
      break;
    }
  }
  std::string out = "INSERT INTO " + plan.name() + "(";
  for (std::size_t i = 0; i < columns.size(); ++i) {
    if (i > 0) out += ',';
    out += plan.column_name(columns[i]);
  }
  out += ") VALUES ";
  for (std::size_t i = 0; i < rows.size(); ++i) {
    out += i > 0 ? ",(" : "(";
    const std::span<const cell> row = from.row(rows[i]);
    for (std::size_t c = 0; c < columns.size(); ++c) {
      if (c > 0) out += ',';
      const cell& value = row[columns[c]];
      if (value.present()) {
        append_literal(value, out);
      } else {
        out += "DEFAULT";
      }
    }
    out += ')';
  }
  return out;
}

std::string update_text(const table_plan& plan, const bulk_rows& from, std::span<const std::uint32_t> rows) {
  const resource& of = plan.of();
  std::vector<std::size_t> columns = of.key;
  const std::span<const cell> first = from.row(rows[0]);
  for (std::size_t c = 0; c < from.width; ++c)
    if (first[c].present() && !of.is_key(c)) columns.push_back(c);
  std::string out = "UPDATE (VALUES ";
  for (std::size_t i = 0; i < rows.size(); ++i) {
    out += i > 0 ? ",ROW(" : "ROW(";
    const std::span<const cell> row = from.row(rows[i]);
    for (std::size_t c = 0; c < columns.size(); ++c) {
      if (c > 0) out += ',';
      append_literal(row[columns[c]], out);
    }
    out += ')';
  }
  out += ") AS n(";
  for (std::size_t c = 0; c < columns.size(); ++c) out += fmt::format("{}c{}", c > 0 ? "," : "", c);
  // In this order: the few new values first, then the table by its key.
  out += fmt::format(") STRAIGHT_JOIN {} AS t ON ", plan.name());
  for (std::size_t k = 0; k < of.key.size(); ++k) {
    out += fmt::format("{}t.{}=", k > 0 ? " AND " : "", plan.column_name(of.key[k]));
    if (!plan.append_key_expression(k, fmt::format("n.c{}", k), out)) return {};
  }
  out += " SET ";
  for (std::size_t c = of.key.size(); c < columns.size(); ++c)
    out += fmt::format("{}t.{}=n.c{}", c > of.key.size() ? "," : "", plan.column_name(columns[c]), c);
  return out;
}

}  // namespace syncline::storage::mysql
