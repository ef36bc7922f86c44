// A temporary file without a name: an atomic upload waits in it until it is known to be good.
//
// Thread: blocking threads only, one at a time. Bound: the caller's body limit; the kernel frees the space
// when the object goes, also after kill -9. Failure: errc::disk_full or errc::down with the system's text;
// what was written so far is lost with the object.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "net/core/error.h"

namespace syncline::server {

class spool_file {
 public:
  // `directory` must be writable; O_TMPFILE where the file system has it, else an unlinked mkstemp file.
  [[nodiscard]] static net::result<spool_file> create(const std::string& directory);
  spool_file(spool_file&& other) noexcept;
  spool_file& operator=(spool_file&&) = delete;
  ~spool_file();

  [[nodiscard]] net::result<void> append(std::string_view bytes);
  // At most `bytes_max` bytes from `offset`; empty at the end.
  [[nodiscard]] net::result<std::string> read(std::uint64_t offset, std::size_t bytes_max) const;

 private:
  explicit spool_file(int fd) : fd_(fd) {}
  int fd_ = -1;
  std::uint64_t size_ = 0;
};

}  // namespace syncline::server
