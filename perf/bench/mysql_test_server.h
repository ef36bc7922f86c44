// The private server that the MySQL benchmarks run against (tests/tools/mysql.sh start FOLDER; . FOLDER/env).
// Failure: std::runtime_error that says what is missing.
#pragma once

#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <stdexcept>
#include <string>

namespace syncline::bench {

inline std::string environment(const char* name) {
  const char* const value = std::getenv(name);
  if (value == nullptr) throw std::runtime_error(std::string(name) + " is not set: see tests/tools/mysql.sh");
  return value;
}

// Processor seconds of the server so far: on a shared machine they say more than the clock.
inline double server_cpu_s() {
  std::ifstream pid_file(environment("SYNCLINE_TEST_MYSQL_FOLDER") + "/mysqld.pid");
  std::string pid;
  pid_file >> pid;
  std::ifstream file("/proc/" + pid + "/stat");
  std::string word;
  double ticks = 0;
  for (int field = 1; file >> word; ++field)
    if (field == 14 || field == 15) ticks += std::stod(word);
  return ticks / static_cast<double>(::sysconf(_SC_CLK_TCK));
}

}  // namespace syncline::bench
