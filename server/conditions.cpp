#include "server/conditions.h"

#include <vector>

namespace syncline::server {
namespace {

using net::errc;
using net::error;

// Takes entity tags off a field value one by one: `"a", W/"b"` or `*`.
class entity_tags {
 public:
  explicit entity_tags(std::string_view text) noexcept : left_(text) {}

  // False at the end and at what is no tag; then malformed() says which. A weak tag's `tag` is without its
  // W/.
  [[nodiscard]] bool next(std::string_view& tag, bool& weak) noexcept {
    skip_separators();
    if (left_.empty()) return false;
    if (left_ == "*") {
      malformed_ = any_;  // `*` stands alone
      any_ = true;
      left_ = {};
      tag = "*";
      weak = false;
      return !malformed_;
    }
    weak = left_.starts_with("W/");
    if (weak) left_.remove_prefix(2);
    const std::size_t end = left_.starts_with('"') ? left_.find('"', 1) : std::string_view::npos;
    malformed_ = end == std::string_view::npos;
    if (malformed_) return false;
    tag = left_.substr(0, end + 1);
    left_.remove_prefix(end + 1);
    malformed_ = !left_.empty() && left_.front() != ',' && left_.front() != ' ' && left_.front() != '\t';
    any_ = true;
    return !malformed_;
  }
  [[nodiscard]] bool malformed() const noexcept { return malformed_; }

 private:
  void skip_separators() noexcept {
    while (!left_.empty() && (left_.front() == ' ' || left_.front() == '\t' || left_.front() == ','))
      left_.remove_prefix(1);
  }

  std::string_view left_;
  bool any_ = false;
  bool malformed_ = false;
};

std::string without_mark(std::string_view tag) {
  if (!tag.ends_with(kGzipTagEnd)) return std::string(tag);
  tag.remove_suffix(kGzipTagEnd.size());
  return std::string(tag).append("\"");
}

known_form form_named(std::string_view tag, std::string_view etag) noexcept {
  if (tag == "*") return known_form::any;
  if (tag == etag) return known_form::plain;
  if (!tag.ends_with(kGzipTagEnd) || etag.empty()) return known_form::none;
  tag.remove_suffix(kGzipTagEnd.size());
  return tag == etag.substr(0, etag.size() - 1) ? known_form::gzip : known_form::none;
}

net::result<void> read_field(std::string_view value, bool strong, bool& any_row,
                             std::vector<std::string>& tags) {
  entity_tags list(value);
  std::string_view tag;
  bool weak = false;
  while (list.next(tag, weak)) {
    if (tag == "*") {
      any_row = true;
    } else if (weak && strong) {
      tags.push_back("W/" + without_mark(tag));
    } else {
      tags.push_back(without_mark(tag));
    }
  }
  if (list.malformed() || (!any_row && tags.empty())) {
    return error(errc::invalid, "If-Match and If-None-Match take `*` or a list of quoted entity tags");
  }
  return {};
}

}  // namespace

known_form known_to_client(const net::http::request_head& head, std::string_view etag) noexcept {
  for (const auto& field : head.headers) {
    if (!net::http::iequals(field.name, "if-none-match")) continue;
    entity_tags list(field.value);
    std::string_view tag;
    bool weak = false;
    while (list.next(tag, weak)) {
      const known_form form = form_named(tag, etag);
      if (form != known_form::none) return form;
    }
  }
  return known_form::none;
}

net::result<storage::write_condition> read_write_condition(const net::http::request_head& head) {
  storage::write_condition out;
  for (const auto& field : head.headers) {
    if (net::http::iequals(field.name, "if-match")) {
      if (auto read = read_field(field.value, true, out.must_exist, out.any_of); !read) return read.error();
    } else if (net::http::iequals(field.name, "if-none-match")) {
      if (auto read = read_field(field.value, false, out.must_not_exist, out.none_of); !read)
        return read.error();
    }
  }
  if ((out.must_exist && !out.any_of.empty()) || (out.must_not_exist && !out.none_of.empty())) {
    return error(errc::invalid, "`*` stands alone in If-Match and If-None-Match");
  }
  return out;
}

}  // namespace syncline::server
