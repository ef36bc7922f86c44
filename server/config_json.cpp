#include "server/config_json.h"

#include <algorithm>
#include <numeric>

#include <fmt/format.h>
#include <boost/json/parse.hpp>
#include <boost/json/stream_parser.hpp>

#include "server/config.h"

namespace syncline::server {
namespace {

std::size_t line_at(std::string_view text, std::size_t offset) {
  const auto end = text.begin() + static_cast<std::ptrdiff_t>(std::min(offset, text.size()));
  return 1 + static_cast<std::size_t>(std::count(text.begin(), end, '\n'));
}

std::string join_path(std::string_view parent, std::string_view name) {
  return parent.empty() ? std::string(name) : fmt::format("{}.{}", parent, name);
}

[[noreturn]] void fail_at(std::string_view file, std::size_t line, std::string_view path,
                          std::string_view what, std::string_view allowed) {
  throw config_error(fmt::format("{}:{}: {}{}{}{}{}", file, line, path, path.empty() ? "" : ": ", what,
                                 allowed.empty() ? "" : "; allowed: ", allowed));
}

// The text with spaces for its comments; every other byte and every line stay where they are. Boost.JSON 1.81
// can skip comments as well, but reads over an end that an even number of stars comes before ("/* x **/"),
// and then over all settings up to the next one.
std::string blank_comments(std::string_view text, std::string_view file) {
  std::string out(text);
  for (std::size_t at = 0; at < text.size();) {
    const std::string_view two = text.substr(at, 2);
    if (text[at] == '"') {
      for (++at; at < text.size() && text[at] != '"' && text[at] != '\n'; ++at) {
        if (text[at] == '\\') ++at;
      }
      ++at;
    } else if (two == "//" || two == "/*") {
      const bool line = two == "//";
      const std::size_t close = text.find(line ? "\n" : "*/", at + 2);
      if (!line && close == std::string_view::npos)
        fail_at(file, line_at(text, at), {}, "a comment is not closed", {});
      const std::size_t end = close == std::string_view::npos ? text.size() : close + (line ? 0 : 2);
      for (; at < end; ++at) {
        if (text[at] != '\n') out[at] = ' ';
      }
    } else {
      ++at;
    }
  }
  return out;
}

// Walks a text that Boost.JSON has accepted, which gives no places, and notes the line of each value. It
// trusts the syntax but not its own reading of it: every access is checked, and a text it cannot follow is
// refused.
class line_scanner {
 public:
  line_scanner(std::string_view text, std::string_view file,
               std::map<std::string, std::size_t, std::less<>>& lines)
      : text_(text), file_(file), lines_(&lines) {}

  void scan() {
    skip_blank();
    scan_value("");
  }

 private:
  char peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }
  void take() {
    if (at_ >= text_.size()) fail_at(file_, line_, {}, "the text ends too early", {});
    if (text_[at_++] == '\n') ++line_;
  }

  void skip_blank() {
    while (peek() == ' ' || peek() == '\t' || peek() == '\r' || peek() == '\n') take();
  }

  std::string_view take_string() {
    const std::size_t begin = at_;
    take();
    while (peek() != '"') {
      if (peek() == '\\') take();
      take();
    }
    take();
    return text_.substr(begin, at_ - begin);
  }

  void scan_value(const std::string& path) {
    lines_->try_emplace(path, line_);
    if (peek() == '{') {
      scan_object(path);
    } else if (peek() == '[') {
      scan_array(path);
    } else if (peek() == '"') {
      static_cast<void>(take_string());
    } else {
      take();  // at least one byte, so that no text can hold us here
      while (std::string_view(",]} \t\r\n").find(peek()) == std::string_view::npos && at_ < text_.size())
        take();
    }
  }

