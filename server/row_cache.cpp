#include "server/row_cache.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <functional>

#include "net/core/gzip_bytes.h"
#include "net/core/turn.h"
#include "server/feed_hub.h"
#include "storage/row_json.h"

namespace syncline::server {
namespace {

using storage::column_type;

constexpr std::size_t kOrdinalBytes = 4;
constexpr std::size_t kSegmentBytesMax =
    256;  // longer keys take the slow path, so the buffer below stays small

std::uint32_t ordinal_of(std::string_view l1_key) noexcept {
  std::uint32_t ordinal = 0;
  for (std::size_t i = 0; i < kOrdinalBytes && i < l1_key.size(); ++i) {
    ordinal |= static_cast<std::uint32_t>(static_cast<unsigned char>(l1_key[i])) << (8 * i);
  }
  return ordinal;
}

// 18 digits at most: no overflow to think about.
bool plain_integer(std::string_view text) noexcept {
  if (text.starts_with('-')) {
    text.remove_prefix(1);
    if (text == "0") return false;
  }
  if (text.empty() || text.size() > 18 || (text.front() == '0' && text.size() > 1)) return false;
  return std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

// Characters that stand for themselves in a path and in a canonical key.
bool plain_text(std::string_view text) noexcept {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' ||
           c == '.' || c == '_' || c == '~' || c == '@' || c == ':';
  });
}

bool plain_part(column_type type, std::string_view text) noexcept {
  if (type == column_type::int64) return plain_integer(text);
  return type == column_type::string && plain_text(text);
}

bool plainly_canonical(const storage::resource& of, std::string_view segment) noexcept {
  if (segment.size() > kSegmentBytesMax) return false;
  for (std::size_t i = 0; i < of.key.size(); ++i) {
    const column_type type = of.columns[of.key[i]].type;
    if (i + 1 == of.key.size()) return plain_part(type, segment);  // which has no room for another comma
    const std::size_t comma = segment.find(',');
    if (comma == std::string_view::npos || !plain_part(type, segment.substr(0, comma))) return false;
    segment.remove_prefix(comma + 1);
  }
  return false;
}

std::shared_ptr<cache::value> value_of(const storage::resource& of, const storage::rows& read,
                                       const storage::row_slice& slice) {
  auto made = std::make_shared<cache::value>();
  made->position = read.position;
  made->found = slice.found;
  made->ttl_s = slice.found ? of.cache.ttl_s : of.cache.negative_s;
  if (slice.found) {
    made->body = read.json(slice);
    made->etag = storage::etag_of(made->body);
  }
  return made;
}

}  // namespace

std::string_view l1_key_of_segment(const storage::resource& of, std::string_view segment) noexcept {
  if (!plainly_canonical(of, segment)) return {};
  // The same bytes as append_l1_key(). Plain memory: growing a string byte by byte cost 150 instructions a
  // request.
  constinit thread_local std::array<char, kOrdinalBytes + kSegmentBytesMax> buffer{};
  for (std::size_t i = 0; i < kOrdinalBytes; ++i)
    buffer[i] = static_cast<char>((of.ordinal >> (8 * i)) & 0xFFU);
  std::memcpy(buffer.data() + kOrdinalBytes, segment.data(), segment.size());
  return {buffer.data(), kOrdinalBytes + segment.size()};
}

std::string l1_key(const storage::resource& of, std::string_view canonical) {
  std::string out;
  out.reserve(kOrdinalBytes + canonical.size());
  append_l1_key(of.ordinal, canonical, out);
  return out;
}

net::task<void> row_loader::compress(net::request_context& context, cache::value& into) {
  if (into.body.size() <= net::kGzipInlineBytesMax || threads_ == nullptr) {
    into.gzip = net::gzip_bytes(into.body);
    co_return;
  }
  // Copies, since a job whose caller gave up still runs.
  auto packed = std::make_shared<std::string>();
  std::function<void()> job = [packed, body = into.body] { *packed = net::gzip_bytes(body); };
  auto ran = co_await threads_->run(context, std::move(job));
  if (ran) into.gzip = std::move(*packed);
}

net::task<net::result<std::vector<cache::value_ptr>>> row_loader::load(net::request_context& context,
                                                                       std::vector<std::string> keys) {
  std::vector<cache::value_ptr> values(keys.size());
  // One batch per resource; a request asks for one, so this is one turn.
  for (std::size_t first = 0; first < keys.size(); ++first) {
    if (values[first]) continue;
    const std::uint32_t ordinal = ordinal_of(keys[first]);
    const storage::resource& of = resources_->at(ordinal);
    std::vector<std::size_t> places;
    std::vector<std::string> asked;
    for (std::size_t i = first; i < keys.size(); ++i) {
      if (values[i] || ordinal_of(keys[i]) != ordinal) continue;
      places.push_back(i);
      asked.push_back(keys[i].substr(kOrdinalBytes));
    }
    auto all = storage::projection::all(of);
    auto read = co_await store_->get(context, of, std::move(all), std::move(asked));
    if (!read) co_return read.error();
    if (read->slices.size() != places.size())
      co_return net::error(net::errc::internal, "the store answered another number of rows");
    net::turn mine;
    for (std::size_t i = 0; i < places.size(); ++i) {
      co_await mine.give_way();
      auto made = value_of(of, *read, read->slices[i]);
      if (gzip_bytes_min_ != 0 && made->body.size() >= gzip_bytes_min_) co_await compress(context, *made);
      values[places[i]] = std::move(made);
    }
  }
  co_return values;
}

}  // namespace syncline::server
