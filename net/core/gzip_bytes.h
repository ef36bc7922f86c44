// gzip of bytes that are all there: answers and cached values. Streams use gzip.h.
//
// libdeflate rather than zlib: on 16 KB of JSON it takes a third of the time at a better ratio, and needs no
// state between calls. Thread: any; each thread keeps one compressor. Bound: kGzipInlineBytesMax is what
// takes about 0.5 ms and may be done on a core; more belongs on a blocking thread. Failure: want of memory is
// the same as bytes that do not shrink: there is no compressed form.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace syncline::net {

inline constexpr std::size_t kGzipInlineBytesMax = 64 * 1024;

// One member; empty when it would save less than an eighth.
[[nodiscard]] std::string gzip_bytes(std::string_view in);

}  // namespace syncline::net