  void scan_object(const std::string& path) {
    take();
    std::map<std::string, std::size_t, std::less<>> seen;
    for (skip_blank(); peek() != '}'; skip_blank()) {
      const std::size_t line = line_;
      // Two spellings of one name ("a" and "\u0061") are one member.
      boost::json::error_code failed;
      const boost::json::value decoded = boost::json::parse(take_string(), failed);
      if (failed || !decoded.is_string()) fail_at(file_, line, path, "a name cannot be read", {});
      const std::string name(decoded.get_string());
      const std::string member = join_path(path, name);
      if (const auto [first, fresh] = seen.try_emplace(name, line); !fresh) {
        fail_at(file_, line, member, fmt::format("given twice (first on line {})", first->second), {});
      }
      lines_->try_emplace(member, line);
      skip_blank();
      take();  // the colon
      skip_blank();
      scan_value(member);
      skip_blank();
      if (peek() == ',') take();
    }
    take();
  }

  void scan_array(const std::string& path) {
    take();
    std::size_t index = 0;
    for (skip_blank(); peek() != ']'; skip_blank()) {
      scan_value(fmt::format("{}[{}]", path, index++));
      skip_blank();
      if (peek() == ',') take();
    }
    take();
  }

  std::string_view text_;
  std::string_view file_;
  std::map<std::string, std::size_t, std::less<>>* lines_;
  std::size_t at_ = 0;
  std::size_t line_ = 1;
};

std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 0; i < a.size(); ++i) {
    std::size_t diagonal = row[0]++;
    for (std::size_t j = 0; j < b.size(); ++j) {
      const std::size_t replaced = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({row[j + 1] + 1, row[j] + 1, replaced});
    }
  }
  return row.back();
}

}  // namespace

config_document::config_document(std::string_view text, std::string file) : file_(std::move(file)) {
  if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
  if (text.size() > kConfigBytesMax) {
    fail_at(file_, 1, {}, "the file is too large", fmt::format("at most {} bytes", kConfigBytesMax));
  }
  const std::string plain = blank_comments(text, file_);
  text = plain;
  boost::json::parse_options options;
  options.allow_trailing_commas = true;
  boost::json::stream_parser parser({}, options);
  boost::json::error_code failed;
  std::size_t consumed = parser.write_some(text.data(), text.size(), failed);
  if (!failed && consumed < text.size()) failed = boost::json::error::extra_data;
  if (!failed) {
    parser.finish(failed);
    consumed = text.size();
  }
  if (failed) {
    fail_at(file_, line_at(text, consumed), {}, fmt::format("not valid JSON: {}", failed.message()),
            "JSON with // and /* */ comments and trailing commas");
  }
  root_ = parser.release();
  line_scanner(text, file_, lines_).scan();
}

std::size_t config_document::line_of(std::string_view path) const {
  for (;;) {
    if (const auto found = lines_.find(path); found != lines_.end()) return found->second;
    const std::size_t cut = path.find_last_of(".[");
    if (cut == std::string_view::npos) break;
    path = path.substr(0, cut);
  }
  const auto root = lines_.find(std::string_view());
  return root == lines_.end() ? 1 : root->second;
}

void config_document::fail(std::string_view path, std::string_view what, std::string_view allowed) const {
  fail_at(file_, line_of(path), path, what, allowed);
}

void config_node::expect_members(std::span<const std::string_view> allowed) const {
  for (const auto& [name, node] : members()) {
    if (std::find(allowed.begin(), allowed.end(), name) != allowed.end()) continue;
    const auto [what, names] = describe_unknown(name, allowed);
    node.fail(what, names);
  }
}

std::optional<config_node> config_node::find(std::string_view member) const {
  const auto* object = value_->if_object();
  if (object == nullptr) fail(fmt::format("is {}", kind_name(*value_)), "an object");
  const boost::json::value* found = object->if_contains(member);
  if (found == nullptr) return std::nullopt;
  return config_node(*document_, *found, join_path(path_, member));
}

config_node config_node::at(std::string_view member) const {
  auto found = find(member);
  if (!found) fail(fmt::format("\"{}\" is missing", member));
  return *std::move(found);
}

