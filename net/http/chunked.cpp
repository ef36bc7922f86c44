#include "net/http/chunked.h"

#include <algorithm>
#include <cstring>

#include "net/http/characters.h"

namespace syncline::net::http {

std::string_view to_string(chunk_error e) noexcept {
  switch (e) {
    case chunk_error::none:
      return "none";
    case chunk_error::bad_size:
      return "chunk size is not hexadecimal";
    case chunk_error::size_overflow:
      return "chunk size is too large";
    case chunk_error::bad_extension:
      return "chunk extension has a control character";
    case chunk_error::extension_too_long:
      return "chunk extensions are too long";
    case chunk_error::missing_crlf:
      return "chunk is not followed by CRLF";
    case chunk_error::bad_trailer:
      return "trailer line is malformed";
    case chunk_error::trailer_too_long:
      return "trailers are too long";
  }
  return "unknown";
}

chunked_decoder::step chunked_decoder::decode(char* bytes, std::size_t size) noexcept {
  std::size_t used = 0, made = 0;
  while (used < size && at_ != at::done && at_ != at::failed) {
    if (at_ == at::bytes) {
      const std::size_t n = static_cast<std::size_t>(std::min<std::uint64_t>(left_, size - used));
      if (made != used) std::memmove(bytes + made, bytes + used, n);
      used += n;
      made += n;
      left_ -= n;
      decoded_ += n;
      if (left_ == 0) at_ = at::bytes_cr;
    } else {
      take(bytes[used++]);
    }
  }
  const auto status = at_ == at::done     ? chunk_status::done
                      : at_ == at::failed ? chunk_status::failed
                                          : chunk_status::need_more;
  return {status, used, made};
}

void chunked_decoder::take(char c) noexcept {
  switch (at_) {
    case at::size_first:
    case at::size:
      return take_size(c);
    case at::extension:
      if (c == '\r') {
        at_ = at::size_lf;
      } else if (!is_value_char(c)) {
        fail(chunk_error::bad_extension);
      } else if (++line_extension_bytes_ > kChunkExtensionBytesMax ||
                 ++extension_bytes_ > kExtensionBytesFree + decoded_ / 8) {
        fail(chunk_error::extension_too_long);
      }
      return;
    case at::size_lf:
      if (c != '\n') return fail(chunk_error::bad_size);
      at_ = left_ == 0 ? at::trailer_first : at::bytes;
      return;
    case at::bytes_cr:
      if (c != '\r') return fail(chunk_error::missing_crlf);
      at_ = at::bytes_lf;
      return;
    case at::bytes_lf:
      if (c != '\n') return fail(chunk_error::missing_crlf);
      at_ = at::size_first;
      return;
    case at::trailer_first:
    case at::trailer_name:
    case at::trailer_value:
    case at::trailer_lf:
    case at::last_lf:
      return take_trailer(c);
    case at::bytes:
    case at::done:
    case at::failed:
      return;
  }
}

void chunked_decoder::take_size(char c) noexcept {
  if (is_hex_digit(c)) {
    if (at_ == at::size_first) {
      left_ = 0;
      digits_ = 0;
      line_extension_bytes_ = 0;
      at_ = at::size;
    }
    // 16 digits fill 64 bits; a size beyond 63 bits could overflow what we add to it.
    if (++digits_ > kChunkSizeDigitsMax) return fail(chunk_error::size_overflow);
    const unsigned digit =
        is_digit(c) ? static_cast<unsigned>(c - '0') : static_cast<unsigned>(to_lower(c) - 'a') + 10U;
    left_ = left_ << 4U | digit;
    if (left_ >> 63U != 0) fail(chunk_error::size_overflow);
    return;
  }
  if (at_ == at::size_first) return fail(chunk_error::bad_size);
  if (c == ';') {
    at_ = at::extension;
  } else if (c == '\r') {
    at_ = at::size_lf;
  } else {
    fail(chunk_error::bad_size);
  }
}

void chunked_decoder::take_trailer(char c) noexcept {
  if (++trailer_bytes_ > kTrailerBytesMax) return fail(chunk_error::trailer_too_long);
  switch (at_) {
    case at::trailer_first:
      if (c == '\r') {
        at_ = at::last_lf;
      } else if (is_token_char(c)) {
        at_ = at::trailer_name;
      } else {
        fail(chunk_error::bad_trailer);
      }
      return;
    case at::trailer_name:
      if (c == ':') {
        at_ = at::trailer_value;
      } else if (!is_token_char(c)) {
        fail(chunk_error::bad_trailer);
      }
      return;
    case at::trailer_value:
      if (c == '\r') {
        at_ = at::trailer_lf;
      } else if (!is_value_char(c)) {
        fail(chunk_error::bad_trailer);
      }
      return;
    case at::trailer_lf:
      if (c != '\n') return fail(chunk_error::bad_trailer);
      at_ = at::trailer_first;
      return;
    default:
      if (c != '\n') return fail(chunk_error::bad_trailer);
      at_ = at::done;
      return;
  }
}

}  // namespace syncline::net::http
