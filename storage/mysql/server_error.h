// MySQL's errors as ours: the code decides, the text goes into the detail.
//
// `detail` begins with "1062 (23000): " and goes on with what the server said, so nothing is lost; who needs
// the number (a deadlock that may be tried again, say) asks server_code(). Thread: pure.
#pragma once

#include <cstdint>
#include <string_view>

#include "net/core/error.h"

namespace syncline::storage::mysql {

namespace code {
inline constexpr std::uint32_t kTooManyConnections = 1040, kAccessDenied = 1045, kDuplicateKey = 1062,
                               kLockWaitTimeout = 1205, kDeadlock = 1213, kInsecureTransport = 1251,
                               kTooManyPrepared = 1461, kOptionForbids = 1290, kReadOnlyMode = 1836,
                               kNotPrepared = 5110, kCapabilityFailed = 5001;
// ER_X_SERVICE_ERROR: the X plugin could not hand the statement to the server's own session, for the most
// part because that was killed a moment before. The statement did not begin.
inline constexpr std::uint32_t kNotRun = 5010;
}  // namespace code

[[nodiscard]] net::error server_error(std::uint32_t code, std::string_view sql_state, std::string_view text);
// From the body of an Error message. `fatal`: the session is over.
[[nodiscard]] net::error read_server_error(std::string_view body, bool& fatal);
// MySQL's number of an error made here; 0 for others.
[[nodiscard]] std::uint32_t server_code(const net::error& from) noexcept;
// The server takes no writes: it was demoted, or an administrator wants it so. Nothing was written.
[[nodiscard]] bool is_read_only(const net::error& said) noexcept;

}  // namespace syncline::storage::mysql
