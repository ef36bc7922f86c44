#include "perf/metrics.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <iterator>
#include <limits>
#include <map>
#include <memory>
#include <mutex>
#include <stdexcept>

#include <fmt/format.h>

#include "perf/metric_slots.h"

namespace syncline::perf {
namespace {

struct bucket_limit {
  std::uint64_t us;
  std::string_view seconds;  // the text of the `le` label: fixed, since a changed text is a new time series
};

constexpr std::array kBuckets{
    bucket_limit{10, "0.00001"},  bucket_limit{20, "0.00002"},  bucket_limit{50, "0.00005"},
    bucket_limit{100, "0.0001"},  bucket_limit{200, "0.0002"},  bucket_limit{500, "0.0005"},
    bucket_limit{1000, "0.001"},  bucket_limit{2000, "0.002"},  bucket_limit{5000, "0.005"},
    bucket_limit{10000, "0.01"},  bucket_limit{20000, "0.02"},  bucket_limit{50000, "0.05"},
    bucket_limit{100000, "0.1"},  bucket_limit{200000, "0.2"},  bucket_limit{500000, "0.5"},
    bucket_limit{1000000, "1"},   bucket_limit{2000000, "2"},   bucket_limit{5000000, "5"},
    bucket_limit{10000000, "10"}, bucket_limit{20000000, "20"}, bucket_limit{50000000, "50"},
};
// By the width of a value in bits: the first bucket that it may belong to.
constexpr std::array<std::uint8_t, 65> kFirstBucket = [] {
  std::array<std::uint8_t, 65> out{};
  for (std::size_t width = 1; width < out.size(); ++width) {
    const std::uint64_t least = std::uint64_t{1} << (width - 1);
    while (out[width] < kBuckets.size() && kBuckets[out[width]].us < least) ++out[width];
  }
  return out;
}();
// Behind the buckets: what is above the last limit, then the sum in microseconds.
constexpr std::uint32_t kOverflow = kBuckets.size();
constexpr std::uint32_t kSum = kOverflow + 1;
constexpr std::uint32_t kHistogramSlots = kSum + 1;

enum class family_type : std::uint8_t { counter, gauge, histogram };

constexpr std::string_view type_name(family_type type) {
  switch (type) {
    case family_type::counter:
      return "counter";
    case family_type::gauge:
      return "gauge";
    case family_type::histogram:
      return "histogram";
  }
  return "untyped";
}

// One combination of labels inside a family.
struct series {
  std::uint32_t slot = 0;
  std::unique_ptr<gauge> stored;
  std::map<std::uint64_t, std::shared_ptr<const std::function<double()>>> callbacks;
};

struct family {
  family_type type = family_type::counter;
  std::string help;
  std::map<std::string, series, std::less<>> by_labels;  // key: the finished text between the braces
};

struct registry {
  std::mutex scrape_lock;  // taken first; held while callbacks run, so that unregistering waits for them
  std::mutex lock;         // not held while callbacks run: a callback may take locks of its own
  std::map<std::string, family, std::less<>> families;
  std::uint32_t next_slot = 1;  // slot 0 is the sink of default-made counters
  std::uint64_t next_handle = 1;
};

// Never destroyed, like the slots it describes.
registry& the_registry() {
  static auto* const r = new registry;
  return *r;
}

bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}
bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

void check_name(std::string_view name, bool colon_allowed) {
  const auto legal = [&](char c) { return is_letter(c) || is_digit(c) || (colon_allowed && c == ':'); };
  if (name.empty() || is_digit(name.front()) || !std::ranges::all_of(name, legal)) {
    throw std::invalid_argument(fmt::format("metrics: '{}' is not a legal name", name));
  }
}

void append_escaped(std::string& out, std::string_view text, bool quotes) {
  for (const char c : text) {
    switch (c) {
      case '\\':
        out += "\\\\";
        break;
      case '\n':
        out += "\\n";
        break;
      case '"':
        out += quotes ? "\\\"" : "\"";
        break;
      default:
        out += c;
    }
  }
}

// `a="1",b="2"`, sorted by name so that the order in which labels were given makes no second series.
std::string label_text(labels with, family_type type) {
  std::ranges::sort(with);
  std::string out;
  std::string_view last;
  for (const auto& [name, value] : with) {
    check_name(name, false);
    if (name == last || (type == family_type::histogram && name == "le")) {
      throw std::invalid_argument(fmt::format("metrics: label '{}' given twice or reserved", name));
    }
    last = name;
    if (!out.empty()) out += ',';
    out += name;
    out += "=\"";
    append_escaped(out, value, true);
    out += '"';
  }
  return out;
}

// Finds or makes the series. The caller holds the lock.
series& find_series(registry& r, std::string_view name, std::string_view help, family_type type,
                    const labels& with) {
  check_name(name, true);
  const std::string key = label_text(with, type);
  auto found = r.families.find(name);
  if (found == r.families.end()) {
    found = r.families.try_emplace(std::string(name), family{type, std::string(help), {}}).first;
  }
  if (found->second.type != type) {
    throw std::invalid_argument(fmt::format("metrics: '{}' is registered as a {} and asked for as a {}", name,
                                            type_name(found->second.type), type_name(type)));
  }
  return found->second.by_labels.try_emplace(key).first->second;
}

std::uint32_t find_slot(std::string_view name, std::string_view help, family_type type, const labels& with,
                        std::uint32_t slots) {
  registry& r = the_registry();
  const std::lock_guard hold(r.lock);
  series& s = find_series(r, name, help, type, with);
  if (s.slot == 0) {
    if (slots > kSlotsMax - r.next_slot) {
      throw std::length_error(
          fmt::format("metrics: no slots left for '{}', kSlotsMax is {}", name, kSlotsMax));
    }
    s.slot = r.next_slot;
    r.next_slot += slots;
  }
  return s.slot;
}

std::string number_text(double v) {
  if (std::isnan(v)) return "NaN";
  if (std::isinf(v)) return v > 0 ? "+Inf" : "-Inf";
  return fmt::to_string(v);
}

void append_sample(std::string& out, std::string_view name, std::string_view suffix, std::string_view with,
                   std::string_view value) {
  out += name;
  out += suffix;
  if (!with.empty()) {
    out += '{';
    out += with;
    out += '}';
  }
  out += ' ';
  out += value;
  out += '\n';
}

void append_histogram(std::string& out, std::string_view name, std::string_view with, std::uint32_t first) {
  std::array<std::uint64_t, kHistogramSlots> slots{};
  sum_slots(first, slots);
  const std::string prefix = with.empty() ? "le=\"" : fmt::format("{},le=\"", with);
  std::uint64_t so_far = 0;
  for (std::size_t i = 0; i < kBuckets.size(); ++i) {
    so_far += slots[i];
    append_sample(out, name, "_bucket", fmt::format("{}{}\"", prefix, kBuckets[i].seconds),
                  fmt::to_string(so_far));
  }
  so_far += slots[kOverflow];
  append_sample(out, name, "_bucket", fmt::format("{}+Inf\"", prefix), fmt::to_string(so_far));
  append_sample(out, name, "_sum", with, number_text(static_cast<double>(slots[kSum]) / 1e6));
  append_sample(out, name, "_count", with, fmt::to_string(so_far));
}

using callback_values = std::map<std::uint64_t, double>;

// Calls every callback, without the registry's lock. A callback that throws reads as NaN.
callback_values read_callbacks(registry& r) {
  std::map<std::uint64_t, std::shared_ptr<const std::function<double()>>> all;
  {
    const std::lock_guard hold(r.lock);
    for (const auto& [name, f] : r.families) {
      for (const auto& [with, s] : f.by_labels) all.insert(s.callbacks.begin(), s.callbacks.end());
    }
  }
  callback_values values;
  for (const auto& [handle, read] : all) {
    double v = std::numeric_limits<double>::quiet_NaN();
    try {
      v = (*read)();
    } catch (...) {
      // One broken gauge must not cost the reader all the others.
    }
    values.emplace(handle, v);
  }
  return values;
}

void append_gauge(std::string& out, std::string_view name, std::string_view with, const series& s,
                  const callback_values& values) {
  if (s.callbacks.empty()) {
    if (s.stored != nullptr) append_sample(out, name, "", with, fmt::to_string(s.stored->value()));
    return;
  }
  double sum = s.stored != nullptr ? static_cast<double>(s.stored->value()) : 0.0;
  for (const auto& [handle, read] : s.callbacks) {
    // A callback added while the others ran has no value yet and is left to the next scrape.
    if (const auto found = values.find(handle); found != values.end()) sum += found->second;
  }
  append_sample(out, name, "", with, number_text(sum));
}

void append_family(std::string& out, std::string_view name, const family& f, const callback_values& values) {
  std::string samples;
  for (const auto& [with, s] : f.by_labels) {
    switch (f.type) {
      case family_type::counter: {
        std::array<std::uint64_t, 1> sum{};
        sum_slots(s.slot, sum);
        append_sample(samples, name, "", with, fmt::to_string(sum[0]));
        break;
      }
      case family_type::histogram:
        append_histogram(samples, name, with, s.slot);
        break;
      case family_type::gauge:
        append_gauge(samples, name, with, s, values);
        break;
    }
  }
  if (samples.empty()) return;
  out += "# HELP ";
  out += name;
  out += ' ';
  append_escaped(out, f.help, false);
  out += "\n# TYPE ";
  out += name;
  out += ' ';
  out += type_name(f.type);
  out += '\n';
  out += samples;
}

}  // namespace

