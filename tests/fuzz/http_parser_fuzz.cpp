// Arbitrary bytes as a request head and its body: what the parser and the decoder say must not depend on how
// the bytes are split into reads, and nothing may be read out of bounds. The first byte chooses how splits
// are made.
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "net/http/chunked.h"
#include "net/http/parser.h"
#include "net/http/server.h"

namespace {

using namespace syncline::net::http;

struct verdict {
  parse_status status = parse_status::incomplete;
  parse_error error = parse_error::none;
  std::size_t size = 0;
  bool chunked = false;
  std::uint64_t length = 0;
  std::string shape;  // every view's text
  chunk_status body_status = chunk_status::need_more;
  chunk_error body_error = chunk_error::none;
  std::string body;
  std::size_t body_size = 0;
  bool operator==(const verdict&) const = default;
};

// Where the next read ends: after `step` bytes, or after a pseudo-random number of them when `step` is 0.
class splits {
 public:
  explicit splits(std::size_t step) : step_(step) {}
  std::size_t next() {
    if (step_ != 0) return step_;
    state_ = state_ * 6364136223846793005ULL + 1442695040888963407ULL;
    return 1 + (state_ >> 33U) % 40;
  }

 private:
  std::size_t step_;
  std::uint64_t state_ = 88172645463325252ULL;
};

void read_body(std::string_view rest, splits split, verdict& out) {
  chunked_decoder decoder;
  for (std::size_t at = 0; at < rest.size() && out.body_status == chunk_status::need_more;) {
    const std::size_t n = std::min(split.next(), rest.size() - at);
    // A copy of exactly this piece, so that a sanitizer sees every byte beyond it.
    const std::unique_ptr<char[]> piece(new char[n]);
    rest.copy(piece.get(), n, at);
    const chunked_decoder::step did = decoder.decode(piece.get(), n);
    if (did.produced > did.consumed || did.consumed > n) std::abort();
    if (did.status == chunk_status::need_more && did.consumed != n) std::abort();
    out.body.append(piece.get(), did.produced);
    out.body_status = did.status;
    at += did.consumed;
    out.body_size = at;
  }
  out.body_error = decoder.error();
}

verdict read_request(std::string_view bytes, std::size_t step) {
  verdict out;
  limits bounds;
  bounds.header_bytes_max = 600;
  bounds.target_bytes_max = 100;
  bounds.header_count_max = 8;
  splits split(step);
  head_parser parser;
  std::vector<header_field> fields;
  request_head head;
  std::unique_ptr<char[]> exact;
  for (std::size_t have = 0; have < bytes.size() && out.status == parse_status::incomplete;) {
    have = std::min(have + split.next(), bytes.size());
    exact.reset(new char[have]);
    bytes.copy(exact.get(), have);
    out.status = parser.parse({exact.get(), have}, bounds, fields, head);
  }
  out.error = parser.error();
  if (out.status != parse_status::complete) return out;
  out.size = parser.size();
  out.chunked = head.chunked;
  out.length = head.content_length.value_or(0);
  if (out.size > bytes.size() || head.path.empty() || (head.minor == 1 && head.host.empty())) std::abort();
  if (head.chunked && head.content_length.has_value()) std::abort();
  out.shape.append(head.method_text).append(head.path).append("?").append(head.query).append(head.host);
  for (const header_field& field : head.headers) {
    if (field.name.empty()) std::abort();
    if (field.value.find_first_of(std::string_view("\r\n\0", 3)) != std::string_view::npos) std::abort();
    out.shape.append(field.name).append(":").append(field.value).append(";");
  }
  if (head.chunked) read_body(bytes.substr(out.size), split, out);
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view input(reinterpret_cast<const char*>(bytes) + 1, size - 1);
  const verdict whole = read_request(input, input.size() + 1);
  if (read_request(input, 1) != whole) std::abort();
  if (read_request(input, bytes[0]) != whole) std::abort();  // 0: pseudo-random pieces
  return 0;
}
