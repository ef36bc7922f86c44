#include "storage/base64.h"

#include <array>
#include <cstddef>

namespace syncline::storage {
namespace {

constexpr std::string_view kPadded = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr std::string_view kUrl = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
constexpr std::uint8_t kNone = 0xFF;

constexpr std::array<std::uint8_t, 256> reverse(std::string_view alphabet) {
  std::array<std::uint8_t, 256> table{};
  table.fill(kNone);
  for (std::size_t i = 0; i < alphabet.size(); ++i) {
    table[static_cast<unsigned char>(alphabet[i])] = static_cast<std::uint8_t>(i);
  }
  return table;
}
constexpr auto kPaddedValues = reverse(kPadded);
constexpr auto kUrlValues = reverse(kUrl);

bool decode_groups(std::string_view text, const std::array<std::uint8_t, 256>& values, std::string& out) {
  const std::size_t rest = text.size() % 4;
  if (rest == 1) return false;
  const auto value = [&](std::size_t i) {
    return std::uint32_t{values[static_cast<unsigned char>(text[i])]};
  };
  const auto put = [&out](std::uint32_t byte) { out.push_back(static_cast<char>(byte & 0xFFU)); };
  const std::size_t whole = text.size() - rest;
  for (std::size_t i = 0; i < whole; i += 4) {
    const std::uint32_t a = value(i), b = value(i + 1), c = value(i + 2), d = value(i + 3);
    if ((a | b | c | d) > 63) return false;
    const std::uint32_t bits = (a << 18U) | (b << 12U) | (c << 6U) | d;
    put(bits >> 16U);
    put(bits >> 8U);
    put(bits);
  }
  if (rest == 0) return true;
  const std::uint32_t a = value(whole), b = value(whole + 1), c = rest == 3 ? value(whole + 2) : 0;
  if ((a | b | c) > 63) return false;
  const std::uint32_t bits = (a << 18U) | (b << 12U) | (c << 6U);
  if ((bits & (rest == 2 ? 0xFFFFU : 0xFFU)) != 0) return false;
  put(bits >> 16U);
  if (rest == 3) put(bits >> 8U);
  return true;
}

}  // namespace

void append_base64(std::string_view bytes, base64_form form, std::string& out) {
  const std::string_view alphabet = form == base64_form::padded ? kPadded : kUrl;
  const auto byte = [&](std::size_t i) { return std::uint32_t{static_cast<unsigned char>(bytes[i])}; };
  const auto put = [&](std::uint32_t bits, unsigned shift) {
    out.push_back(alphabet[(bits >> shift) & 63U]);
  };
  std::size_t i = 0;
  for (; i + 3 <= bytes.size(); i += 3) {
    const std::uint32_t bits = (byte(i) << 16U) | (byte(i + 1) << 8U) | byte(i + 2);
    put(bits, 18);
    put(bits, 12);
    put(bits, 6);
    put(bits, 0);
  }
  const std::size_t rest = bytes.size() - i;
  if (rest == 0) return;
  const std::uint32_t bits = (byte(i) << 16U) | (rest == 2 ? byte(i + 1) << 8U : 0U);
  put(bits, 18);
  put(bits, 12);
  if (rest == 2) put(bits, 6);
  if (form == base64_form::padded) out.append(3 - rest, '=');
}

bool decode_base64(std::string_view text, base64_form form, std::string& out) {
  const std::size_t before = out.size();
  if (form == base64_form::padded) {
    if (text.size() % 4 != 0) return false;
    if (text.ends_with('=')) text.remove_suffix(text.ends_with("==") ? 2 : 1);
  }
  if (decode_groups(text, form == base64_form::padded ? kPaddedValues : kUrlValues, out)) return true;
  out.resize(before);
  return false;
}

}  // namespace syncline::storage
