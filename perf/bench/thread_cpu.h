// Processor time of the calling thread, user and system apart. Microseconds; the resolution is the kernel's.
#pragma once

#include <sys/resource.h>

#include <benchmark/benchmark.h>

namespace syncline::bench {

struct thread_cpu {
  double user_us = 0, system_us = 0;
  static thread_cpu now() {
    rusage used{};
    ::getrusage(RUSAGE_THREAD, &used);
    const auto us = [](const timeval& t) {
      return static_cast<double>(t.tv_sec) * 1e6 + static_cast<double>(t.tv_usec);
    };
    return {us(used.ru_utime), us(used.ru_stime)};
  }
  void add_since(const thread_cpu& before) {
    const thread_cpu at = now();
    user_us += at.user_us - before.user_us;
    system_us += at.system_us - before.system_us;
  }
  void report(benchmark::State& state, int reads) const {
    const double total = static_cast<double>(reads);
    state.counters["cpu_us_per_read"] = (user_us + system_us) / total;
    state.counters["user_us_per_read"] = user_us / total;
  }
};

}  // namespace syncline::bench
