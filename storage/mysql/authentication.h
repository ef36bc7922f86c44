// What a client proves its password with.
//
// PLAIN shows it to the server (over TLS or a unix socket only). SHA256_MEMORY answers a challenge, so that
// listening is no use: SHA256(SHA256(SHA256(password)) + nonce) XOR SHA256(password), in hexadecimal. There
// is no zero byte behind it: with one a 9.x server refuses a right password. Thread: pure.
#pragma once

#include <string>
#include <string_view>

namespace syncline::storage::mysql {

inline constexpr std::string_view kPlain = "PLAIN";
inline constexpr std::string_view kSha256Memory = "SHA256_MEMORY";

[[nodiscard]] std::string plain_proof(std::string_view schema, std::string_view user,
                                      std::string_view password);
[[nodiscard]] std::string sha256_memory_proof(std::string_view schema, std::string_view user,
                                              std::string_view password, std::string_view nonce);

}  // namespace syncline::storage::mysql
