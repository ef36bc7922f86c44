#include "server/row_write.h"

#include "server/conditions.h"
#include "server/idempotency.h"
#include "storage/key.h"

namespace syncline::server {
namespace {

using storage::row_fault;
using storage::row_form;
using storage::write_kind;

write_kind kind_of(net::http::method verb) noexcept {
  switch (verb) {
    case net::http::method::put:
      return write_kind::replace;
    case net::http::method::patch:
      return write_kind::patch;
    case net::http::method::del:
      return write_kind::remove;
    default:
      return write_kind::create;
  }
}

row_form form_of(write_kind kind) noexcept {
  if (kind == write_kind::replace) return row_form::replace;
  return kind == write_kind::patch ? row_form::patch : row_form::whole;
}

// Puts the path's key into the row; a fault when the row names another one.
std::optional<row_fault> set_key(const storage::resource& of, std::string_view key,
                                 storage::write_batch& out) {
  auto parts = storage::split_key(of, key, out.arena);
  if (!parts) return row_fault{"missing-key", {}, parts.error().text()};
  for (std::size_t i = 0; i < of.key.size(); ++i) {
    storage::cell& given = out.cells[of.key[i]];
    if (!given.present()) given = (*parts)[i];
  }
  const auto whole = storage::key_of_row(of, out.cells);
  if (whole && *whole == key) return std::nullopt;
  return row_fault{"key-change", of.columns[of.key.front()].name, "the row names another key than the path"};
}

}  // namespace

net::result<row_write> row_write::from(net::http::exchange& x, const storage::resource& of,
                                       std::string_view key_segment) {
  row_write out;
  out.of = &of;
  out.kind = kind_of(x.head().verb);
  if (out.kind != write_kind::create) {
    auto key = storage::key_from_path(of, key_segment);
    if (!key) return key.error();
    out.key = std::move(*key);
  }
  auto condition = read_write_condition(x.head());
  if (!condition) return condition.error();
  out.condition = std::move(*condition);
  out.conditional = !out.condition.empty();
  // PUT creates or replaces; where only one of them is declared, it may do only that one.
  if (out.kind == write_kind::replace) {
    if (!of.write.create) out.condition.must_exist = true;
    if (!of.write.update) out.condition.must_not_exist = true;
  }
  auto repeat = read_idempotency_key(x);
  if (!repeat) return repeat.error();
  if (*repeat) out.idempotency_key = std::move(**repeat);
  return out;
}

bool row_write::accepts(std::string_view content_type) const noexcept {
  std::string_view type = content_type.substr(0, content_type.find(';'));
  while (type.ends_with(' ') || type.ends_with('\t')) type.remove_suffix(1);
  if (net::http::iequals(type, "application/json")) return true;
  return kind == write_kind::patch && net::http::iequals(type, "application/merge-patch+json");
}

std::optional<row_fault> row_write::fill(std::string_view body, std::size_t row_bytes_max,
                                         storage::write_batch& out) const {
  out.of = of;
  out.kind = kind;
  out.key = key;
  out.condition = condition;
  out.return_rows = kind != write_kind::remove;
  out.row_count = 1;
  if (!has_body()) return std::nullopt;
  out.cells.resize(of->columns.size());
  storage::row_reader reader(*of, row_bytes_max);
  if (auto fault = reader.read_json(body, form_of(kind), out.arena, out.cells)) return fault;
  return kind == write_kind::replace ? set_key(*of, key, out) : std::nullopt;
}

}  // namespace syncline::server