std::uint64_t counter::value() const noexcept {
  if (slot_ == 0) return 0;
  std::array<std::uint64_t, 1> sum{};
  sum_slots(slot_, sum);
  return sum[0];
}

void histogram::record_us(std::uint64_t us) const noexcept {
  if (first_slot_ == 0) return;
  // Three limits a decade, and a power of two spans less than two of them: from where the table says it is at
  // most two compares. A binary search was 60 instructions.
  std::size_t at = kFirstBucket[static_cast<std::size_t>(std::bit_width(us))];
  while (at < kBuckets.size() && kBuckets[at].us < us) ++at;
  add_to_slot(first_slot_ + static_cast<std::uint32_t>(at), 1);
  add_to_slot(first_slot_ + kSum, us);
}

std::uint64_t histogram::count() const noexcept {
  if (first_slot_ == 0) return 0;
  std::array<std::uint64_t, kSum> slots{};
  sum_slots(first_slot_, slots);
  std::uint64_t sum = 0;
  for (const std::uint64_t n : slots) sum += n;
  return sum;
}

counter metrics::add_counter(std::string_view name, std::string_view help, const labels& with) {
  return counter(find_slot(name, help, family_type::counter, with, 1));
}

histogram metrics::add_histogram(std::string_view name, std::string_view help, const labels& with) {
  return histogram(find_slot(name, help, family_type::histogram, with, kHistogramSlots));
}

