#include "server/command/demo_rows.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>

#include <fmt/format.h>

#include "server/command/demo_words.h"
#include "storage/row_json.h"

namespace syncline::server::command {
namespace {

constexpr std::array<std::string_view, 7> kResources{"users",   "user_states", "categories", "campaigns",
                                                     "follows", "blocks",      "donations"};
constexpr std::int64_t kFirstSecond = 1'546'300'800;  // 2019-01-01
constexpr std::int64_t kLastSecond = 1'767'225'600;   // 2026-01-01
constexpr std::int64_t kDay = 86'400;

// SplitMix64: a good mixer of a counter, so that each row has dice of its own without a table.
class dice {
 public:
  dice(std::uint64_t seed, std::uint64_t resource, std::uint64_t row)
      : state_(seed * 0x9E3779B97F4A7C15ull + resource * 0xD1B54A32D192ED03ull +
               row * 0x2545F4914F6CDD1Dull) {
    next();
  }
  std::uint64_t next() noexcept {
    std::uint64_t z = (state_ += 0x9E3779B97F4A7C15ull);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
    return z ^ (z >> 31);
  }
  // 0 to n - 1; n below 2^32.
  std::uint64_t below(std::uint64_t n) noexcept { return ((next() >> 32) * n) >> 32; }
  bool percent(std::uint64_t p) noexcept { return below(100) < p; }
  template <class T>
  const T& of(std::span<const T> words) noexcept {
    return words[below(words.size())];
  }

 private:
  std::uint64_t state_;
};

// One JSON object, member by member. Throws of the dice stand one to a statement: C++ does not say in which
// order arguments are evaluated.
class object_text {
 public:
  explicit object_text(std::string& out) : out_(&out) { out_->push_back('{'); }
  ~object_text() { out_->push_back('}'); }
  object_text(const object_text&) = delete;
  object_text& operator=(const object_text&) = delete;

  std::string& name(std::string_view name) {
    if (!first_) out_->push_back(',');
    first_ = false;
    out_->append("\"").append(name).append("\":");
    return *out_;
  }
  void number(std::string_view member, std::uint64_t value) {
    name(member).append(fmt::format_int(value).c_str());
  }
  void text(std::string_view member, std::string_view value) {
    storage::append_json_string(value, name(member));
  }
  void boolean(std::string_view member, bool value) { name(member).append(value ? "true" : "false"); }
  void null(std::string_view member) { name(member).append("null"); }
  void decimal(std::string_view member, std::uint64_t cents) {
    fmt::format_to(std::back_inserter(name(member)), "\"{}.{:02}\"", cents / 100, cents % 100);
  }
  void time(std::string_view member, std::int64_t second) {
    const date at(second);
    const std::int64_t rest = second % kDay;
    fmt::format_to(std::back_inserter(name(member)), "\"{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z\"", at.year,
                   at.month, at.day, rest / 3600, rest / 60 % 60, rest % 60);
  }
  void day(std::string_view member, std::int64_t second) {
    const date at(second);
    fmt::format_to(std::back_inserter(name(member)), "\"{:04}-{:02}-{:02}\"", at.year, at.month, at.day);
  }
  void words(std::string_view member, std::span<const std::string_view> list) {
    std::string& out = name(member);
    out.push_back('[');
    for (std::size_t i = 0; i < list.size(); ++i) {
      if (i > 0) out.push_back(',');
      storage::append_json_string(list[i], out);
    }
    out.push_back(']');
  }

