#!/usr/bin/env bash
# Builds and tests everything: ./test.sh [--full]
#
# Stages, each with its seconds: packages, release build, release tests, ASan+UBSan build and tests, TSan build and
# tests, fuzz smoke. --full fuzzes longer, repeats the TSan tests, runs the model test on many seeds and the Autobahn
# Testsuite where it can be had, compiles each header alone and runs clang-tidy.
# Works on a fresh Debian 12 as root, and anywhere else once the packages are there. Starts what it needs (a Redis and a
# MySQL of its own on loopback) and stops it again; where no MySQL can be had its tests are counted as skipped. Ends
# with ctest's closing lines of the release run; any failure makes the exit code non-zero.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")"

full=0
case "${1:-}" in
  '') ;;
  --full) full=1 ;;
  *)
    sed -n '2,/^set/s/^# \{0,1\}//p' "$0" | sed '$d'
    exit 2
    ;;
esac

fuzz_seconds=5
tsan_repeat=()
if [ "$full" = 1 ]; then
  fuzz_seconds=60
  tsan_repeat=(--repeat until-fail:3)
fi

jobs=$(nproc)
tests_at_once=$((jobs * 2))  # most wait: for a server that starts, a deadline, a disk
results=$PWD/build/test-results
rm -rf "$results"
mkdir -p "$results"
private=$(mktemp -d "${TMPDIR:-/tmp}/syncline-test.XXXXXX")
chmod 711 "$private"  # a database server started by root runs as somebody else
redis_pid=
failed=()
not_run=()
last_ok=1
seconds=()

clean_up() {
  [ ! -d "$private/mysql" ] || tests/tools/mysql.sh stop "$private/mysql" || true
  [ -z "$redis_pid" ] || kill "$redis_pid" 2>/dev/null || true
  [ -z "$redis_pid" ] || wait "$redis_pid" 2>/dev/null || true
  rm -rf "$private"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# stage NAME COMMAND...: prints the name, runs, prints the seconds. A failing stage is remembered; `need` makes it final.
stage() {
  local name=$1 begin=$SECONDS ok=1 code=0 verdict=passed
  shift
  printf '\n=== %s\n' "$name"
  "$@" || code=$?
  case $code in
    0) ;;
    77) verdict='not run' && not_run+=("$name") ;;  # as for automake: what it needs is not here
    *) verdict=FAILED && ok=0 ;;
  esac
  seconds+=("$(printf '%6d s  %s' $((SECONDS - begin)) "$name")")
  printf '=== %s: %s, %d s\n' "$name" "$verdict" $((SECONDS - begin))
  [ $ok = 1 ] || failed+=("$name")
  last_ok=$ok
}
need() {
  stage "$@"
  [ "$last_ok" = 1 ] || finish
}

