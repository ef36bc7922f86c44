// The change feed as its readers see it: streams, pages of changes, notices of what changed.
//
// An entry (seq, resource, scope, key) means: look at this key in this scope again. A row has one entry for
// each of its scopes. The entry of the first declared scope is its primary entry: `name:value`, or the empty
// scope when that column is NULL or the resource declares no scope; so every row has exactly one primary
// entry and a stream of the whole resource follows primary entries alone. Further scopes have an entry only
// where not NULL. What is sent is decided when the row is read, by key and scope and `where`, in the page's
// snapshot: found is a put, not found a remove. Thread: values; a notice is shared and immutable.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "storage/cursor.h"
#include "storage/resource.h"

namespace syncline::storage {

// One table of a stream: all of it, or the rows of one scope.
struct stream_part {
  const resource* of = nullptr;
  std::string scope;  // "user:42", or empty for the whole resource
};

struct stream {
  std::vector<stream_part> parts;
  std::uint64_t declaration =
      0;  // set by make_stream: hash of parts and their declarations (and incarnations, added by the store)
};

// Hash of a stream's parts, their declarations and incarnations; `incarnations` has one element for each
// part.
[[nodiscard]] std::uint64_t hash_of_stream(const std::vector<stream_part>& parts,
                                           std::span<const std::int64_t> incarnations);
// True when an entry of this scope is the row's primary entry.
[[nodiscard]] bool is_primary_scope(const resource& of, std::string_view scope) noexcept;

struct page_limits {
  std::uint32_t rows_max = 1000;
  std::uint32_t bytes_max = 256 * 1024;  // of row JSON; one row may pass it
  // The client comes back: it may hold rows of pages whose cursors it never got.
  bool resumes = false;
};

struct change {
  const resource* of = nullptr;
  bool put = false;
  std::uint32_t key_at = 0, key_size = 0;  // canonical key, in page::bytes
  std::uint32_t row_at = 0, row_size = 0;  // row JSON, in page::bytes (put)
};

enum class reset_reason : std::uint8_t {
  none,
  declaration_changed,
  history_purged,
  unknown_generation,
  feed_went_back
};
[[nodiscard]] std::string_view to_string(reset_reason reason) noexcept;  // "declaration-changed", …

// One page, read in one snapshot.
struct feed_page {
  std::string bytes;
  std::vector<change> changes;
  cursor next;              // safe to resume from after these changes
  bool up_to_date = false;  // nothing was left at the watermark of the snapshot
  std::int64_t watermark = 0;
  reset_reason reset = reset_reason::none;  // then there are no changes
  [[nodiscard]] std::string_view key(const change& c) const {
    return std::string_view(bytes).substr(c.key_at, c.key_size);
  }
  [[nodiscard]] std::string_view row(const change& c) const {
    return std::string_view(bytes).substr(c.row_at, c.row_size);
  }
};

// What changed between two watermarks, told to the listener before readers may see the new watermark and
// before a write is acknowledged.
struct change_notice {
  struct item {
    std::uint32_t resource = 0;  // ordinal
    bool primary = false;
    std::string scope;  // "" or "user:42"
    std::string key;
  };
  std::int64_t watermark = 0;
  bool everything = false;  // too many to list, or the feed went back: forget all you know
  std::vector<item> items;
};
using change_notice_ptr = std::shared_ptr<const change_notice>;

// Called on a storage thread, one call at a time, in order of watermark. Must be quick and must not wait for
// a core.
class feed_listener {
 public:
  virtual ~feed_listener() = default;
  virtual void changed(const change_notice_ptr& notice) noexcept = 0;
};

}  // namespace syncline::storage
