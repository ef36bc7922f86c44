#include "server/representation.h"

#include <array>
#include <charconv>
#include <cstring>

#include "server/conditions.h"
#include "server/problems.h"
#include "storage/row_json.h"

namespace syncline::server {
namespace {

// Larger bodies go by reference: the copy would cost more than the counter that other cores share.
constexpr std::size_t kCopiedBytesMax = 16 * 1024;
constexpr std::string_view kJson = "application/json";

// `Cache-Control: no-cache` lets a client keep the answer but ask each time, which the ETag makes cheap.
constexpr std::string_view kFixedLines = "Cache-Control: private, no-cache\r\n";

class header_lines {
 public:
  header_lines(std::string_view etag, std::int64_t position) noexcept {
    put(kFixedLines);
    if (etag.size() <= 64) {
      put("ETag: ");
      put(etag);
      put("\r\n");
    }
    put("Syncline-Position: ");
    const auto end = std::to_chars(text_.data() + size_, text_.data() + text_.size(), position).ptr;
    size_ = static_cast<std::size_t>(end - text_.data());
    put("\r\n");
  }
  [[nodiscard]] std::string_view text() const noexcept { return {text_.data(), size_}; }

 private:
  void put(std::string_view piece) noexcept {
    std::memcpy(text_.data() + size_, piece.data(), piece.size());
    size_ += piece.size();
  }
  std::array<char, 256> text_;  // the longest: 34 fixed, 6 + 64 + 2 of the ETag, 19 + 20 + 2 of the position
  std::size_t size_ = 0;
};

net::http::response_head head_of(int status, std::string_view lines) noexcept {
  return {.status = status, .content_type = status == 304 ? std::string_view() : kJson, .headers = lines};
}

}  // namespace

void answer_cached(net::http::exchange& x, const cache::value_ptr& row, std::int64_t position) {
  if (!row->found) return answer_not_found(x, "there is no row with this key");
  const header_lines lines(row->etag, position);
  if (not_modified(x.head(), row->etag)) return x.answer(head_of(304, lines.text()), std::string_view());
  if (row->body.size() <= kCopiedBytesMax) {
    return x.answer(head_of(200, lines.text()), std::string_view(row->body));
  }
  net::http::shared_bytes body(row, &row->body);
  x.answer(head_of(200, lines.text()), std::move(body));
}

void answer_json(net::http::exchange& x, std::string body, std::int64_t position, std::string_view links) {
  const std::string etag = storage::etag_of(body);
  const header_lines lines(etag, position);
  std::string with_links;
  std::string_view headers = lines.text();
  if (!links.empty()) {
    with_links.append(headers).append("Link: ").append(links).append("\r\n");
    headers = with_links;
  }
  if (not_modified(x.head(), etag)) return x.answer(head_of(304, headers), std::string_view());
  if (body.size() <= kCopiedBytesMax) return x.answer(head_of(200, headers), std::string_view(body));
  x.answer(head_of(200, headers), std::make_shared<const std::string>(std::move(body)));
}

void answer_written(net::http::exchange& x, int status, std::string_view row, std::int64_t position,
                    std::string_view more) {
  const std::string etag = storage::etag_of(row);
  const header_lines lines(etag, position);
  std::string headers(lines.text());
  headers.append(more);
  x.answer(head_of(status, headers), row);
}

}  // namespace syncline::server