finish() {
  printf '\n=== summary\n'
  printf '%s\n' "${seconds[@]}"
  local summary=0
  shopt -s nullglob
  local reports=("$results"/*.xml)
  if [ ${#reports[@]} -gt 0 ]; then
    python3 scripts/test_summary.py "${reports[@]}" || summary=1
    [ ${#not_run[@]} = 0 ] || printf 'not run: %s\n' "${not_run[@]}"
  fi
  # ctest's own closing lines, from the last `NN% tests passed` to the end.
  [ ! -f "$results/release.log" ] || awk '/% tests passed/ { kept = "" } { kept = kept $0 "\n" } END { printf "%s", kept }' "$results/release.log"
  if [ ${#failed[@]} -gt 0 ]; then
    printf 'FAILED: %s\n' "${failed[@]}"
    exit 1
  fi
  exit $summary
}

free_port() {
  python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

# A Redis of our own: loopback, nothing on disk, gone when we are. Somebody may take the port between our asking for a
# free one and Redis binding it, so there are three tries.
start_redis() {
  local port
  for _ in 1 2 3; do
    port=$(free_port)
    redis-server --port "$port" --bind 127.0.0.1 --save '' --appendonly no --dir "$private" \
      --daemonize no >"$results/redis.log" 2>&1 &
    redis_pid=$!
    for _ in $(seq 100); do
      if [ "$(redis-cli -p "$port" info server 2>/dev/null | tr -d '\r' | sed -n 's/^process_id://p')" = "$redis_pid" ]; then
        export SYNCLINE_TEST_REDIS=127.0.0.1:$port
        echo "redis-server on $SYNCLINE_TEST_REDIS"
        return 0
      fi
      kill -0 "$redis_pid" 2>/dev/null || break
      sleep 0.1
    done
    kill "$redis_pid" 2>/dev/null || true
    wait "$redis_pid" 2>/dev/null || true
    redis_pid=
  done
  cat "$results/redis.log" >&2
  return 1
}

# A MySQL of our own: the server's files are kept between runs, its rows are gone when we are. Without one the tests that
# need it say so and are counted.
start_mysql() {
  if tests/tools/mysql.sh start "$private/mysql" >"$results/mysql.log" 2>&1; then
    # shellcheck disable=SC1091
    . "$private/mysql/env"
    echo "MySQL on $SYNCLINE_TEST_MYSQL (X Protocol)"
  else
    tail -n 5 "$results/mysql.log"
    echo 'no MySQL: the tests that need one are skipped'
  fi
}

# GCC 12's sanitizer runtimes cannot place their shadow when the kernel randomises 32 bits of mmap addresses.
fixed_addresses=()
if setarch "$(uname -m)" -R true 2>/dev/null; then fixed_addresses=(setarch "$(uname -m)" -R); fi
export ASAN_OPTIONS=${ASAN_OPTIONS:-detect_stack_use_after_return=1:strict_init_order=1}
export UBSAN_OPTIONS=${UBSAN_OPTIONS:-print_stacktrace=1:halt_on_error=1}
export TSAN_OPTIONS=${TSAN_OPTIONS:-halt_on_error=1:second_deadlock_stack=1}

# The server that tests share begins each stage anew: what an earlier stage did to it must not fail this one too.
restart_mysql() {
  [ -n "${SYNCLINE_TEST_MYSQL:-}" ] || return 0
  tests/tools/mysql.sh stop "$private/mysql"
  tests/tools/mysql.sh start "$private/mysql"
}
# After tests that failed: a server that ended by itself, or that is full, is the cause and not each of them.
show_mysql() {
  [ -n "${SYNCLINE_TEST_MYSQL:-}" ] || return 0
  echo "MySQL: $(tests/tools/mysql.sh status "$private/mysql"); its log, and what this machine has:"
  tail -n 40 "$private/mysql/mysqld.log"
  grep -E '^Mem(Total|Available)' /proc/meminfo
  df -h "$private" | tail -n 1
  dmesg 2>/dev/null | grep -i -E 'out of memory|killed process' | tail -n 3
}

# MySQL 9.7.4 dies now and then where a session ends while it logs in (a null pointer in Srv_session::attach), as those
# of the tests that cut connections do; all tests after that fail, whatever they test.
mysql_crashed() {
  [ -n "${SYNCLINE_TEST_MYSQL:-}" ] && ! tests/tools/mysql.sh status "$private/mysql" >/dev/null &&
    grep -q 'mysqld got signal' "$private/mysql/mysqld.log"
}

# run_ctest PRESET [OPTION...]: the output is kept for the end, the report for the summary. Where the server itself
# crashed, the tests that failed run once more on a new one, one by one; the summary says how many.
run_ctest() {
  local preset=$1 ok=0
  shift
  local before=()
  [ "$preset" = release ] || before=("${fixed_addresses[@]}")
  : >"$results/$preset.log"
  ctest_on_new_server "$preset" "$results/$preset.xml" "$@" || ok=1
  if [ "$ok" = 1 ]; then
    show_mysql || true
    if mysql_crashed; then
      echo '=== MySQL itself crashed: what failed runs once more, on a new server'
      ok=0
      ctest_on_new_server "$preset" "$results/$preset.again.xml" "$@" --rerun-failed -j 1 || ok=1
    fi
  fi
  return "$ok"
}
ctest_on_new_server() {
  local preset=$1 report=$2
  shift 2
  restart_mysql >>"$results/mysql.log" 2>&1 || { tail -n 20 "$results/mysql.log" && return 1; }
  "${before[@]}" ctest --preset "$preset" -j "$tests_at_once" --no-tests=error --no-label-summary --output-junit "$report" "$@" \
    2>&1 | tee -a "$results/$preset.log" | { grep -v -E '^ *Start +[0-9]+:| +Passed +[0-9.]+ sec$' || true; }
}

# Each target runs for a few seconds on its seeds and what it finds; a finding is kept under build/fuzz/findings.
run_fuzzers() {
  shopt -s nullglob
  local source noun corpus ran=0
  for source in tests/fuzz/*_fuzz.cpp; do
    noun=$(basename "$source" .cpp)
    corpus=build/fuzz/corpus/$noun
    mkdir -p "$corpus" build/fuzz/findings
    local seeds=()
    [ ! -d "tests/fuzz/seeds/$noun" ] || seeds=("tests/fuzz/seeds/$noun")
    local words=()
    [ ! -f "tests/fuzz/${noun%%_*}.dict" ] || words=("-dict=tests/fuzz/${noun%%_*}.dict")
    # `timeout` is the second belt: libFuzzer stops by itself.
    timeout -k 10 $((fuzz_seconds * 3 + 60)) "build/fuzz/$noun" -max_total_time="$fuzz_seconds" -timeout=10 \
      -rss_limit_mb=2048 -verbosity=0 -print_final_stats=0 -artifact_prefix="build/fuzz/findings/$noun-" \
      "${words[@]}" "$corpus" "${seeds[@]}" >"$results/$noun.log" 2>&1 || {
      tail -n 60 "$results/$noun.log"
      echo "$noun failed"
      return 1
    }
    echo "$noun: $fuzz_seconds s, $(find "$corpus" -type f | wc -l) inputs in the corpus, no finding"
    ran=$((ran + 1))
  done
  [ "$ran" -gt 0 ] || {
    echo 'no fuzz targets were found'
    return 1
  }
}

# The randomised model test on many more seeds (SYNCLINE_LONG_SEEDS, 200 a core), each printed with what it did.
run_long_seeds() {
  local each=${SYNCLINE_LONG_SEEDS:-200} i pids=() ok=0
  for i in $(seq "$jobs"); do
    SYNCLINE_BINARY=$PWD/build/release/syncline SYNCLINE_MODEL_SEEDS=$each build/release/test_e2e --gtest_filter='Model.*' \
      >"$results/model.$i.log" 2>&1 &
    pids+=($!)
  done
  for i in $(seq "$jobs"); do
    wait "${pids[i - 1]}" || { ok=1 && tail -n 60 "$results/model.$i.log"; }
    echo "process $i: $(grep -c '^seed ' "$results/model.$i.log") seeds"
  done
  return "$ok"
}

# Each header compiles when it is included alone and first.
check_headers() {
  git ls-files -z --cached --others --exclude-standard 'perf/*.h' 'net/*.h' 'storage/*.h' 'cache/*.h' 'server/*.h' |
    xargs -0 -P "$jobs" -I '{}' sh -c 'echo "#include \"{}\"" | g++-12 -std=c++20 -fsyntax-only -Wall -Wextra -Werror -I. \
      -DBOOST_ASIO_NO_DEPRECATED -DBOOST_ASIO_DISABLE_VISIBILITY -x c++ - || { echo "{} does not stand alone"; exit 1; }'
}

# The connector's sources need headers that no Debian release has. What the analyzer of clang 14 finds inside Asio's
# coroutines, which it cannot follow, is not ours.
run_clang_tidy() {
  git ls-files 'perf/*.cpp' 'net/*.cpp' 'storage/*.cpp' 'cache/*.cpp' 'server/*.cpp' ':!perf/bench' ':!storage/mysql/connector' |
    xargs -P "$jobs" -n 4 clang-tidy-14 -p build/fuzz --quiet >"$results/clang-tidy.log" 2>&1 || true
  grep -q 'warnings generated' "$results/clang-tidy.log" || { tail -n 20 "$results/clang-tidy.log" && return 1; }
  ! grep -F "$PWD/" "$results/clang-tidy.log" | grep -E '(warning|error): '
}

need packages scripts/packages.sh runtime build test
need redis start_redis
stage mysql start_mysql
need 'release build' scripts/build.sh release
stage 'release tests' run_ctest release
# Labelled `once`: tests of the source text and of the scripts, which no sanitizer changes.
need 'asan+ubsan build' scripts/build.sh asan
stage 'asan+ubsan tests' run_ctest asan -LE once
# What threads share (tests/CMakeLists.txt leaves out what runs on one): the handlers of test_server run on one core each and are seen through test_e2e.
need 'tsan build' scripts/build.sh tsan test_perf test_net test_cache test_storage test_store test_mysql test_e2e
stage 'tsan tests' run_ctest tsan -LE once -E test_server "${tsan_repeat[@]}"
need 'fuzz build' scripts/build.sh fuzz fuzzers
stage 'fuzz smoke' run_fuzzers
if [ "$full" = 1 ]; then
  stage 'long model seeds' run_long_seeds
  stage 'Autobahn Testsuite' tests/tools/autobahn.sh
  stage 'Autobahn Testsuite, compression' tests/tools/autobahn.sh '12.*' '13.*'
  stage 'headers alone' check_headers
  stage 'fuzz libraries for clang-tidy' scripts/build.sh fuzz
  stage 'clang-tidy' run_clang_tidy
fi
finish
