#include "net/websocket/deflate.h"

#include <zlib.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <new>
#include <utility>

namespace syncline::net::websocket {

namespace {

constexpr std::string_view kTail("\x00\x00\xFF\xFF", 4);
constexpr int kWindowBitsMin = 9;
constexpr std::size_t kCountedBytes = alignof(std::max_align_t);  // before each block: its size

// zlib's memory, counted where `opaque` points to.
voidpf allocate(voidpf opaque, uInt items, uInt size) noexcept {
  const std::size_t n = std::size_t{items} * size + kCountedBytes;
  void* const block = std::malloc(n);
  if (block == nullptr) return nullptr;
  std::memcpy(block, &n, sizeof n);
  *static_cast<std::size_t*>(opaque) += n;
  return static_cast<char*>(block) + kCountedBytes;
}

void release(voidpf opaque, voidpf address) noexcept {
  char* const block = static_cast<char*>(address) - kCountedBytes;
  std::size_t n;
  std::memcpy(&n, block, sizeof n);
  *static_cast<std::size_t*>(opaque) -= n;
  std::free(block);
}

std::unique_ptr<z_stream> new_stream(std::size_t& bytes) {
  auto out = std::make_unique<z_stream>();
  out->zalloc = allocate;
  out->zfree = release;
  out->opaque = &bytes;
  return out;
}

// zlib takes a non-const pointer and never writes through it.
Bytef* bytes_of(std::string_view text) noexcept {
  return reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
}

uInt clamp_to_zlib(std::size_t n) noexcept {
  return static_cast<uInt>(std::min<std::size_t>(n, std::numeric_limits<uInt>::max()));
}

// Between two blocks, on a byte boundary, and not after a final block: where a message may end (zlib.h,
// data_type after inflate()).
bool between_blocks(const z_stream& stream) noexcept {
  return (stream.data_type & 128) != 0 && (stream.data_type & (64 | 7)) == 0;
}

}  // namespace

inflater::inflater(std::size_t& bytes, int window_bits) : stream_(new_stream(bytes)) {
  if (inflateInit2(stream_.get(), -std::max(window_bits, kWindowBitsMin)) != Z_OK) throw std::bad_alloc();
}

inflater::~inflater() {
  inflateEnd(stream_.get());
}

void inflater::reset(int window_bits) noexcept {
  inflateReset2(stream_.get(), -std::max(window_bits, kWindowBitsMin));  // keeps the window if it fits
  tail_at_ = 0;
  ended_ = false;
}

// After a final block (BFINAL) another one may follow in the same message (RFC 7692 section 7.2.3.4), and it
// may refer to what was before. inflateResetKeep leaves the window where it is; copying it out and in again
// with the dictionary functions would cost 64 KB for each two bytes of a message made of final blocks.
bool inflater::restart() noexcept {
  ended_ = false;
  return inflateResetKeep(stream_.get()) == Z_OK;
}

// Takes from `in` until it is empty or the room that the stream has is full.
inflate_status inflater::pump(std::string_view& in) noexcept {
  z_stream& s = *stream_;
  while (true) {
    if (ended_ && !in.empty() && !restart()) return inflate_status::corrupt;
    s.next_in = bytes_of(in);
    s.avail_in = clamp_to_zlib(in.size());
    const std::size_t given = s.avail_in;
    const int code = ended_ ? Z_BUF_ERROR : inflate(&s, Z_SYNC_FLUSH);
    in.remove_prefix(given - s.avail_in);
    if (code == Z_STREAM_END) ended_ = true;
    if (code != Z_OK && code != Z_STREAM_END && code != Z_BUF_ERROR) return inflate_status::corrupt;
    if (s.avail_out == 0) return inflate_status::full;
    if (in.empty()) return inflate_status::done;
    if (code == Z_BUF_ERROR) return inflate_status::corrupt;
  }
}

inflate_step inflater::run(std::string_view& in, bool last, std::span<char> out) noexcept {
  z_stream& s = *stream_;
  s.next_out = reinterpret_cast<Bytef*>(out.data());
  s.avail_out = clamp_to_zlib(out.size());
  const std::size_t room = s.avail_out;
  inflate_status what = pump(in);
  // A sender that ended with a final block and left out the empty one after it: there is no tail to put back.
  if (what == inflate_status::done && last && !(ended_ && tail_at_ == 0)) {
    std::string_view tail = kTail.substr(tail_at_);
    what = pump(tail);
    tail_at_ = static_cast<std::uint8_t>(kTail.size() - tail.size());
    if (what == inflate_status::done && !between_blocks(s)) what = inflate_status::corrupt;
  }
  if (what == inflate_status::done && last) tail_at_ = 0;
  return {room - s.avail_out, what};
}

compressor::compressor(std::size_t& bytes, int window_bits, int memory_level, int level)
    : stream_(new_stream(bytes)), window_bits_(window_bits) {
  if (deflateInit2(stream_.get(), level, Z_DEFLATED, -window_bits, memory_level, Z_DEFAULT_STRATEGY) !=
      Z_OK) {
    throw std::bad_alloc();
  }
}

compressor::~compressor() {
  deflateEnd(stream_.get());
}

void compressor::reset() noexcept {
  deflateReset(stream_.get());
  begun_ = false;
}

void compressor::run(std::string_view piece, bool last, std::string& out) {
  begun_ = begun_ || !piece.empty();
  if (!begun_) {
    // An empty message is one empty stored block without its tail (section 7.2.3.6). zlib would ignore a
    // second flush in a row and give nothing.
    if (last) out.push_back('\0');
    return;
  }
  z_stream& s = *stream_;
  do {
    s.next_in = bytes_of(piece);
    s.avail_in = clamp_to_zlib(piece.size());
    piece.remove_prefix(s.avail_in);
    const int mode = last && piece.empty() ? Z_SYNC_FLUSH : Z_NO_FLUSH;
    do {
      const std::size_t begin = out.size();
      const std::size_t room = deflateBound(&s, s.avail_in) + 16;
      out.resize(begin + room);
      s.next_out = reinterpret_cast<Bytef*>(out.data() + begin);
      s.avail_out = clamp_to_zlib(room);
      const std::size_t given = s.avail_out;
      static_cast<void>(deflate(&s, mode));  // Z_BUF_ERROR only says that there was nothing to do
      out.resize(begin + given - s.avail_out);
    } while (s.avail_out == 0);
  } while (!piece.empty());
  if (!last) return;
  out.resize(out.size() - kTail.size());
  begun_ = false;
}

void give_back::operator()(inflater* unused) const noexcept {
  std::unique_ptr<inflater> owned(unused);
  --pool->borrowed_;
  if (pool->inflaters_.size() == pool->options_.spares_max) return;
  pool->inflaters_.push_back(std::move(owned));
}

void give_back::operator()(compressor* unused) const noexcept {
  std::unique_ptr<compressor> owned(unused);
  --pool->borrowed_;
  if (pool->compressors_.size() == pool->options_.spares_max) {
    // The oldest spare goes: its window size is the least likely to be asked for.
    if (pool->compressors_.empty()) return;
    pool->compressors_.erase(pool->compressors_.begin());
  }
  owned->reset();
  pool->compressors_.push_back(std::move(owned));
}

deflate_pool::deflate_pool(const deflate_pool_options& options)
    : options_(options), inflated_(new char[kScratchBytes]) {
  // So that giving back never allocates.
  inflaters_.reserve(options.spares_max);
  compressors_.reserve(options.spares_max);
}

deflate_pool::~deflate_pool() = default;

inflater_lease deflate_pool::borrow_inflater(int window_bits) {
  if (borrowed_ == options_.streams_max) return {nullptr, give_back{this}};
  std::unique_ptr<inflater> out;
  if (inflaters_.empty()) {
    out = std::make_unique<inflater>(bytes_, window_bits);
  } else {
    out = std::move(inflaters_.back());
    inflaters_.pop_back();
    out->reset(window_bits);
  }
  ++borrowed_;
  return {out.release(), give_back{this}};
}

compressor_lease deflate_pool::borrow_compressor(int window_bits) {
  if (borrowed_ == options_.streams_max) return {nullptr, give_back{this}};
  std::unique_ptr<compressor> out;
  const auto fits = [window_bits](const auto& c) { return c->window_bits() == window_bits; };
  const auto found = std::find_if(compressors_.begin(), compressors_.end(), fits);
  if (found == compressors_.end()) {
    const int memory_level = effective_memory_level(options_.memory_level, window_bits);
    out = std::make_unique<compressor>(bytes_, window_bits, memory_level, options_.level);
  } else {
    out = std::move(*found);
    compressors_.erase(found);
  }
  ++borrowed_;
  return {out.release(), give_back{this}};
}

std::string& deflate_pool::compressed() noexcept {
  constexpr std::size_t kKeptBytes = 256 * 1024;  // one huge message must not be remembered for ever
  if (compressed_.capacity() > kKeptBytes) std::string().swap(compressed_);
  compressed_.clear();
  return compressed_;
}

}  // namespace syncline::net::websocket
