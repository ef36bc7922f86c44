#include "server/idempotency.h"

#include <algorithm>
#include <charconv>

#include <fmt/format.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace syncline::server {
namespace {

constexpr std::size_t kKeyBytesMax = 200;

bool visible(char c) noexcept {
  return c > 0x20 && c < 0x7f;
}

}  // namespace

net::result<std::optional<std::string>> read_idempotency_key(net::http::exchange& x) {
  std::string_view given;
  int count = 0;
  for (const auto& field : x.head().headers) {
    if (!net::http::iequals(field.name, "idempotency-key")) continue;
    given = field.value;
    ++count;
  }
  if (count == 0) return std::optional<std::string>();
  if (count > 1) return net::error(net::errc::invalid, "Idempotency-Key is given twice");
  if (given.empty() || given.size() > kKeyBytesMax || !std::all_of(given.begin(), given.end(), visible)) {
    return net::error(net::errc::invalid, "Idempotency-Key must be 1 to 200 visible ASCII characters");
  }
  // NUL cannot occur in any of the parts, so it separates them.
  std::string text = x.context().who.principal;
  for (const std::string_view part : {net::http::to_string(x.head().verb), x.head().path, given}) {
    text.push_back('\0');
    text.append(part);
  }
  const XXH128_hash_t hash = XXH3_128bits(text.data(), text.size());
  return std::optional<std::string>(fmt::format("{:016x}{:016x}", hash.high64, hash.low64));
}

std::uint64_t request_fingerprint(std::string_view query, std::string_view body) noexcept {
  return XXH3_64bits_withSeed(body.data(), body.size(), XXH3_64bits(query.data(), query.size()));
}

requests_in_progress::claim::claim(requests_in_progress& in, std::string key)
    : in_(&in), key_(std::move(key)) {
  stripe& s = in_->stripe_of(key_);
  const std::lock_guard lock(s.mutex);
  held_ = s.keys.insert(key_).second;
}

requests_in_progress::claim::~claim() {
  if (!held_) return;
  stripe& s = in_->stripe_of(key_);
  const std::lock_guard lock(s.mutex);
  s.keys.erase(key_);
}

requests_in_progress::stripe& requests_in_progress::stripe_of(std::string_view key) noexcept {
  return stripes_[std::hash<std::string_view>()(key) % stripes_.size()];
}

std::optional<saved_write> saved_write::parse(std::string_view text) {
  saved_write out;
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), out.status);
  const auto digits = static_cast<std::size_t>(end - text.data());
  if (failure != std::errc() || digits >= text.size() || text[digits] != ' ') return std::nullopt;
  out.key = text.substr(digits + 1);
  return out;
}

}  // namespace syncline::server
