#include "server/merge_read.h"

#include <algorithm>
#include <limits>

#include "net/core/event.h"
#include "server/problems.h"
#include "server/query.h"
#include "server/representation.h"
#include "server/routes.h"
#include "storage/key.h"

namespace syncline::server {
namespace {

using net::errc;
using net::error;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

// The rows of one part, in the order of the keys they belong to.
struct part_rows {
  storage::rows read;
  std::vector<std::uint32_t> begin;  // of each key in `order`; one more at the end
  std::vector<std::uint32_t> order;  // indexes of slices
};

struct merged {
  const storage::merge* what = nullptr;
  std::vector<std::string> keys;
  std::vector<part_rows> parts;  // as in `what`
  std::vector<bool> exists;      // the root of each key
  std::int64_t position = std::numeric_limits<std::int64_t>::max();
};

bool is_root(const storage::merge& what, const storage::merge_part& part) {
  return part.from == what.root && part.by == what.root->key;
}

// A counting sort: slices come in the store's order, keys in the client's.
void sort_by_key(part_rows& part, std::size_t keys) {
  part.begin.assign(keys + 1, 0);
  const auto belongs = [keys](const storage::row_slice& s) { return s.found && s.group < keys; };
  for (const auto& slice : part.read.slices) {
    if (belongs(slice)) ++part.begin[slice.group + 1];
  }
  for (std::size_t i = 0; i < keys; ++i) part.begin[i + 1] += part.begin[i];
  part.order.resize(part.begin[keys]);
  std::vector<std::uint32_t> next(part.begin.begin(), part.begin.end() - 1);
  for (std::uint32_t i = 0; i < part.read.slices.size(); ++i) {
    const auto& slice = part.read.slices[i];
    if (belongs(slice)) part.order[next[slice.group]++] = i;
  }
}

// The store stops an answer at its own limit of bytes: then rows are missing that `rows_max` would have
// allowed, and a row that is missing must not look like one that does not exist.
bool cut_by_bytes(const part_rows& part, std::uint32_t rows_max) {
  for (std::size_t i = 0; i + 1 < part.begin.size() && i < part.read.truncated.size(); ++i) {
    if (part.read.truncated[i] && part.begin[i + 1] - part.begin[i] < rows_max) return true;
  }
  return false;
}

// Which roots exist, where no part shows it.
net::task<net::result<void>> read_roots(const services& with, net::request_context& context, merged& into) {
  storage::projection key_only;
  key_only.columns = into.what->root->key;
  auto keys = into.keys;
  auto read = co_await with.store->get(context, *into.what->root, std::move(key_only), std::move(keys));
  if (!read) co_return read.error();
  for (std::size_t i = 0; i < read->slices.size() && i < into.exists.size(); ++i)
    into.exists[i] = read->slices[i].found;
  into.position = std::min(into.position, read->position);
  co_return net::result<void>();
}

net::task<net::result<void>> read_parts(const services& with, net::request_context& context, merged& into) {
  bool root_known = false;
  std::size_t bytes = 0;
  for (const auto& part : into.what->parts) {
    auto keys = into.keys;
    auto by = part.by;
    const std::uint32_t rows_max = part.one ? 1 : part.rows_max;
    auto read = co_await with.store->rows_by(context, *part.from, std::move(by), std::move(keys), rows_max);
    if (!read) co_return read.error();
    bytes += read->bytes.size();
    into.position = std::min(into.position, read->position);
    part_rows& rows = into.parts.emplace_back();
    rows.read = std::move(*read);
    sort_by_key(rows, into.keys.size());
    if (bytes > kMergeBytesMax || cut_by_bytes(rows, rows_max)) {
      co_return error(errc::too_large, "the merged answer is too large", "ask for fewer keys at once");
    }
    if (root_known || !is_root(*into.what, part)) continue;
    for (std::size_t i = 0; i < into.keys.size(); ++i) into.exists[i] = rows.begin[i + 1] > rows.begin[i];
    root_known = true;
  }
  if (!root_known) co_return co_await read_roots(with, context, into);
  co_return net::result<void>();
}

void append_part(const storage::merge_part& declared, const part_rows& part, std::size_t key,
                 std::string& out) {
  const std::uint32_t begin = part.begin[key];
  const std::uint32_t end = part.begin[key + 1];
  out.push_back(',');
  storage::append_json_string(declared.name, out);
  out.push_back(':');
  if (declared.one) {
    out.append(begin == end ? std::string_view("null") : part.read.json(part.read.slices[part.order[begin]]));
    return;
  }
  out.push_back('[');
  for (std::uint32_t i = begin; i < end; ++i) {
    if (i != begin) out.push_back(',');
    out.append(part.read.json(part.read.slices[part.order[i]]));
  }
  out.push_back(']');
}

void append_document(const merged& all, std::size_t key, std::string& out) {
  out.append("{\"id\":");
  storage::append_key_json(*all.what->root, all.keys[key], out);
  std::string cut;
  for (std::size_t p = 0; p < all.parts.size(); ++p) {
    const auto& declared = all.what->parts[p];
    append_part(declared, all.parts[p], key, out);
    const auto& truncated = all.parts[p].read.truncated;
    if (declared.one || key >= truncated.size() || !truncated[key]) continue;
    cut.append(cut.empty() ? ",\"truncated\":[" : ",");
    storage::append_json_string(declared.name, cut);
  }
  if (!cut.empty()) out.append(cut).push_back(']');
  out.push_back('}');
}

net::task<net::result<merged>> read_merged(const services& with, net::request_context& context,
                                           const storage::merge& what, std::vector<std::string> keys) {
  merged all;
  all.what = &what;
  all.keys = std::move(keys);
  all.exists.assign(all.keys.size(), false);
  auto read = co_await read_parts(with, context, all);
  if (!read) co_return read.error();
  co_return all;
}

}  // namespace

net::task<void> answer_merges(const services& with, net::http::exchange& x, const storage::merge& what,
                              std::vector<std::string> keys) {
  auto all = co_await read_merged(with, x.context(), what, std::move(keys));
  if (!all) co_return answer_error(x, all.error());
  std::string body = "{\"rows\":[";
  std::string missing;
  auto turn_ends = steady_clock::now() + milliseconds(1);
  for (std::size_t i = 0; i < all->keys.size(); ++i) {
    if (steady_clock::now() >= turn_ends) {
      co_await net::yield_core();
      turn_ends = steady_clock::now() + milliseconds(1);
    }
    if (!all->exists[i]) {
      if (!missing.empty()) missing.push_back(',');
      storage::append_key_json(*what.root, all->keys[i], missing);
      continue;
    }
    if (body.back() != '[') body.push_back(',');
    append_document(*all, i, body);
  }
  body.append("],\"missing\":[").append(missing).append("]}");
  co_await answer_json(with, x, std::move(body), all->position);
}

net::task<void> read_merge(const services& with, net::http::exchange& x, const storage::merge& what,
                           std::string key_segment) {
  const auto asked =
      query::parse(x.head().query, {"refresh"});  // always the store: refresh=1 changes nothing here
  if (!asked) co_return answer_error(x, asked.error());
  auto key = storage::key_from_path(*what.root, key_segment);
  if (!key) co_return answer_error(x, key.error());
  std::vector<std::string> keys;
  keys.push_back(std::move(*key));
  auto all = co_await read_merged(with, x.context(), what, std::move(keys));
  if (!all) co_return answer_error(x, all.error());
  if (!all->exists.front()) co_return answer_not_found(x, "there is no row with this key");
  std::string body;
  append_document(*all, 0, body);
  co_await answer_json(with, x, std::move(body), all->position);
}

}  // namespace syncline::server
