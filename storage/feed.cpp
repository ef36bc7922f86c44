#include "storage/feed.h"

namespace syncline::storage {

std::string_view to_string(reset_reason reason) noexcept {
  switch (reason) {
    case reset_reason::none:
      return "none";
    case reset_reason::declaration_changed:
      return "declaration-changed";
    case reset_reason::history_purged:
      return "history-purged";
    case reset_reason::unknown_generation:
      return "unknown-generation";
    case reset_reason::feed_went_back:
      return "feed-went-back";
  }
  return "none";
}

}  // namespace syncline::storage