 private:
  struct date {
    explicit date(std::int64_t second) {
      const std::chrono::year_month_day ymd{std::chrono::sys_days{std::chrono::days{second / kDay}}};
      year = static_cast<int>(ymd.year());
      month = static_cast<unsigned>(ymd.month());
      day = static_cast<unsigned>(ymd.day());
    }
    int year;
    unsigned month, day;
  };
  std::string* out_;
  bool first_ = true;
};

std::int64_t some_second(dice& with, std::int64_t from = kFirstSecond) {
  return from + static_cast<std::int64_t>(with.below(static_cast<std::uint64_t>(kLastSecond - from) + 1));
}

std::uint64_t resource_number(std::string_view name) {
  return static_cast<std::uint64_t>(std::find(kResources.begin(), kResources.end(), name) -
                                    kResources.begin());
}

// "clean-water-for-children-17": letters and digits only, so that it can stand in a URL.
std::string slug_of(std::string_view text, std::uint64_t id) {
  std::string out;
  for (const char c : text) {
    const bool upper = c >= 'A' && c <= 'Z';
    if (upper || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9')) {
      out.push_back(upper ? static_cast<char>(c - 'A' + 'a') : c);
    } else if (!out.empty() && out.back() != '-') {
      out.push_back('-');
    }
  }
  return fmt::format("{}-{}", out, id);
}

std::vector<std::string_view> some_tags(dice& with, std::uint64_t most) {
  std::vector<std::string_view> out;
  for (std::uint64_t i = with.below(most + 1); i > 0; --i) {
    const std::string_view tag = with.of(demo_tags());
    if (std::find(out.begin(), out.end(), tag) == out.end()) out.push_back(tag);
  }
  return out;
}

void append_app_state(dice& with, std::string& out) {
  static constexpr std::array<std::string_view, 3> kThemes{"light", "dark", "system"};
  static constexpr std::array<std::string_view, 4> kScreens{"home", "search", "campaign", "profile"};
  object_text state(out);
  state.text("theme", with.of(std::span<const std::string_view>(kThemes)));
  state.text("screen", with.of(std::span<const std::string_view>(kScreens)));
  state.boolean("onboarded", with.percent(85));
  {
    object_text notify(state.name("notify"));
    notify.boolean("push", with.percent(60));
    notify.boolean("mail", with.percent(30));
  }
  state.words("interests", some_tags(with, 4));
}

void append_bio(dice& with, const demo_land& land, std::string& bio) {
  for (std::uint64_t i = 1 + with.below(3); i > 0; --i) {
    if (!bio.empty()) bio.push_back(' ');
    bio.append(with.of(land.sentences));
  }
}

// How many others a user follows or blocks: most few or none, some many.
std::uint64_t pair_count(dice& with, bool blocks) {
  if (blocks) return with.percent(90) ? 0 : 1 + with.below(3);
  const std::uint64_t kind = with.below(100);
  if (kind < 50) return with.below(4);
  return kind < 90 ? 4 + with.below(9) : 13 + with.below(48);
}

}  // namespace

demo_rows::demo_rows(std::uint64_t users, std::uint64_t seed)
    : users_(std::clamp<std::uint64_t>(users, 1, kDemoUsersMax)),
      seed_(seed),
      categories_(std::clamp<std::uint64_t>(users_ * 10 / 13, 20, 50'000)),
      campaigns_(std::clamp<std::uint64_t>(users_ * 3 / 26, 5, 10'000)) {}

std::span<const std::string_view> demo_rows::resources() {
  return kResources;
}

bool demo_rows::write(std::string_view resource, const sink& to) const {
  if (resource == "follows" || resource == "blocks") return write_pairs(resource, to);
  if (resource == "donations") return write_donations(to);
  std::uint64_t count = 0;
  void (demo_rows::*append)(std::uint64_t, std::string&) const = nullptr;
  if (resource == "users") {
    count = users_;
    append = &demo_rows::append_user;
  } else if (resource == "user_states") {
    count = users_;
    append = &demo_rows::append_user_state;
  } else if (resource == "categories") {
    count = categories_;
    append = &demo_rows::append_category;
  } else if (resource == "campaigns") {
    count = campaigns_;
    append = &demo_rows::append_campaign;
  } else {
    return false;
  }
  std::string line;
  for (std::uint64_t id = 1; id <= count; ++id) {
    line.clear();
    (this->*append)(id, line);
    if (!to(line)) return false;
  }
  return true;
}

void demo_rows::append_user(std::uint64_t id, std::string& out) const {
  dice with(seed_, resource_number("users"), id);
  const demo_land& land = with.of(demo_lands());
  const demo_name& given = with.of(land.given);
  const demo_name& family = with.of(land.family);
  const std::int64_t created = some_second(with);
  object_text row(out);
  row.number("id", id);
  const demo_name& first = land.family_first ? family : given;
  const demo_name& second = land.family_first ? given : family;
  row.text("name", fmt::format("{}{}{}", first.native, land.between, second.native));
  row.text("email", fmt::format("{}.{}{}@example.{}", given.latin, family.latin, id,
                                with.percent(70) ? "org" : "net"));
  with.percent(80)
      ? row.text("phone", fmt::format("{}{:09}", land.dial, 100'000'000 + with.below(900'000'000)))
      : row.null("phone");
  row.text("city", with.of(land.cities));
  row.text("country", land.country);
  row.text("lang", land.lang);
  with.percent(75)
      ? row.text("avatar_url", fmt::format("https://img.example.org/a/{:016x}.webp", with.next()))
      : row.null("avatar_url");
  if (with.percent(65)) {
    std::string bio;
    append_bio(with, land, bio);
    row.text("bio", bio);
  } else {
    row.null("bio");
  }
  append_app_state(with, row.name("state"));
  const std::uint64_t score = with.below(10'000);
  fmt::format_to(std::back_inserter(row.name("score")), "{}.{}", score / 10, score % 10);
  row.time("created_at", created);
  row.time("updated_at", some_second(with, created));
}

void demo_rows::append_user_state(std::uint64_t id, std::string& out) const {
  static constexpr std::array<std::string_view, 4> kSystems{"ios", "android", "web", "ipados"};
  dice with(seed_, resource_number("user_states"), id);
  const std::int64_t seen = some_second(with);
  object_text row(out);
  row.number("user_id", id);
  row.boolean("online", with.percent(8));
  row.time("last_seen_at", seen);
  row.number("unread", with.percent(60) ? 0 : with.below(40));
  {
    object_text device(row.name("device"));
    device.text("os", with.of(std::span<const std::string_view>(kSystems)));
    const std::uint64_t version = with.below(320);
    device.text("app", fmt::format("{}.{}.{}", 3 + version / 160, version / 8 % 20, version % 8));
    device.number("build", 1000 + with.below(9000));
  }
  row.time("updated_at", seen);
}

// Twenty roots, and under each node up to eight more: some 20,000 nodes are five levels deep.
void demo_rows::append_category(std::uint64_t id, std::string& out) const {
  constexpr std::uint64_t kRoots = 20, kBranches = 8;
  dice with(seed_, resource_number("categories"), id);
  const bool root = id <= kRoots;
  const std::string_view cause =
      root ? demo_causes()[(id - 1) % demo_causes().size()] : with.of(demo_causes());
  const std::string name = root ? std::string(cause) : fmt::format("{} {}", cause, with.of(demo_groups()));
  object_text row(out);
  row.number("id", id);
  root ? row.null("parent_id") : row.number("parent_id", (id - kRoots - 1) / kBranches + 1);
  row.text("name", name);
  row.text("slug", slug_of(name, id));
  row.number("sort", root ? id - 1 : (id - kRoots - 1) % kBranches);
  row.time("updated_at", some_second(with));
}

void demo_rows::append_campaign(std::uint64_t id, std::string& out) const {
  static constexpr std::array<std::string_view, 4> kCurrencies{"EUR", "USD", "JPY", "INR"};
  dice with(seed_, resource_number("campaigns"), id);
  const demo_land& land = with.of(demo_lands());
  const std::string_view city = with.of(land.cities);
  const std::string_view cause = with.of(demo_causes());
  const std::string_view group = with.of(demo_groups());
  const std::string title = fmt::format("{} {} · {}", cause, group, city);
  std::string description;
  for (std::uint64_t i = 1 + with.below(4); i > 0; --i) append_bio(with, land, description);
  const std::int64_t start = some_second(with);
  object_text row(out);
  row.number("id", id);
  row.text("title", title);
  row.text("slug", slug_of(title, id));
  row.text("description", description);
  row.number("category_id", 1 + with.below(categories_));
  row.text("country", land.country);
  row.decimal("goal", (1 + with.below(500)) * 10'000);
  row.text("currency", with.of(std::span<const std::string_view>(kCurrencies)));
  row.words("tags", some_tags(with, 4));
  row.day("starts_on", start);
  row.day("ends_on", start + static_cast<std::int64_t>(7 + with.below(90)) * kDay);
  row.time("updated_at", some_second(with, start));
}

// Targets are spread evenly with a random step in each part, which makes them distinct without a list of
// them.
bool demo_rows::write_pairs(std::string_view resource, const sink& to) const {
  const bool blocks = resource == "blocks";
  std::string line;
  std::vector<std::uint64_t> targets;
  for (std::uint64_t user = 1; user <= users_; ++user) {
    dice with(seed_, resource_number(resource), user);
    const std::uint64_t count = std::min(pair_count(with, blocks), users_ - 1);
    const std::uint64_t part = count == 0 ? 0 : (users_ - 1) / count;
    targets.clear();
    for (std::uint64_t i = 0; i < count; ++i)
      targets.push_back((user - 1 + i * part + 1 + with.below(part)) % users_ + 1);
    std::sort(targets.begin(), targets.end());
    for (const std::uint64_t target : targets) {
      line.clear();
      {
        object_text row(line);
        row.number("user_id", user);
        row.number("target_id", target);
        if (!blocks) row.boolean("muted", with.percent(5));
        if (blocks) with.percent(50) ? row.text("reason", "spam") : row.null("reason");
        row.time("created_at", some_second(with));
      }
      if (!to(line)) return false;
    }
  }
  return true;
}

bool demo_rows::write_donations(const sink& to) const {
  static constexpr std::array<std::uint64_t, 8> kAmounts{500,  1000,   1500,   2500,
                                                         5000, 10'000, 25'000, 100'000};
  static constexpr std::array<std::string_view, 4> kCurrencies{"EUR", "USD", "JPY", "INR"};
  std::string line;
  std::uint64_t id = 0;
  for (std::uint64_t user = 1; user <= users_; ++user) {
    dice with(seed_, resource_number("donations"), user);
    const std::uint64_t kind = with.below(100);
    const std::uint64_t count = kind < 40 ? 0 : (kind < 90 ? 1 + with.below(3) : 4 + with.below(9));
    for (std::uint64_t i = 0; i < count; ++i) {
      line.clear();
      {
        object_text row(line);
        row.text("id", fmt::format_int(++id).c_str());
        row.number("user_id", user);
        // The lower of two throws: a few campaigns are much better known than the rest.
        row.number("campaign_id", 1 + std::min(with.below(campaigns_), with.below(campaigns_)));
        std::uint64_t amount = with.of(std::span<const std::uint64_t>(kAmounts));
        if (with.percent(10)) amount += with.below(100);
        row.decimal("amount", amount);
        row.text("currency", with.of(std::span<const std::string_view>(kCurrencies)));
        row.boolean("anonymous", with.percent(15));
        with.percent(35) ? row.text("message", with.of(demo_messages())) : row.null("message");
        row.words("tags", some_tags(with, 2));
        row.time("created_at", some_second(with));
      }
      if (!to(line)) return false;
    }
  }
  return true;
}

}  // namespace syncline::server::command
