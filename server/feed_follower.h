// Follows a stream from a cursor, page by page, and gives its lines to a sink: what HTTP streams and
// WebSocket subscriptions have in common.
//
// One page is in memory; its rows become lines one by one and the sink says when it must be waited for, so a
// slow reader holds a page and what its connection buffers. After each page comes a line with a cursor. A
// live follower sleeps on its watch and costs nothing until its parts change. Thread: the core of the
// context. Failure: errc::cancelled or errc::closed when the context is cancelled or the sink's peer is gone;
// what the store says when pages cannot be read after kPageTries tries.
//
// Invariants
//  1. The watch is armed before the first page is read, so no change falls between page and wait.
//  2. A cursor is told only after everything before it was given to the sink.
//  3. A live follower that nothing concerns looks for itself every `sync.quiet_reread_s`, and at the next
//  keep-alive after the hub lost a notice. So its cursor follows the feed and no horizon overtakes it.
#pragma once

#include <optional>
#include <string>

#include "net/core/request_context.h"
#include "net/core/task.h"
#include "server/feed_hub.h"
#include "server/stream_request.h"

namespace syncline::server {

class line_sink {
 public:
  virtual ~line_sink() = default;
  // Before a page is read, so that not every stream of a connection holds one; end_page() when it was sent.
  [[nodiscard]] virtual net::task<net::result<void>> begin_page();
  virtual void end_page() noexcept {}
  // Where the next object goes; then end_line(), which is true when make_room() is due before the next one.
  [[nodiscard]] virtual std::string& begin_line() = 0;
  [[nodiscard]] virtual bool end_line() = 0;
  [[nodiscard]] virtual net::task<net::result<void>> make_room() = 0;
  // The reader can have everything so far.
  [[nodiscard]] virtual net::task<net::result<void>> flush() = 0;
  // `sync.keep_alive_s` passed without anything to say; flush() follows.
  virtual void keep_alive() = 0;
  virtual void rest() noexcept {}  // nothing to do until the next change
  // True when the stream should end at its next cursor.
  [[nodiscard]] virtual bool stopping() const noexcept = 0;
};

class feed_follower {
 public:
  feed_follower(const services& with, net::request_context& context, stream_request asked, bool live,
                line_sink& to);

  [[nodiscard]] net::task<net::result<storage::feed_page>> next_page();
  // Sends `page`, which next_page() gave, and what follows it; returns when the stream is at its end.
  [[nodiscard]] net::task<net::result<void>> follow(storage::feed_page page);

 private:
  [[nodiscard]] net::task<net::result<void>> send_page(const storage::feed_page& page);
  [[nodiscard]] net::task<net::result<void>> send_changes(const storage::feed_page& page);
  [[nodiscard]] net::task<net::result<void>> reset(storage::reset_reason reason);
  [[nodiscard]] net::task<net::result<void>> wait_for_change();
  [[nodiscard]] bool must_look() const noexcept;
  [[nodiscard]] net::task<net::result<void>> end_line();
  void tell_place(bool up_to_date);

  const services* with_;
  net::request_context* context_;
  line_sink* to_;
  std::shared_ptr<const storage::stream> what_;
  std::optional<storage::cursor> at_;
  std::optional<storage::cursor> told_;
  bool told_up_to_date_ = false;
  bool live_;
  feed_hub::watch watch_;
  net::steady_time read_at_{};      // when the last page was asked for
  std::uint64_t lost_notices_ = 0;  // the hub's, at that moment
};

}  // namespace syncline::server
