// Base64 as RFC 4648 has it: section 4 (padded) for bytes columns, section 5 (URL-safe, without padding) for
// cursors.
//
// Thread: pure functions. Memory: appends to the caller's buffer. Failure: false, with `out` as before;
// decoding is strict (no whitespace, right padding, zero spare bits), so that one value has one text.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace syncline::storage {

enum class base64_form : std::uint8_t { padded, url };

void append_base64(std::string_view bytes, base64_form form, std::string& out);
[[nodiscard]] bool decode_base64(std::string_view text, base64_form form, std::string& out);

}  // namespace syncline::storage
