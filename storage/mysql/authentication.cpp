#include "storage/mysql/authentication.h"

#include <openssl/sha.h>

#include <array>

namespace syncline::storage::mysql {

namespace {

using digest = std::array<unsigned char, SHA256_DIGEST_LENGTH>;

digest sha256(std::string_view of) {
  digest out{};
  SHA256(reinterpret_cast<const unsigned char*>(of.data()), of.size(), out.data());
  return out;
}

std::string_view view(const digest& of) {
  return {reinterpret_cast<const char*>(of.data()), of.size()};
}

std::string who(std::string_view schema, std::string_view user) {
  std::string out(schema);
  out.push_back('\0');
  out.append(user);
  out.push_back('\0');
  return out;
}

}  // namespace

std::string plain_proof(std::string_view schema, std::string_view user, std::string_view password) {
  std::string out = who(schema, user);
  out.append(password);
  return out;
}

std::string sha256_memory_proof(std::string_view schema, std::string_view user, std::string_view password,
                                std::string_view nonce) {
  std::string out = who(schema, user);
  if (password.empty()) return out;
  const digest once = sha256(password);
  const digest twice = sha256(view(once));
  std::string salted(view(twice));
  salted.append(nonce);
  const digest mixed = sha256(salted);
  constexpr std::string_view kHex = "0123456789ABCDEF";
  for (std::size_t i = 0; i < once.size(); ++i) {
    const auto byte = static_cast<unsigned>(mixed[i] ^ once[i]);
    out.push_back(kHex[byte >> 4U]);
    out.push_back(kHex[byte & 15U]);
  }
  return out;
}

}  // namespace syncline::storage::mysql
