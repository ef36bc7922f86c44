// GET of one row, of rows by key, and of pages of rows.
//
// A row that L1 holds is answered by a plain function; everything else is a task. Rows asked by key come
// through L1 in one batch; projections, `refresh=1` and pages read the store, so that scans never push the
// hot rows out.
#include <algorithm>

#include "server/feed_hub.h"
#include "server/merge_read.h"
#include "server/page_links.h"
#include "server/problems.h"
#include "server/query.h"
#include "server/read_options.h"
#include "server/representation.h"
#include "server/routes.h"
#include "server/row_cache.h"
#include "storage/key.h"

namespace syncline::server {
namespace {

using net::errc;
using net::error;
using storage::page_from;

void begin_rows(std::string& body, std::size_t bytes) {
  body.reserve(bytes + 64);
  body.append("{\"rows\":[");
}

void add_row(std::string& body, std::string_view row) {
  if (body.back() != '[') body.push_back(',');
  body.append(row);
}

void add_missing(std::string& body, const storage::resource& of, std::string_view key) {
  if (body.back() != '[') body.push_back(',');
  storage::append_key_json(of, key, body);
}

std::string rows_with_missing(const storage::resource& of, const storage::rows& read) {
  std::string body;
  begin_rows(body, read.bytes.size() + read.slices.size());
  for (const auto& slice : read.slices) {
    if (slice.found) add_row(body, read.json(slice));
  }
  body.append("],\"missing\":[");
  for (const auto& slice : read.slices) {
    if (!slice.found) add_missing(body, of, read.key(slice));
  }
  body.append("]}");
  return body;
}

std::string rows_with_missing(const storage::resource& of, const std::vector<std::string>& keys,
                              const std::vector<cache::value_ptr>& values) {
  std::size_t bytes = 0;
  for (const auto& value : values) bytes += value->body.size() + 1;
  std::string body;
  begin_rows(body, bytes);
  for (const auto& value : values) {
    if (value->found) add_row(body, value->body);
  }
  body.append("],\"missing\":[");
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (!values[i]->found) add_missing(body, of, keys[i]);
  }
  body.append("]}");
  return body;
}

// Rows by key through L1: one batch for exactly those that are not there. False, and nothing is answered,
// when L1 refused what a load brought for one of them (l1.h, invariant 1): the store is then asked directly.
net::task<bool> answer_ids_cached(const services& with, net::http::exchange& x, const storage::resource& of,
                                  const std::vector<std::string>& keys) {
  const std::int64_t position = with.store->watermark();
  std::vector<std::string> l1_keys;
  l1_keys.reserve(keys.size());
  for (const std::string& key : keys) l1_keys.push_back(l1_key(of, key));
  auto values = co_await with.l1->get_many(x.context(), std::move(l1_keys), *with.row_loader);
  if (!values) {
    answer_error(x, values.error());
    co_return true;
  }
  if (std::ranges::find(*values, nullptr) != values->end()) co_return false;
  auto body = rows_with_missing(of, keys, *values);
  co_await answer_json(with, x, std::move(body), position);
  co_return true;
}

net::task<void> answer_ids(const services& with, net::http::exchange& x, const storage::resource& of,
                           std::vector<std::string> keys, read_options options) {
  if (options.whole && !options.refresh && uses_l1(of)) {
    const bool answered = co_await answer_ids_cached(with, x, of, keys);
    if (answered) co_return;
  }
  auto read = co_await with.store->get(x.context(), of, std::move(options.what), std::move(keys));
  if (!read) co_return answer_error(x, read.error());
  auto body = rows_with_missing(of, *read);
  co_await answer_json(with, x, std::move(body), read->position);
}

// Where the page begins; only one of `after`, `before` and `last` may say so.
net::result<void> read_place(const query& asked, const storage::resource& of, storage::list_query& out) {
  const auto last = asked.flag("last");
  if (!last) return last.error();
  if (int{asked.has("after")} + int{asked.has("before")} + int{*last} > 1) {
    return error(errc::invalid, "parameters `after`, `before` and `last` exclude each other");
  }
  if (*last) out.from = page_from::last;
  for (const auto& [name, from] :
       {std::pair("after", page_from::after), std::pair("before", page_from::before)}) {
    const std::string* key = asked.find(name);
    if (key == nullptr) continue;
    auto canonical = storage::canonical_key(of, *key);
    if (!canonical) return canonical.error();
    out.from = from;
    out.key = std::move(*canonical);
  }
  return {};
}

net::result<void> read_search(const query& asked, const storage::resource& of, storage::list_query& out) {
  const std::string* words = asked.find("q");
  if (words == nullptr) return {};
  if (of.search.empty()) return error(errc::invalid, "this resource declares no keyword search", of.name);
  if (words->find_first_not_of(" \t\r\n") == std::string::npos)
    return error(errc::invalid, "parameter `q` is empty");
  out.search = *words;
  return {};
}

net::result<void> read_scope(const query& asked, const storage::resource& of, storage::list_query& out) {
  const std::string* text = asked.find("scope");
  if (text == nullptr) return {};
  const auto scope = storage::parse_scope(*text);
  if (!scope) return scope.error();
  const storage::scope_rule* rule = of.find_scope(scope->name);
  if (rule == nullptr)
    return error(errc::invalid, "this resource does not declare the asked scope", scope->name);
  auto value = storage::canonical_scope_value(of, *rule, scope->value);
  if (!value) return value.error();
  out.scope = storage::scope_text{scope->name, std::move(*value)}.text();
  return {};
}

net::result<storage::list_query> read_list_query(const services& with, const query& asked,
                                                 const storage::resource& of) {
  const rest_options& limits = with.settings->rest;
  storage::list_query out;
  out.of = &of;
  const auto limit = asked.number("limit", limits.page_limit_default, 1, limits.page_limit_max);
  if (!limit) return limit.error();
  out.limit = static_cast<std::uint32_t>(*limit);
  if (auto read = read_place(asked, of, out); !read) return read.error();
  if (auto read = read_search(asked, of, out); !read) return read.error();
  if (auto read = read_scope(asked, of, out); !read) return read.error();
  return out;
}

net::task<void> answer_page(const services& with, net::http::exchange& x, query asked,
                            storage::list_query wanted) {
  const page_from from = wanted.from;
  const std::string path = "/v1/" + encode_component(wanted.of->name);
  auto page = co_await with.store->list(x.context(), std::move(wanted));
  if (!page) co_return answer_error(x, page.error());
  std::string body;
  begin_rows(body, page->bytes.size() + page->slices.size());
  for (const auto& slice : page->slices) add_row(body, page->json(slice));
  body.append("]}");
  std::string links = page_links(path, asked, from, *page);
  co_await answer_json(with, x, std::move(body), page->position, std::move(links));
}

// Parameters that make no sense beside `ids`, so that none is silently ignored.
net::result<void> only_with_pages(const query& asked) {
  for (const std::string_view name : {"limit", "after", "before", "last", "q", "scope"}) {
    if (asked.has(name))
      return error(errc::invalid, "parameter cannot be combined with `ids`", "`" + std::string(name) + "`");
  }
  return {};
}

net::task<void> list_by_ids(const services& with, net::http::exchange& x, const storage::resource& of,
                            query asked) {
  if (auto alone = only_with_pages(asked); !alone) co_return answer_error(x, alone.error());
  auto keys = read_ids(of, *asked.find("ids"), with.settings->rest.ids_max);
  if (!keys) co_return answer_error(x, keys.error());
  if (const std::string* name = asked.find("merge")) {
    const storage::merge* what = with.resources->find_merge(of, *name);
    if (what == nullptr)
      co_return answer_error(x, error(errc::invalid, "this resource declares no such merge", *name));
    if (asked.has("fields") || asked.has("names")) {
      co_return answer_error(
          x, error(errc::invalid,
                   "a merge is always read with all its columns; leave `fields` and `names` out"));
    }
    co_await answer_merges(with, x, *what, std::move(*keys));
    co_return;
  }
  auto options = read_options::from(asked, of);
  if (!options) co_return answer_error(x, options.error());
  co_await answer_ids(with, x, of, std::move(*keys), std::move(*options));
}

}  // namespace

