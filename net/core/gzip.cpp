#include "net/core/gzip.h"

#include <zlib.h>

#include <algorithm>
#include <array>
#include <limits>
#include <new>
#include <utility>

#include "net/core/deflate_pool.h"

namespace syncline::net {

namespace {

constexpr int kGzipWindow = 15 + 16;  // any window, gzip header and trailer instead of zlib's
constexpr std::size_t kChunkBytes = 16 * 1024;
// RFC 1952 section 2.3: deflate, no flags, no time, fastest, system unknown.
constexpr std::string_view kHead("\x1f\x8b\x08\0\0\0\0\0\x04\xff", 10);
constexpr std::string_view kEmptyLastBlock("\x03\0", 2);  // RFC 1951: last, fixed codes, end of block

// zlib takes a non-const pointer and never writes through it.
Bytef* bytes_of(std::string_view text) noexcept {
  return reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
}

uInt clamp_to_zlib(std::size_t n) noexcept {
  return static_cast<uInt>(std::min<std::size_t>(n, std::numeric_limits<uInt>::max()));
}

void append_little_endian(std::uint32_t n, std::string& out) {
  for (unsigned shift = 0; shift < 32; shift += 8) out.push_back(static_cast<char>((n >> shift) & 0xffU));
}

// RFC 1951 section 3.2.4. Only where the stream stands on a byte: at its start and after a flush.
void append_stored(std::string_view in, std::string& out) {
  constexpr std::size_t kBlockBytesMax = 65535;
  while (!in.empty()) {
    const std::string_view block = in.substr(0, kBlockBytesMax);
    const auto size = static_cast<std::uint32_t>(block.size());
    out.push_back('\0');
    append_little_endian(size | (~size << 16U), out);
    out.append(block);
    in.remove_prefix(block.size());
  }
}

}  // namespace

struct gzip_encoder::state {
  explicit state(int wanted) : level(wanted) {}
  ~state() { give_back_deflate(std::move(borrowed)); }
  state(const state&) = delete;
  state& operator=(const state&) = delete;

  void begin(std::string& out) {
    if (begun) return;
    begun = true;
    checksum = 0;  // what crc32() begins with
    size = 0;
    out.append(kHead);
  }
  // Deflates what is in `next_in` until zlib has nothing more to give for `mode`.
  void pump(int mode, std::string& out) {
    z_stream& stream = borrowed->stream;
    std::array<char, kChunkBytes> chunk;
    do {
      stream.next_out = reinterpret_cast<Bytef*>(chunk.data());
      stream.avail_out = static_cast<uInt>(chunk.size());
      // Z_BUF_ERROR only says that there was nothing to do (a flush after a flush).
      static_cast<void>(deflate(&stream, mode));
      out.append(chunk.data(), chunk.size() - stream.avail_out);
    } while (stream.avail_out == 0);
  }
  void compress(std::string_view in, std::string& out) {
    unflushed = true;
    while (!in.empty()) {
      borrowed->stream.next_in = bytes_of(in);
      borrowed->stream.avail_in = clamp_to_zlib(in.size());
      in.remove_prefix(borrowed->stream.avail_in);
      pump(Z_NO_FLUSH, out);
    }
  }
  void rest() noexcept {
    if (!unflushed) give_back_deflate(std::move(borrowed));
  }

  const int level;
  std::unique_ptr<deflate_state> borrowed;
  std::uint32_t checksum = 0;
  std::uint32_t size = 0;  // modulo 2^32, as the trailer has it
  bool begun = false;      // the head is written
  bool unflushed = false;  // bytes are in `borrowed` that did not come out
};

gzip_encoder::gzip_encoder(int level) : state_(std::make_unique<state>(level)) {}
gzip_encoder::~gzip_encoder() = default;
gzip_encoder::gzip_encoder(gzip_encoder&&) noexcept = default;

void gzip_encoder::append(std::string_view in, bool flush, std::string& out) {
  state& s = *state_;
  s.begin(out);
  if (!in.empty()) {
    s.checksum = static_cast<std::uint32_t>(crc32_z(s.checksum, bytes_of(in), in.size()));
    s.size += static_cast<std::uint32_t>(in.size());
    if (s.borrowed == nullptr) s.borrowed = take_deflate(s.level);
    if (s.borrowed == nullptr) return append_stored(in, out);
    s.compress(in, out);
  }
  if (!flush || s.borrowed == nullptr) return;
  s.pump(Z_SYNC_FLUSH, out);
  s.unflushed = false;
  if (deflate_is_scarce()) s.rest();
}

void gzip_encoder::rest() noexcept {
  state_->rest();
}

void gzip_encoder::finish(std::string& out) {
  state& s = *state_;
  s.begin(out);
  if (s.borrowed == nullptr) {
    out.append(kEmptyLastBlock);
  } else {
    s.pump(Z_FINISH, out);
    s.unflushed = false;
    s.rest();
  }
  append_little_endian(s.checksum, out);
  append_little_endian(s.size, out);
  s.begun = false;
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
