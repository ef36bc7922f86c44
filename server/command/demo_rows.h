// Rows of the demo, one JSON object each, as many as asked for: the same seed gives the same bytes on every
// machine.
//
// Every row is computed from (seed, resource, position) alone, so a million users cost no memory. Not for
// tests that need special cases: it makes plausible rows only. Thread: immutable after construction; write()
// may run on several threads. Bound: kDemoUsersMax users.
//
// Invariants
//  1. Keys of a resource are distinct and ascending.
//  2. Rows refer to users, categories and campaigns that exist.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>

namespace syncline::server::command {

inline constexpr std::uint64_t kDemoUsersMax = 100'000'000;

class demo_rows {
 public:
  // `line` is one JSON object without a line end, valid during the call; false ends the writing.
  using sink = std::function<bool(std::string_view line)>;

  demo_rows(std::uint64_t users, std::uint64_t seed);

  // In an order in which each row refers only to what stands before it.
  [[nodiscard]] static std::span<const std::string_view> resources();
  // False when the sink ended it, or for a name that is none of resources().
  bool write(std::string_view resource, const sink& to) const;

  [[nodiscard]] std::uint64_t users() const noexcept { return users_; }
  [[nodiscard]] std::uint64_t categories() const noexcept { return categories_; }
  [[nodiscard]] std::uint64_t campaigns() const noexcept { return campaigns_; }

 private:
  bool write_pairs(std::string_view resource, const sink& to) const;
  bool write_donations(const sink& to) const;
  void append_user(std::uint64_t id, std::string& out) const;
  void append_user_state(std::uint64_t id, std::string& out) const;
  void append_category(std::uint64_t id, std::string& out) const;
  void append_campaign(std::uint64_t id, std::string& out) const;

  std::uint64_t users_;
  std::uint64_t seed_;
  std::uint64_t categories_;
  std::uint64_t campaigns_;
};

}  // namespace syncline::server::command
