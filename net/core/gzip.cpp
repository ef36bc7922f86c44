#include "net/core/gzip.h"

#include <zlib.h>

#include <algorithm>
#include <array>
#include <limits>
#include <new>
#include <utility>

namespace syncline::net {

namespace {

constexpr int kGzipWindow = 15 + 16;  // 32 KB window, gzip header and trailer instead of zlib's
constexpr int kMemoryLevel = 8;
constexpr std::size_t kChunkBytes = 16 * 1024;

// zlib takes a non-const pointer and never writes through it.
Bytef* bytes_of(std::string_view text) noexcept {
  return reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
}

uInt clamp_to_zlib(std::size_t n) noexcept {
  return static_cast<uInt>(std::min<std::size_t>(n, std::numeric_limits<uInt>::max()));
}

}  // namespace

struct gzip_encoder::state {
  explicit state(int level) {
    if (deflateInit2(&stream, level, Z_DEFLATED, kGzipWindow, kMemoryLevel, Z_DEFAULT_STRATEGY) != Z_OK) {
      throw std::bad_alloc();
    }
  }
  ~state() { deflateEnd(&stream); }
  state(const state&) = delete;
  state& operator=(const state&) = delete;

  // Deflates what is in `stream.next_in` until zlib has nothing more to give for `mode`.
  void pump(int mode, std::string& out) {
    std::array<char, kChunkBytes> chunk;
    do {
      stream.next_out = reinterpret_cast<Bytef*>(chunk.data());
      stream.avail_out = static_cast<uInt>(chunk.size());
      // Z_BUF_ERROR only says that there was nothing to do (a flush after a flush).
      static_cast<void>(deflate(&stream, mode));
      out.append(chunk.data(), chunk.size() - stream.avail_out);
    } while (stream.avail_out == 0);
  }

  z_stream stream{};
};

gzip_encoder::gzip_encoder(int level) : state_(std::make_unique<state>(level)) {}
gzip_encoder::~gzip_encoder() = default;
gzip_encoder::gzip_encoder(gzip_encoder&&) noexcept = default;

void gzip_encoder::append(std::string_view in, bool flush, std::string& out) {
  while (!in.empty()) {
    state_->stream.next_in = bytes_of(in);
    state_->stream.avail_in = clamp_to_zlib(in.size());
    in.remove_prefix(state_->stream.avail_in);
    state_->pump(Z_NO_FLUSH, out);
  }
  if (flush) state_->pump(Z_SYNC_FLUSH, out);
}

void gzip_encoder::finish(std::string& out) {
  state_->pump(Z_FINISH, out);
  deflateReset(&state_->stream);
}

struct gzip_decoder::state {
  state() {
    if (inflateInit2(&stream, kGzipWindow) != Z_OK) throw std::bad_alloc();
  }
  ~state() { inflateEnd(&stream); }
  state(const state&) = delete;
  state& operator=(const state&) = delete;

  z_stream stream{};
  bool complete = false;
  bool broken = false;
};

gzip_decoder::gzip_decoder() : state_(std::make_unique<state>()) {}
gzip_decoder::~gzip_decoder() = default;
gzip_decoder::gzip_decoder(gzip_decoder&&) noexcept = default;

result<void> gzip_decoder::decode(std::string_view& in, std::size_t out_bytes_max, std::string& out) {
  z_stream& stream = state_->stream;
  if (state_->broken) return error(errc::corrupt, "the gzip stream is damaged");
  std::array<char, kChunkBytes> chunk;
  while (out_bytes_max > 0) {
    if (state_->complete) {
      if (in.empty()) return {};
      // Another member begins (RFC 1952 section 2.2).
      inflateReset(&stream);
      state_->complete = false;
    }
    const std::size_t room = std::min(out_bytes_max, chunk.size());
    stream.next_in = bytes_of(in);
    stream.avail_in = clamp_to_zlib(in.size());
    stream.next_out = reinterpret_cast<Bytef*>(chunk.data());
    stream.avail_out = static_cast<uInt>(room);
    const std::size_t given = stream.avail_in;
    const int code = inflate(&stream, Z_NO_FLUSH);
    in.remove_prefix(given - stream.avail_in);
    const std::size_t made = room - stream.avail_out;
    out.append(chunk.data(), made);
    out_bytes_max -= made;
    if (code == Z_STREAM_END) {
      state_->complete = true;
    } else if (code == Z_BUF_ERROR || (code == Z_OK && stream.avail_out > 0 && in.empty())) {
      return {};  // it needs more input
    } else if (code != Z_OK) {
      state_->broken = true;
      if (code == Z_MEM_ERROR) return error(errc::internal, "no memory for the gzip window");
      return error(errc::corrupt, "the gzip stream is damaged", stream.msg != nullptr ? stream.msg : "");
    }
  }
  return {};
}

bool gzip_decoder::complete() const noexcept {
  return state_->complete;
}

}  // namespace syncline::net
