// The asynchronous interface to rows and feed; SQLite implements it now, MySQL over the X Protocol later.
//
// Thread: every member function on a core; results come back to that core. Arguments are owned by the call
// (moved in), so a caller that stops waiting leaves nothing dangling. Bounds: reads and writes wait in
// bounded queues by work class (store options); rows and bytes of an answer are bounded by its limits.
// Failure: errc::overloaded (queue full, or it would miss the deadline), timed_out, cancelled, locked,
// disk_full, corrupt, down, schema_mismatch. After every one of these the store recovers by itself when the
// cause is gone (a database file that was replaced under an open store asks for a restart); a write that was
// not acknowledged may or may not have happened only for errc::down/timed_out after start.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "net/core/request_context.h"
#include "net/core/task.h"
#include "storage/cell.h"
#include "storage/feed.h"
#include "storage/resource.h"
#include "storage/row_json.h"

namespace syncline::storage {

struct row_slice {
  std::uint32_t key_at = 0, key_size = 0;
  std::uint32_t json_at = 0, json_size = 0;
  std::uint32_t group = 0;  // rows_by: index of the asked value this row belongs to
  bool found = true;
};

// Rows read in one snapshot.
struct rows {
  std::string bytes;
  std::vector<row_slice> slices;
  std::int64_t position = 0;    // watermark of the snapshot
  bool more = false;            // the limit cut the answer
  std::vector<bool> truncated;  // rows_by: per asked value, rows_max cut it
  [[nodiscard]] std::string_view key(const row_slice& s) const {
    return std::string_view(bytes).substr(s.key_at, s.key_size);
  }
  [[nodiscard]] std::string_view json(const row_slice& s) const {
    return std::string_view(bytes).substr(s.json_at, s.json_size);
  }
};

enum class page_from : std::uint8_t { first, after, before, last };

struct list_query {
  const resource* of = nullptr;
  projection what;
  page_from from = page_from::first;
  std::string key;  // canonical, for after and before
  std::uint32_t limit = 100;
  std::string search;  // keywords, all of which must match (prefix match on the last); ordered by key as well
  std::string scope;   // "user:42" narrows to that scope; empty: all
};

enum class write_kind : std::uint8_t {
  create,   // errc::conflict when the key exists
  replace,  // create or replace: columns not given become NULL or their default
  patch,    // RFC 7396 on an existing row: `patch_text` for json columns is applied inside the transaction
  remove,
  upsert,  // bulk: create, or set the given columns
  insert,  // bulk: an existing key is a rejected row
  skip,    // bulk: an existing key is left as it is
};

enum class fate : std::uint8_t { created, updated, unchanged, skipped, removed, rejected };

struct row_result {
  fate what = fate::rejected;
  // rejected: one of errc::conflict, not_found, precondition_failed, invalid, with the text for the client
  std::optional<net::error> why;
  std::uint32_t json_at = 0, json_size = 0;  // the row after the write, when return_rows
  std::uint32_t key_at = 0, key_size = 0;
};

// If-Match / If-None-Match, compared inside the transaction with the ETag of the whole row's JSON.
struct write_condition {
  bool must_exist = false;           // If-Match: *
  bool must_not_exist = false;       // If-None-Match: *
  std::vector<std::string> any_of;   // If-Match: strong ETags with quotes
  std::vector<std::string> none_of;  // If-None-Match
  [[nodiscard]] bool empty() const {
    return !must_exist && !must_not_exist && any_of.empty() && none_of.empty();
  }
};

struct write_outcome;

// Remembers what an Idempotency-Key did, in the same transaction as the write itself.
struct idempotency {
  std::string key;  // principal, method, path and the client's key, hashed by the caller (32 hex digits)
  std::uint64_t fingerprint = 0;  // of the request; another one under the same key is refused
  std::uint64_t lines_done = 0;   // bulk: lines whose batches are committed
  // Bulk: what lines_done must be before this batch (0: no record), so that a batch never lands when the one
  // before it failed; else errc::conflict. Not asked of other writes.
  std::optional<std::uint64_t> lines_before;
  std::string saved;  // what to answer with again (single writes: status and body; bulk: its counters)
  bool complete = false;
  // Bulk: makes `saved` inside the write transaction from what was saved before and what this batch did, so
  // that the record is true whenever it is read. Called on the writer's thread, again when a batch runs
  // again.
  std::function<std::string(std::string_view saved_before, const write_outcome& made)> fold;
};

// Rows of one resource that are written in one transaction slice. Cells are row-major, columns.size() per
// row.
struct write_batch {
  const resource* of = nullptr;
  write_kind kind = write_kind::upsert;
  text_arena arena;  // owns the text of the cells
  std::vector<cell> cells;
  std::uint32_t row_count = 0;
  std::string key;            // replace, patch, remove: canonical
  write_condition condition;  // single-row kinds
  bool return_rows = false;
  bool dry_run = false;  // do it, then roll it back
  bool all_or_nothing =
      false;  // a rejected row rolls the whole batch back; the other rows are `skipped` then
  std::uint64_t transaction = 0;  // belongs to an open transaction (begin_transaction), or 0
  std::optional<idempotency> remember;
};

struct write_outcome {
  std::vector<row_result> rows;
  std::string bytes;
  std::int64_t position = 0;  // the feed position that contains this write
};

struct store_figures {
  std::int64_t watermark = 0, horizon = 0;
  std::uint64_t write_queue_rows = 0, write_queue_batches = 0, read_queue_jobs = 0;
  std::uint64_t commits = 0, rows_written = 0, rows_read = 0;
  bool healthy = true;
  std::string trouble;  // why not
};

class store {
 public:
  virtual ~store() = default;

