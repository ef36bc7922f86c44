#include "net/core/gzip_bytes.h"

#include <libdeflate.h>

#include <memory>
#include <new>

namespace syncline::net {

namespace {

constexpr int kLevel = 3;

struct free_compressor {
  void operator()(libdeflate_compressor* c) const noexcept { libdeflate_free_compressor(c); }
};

}  // namespace

std::string gzip_bytes(std::string_view in) {
  thread_local const std::unique_ptr<libdeflate_compressor, free_compressor> compressor(
      libdeflate_alloc_compressor(kLevel));
  if (compressor == nullptr) return {};
  std::string out;
  try {
    out.resize(in.size() - in.size() / 8);
  } catch (const std::bad_alloc&) {
    return {};
  }
  out.resize(libdeflate_gzip_compress(compressor.get(), in.data(), in.size(), out.data(), out.size()));
  out.shrink_to_fit();
  return out;
}

}  // namespace syncline::net
