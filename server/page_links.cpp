#include "server/page_links.h"

namespace syncline::server {
namespace {

using storage::page_from;

bool says_where(std::string_view name) {
  return name == "after" || name == "before" || name == "last";
}

class link_list {
 public:
  link_list(std::string_view path, const query& asked) : base_(path) {
    base_.push_back('?');
    for (const auto& [name, value] : asked.items()) {
      if (says_where(name)) continue;
      base_.append(encode_component(name)).append("=").append(encode_component(value)).append("&");
    }
  }
  void add(std::string_view relation, std::string_view name, std::string_view value) {
    if (!text_.empty()) text_.append(", ");
    text_.append("<").append(base_);
    if (name.empty()) {
      text_.pop_back();  // the '?' or '&' that nothing follows
    } else {
      text_.append(name).append("=").append(encode_component(value));
    }
    text_.append(">; rel=\"").append(relation).append("\"");
  }
  [[nodiscard]] std::string take() { return std::move(text_); }

 private:
  std::string base_;
  std::string text_;
};

}  // namespace

std::string page_links(std::string_view path, const query& asked, page_from from, const storage::rows& page) {
  const bool forward = from == page_from::first || from == page_from::after;
  const bool empty = page.slices.empty();
  link_list links(path, asked);
  links.add("first", {}, {});
  const bool before_this = forward ? from == page_from::after : page.more;
  if (before_this) {
    // An empty page after a key is behind the last row.
    if (empty)
      links.add("prev", "last", "1");
    else
      links.add("prev", "before", page.key(page.slices.front()));
  }
  const bool after_this = forward ? page.more : from == page_from::before;
  if (after_this) {
    if (empty)
      links.add("next", {}, {});
    else
      links.add("next", "after", page.key(page.slices.back()));
  }
  links.add("last", "last", "1");
  return links.take();
}

}  // namespace syncline::server