net::http::tried try_read_row(const services& with, net::http::exchange& x, const storage::resource& of,
                              std::string_view key_segment) {
  if (!uses_l1(of) || !x.head().query.empty()) return net::http::tried::need_task;
  const std::string_view key = l1_key_of_segment(of, key_segment);
  if (key.empty()) return net::http::tried::need_task;
  // Read before the cache: what L1 gives after this contains every change up to here, since L1 drops what
  // changed before the store publishes it.
  const std::int64_t position = with.store->watermark();
  const cache::value_ptr row = with.l1->find(key);
  if (!row) return net::http::tried::need_task;
  answer_cached(x, row, std::max(position, row->position));
  return net::http::tried::answered;
}

net::task<void> read_row(const services& with, net::http::exchange& x, const storage::resource& of,
                         std::string key_segment) {
  auto asked = query::parse(x.head().query, {"fields", "names", "refresh"});
  if (!asked) co_return answer_error(x, asked.error());
  auto options = read_options::from(*asked, of);
  if (!options) co_return answer_error(x, options.error());
  auto key = storage::key_from_path(of, key_segment);
  if (!key) co_return answer_error(x, key.error());
  if (options->whole && !options->refresh && uses_l1(of)) {
    const std::int64_t position = with.store->watermark();
    std::vector<std::string> keys;
    keys.push_back(l1_key(of, *key));
    auto values = co_await with.l1->get_many(x.context(), std::move(keys), *with.row_loader);
    if (!values) co_return answer_error(x, values.error());
    const cache::value_ptr& row = values->front();
    if (row) co_return answer_cached(x, row, std::max(position, row->position));
    // L1 refused what its load brought (l1.h, invariant 1): the store is asked directly.
  }
  std::vector<std::string> keys;
  keys.push_back(std::move(*key));
  auto read = co_await with.store->get(x.context(), of, std::move(options->what), std::move(keys));
  if (!read) co_return answer_error(x, read.error());
  if (read->slices.empty() || !read->slices.front().found)
    co_return answer_not_found(x, "there is no row with this key");
  std::string body(read->json(read->slices.front()));
  co_await answer_json(with, x, std::move(body), read->position);
}

net::task<void> list_rows(const services& with, net::http::exchange& x, const storage::resource& of) {
  auto asked = query::parse(x.head().query, {"limit", "after", "before", "last", "q", "scope", "fields",
                                             "names", "ids", "merge", "refresh"});
  if (!asked) co_return answer_error(x, asked.error());
  if (asked->has("ids")) {
    co_await list_by_ids(with, x, of, std::move(*asked));
    co_return;
  }
  if (asked->has("merge")) co_return answer_error(x, error(errc::invalid, "parameter `merge` needs `ids`"));
  auto options = read_options::from(*asked, of);
  if (!options) co_return answer_error(x, options.error());
  auto wanted = read_list_query(with, *asked, of);
  if (!wanted) co_return answer_error(x, wanted.error());
  wanted->what = std::move(options->what);
  co_await answer_page(with, x, std::move(*asked), std::move(*wanted));
}

}  // namespace syncline::server
