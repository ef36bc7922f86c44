#include "server/representation.h"

#include <array>
#include <charconv>
#include <cstring>
#include <functional>

#include "net/core/blocking_threads.h"
#include "net/core/gzip_bytes.h"
#include "server/accept_encoding.h"
#include "server/conditions.h"
#include "server/config.h"
#include "server/problems.h"
#include "storage/row_json.h"

namespace syncline::server {
namespace {

// Larger bodies go by reference: the copy would cost more than the counter that other cores share.
constexpr std::size_t kCopiedBytesMax = 16 * 1024;
constexpr std::string_view kJson = "application/json";

// `Cache-Control: no-cache` lets a client keep the answer but ask each time, which the ETag makes cheap.
constexpr std::string_view kFixedLines = "Cache-Control: private, no-cache\r\n";
constexpr std::string_view kFixedLinesAndTag = "Cache-Control: private, no-cache\r\nETag: ";

// How an answer is compressed: not at all and never, not for this client, or with gzip.
enum class coding : std::uint8_t { none, plain_of_two, gzip };

class header_lines {
 public:
  // `known` is the form that a 304 is about; none: a whole answer.
  header_lines(std::string_view etag, std::int64_t position, coding form = coding::none,
               known_form known = known_form::none) noexcept {
    if (etag.size() > 64) {
      put(kFixedLines);
    } else {
      put(kFixedLinesAndTag);
      const bool marked = known == known_form::gzip || (form == coding::gzip && known != known_form::plain);
      if (marked && etag.ends_with('"')) {
        put(etag.substr(0, etag.size() - 1));
        put(kGzipTagEnd);
      } else {
        put(etag);
      }
      put("\r\n");
    }
    if (form != coding::none) put("Vary: Accept-Encoding\r\n");
    if (form == coding::gzip && known == known_form::none) put("Content-Encoding: gzip\r\n");
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
  // The longest: 34 fixed, 6 + 64 + 3 + 2 of the ETag, 23 + 24 of the coding, 19 + 20 + 2 of the position.
  std::array<char, 256> text_;
  std::size_t size_ = 0;
};

net::http::response_head head_of(int status, std::string_view lines) noexcept {
  return {.status = status, .content_type = status == 304 ? std::string_view() : kJson, .headers = lines};
}

bool takes_gzip(const net::http::exchange& x) noexcept {
  return accepts_gzip(x.head());
}

// Empty when it does not pay, or when no thread is free for a large one.
net::task<std::string> compressed(const services& with, net::request_context& context,
                                  std::shared_ptr<const std::string> body) {
  if (body->size() <= net::kGzipInlineBytesMax || with.threads == nullptr) co_return net::gzip_bytes(*body);
  auto packed = std::make_shared<std::string>();
  std::function<void()> job = [packed, body] { *packed = net::gzip_bytes(*body); };
  auto ran = co_await with.threads->run(context, std::move(job));
  if (!ran) co_return std::string();  // the job may still run: the text is its own now
  co_return std::move(*packed);
}

}  // namespace

void answer_cached(net::http::exchange& x, const cache::value_ptr& row, std::int64_t position) {
  if (!row->found) return answer_not_found(x, "there is no row with this key");
  const bool packed = !row->gzip.empty() && takes_gzip(x);
  const coding form = packed ? coding::gzip : row->gzip.empty() ? coding::none : coding::plain_of_two;
  const header_lines lines(row->etag, position, form);
  const known_form known = known_to_client(x.head(), row->etag);
  if (known != known_form::none) {
    const header_lines unchanged(row->etag, position, form, known);
    return x.answer(head_of(304, unchanged.text()), std::string_view());
  }
  const std::string& body = packed ? row->gzip : row->body;
  if (body.size() <= kCopiedBytesMax) return x.answer(head_of(200, lines.text()), std::string_view(body));
  net::http::shared_bytes shared(row, &body);
  x.answer(head_of(200, lines.text()), std::move(shared));
}

net::task<void> answer_json(const services& with, net::http::exchange& x, std::string body,
                            std::int64_t position, std::string links) {
  const std::string etag = storage::etag_of(body);
  const known_form known = known_to_client(x.head(), etag);
  const std::uint32_t least = with.settings == nullptr ? 0 : with.settings->rest.gzip_bytes_min;
  const bool may_pack = least != 0 && body.size() >= least;
  auto shared = std::make_shared<const std::string>(std::move(body));
  coding form = may_pack ? coding::plain_of_two : coding::none;
  if (may_pack && known == known_form::none && takes_gzip(x)) {
    auto packed = co_await compressed(with, x.context(), shared);
    if (!packed.empty()) {
      form = coding::gzip;
      shared = std::make_shared<const std::string>(std::move(packed));
    }
  }
  const header_lines lines(etag, position, form, known);
  std::string headers(lines.text());
  if (!links.empty()) headers.append("Link: ").append(links).append("\r\n");
  if (known != known_form::none) co_return x.answer(head_of(304, headers), std::string_view());
  x.answer(head_of(200, headers), std::move(shared));
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
