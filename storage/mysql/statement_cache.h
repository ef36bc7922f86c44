// Which statements a session has prepared, the last used first.
//
// Thread: the core of its session. Bound: `prepared_max`; the one that was not used for longest makes room.
// A statement whose Prepare failed is forgotten when it is asked for again.
#pragma once

#include <cstdint>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "storage/mysql/pipeline.h"

namespace syncline::storage::mysql {

class statement_cache {
 public:
  struct entry {
    std::string text;
    std::uint32_t id = 0;
    std::shared_ptr<pending> prepare;
  };

  explicit statement_cache(std::size_t prepared_max) noexcept : prepared_max_(prepared_max) {}

  [[nodiscard]] entry* find(std::string_view text) {
    const auto at = by_text_.find(text);
    if (at == by_text_.end()) return nullptr;
    if (at->second->prepare->failure()) {
      const auto dead = at->second;
      by_text_.erase(at);
      entries_.erase(dead);
      return nullptr;
    }
    entries_.splice(entries_.begin(), entries_, at->second);
    return &entries_.front();
  }
  [[nodiscard]] std::uint32_t next_id() noexcept { return next_id_++; }
  void add(std::string_view text, std::uint32_t id, std::shared_ptr<pending> prepare) {
    entries_.push_front({std::string(text), id, std::move(prepare)});
    by_text_.emplace(entries_.front().text, entries_.begin());
  }
  // The id to deallocate before another one fits.
  [[nodiscard]] std::optional<std::uint32_t> make_room() {
    if (entries_.size() < prepared_max_ || entries_.empty()) return std::nullopt;
    const std::uint32_t id = entries_.back().id;
    by_text_.erase(entries_.back().text);
    entries_.pop_back();
    return id;
  }
  void clear() noexcept {
    by_text_.clear();
    entries_.clear();
  }
  [[nodiscard]] std::size_t size() const noexcept { return entries_.size(); }

 private:
  std::size_t prepared_max_;
  std::uint32_t next_id_ = 1;
  std::list<entry> entries_;
  std::unordered_map<std::string_view, std::list<entry>::iterator> by_text_;  // views into entries_
};

}  // namespace syncline::storage::mysql
