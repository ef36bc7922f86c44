// The text of a config file as a tree that knows on which line each member stands.
//
// JSON with // and /* */ comments and trailing commas; strict in everything else: a repeated member, a byte
// that is no UTF-8 or a text that does not end is refused. Use it for configuration only: it keeps a path and
// a line for each value, and throws. Thread: a value, built once. Bound: kConfigBytesMax of text, 32 levels.
// Failure: config_error "file:line: path: what; allowed: …".
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <boost/json/value.hpp>

namespace syncline::server {

inline constexpr std::size_t kConfigBytesMax = 4 * 1024 * 1024;

class config_document {
 public:
  config_document(std::string_view text, std::string file);

  [[nodiscard]] const boost::json::value& root() const noexcept { return root_; }
  [[nodiscard]] const std::string& file() const noexcept { return file_; }
  // The line of the member or element at `path` ("resources.users.key[1]"), or of the nearest one above it;
  // from 1.
  [[nodiscard]] std::size_t line_of(std::string_view path) const;
  [[noreturn]] void fail(std::string_view path, std::string_view what, std::string_view allowed = {}) const;

 private:
  std::string file_;
  boost::json::value root_;
  std::map<std::string, std::size_t, std::less<>> lines_;  // path → line
};

// One value of a document with its path; the functions say what the config must hold there and fail with its
// place.
class config_node {
 public:
  config_node(const config_document& of, const boost::json::value& value, std::string path)
      : document_(&of), value_(&value), path_(std::move(path)) {}

  [[nodiscard]] const std::string& path() const noexcept { return path_; }
  [[nodiscard]] const boost::json::value& value() const noexcept { return *value_; }
  [[noreturn]] void fail(std::string_view what, std::string_view allowed = {}) const {
    document_->fail(path_, what, allowed);
  }
  // An object that has no member but these.
  void expect_members(std::span<const std::string_view> allowed) const;
  [[nodiscard]] std::optional<config_node> find(std::string_view member) const;
  [[nodiscard]] config_node at(std::string_view member) const;                     // fails when it is missing
  [[nodiscard]] std::vector<std::pair<std::string, config_node>> members() const;  // in the order of the text
  [[nodiscard]] std::vector<config_node> elements() const;
  [[nodiscard]] bool as_boolean() const;
  [[nodiscard]] std::uint64_t as_number(std::uint64_t min, std::uint64_t max) const;
  [[nodiscard]] std::string as_text() const;  // without control characters

 private:
  const config_document* document_;
  const boost::json::value* value_;
  std::string path_;
};

// Candidates that `name` may be a slip of the finger for, nearest first, at most three.
[[nodiscard]] std::vector<std::string_view> nearest_names(std::string_view name,
                                                          std::span<const std::string_view> candidates);
// `unknown name` and `allowed` of a message about a name that is none of `candidates`.
[[nodiscard]] std::pair<std::string, std::string> describe_unknown(
    std::string_view name, std::span<const std::string_view> candidates);
// "an object", "a string" …: what a value is, for messages.
[[nodiscard]] std::string_view kind_name(const boost::json::value& value) noexcept;
[[nodiscard]] bool has_control_characters(std::string_view text) noexcept;

}  // namespace syncline::server
