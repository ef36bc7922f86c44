#include "storage/mysql/compression.h"

#include <algorithm>
#include <new>
#include <string>

#include <x_protocol.pb.h>
#include <zstd.h>

#include "storage/mysql/wire_reader.h"

namespace syncline::storage::mysql {

namespace {

constexpr int kSendWindowLog = 15;
constexpr int kReceiveWindowLogMax = 23;
constexpr std::size_t kSliceBytes = 128UL * 1024;        // a block of zstd unpacks to no more
constexpr std::size_t kKeepPayloadBytes = 256UL * 1024;  // of a message that is used again
constexpr std::size_t kPackedHeadBytesMax = 64;          // frame head, the numbers, the head of the stream

// The fields of a COMPRESSION message from the server, the payload not copied.
struct packed {
  std::string_view payload;
  std::uint64_t bytes = 0;
  bool bytes_told = false;
  bool has_payload = false;
};

[[nodiscard]] bool read_packed(std::string_view body, packed& out) noexcept {
  wire_reader fields(body);
  while (fields.next()) {
    if (fields.number() == 1 && fields.type() == wire_reader::kind::varint) {
      out.bytes = fields.varint();
      out.bytes_told = true;
    }
    if (fields.number() == 4 && fields.type() == wire_reader::kind::bytes) {
      out.payload = fields.bytes();
      out.has_payload = true;
    }
  }
  return fields.ok() && out.has_payload;
}

// A message in the middle of another, a message in two parts, a packed one in a packed one: the protocol has
// none of these, and who reads on must not have to think of them.
[[nodiscard]] frame_state check_frames(std::string_view bytes, std::size_t message_bytes_max) noexcept {
  if (bytes.empty()) return frame_state::undecodable;
  while (!bytes.empty()) {
    frame next;
    const frame_state state = read_frame(bytes, message_bytes_max, next);
    if (state == frame_state::too_large) return state;
    if (state != frame_state::whole || next.type == server_message::compression)
      return frame_state::undecodable;
    bytes.remove_prefix(next.bytes());
  }
  return frame_state::whole;
}

}  // namespace

void message_compressor::freeing::operator()(ZSTD_CCtx_s* stream) const noexcept {
  ZSTD_freeCCtx(stream);
}
void message_decompressor::freeing::operator()(ZSTD_DCtx_s* stream) const noexcept {
  ZSTD_freeDCtx(stream);
}

message_compressor::message_compressor() = default;
message_compressor::~message_compressor() = default;

// Into the payload of message_; false without memory for it.
bool message_compressor::pack(std::string_view bytes) {
  if (stream_ == nullptr) {
    stream_.reset(ZSTD_createCCtx());
    if (stream_ == nullptr) return false;
    ZSTD_CCtx_setParameter(stream_.get(), ZSTD_c_compressionLevel, kCompressionLevel);
    ZSTD_CCtx_setParameter(stream_.get(), ZSTD_c_windowLog, kSendWindowLog);
    message_ = std::make_unique<wire::Compression>();
  }
  std::string& payload = *message_->mutable_payload();
  payload.resize(ZSTD_compressBound(bytes.size()) + kPackedHeadBytesMax);
  ZSTD_inBuffer from{bytes.data(), bytes.size(), 0};
  ZSTD_outBuffer to{payload.data(), payload.size(), 0};
  const std::size_t left = ZSTD_compressStream2(stream_.get(), &to, &from, ZSTD_e_flush);
  if (ZSTD_isError(left) != 0 || left != 0) return false;
  payload.resize(to.pos);
  return true;
}

void message_compressor::append(net::byte_buffer& out, std::string_view whole_frame,
                                std::size_t message_bytes_max) {
  const bool worth = whole_frame.size() > kCompressBytesMin &&
                     ZSTD_compressBound(whole_frame.size()) + 2 * kPackedHeadBytesMax < message_bytes_max;
  // A stream that failed has sent nothing of this frame, but it cannot be gone on with.
  if (!worth || broken_ || !pack(whole_frame)) {
    broken_ = broken_ || worth;
    out.append(whole_frame);
    return;
  }
  message_->set_uncompressed_size(whole_frame.size());
  message_->set_client_messages(static_cast<unsigned char>(whole_frame[kFrameHeadBytes - 1]));
  if (append_frame(out, client_message::compression, *message_, message_bytes_max).has_error()) {
    broken_ = true;
    out.append(whole_frame);
  }
  if (message_->payload().capacity() > kKeepPayloadBytes) std::string().swap(*message_->mutable_payload());
}

frame_state message_decompressor::unpack(std::string_view body, net::byte_buffer& out) {
  packed got;
  if (!read_packed(body, got)) return frame_state::undecodable;
  const std::size_t bytes_max = message_bytes_max_ + kCombinedBytesMax;
  if (got.bytes_told && got.bytes > bytes_max) return frame_state::too_large;
  const frame_state done = inflate(got.payload, got.bytes_told ? got.bytes : bytes_max, out);
  if (done == frame_state::too_large && got.bytes_told) return frame_state::undecodable;
  if (done != frame_state::whole) return done;
  if (got.bytes_told && out.size() != got.bytes) return frame_state::undecodable;
  return check_frames(out.view(), message_bytes_max_);
}

// All of `payload`, when it unpacks to no more than `bytes_max`; too_large as soon as it does not.
frame_state message_decompressor::inflate(std::string_view payload, std::size_t bytes_max,
                                          net::byte_buffer& out) {
  if (stream_ == nullptr) {
    stream_.reset(ZSTD_createDCtx());
    if (stream_ == nullptr) throw std::bad_alloc();
    ZSTD_DCtx_setParameter(stream_.get(), ZSTD_d_windowLogMax, kReceiveWindowLogMax);
  }
  ZSTD_inBuffer from{payload.data(), payload.size(), 0};
  for (;;) {
    // What is said about the size is believed slice by slice; a byte too many is seen when it comes.
    const std::size_t room = std::min(kSliceBytes, bytes_max - out.size() + 1);
    ZSTD_outBuffer to{out.prepare(room), room, 0};
    const std::size_t state = ZSTD_decompressStream(stream_.get(), &to, &from);
    if (ZSTD_isError(state) != 0) return frame_state::undecodable;
    out.commit(to.pos);
    if (out.size() > bytes_max) return frame_state::too_large;
    if (from.pos == from.size && to.pos < to.size) return frame_state::whole;
  }
}

}  // namespace syncline::storage::mysql