std::vector<std::pair<std::string, config_node>> config_node::members() const {
  const auto* object = value_->if_object();
  if (object == nullptr) fail(fmt::format("is {}", kind_name(*value_)), "an object");
  std::vector<std::pair<std::string, config_node>> out;
  out.reserve(object->size());
  for (const auto& item : *object) {
    out.emplace_back(item.key(), config_node(*document_, item.value(), join_path(path_, item.key())));
  }
  return out;
}

std::vector<config_node> config_node::elements() const {
  const auto* array = value_->if_array();
  if (array == nullptr) fail(fmt::format("is {}", kind_name(*value_)), "an array");
  std::vector<config_node> out;
  out.reserve(array->size());
  for (std::size_t i = 0; i < array->size(); ++i) {
    out.emplace_back(*document_, (*array)[i], fmt::format("{}[{}]", path_, i));
  }
  return out;
}

bool config_node::as_boolean() const {
  if (const bool* value = value_->if_bool()) return *value;
  fail(fmt::format("is {}", kind_name(*value_)), "true or false");
}

std::uint64_t config_node::as_number(std::uint64_t min, std::uint64_t max) const {
  const std::string allowed = fmt::format("{} to {}", min, max);
  if (!value_->is_int64() && !value_->is_uint64()) {
    fail(fmt::format("is {}", kind_name(*value_)), "an integer, " + allowed);
  }
  boost::json::error_code failed;
  const auto number = value_->to_number<std::uint64_t>(failed);
  if (failed || number < min || number > max) fail("is out of range", allowed);
  return number;
}

std::string config_node::as_text() const {
  const auto* text = value_->if_string();
  if (text == nullptr) fail(fmt::format("is {}", kind_name(*value_)), "a string");
  if (has_control_characters({text->data(), text->size()})) fail("has control characters");
  return std::string(*text);
}

std::vector<std::string_view> nearest_names(std::string_view name,
                                            std::span<const std::string_view> candidates) {
  constexpr std::size_t kNameBytesMax = 64;  // what is longer is no slip of the finger
  constexpr std::size_t kNearestMax = 3;
  if (name.size() > kNameBytesMax) return {};
  const std::size_t distance_max = std::max<std::size_t>(2, name.size() / 3);
  std::vector<std::pair<std::size_t, std::string_view>> near;
  for (const std::string_view candidate : candidates) {
    const std::size_t distance = edit_distance(name, candidate);
    const bool part = name.size() >= 4 && candidate.find(name) != std::string_view::npos;
    if (distance <= distance_max || part) near.emplace_back(distance, candidate);
  }
  std::stable_sort(near.begin(), near.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  if (near.size() > kNearestMax) near.resize(kNearestMax);
  std::vector<std::string_view> out;
  out.reserve(near.size());
  for (const auto& item : near) out.push_back(item.second);
  return out;
}

std::pair<std::string, std::string> describe_unknown(std::string_view name,
                                                     std::span<const std::string_view> candidates) {
  const auto near = nearest_names(name, candidates);
  std::string what = fmt::format("unknown name \"{}\"", name);
  if (!near.empty()) what += fmt::format(", did you mean \"{}\"?", fmt::join(near, "\" or \""));
  return {std::move(what), fmt::format("{}", fmt::join(candidates, ", "))};
}

std::string_view kind_name(const boost::json::value& value) noexcept {
  switch (value.kind()) {
    case boost::json::kind::null:
      return "null";
    case boost::json::kind::bool_:
      return "a boolean";
    case boost::json::kind::int64:
    case boost::json::kind::uint64:
      return "an integer";
    case boost::json::kind::double_:
      return "a number with a fraction or exponent";
    case boost::json::kind::string:
      return "a string";
    case boost::json::kind::array:
      return "an array";
    case boost::json::kind::object:
      return "an object";
  }
  return "a value";
}

bool has_control_characters(std::string_view text) noexcept {
  return std::any_of(text.begin(), text.end(), [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte < 0x20 || byte == 0x7F;
  });
}

}  // namespace syncline::server