gauge& metrics::add_gauge(std::string_view name, std::string_view help, const labels& with) {
  registry& r = the_registry();
  const std::lock_guard hold(r.lock);
  series& s = find_series(r, name, help, family_type::gauge, with);
  if (s.stored == nullptr) s.stored = std::make_unique<gauge>();
  return *s.stored;
}

std::uint64_t metrics::add_gauge_callback(std::string_view name, std::string_view help, const labels& with,
                                          std::function<double()> read) {
  if (!read) throw std::invalid_argument(fmt::format("metrics: '{}' has an empty callback", name));
  registry& r = the_registry();
  auto shared = std::make_shared<const std::function<double()>>(std::move(read));
  const std::lock_guard hold(r.lock);
  series& s = find_series(r, name, help, family_type::gauge, with);
  const std::uint64_t handle = r.next_handle++;
  s.callbacks.emplace(handle, std::move(shared));
  return handle;
}

void metrics::remove_gauge_callback(std::uint64_t handle) {
  registry& r = the_registry();
  const std::lock_guard no_scrape(r.scrape_lock);
  const std::lock_guard hold(r.lock);
  for (auto& [name, f] : r.families) {
    for (auto& [with, s] : f.by_labels) {
      if (s.callbacks.erase(handle) != 0) return;
    }
  }
}

std::string metrics::scrape() {
  registry& r = the_registry();
  const std::lock_guard one_at_a_time(r.scrape_lock);
  const callback_values values = read_callbacks(r);
  std::string out;
  const std::lock_guard hold(r.lock);
  for (const auto& [name, f] : r.families) append_family(out, name, f, values);
  return out;
}

}  // namespace syncline::perf
