// Rows in L1: which resources use it, how keys are spelled there, and how missing rows are loaded.
//
// Thread: any core; immutable. Bound: L1's own; one load reads the keys of one request at most.
// Failure: that of store::get(), given to those who wait for the load and not kept.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "cache/l1.h"
#include "net/core/blocking_threads.h"
#include "storage/resource.h"
#include "storage/store.h"

namespace syncline::server {

// Only what the feed invalidates may be kept: a view has no feed entries.
[[nodiscard]] inline bool uses_l1(const storage::resource& of) noexcept {
  return of.cache.l1 && of.synced && !of.view;
}

// The L1 key of a row whose path segment, as sent, already is its canonical key; empty when that is not
// certain (then the slow path decides). The view is into a buffer of this thread, valid until the next call;
// nothing is allocated.
[[nodiscard]] std::string_view l1_key_of_segment(const storage::resource& of,
                                                 std::string_view segment) noexcept;
[[nodiscard]] std::string l1_key(const storage::resource& of, std::string_view canonical);

// Loads rows of any resource: the L1 key says which. Must outlive every load it began, so it ends after the
// cores.
class row_loader final : public cache::batch_loader {
 public:
  // Bodies of at least `gzip_bytes_min` (0: none) are stored compressed too, large ones on `threads`.
  row_loader(storage::store& store, const storage::catalog& resources, net::blocking_threads* threads,
             std::size_t gzip_bytes_min)
      : store_(&store), resources_(&resources), threads_(threads), gzip_bytes_min_(gzip_bytes_min) {}
  [[nodiscard]] net::task<net::result<std::vector<cache::value_ptr>>> load(
      net::request_context& context, std::vector<std::string> keys) override;

 private:
  [[nodiscard]] net::task<void> compress(net::request_context& context, cache::value& into);

  storage::store* store_;
  const storage::catalog* resources_;
  net::blocking_threads* threads_;
  std::size_t gzip_bytes_min_;
};

}  // namespace syncline::server
