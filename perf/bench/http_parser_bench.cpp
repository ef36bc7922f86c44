// The request head parser: the two requests that bound what a server sees (a short one of an API client, a
// browser's with a cookie of 1 KB), and the scans by themselves over the lengths that fields have.
//
// Instructions a request: run this under `valgrind --tool=callgrind` with two counts and divide the
// difference, so that the start of the program is not counted:
//   build/bench/http_parser_bench --instructions=short,1000
//   build/bench/http_parser_bench --instructions=short,11000
#include <benchmark/benchmark.h>

#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "net/http/parser.h"
#include "net/http/scan.h"
#include "net/http/server.h"

namespace {

using namespace syncline::net::http;

std::string short_request() {
  return "GET /v1/users/17 HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n\r\n";
}

std::string browser_request() {
  std::string cookie;
  for (int i = 0; cookie.size() < 1000; ++i) {
    cookie += "k" + std::to_string(i) + "=" + std::to_string(i * 7919) + "abcdefXYZ; ";
  }
  return "GET /v1/campaigns/spring-giving?limit=50&after=1200&fields=id,name,total HTTP/1.1\r\n"
         "Host: giving.example.org\r\n"
         "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n"
         "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8\r\n"
         "Accept-Language: en-GB,en;q=0.7,de;q=0.3\r\n"
         "Accept-Encoding: gzip, deflate, br\r\n"
         "Referer: https://giving.example.org/campaigns\r\n"
         "Connection: keep-alive\r\n"
         "Cookie: " +
         cookie +
         "\r\n"
         "Upgrade-Insecure-Requests: 1\r\n"
         "Sec-Fetch-Dest: document\r\n"
         "Sec-Fetch-Mode: navigate\r\n"
         "Sec-Fetch-Site: same-origin\r\n\r\n";
}

struct parsing {
  limits bounds;
  std::vector<header_field> fields;
  request_head head;
  head_parser parser;

  void once(std::string_view bytes) {
    parser.reset();
    if (parser.parse(bytes, bounds, fields, head) != parse_status::complete) std::abort();
    benchmark::DoNotOptimize(head);
  }
};

void choose(benchmark::State& state, scan_level level) {
  use_scan_level(level);
  if (active_scan().level != level) state.SkipWithError("not on this processor");
}

void parse(benchmark::State& state, scan_level level, const std::string& bytes) {
  choose(state, level);
  parsing p;
  for (auto _ : state) p.once(bytes);
  state.SetBytesProcessed(static_cast<std::int64_t>(bytes.size()) * state.iterations());
}

BENCHMARK_CAPTURE(parse, short_scalar, scan_level::scalar, short_request());
BENCHMARK_CAPTURE(parse, short_sse42, scan_level::sse42, short_request());
BENCHMARK_CAPTURE(parse, short_avx2, scan_level::avx2, short_request());
BENCHMARK_CAPTURE(parse, browser_scalar, scan_level::scalar, browser_request());
BENCHMARK_CAPTURE(parse, browser_sse42, scan_level::sse42, browser_request());
BENCHMARK_CAPTURE(parse, browser_avx2, scan_level::avx2, browser_request());

// One value of a field that long, with more of the head behind it, as it stands in a request.
void scan_value(benchmark::State& state, scan_level level) {
  choose(state, level);
  const std::string bytes = std::string(static_cast<std::size_t>(state.range(0)), 'v') + "\r\n" +
                            "Accept-Encoding: gzip, deflate, br\r\n\r\n";
  const char* p = bytes.data();
  const char* const end = p + bytes.size();
  for (auto _ : state) {
    benchmark::DoNotOptimize(p);
    const char* const at = level == scan_level::scalar ? byte_scan::value(p, end) : wide_scan::value(p, end);
    benchmark::DoNotOptimize(at);
  }
}

BENCHMARK_CAPTURE(scan_value, scalar, scan_level::scalar)
    ->Arg(3)
    ->Arg(8)
    ->Arg(15)
    ->Arg(40)
    ->Arg(100)
    ->Arg(1000);
BENCHMARK_CAPTURE(scan_value, sse42, scan_level::sse42)
    ->Arg(3)
    ->Arg(8)
    ->Arg(15)
    ->Arg(40)
    ->Arg(100)
    ->Arg(1000);
BENCHMARK_CAPTURE(scan_value, avx2, scan_level::avx2)->Arg(3)->Arg(8)->Arg(15)->Arg(40)->Arg(100)->Arg(1000);

// "--instructions=short,1000[,scalar]": parses that often and ends; for a counter of instructions around it.
bool count_only(std::string_view argument) {
  constexpr std::string_view kFlag = "--instructions=";
  if (!argument.starts_with(kFlag)) return false;
  argument.remove_prefix(kFlag.size());
  const std::size_t comma = argument.find(',');
  const std::string bytes = argument.substr(0, comma) == "short" ? short_request() : browser_request();
  std::uint64_t rounds = 0;
  std::from_chars(argument.data() + comma + 1, argument.data() + argument.size(), rounds);
  if (argument.ends_with(",scalar")) use_scan_level(scan_level::scalar);
  parsing p;
  for (; rounds > 0; --rounds) p.once(bytes);
  return true;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 2 && count_only(argv[1])) return 0;
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
}
