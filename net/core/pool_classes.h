// How many connections each class of work uses, and whether it may use one more.
//
// A class may always use up to its reserve. Beyond it, it may take what is left when every other class has
// its reserve or what it uses, whichever is more. So a class finds its reserve free however long the others
// hold theirs, and what nobody reserved goes to whoever comes first. Thread: a value.
//
// Invariants
//  1. The reserves add up to at most `total`.
//  2. sum(max(in_use, reserve)) <= total: so a class below its reserve can always be served by a free or a
//     new connection.
#pragma once

#include <algorithm>
#include <array>
#include <cassert>
#include <cstdint>

#include "net/core/request_context.h"

namespace syncline::net {

class pool_classes {
 public:
  pool_classes(std::uint32_t total, const std::array<std::uint32_t, kWorkClasses>& percent) noexcept
      : total_(total) {
    std::uint32_t left = total;
    for (std::size_t i = 0; i < kWorkClasses; ++i) {
      std::uint32_t wanted = static_cast<std::uint32_t>(std::uint64_t{total} * percent[i] / 100);
      // A class that was promised something gets one connection where there are enough for all twice over;
      // interactive work, the first, already where there are two.
      if (wanted == 0 && percent[i] != 0 && total >= (i == 0 ? 2 : 2 * kWorkClasses)) wanted = 1;
      reserve_[i] = std::min(wanted, left);
      left -= reserve_[i];
    }
  }

  // How many more `work` may use now.
  [[nodiscard]] std::uint32_t room(work_class work) const noexcept {
    const auto mine = static_cast<std::size_t>(work);
    std::uint32_t others = 0;
    for (std::size_t i = 0; i < kWorkClasses; ++i) {
      if (i != mine) others += std::max(in_use_[i], reserve_[i]);
    }
    return total_ - others - in_use_[mine];
  }
  // The most that `work` can ever use.
  [[nodiscard]] std::uint32_t most(work_class work) const noexcept {
    std::uint32_t left = total_ + reserve(work);
    for (const std::uint32_t each : reserve_) left -= each;
    return left;
  }
  [[nodiscard]] bool all_in_use() const noexcept {
    std::uint32_t sum = 0;
    for (const std::uint32_t each : in_use_) sum += each;
    return sum == total_;
  }
  [[nodiscard]] bool use(work_class work) noexcept {
    if (room(work) == 0) return false;
    ++in_use_[static_cast<std::size_t>(work)];
    return true;
  }
  void end_use(work_class work) noexcept {
    assert(in_use_[static_cast<std::size_t>(work)] > 0);
    --in_use_[static_cast<std::size_t>(work)];
  }
  [[nodiscard]] std::uint32_t in_use(work_class work) const noexcept {
    return in_use_[static_cast<std::size_t>(work)];
  }
  [[nodiscard]] std::uint32_t reserve(work_class work) const noexcept {
    return reserve_[static_cast<std::size_t>(work)];
  }

 private:
  std::uint32_t total_;
  std::array<std::uint32_t, kWorkClasses> reserve_{};
  std::array<std::uint32_t, kWorkClasses> in_use_{};
};

}  // namespace syncline::net
