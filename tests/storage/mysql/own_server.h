// A MySQL of one test's own, with the options it wants: a binary log, a replica, a small disk.
//
// Made by tests/tools/mysql.sh in a folder that goes with it; its account and password are those of the
// shared server. Thread: one. Failure: what the tool says, as an exception.
#pragma once

#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>
#include <utility>

namespace syncline::storage::mysql::testing {

class own_server {
 public:
  // `disk_mb`: on a tmpfs of that size; on_small_disk() says whether that could be mounted.
  explicit own_server(std::string options, int disk_mb = 0) : options_(std::move(options)) {
    std::string made = std::filesystem::temp_directory_path() / "syncline-own-mysql.XXXXXX";
    if (::mkdtemp(made.data()) == nullptr) throw std::runtime_error("no temporary folder");
    folder_ = made;
    const std::string size = "size=" + std::to_string(disk_mb) + "m";
    mounted_ = disk_mb != 0 && ::mount("tmpfs", folder_.c_str(), "tmpfs", 0, size.c_str()) == 0;
    ::chmod(folder_.c_str(), 0711);  // started by root, the server runs as somebody else
    start();
  }
  ~own_server() {
    static_cast<void>(tool("kill"));
    if (mounted_) ::umount2(folder_.c_str(), MNT_DETACH);
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
  }
  own_server(const own_server&) = delete;
  own_server& operator=(const own_server&) = delete;

  void start() {
    if (!tool("start")) throw std::runtime_error("MySQL does not start; see what the tool says");
    std::ifstream ports(folder_ / "ports");
    if (!(ports >> classic_port_ >> x_port_)) throw std::runtime_error("MySQL has no ports");
  }
  void kill() {
    if (!tool("kill")) throw std::runtime_error("MySQL cannot be killed");
  }
  [[nodiscard]] std::uint16_t classic_port() const { return classic_port_; }
  [[nodiscard]] std::uint16_t x_port() const { return x_port_; }

  [[nodiscard]] bool on_small_disk() const { return mounted_; }
  void fill_disk() const {
    std::ofstream filler(folder_ / "filler", std::ios::binary);
    const std::string piece(4096, 'f');
    while (filler.write(piece.data(), static_cast<std::streamsize>(piece.size())).flush()) {
    }
  }
  void free_disk() const { std::filesystem::remove(folder_ / "filler"); }

 private:
  [[nodiscard]] bool tool(const std::string& what) const {
    const std::string command = "SYNCLINE_MYSQL_OPTIONS='" + options_ + "' '" +
                                syncline::testing::source_folder() + "/tests/tools/mysql.sh' " + what + " '" +
                                folder_.string() + "'";
    return std::system(command.c_str()) == 0;
  }

  std::string options_;
  std::filesystem::path folder_;
  bool mounted_ = false;
  std::uint16_t classic_port_ = 0, x_port_ = 0;
};

}  // namespace syncline::storage::mysql::testing
