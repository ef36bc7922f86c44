// A COMPRESSION message with arbitrary bytes from a MySQL server: what comes out is whole frames or nothing,
// it costs no more memory than it may, a stream that failed does no harm when it is used on, and what we pack
// comes out again.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include <x_protocol.pb.h>

#include "storage/mysql/compression.h"

namespace {

using namespace syncline::storage::mysql;

constexpr std::size_t kLimit = 64UL * 1024;

void check(bool held) {
  if (!held) std::abort();
}

void check_unpacked(message_decompressor& from, std::string_view body) {
  syncline::net::byte_buffer out;
  if (from.unpack(body, out) != frame_state::whole) return;
  check(!out.empty() && out.size() <= kLimit + kCombinedBytesMax);
  std::string_view left = out.view();
  while (!left.empty()) {
    frame next;
    check(read_frame(left, kLimit, next) == frame_state::whole);
    check(next.type != server_message::compression);
    left.remove_prefix(next.bytes());
  }
}

// The payload alone is hard to come by inside a message: here it is wrapped for the fuzzer.
std::string wrapped(std::string_view payload, std::uint64_t claimed) {
  wire::Compression out;
  if (claimed % 3 != 0) out.set_uncompressed_size(claimed);
  out.set_payload(std::string(payload));
  return out.SerializeAsString();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  message_decompressor one_stream(kLimit);
  check_unpacked(one_stream, bytes);
  if (size < 2) return 0;
  const std::size_t middle = 1 + data[0] % (size - 1);
  check_unpacked(one_stream, wrapped(bytes.substr(1, middle - 1), data[0] * 7U));
  check_unpacked(one_stream, wrapped(bytes.substr(middle), data[1] * 1000U));

  wire::StmtExecute statement;
  statement.set_statement("x");
  for (std::size_t at = 0; at < 4000; at += size) statement.mutable_statement()->append(bytes);
  syncline::net::byte_buffer plain, sent;
  check(append_frame(plain, client_message::statement_execute, statement, kLimit).has_value());
  message_compressor to;
  to.append(sent, plain.view(), kLimit);
  const std::string_view said = sent.view();
  if (said[kFrameHeadBytes - 1] != static_cast<char>(client_message::compression)) {
    check(said == plain.view());
    return 0;
  }
  message_decompressor back(kLimit);
  syncline::net::byte_buffer again;
  check(back.unpack(said.substr(kFrameHeadBytes), again) == frame_state::whole &&
        again.view() == plain.view());
  return 0;
}