  // Rows by key, in the order asked, one slice each (found=false where there is none).
  [[nodiscard]] virtual net::task<net::result<rows>> get(net::request_context& context, const resource& of,
                                                         projection what, std::vector<std::string> keys) = 0;
  // A page of rows in key order.
  [[nodiscard]] virtual net::task<net::result<rows>> list(net::request_context& context,
                                                          list_query query) = 0;
  // Rows of `of` whose columns `by` equal each of `keys` (canonical key texts), at most rows_max for each:
  // for merges.
  [[nodiscard]] virtual net::task<net::result<rows>> rows_by(net::request_context& context,
                                                             const resource& of, std::vector<std::size_t> by,
                                                             std::vector<std::string> keys,
                                                             std::uint32_t rows_max) = 0;
  // The next page of a stream. An empty optional starts a first sync.
  [[nodiscard]] virtual net::task<net::result<feed_page>> read_page(net::request_context& context,
                                                                    std::shared_ptr<const stream> what,
                                                                    std::optional<cursor> from,
                                                                    page_limits limits) = 0;
  // Durable when it returns, in the feed, and told to the listener.
  [[nodiscard]] virtual net::task<net::result<write_outcome>> write(net::request_context& context,
                                                                    write_batch batch) = 0;
  // One transaction over several batches (atomic=1): holds the writer, so the caller sends its batches
  // without waiting for a client. Rolled back when nothing arrives for transaction_idle_ms.
  [[nodiscard]] virtual net::task<net::result<std::uint64_t>> begin_transaction(
      net::request_context& context) = 0;
  [[nodiscard]] virtual net::task<net::result<std::int64_t>> end_transaction(net::request_context& context,
                                                                             std::uint64_t transaction,
                                                                             bool commit) = 0;
  // What an Idempotency-Key is known to have done.
  [[nodiscard]] virtual net::task<net::result<std::optional<idempotency>>> recall(
      net::request_context& context, std::string key) = 0;

  // Any thread. The stream's hash with the incarnations of its tables.
  [[nodiscard]] virtual std::shared_ptr<const stream> make_stream(std::vector<stream_part> parts) const = 0;
  [[nodiscard]] virtual std::int64_t watermark() const noexcept = 0;  // published
  // Whether batches are stored in the order in which write() was called, also while several are at work.
  [[nodiscard]] virtual bool keeps_write_order() const noexcept = 0;
  [[nodiscard]] virtual store_figures read_figures() const = 0;
  // Before any request; the listener outlives the store.
  virtual void set_listener(feed_listener* listener) = 0;
  virtual void stop() = 0;  // finishes what is queued, checkpoints, closes; from a thread that is no core
};

}  // namespace syncline::storage
