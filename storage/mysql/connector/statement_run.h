// One statement between the core that wants it and the thread that runs it: batches of rows one way, and the
// word that nobody reads on the other.
//
// Thread: put(), dropped() and end() the session's thread, the rest the core; the object is shared by both
// and dies with the last. Bound: kBatchesMax batches; put() waits for room. Failure: end() with an error.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "net/core/core.h"
#include "net/core/event.h"
#include "storage/mysql/answer.h"

namespace syncline::storage::mysql {

// Rows of one result set. `bytes` holds their fields one behind the other, `sizes` how long each is.
struct row_batch {
  std::shared_ptr<const std::vector<column>> columns;
  std::string bytes;
  std::vector<std::uint32_t> sizes;
};

class statement_run : public std::enable_shared_from_this<statement_run> {
 public:
  enum class what : std::uint8_t { statement, reopen };
  // `on` outlives every run that is waited for; it is not touched once leave() was called.
  statement_run(what kind, std::string text, net::core& on)
      : kind_(kind), text_(std::move(text)), core_(&on) {}

  [[nodiscard]] what kind() const noexcept { return kind_; }
  [[nodiscard]] const std::string& text() const noexcept { return text_; }

  // The thread's.
  void put(row_batch batch);
  [[nodiscard]] bool dropped();
  void end(net::result<statement_notes> how);

  // The core's. take(): a batch; nothing and ended() is the end.
  [[nodiscard]] std::optional<row_batch> take();
  [[nodiscard]] bool ended();
  [[nodiscard]] net::result<statement_notes> outcome();
  [[nodiscard]] net::task<net::result<void>> wait(net::request_context& context);
  void drop_rows();  // those that come are not wanted, the end is
  void leave();      // nobody waits any more

 private:
  static constexpr std::size_t kBatchesMax = 2;
  void tell();

  const what kind_;
  const std::string text_;
  std::mutex guard_;
  std::condition_variable room_;
  std::deque<row_batch> batches_;
  net::core* core_;                // null: nobody waits; under guard_
  net::event* waiting_ = nullptr;  // the core's alone
  bool dropped_ = false;
  std::optional<net::result<statement_notes>> ended_;
};

}  // namespace syncline::storage::mysql
