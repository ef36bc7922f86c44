// The WebSocket protocol's inner loops: masks and UTF-8 in each form this processor has, framing, whole
// messages through the reader, deflate with and without context takeover, and a broadcast compressed once.
#include <benchmark/benchmark.h>

#include <span>
#include <string>
#include <string_view>

#include "net/websocket/broadcast.h"
#include "net/websocket/deflate.h"
#include "net/websocket/frame_writer.h"
#include "net/websocket/mask.h"
#include "net/websocket/message_reader.h"
#include "net/websocket/message_writer.h"
#include "net/websocket/utf8.h"

namespace {

using namespace syncline::net::websocket;

constexpr mask_key kKey = 0x3dfa2137;

bool has(benchmark::State& state, instructions form) {
  if (form <= best_instructions()) return true;
  state.SkipWithError("this processor cannot");
  return false;
}

void count_bytes(benchmark::State& state, std::size_t n) {
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations()) * static_cast<std::int64_t>(n));
}

std::string rows(std::size_t n) {
  std::string out;
  for (std::size_t i = 1; out.size() < n; ++i) {
    out += "{\"op\":\"put\",\"resource\":\"users\",\"id\":" + std::to_string(i * 7919 % 100'000) +
           ",\"row\":{\"name\":\"Ann " + std::to_string(i) + "\",\"visits\":" + std::to_string(i * 31) +
           "}}\r\n";
  }
  out.resize(n);
  return out;
}

void mask_bytes(benchmark::State& state, std::size_t n, bool byte_wise, instructions form) {
  if (!has(state, form)) return;
  std::string bytes = rows(n);
  mask_key key = kKey;
  for (auto _ : state) {
    if (byte_wise) {
      for (std::size_t i = 0; i < n; ++i) {
        bytes[i] = static_cast<char>(static_cast<unsigned char>(bytes[i]) ^ (key >> (8 * (i % 4))));
        benchmark::DoNotOptimize(bytes[i]);  // keeps the compiler from making vectors of it
      }
    } else {
      key = unmask_with(form, bytes.data(), n, key);
    }
    benchmark::DoNotOptimize(bytes.data());
    benchmark::ClobberMemory();
  }
  count_bytes(state, n);
}
BENCHMARK_CAPTURE(mask_bytes, byte_wise_16k, 16'384, true, instructions::scalar);
BENCHMARK_CAPTURE(mask_bytes, scalar_16k, 16'384, false, instructions::scalar);
BENCHMARK_CAPTURE(mask_bytes, sse2_16k, 16'384, false, instructions::sse2);
BENCHMARK_CAPTURE(mask_bytes, avx2_16k, 16'384, false, instructions::avx2);
BENCHMARK_CAPTURE(mask_bytes, scalar_200, 200, false, instructions::scalar);
BENCHMARK_CAPTURE(mask_bytes, avx2_200, 200, false, instructions::avx2);

void check_utf8(benchmark::State& state, const char* piece, instructions form) {
  if (!has(state, form)) return;
  std::string text;
  while (text.size() < 16'384) text += piece;
  for (auto _ : state) {
    utf8_validator v;
    benchmark::DoNotOptimize(v.feed(text, form));
  }
  count_bytes(state, text.size());
}
constexpr const char* kAscii = "{\"op\":\"put\",\"id\":17}";
constexpr const char* kGerman =
    "Die W\xC3\xB6rter \xC3\xBC"
    "ber den Fl\xC3\xBCssen, ";
constexpr const char* kGreek = "\xCE\xBA\xE1\xBD\xB9\xCF\x83\xCE\xBC\xCE\xB5 ";
BENCHMARK_CAPTURE(check_utf8, ascii_scalar, kAscii, instructions::scalar);
BENCHMARK_CAPTURE(check_utf8, ascii_sse2, kAscii, instructions::sse2);
BENCHMARK_CAPTURE(check_utf8, ascii_avx2, kAscii, instructions::avx2);
BENCHMARK_CAPTURE(check_utf8, german_avx2, kGerman, instructions::avx2);
BENCHMARK_CAPTURE(check_utf8, greek_avx2, kGreek, instructions::avx2);

// Messages of `n` bytes, 64 KB a read, as a server reads them. The frames are masked again each time.
void read_messages(benchmark::State& state, std::size_t n, opcode op) {
  std::string wire;
  while (wire.size() < 65'536 - n) append_masked_frame(wire, {.op = op}, rows(n), kKey);
  const reader_options options;
  message_reader reader(options, role::server);
  std::string copy;
  std::int64_t messages = 0;
  for (auto _ : state) {
    copy = wire;
    std::span<char> in(copy);
    while (reader.next(in).what != event_kind::need_more) ++messages;
  }
  state.SetItemsProcessed(messages);
  count_bytes(state, wire.size());
}
BENCHMARK_CAPTURE(read_messages, text_20, 20, opcode::text);
BENCHMARK_CAPTURE(read_messages, text_200, 200, opcode::text);
BENCHMARK_CAPTURE(read_messages, text_16k, 16'384, opcode::text);
BENCHMARK_CAPTURE(read_messages, binary_16k, 16'384, opcode::binary);

void write_messages(benchmark::State& state, std::size_t n, bool takeover, int level, int window_bits) {
  deflate_pool_options options;
  options.level = level;
  deflate_pool pool(options);
  deflate_agreement agreed;
  agreed.server_no_context_takeover = !takeover;
  agreed.server_window_bits = static_cast<std::uint8_t>(window_bits);
  message_writer writer(agreed, &pool, 0);
  // Different messages of one kind, together more than a window: the same ones again would flatter takeover.
  constexpr std::size_t kMessages = 256;
  const std::string all = rows(n * kMessages);
  std::size_t in = 0;
  std::size_t out = 0;
  std::size_t at = 0;
  for (auto _ : state) {
    out += writer.write(opcode::text, std::string_view(all).substr(at * n, n)).payload.size();
    in += n;
    at = (at + 1) % kMessages;
  }
  count_bytes(state, n);
  state.counters["ratio"] = static_cast<double>(in) / static_cast<double>(out);
}
BENCHMARK_CAPTURE(write_messages, fresh_400_level1, 400, false, 1, 15);
BENCHMARK_CAPTURE(write_messages, fresh_400_level1_window11, 400, false, 1, 11);
BENCHMARK_CAPTURE(write_messages, takeover_400_level1, 400, true, 1, 15);
BENCHMARK_CAPTURE(write_messages, fresh_16k_level1, 16'384, false, 1, 15);
BENCHMARK_CAPTURE(write_messages, fresh_16k_level6, 16'384, false, 6, 15);
BENCHMARK_CAPTURE(write_messages, fresh_16k_level1_window9, 16'384, false, 1, 9);
BENCHMARK_CAPTURE(write_messages, fresh_16k_level1_window13, 16'384, false, 1, 13);
BENCHMARK_CAPTURE(write_messages, fresh_16k_level1_window11, 16'384, false, 1, 11);

void inflate_messages(benchmark::State& state, std::size_t n) {
  deflate_pool pool;
  deflate_agreement agreed;
  agreed.server_no_context_takeover = agreed.client_no_context_takeover = true;
  message_writer writer(agreed, &pool, 0);
  const outgoing_frame frame = writer.write(opcode::text, rows(n));
  std::string wire;
  append_masked_frame(wire, {.op = opcode::text, .compressed = true}, frame.payload, kKey);
  const reader_options options;
  message_reader reader(options, role::server, agreed, &pool);
  std::string copy;
  for (auto _ : state) {
    copy = wire;
    std::span<char> in(copy);
    while (reader.next(in).what != event_kind::need_more) {
    }
  }
  count_bytes(state, n);
}
BENCHMARK_CAPTURE(inflate_messages, 400, 400);
BENCHMARK_CAPTURE(inflate_messages, 16k, 16'384);

// 1,000 sockets: one frame for all, or one for each.
void broadcast_1000(benchmark::State& state, bool once) {
  deflate_pool pool;
  deflate_agreement agreed;
  agreed.server_no_context_takeover = true;
  message_writer writer(agreed, &pool);
  const std::string message = rows(400);
  for (auto _ : state) {
    const broadcast_message all(opcode::text, message, once ? &pool : nullptr);
    for (int i = 0; i < 1000; ++i) {
      if (once) {
        benchmark::DoNotOptimize(all.for_socket(writer).get());
      } else {
        benchmark::DoNotOptimize(writer.write(opcode::text, message).payload.size());
      }
    }
  }
}
BENCHMARK_CAPTURE(broadcast_1000, compressed_once, true);
BENCHMARK_CAPTURE(broadcast_1000, compressed_for_each, false);

}  // namespace
