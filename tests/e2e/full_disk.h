// A place that can be made full and free again while a server works in it.
//
// As root it is a small tmpfs of its own, which gives ENOSPC. Otherwise it is a directory, and the server's
// limit on file sizes is lowered to what is there, which gives EFBIG; SIGXFSZ is ignored from the constructor
// on, which processes started later inherit. Thread: one. Failure: exceptions.
#pragma once

#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>

#include "tests/temp_directory.h"

namespace syncline::e2e {

using syncline::testing::temp_directory;

class full_disk {
 public:
  full_disk() {
    ::signal(SIGXFSZ, SIG_IGN);
    mounted_ = ::geteuid() == 0 && ::mount("tmpfs", directory_.path().c_str(), "tmpfs", 0, "size=4m") == 0;
  }
  ~full_disk() {
    if (mounted_) ::umount2(directory_.path().c_str(), MNT_DETACH);
  }
  full_disk(const full_disk&) = delete;
  full_disk& operator=(const full_disk&) = delete;

  [[nodiscard]] std::string file(const std::string& name) const { return directory_.file(name); }

  void fill(pid_t of) const {
    if (!mounted_) return limit(of, 256 * 1024);
    std::ofstream filler(file("filler"), std::ios::binary);
    const std::string piece(4096, 'f');
    while (filler.write(piece.data(), static_cast<std::streamsize>(piece.size())).flush()) {
    }
  }
  void free(pid_t of) const {
    if (!mounted_) return limit(of, RLIM_INFINITY);
    std::filesystem::remove(file("filler"));
  }

 private:
  static void limit(pid_t of, rlim_t bytes) {
    rlimit now{};
    if (::prlimit(of, RLIMIT_FSIZE, nullptr, &now) != 0) throw std::runtime_error("prlimit failed");
    now.rlim_cur = bytes;
    if (::prlimit(of, RLIMIT_FSIZE, &now, nullptr) != 0) throw std::runtime_error("prlimit failed");
  }

  temp_directory directory_;
  bool mounted_ = false;
};

}  // namespace syncline::e2e
