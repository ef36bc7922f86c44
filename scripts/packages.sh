#!/usr/bin/env bash
# The Debian 12 packages Syncline needs, in groups, and the one place that installs them.
#
#   scripts/packages.sh GROUP...          installs what is missing of these groups
#   scripts/packages.sh --list GROUP...   prints their names
#
# Groups: runtime (to run the binary), build (to make it), demo (for the commands that run.sh prints), test (for
# test.sh), bench (beside build, for the benchmarks). When nothing is missing this takes a few milliseconds and needs neither network nor root.
set -euo pipefail

runtime=(ca-certificates libboost-json1.81.0 libdeflate0 libfmt9 libhiredis0.14 libjemalloc2 libprotobuf-lite32 libsqlite3-0
  libssl3 libzstd1 zlib1g)
build=(ccache cmake g++-12 git libboost1.81-dev libboost-json1.81-dev libcli11-dev libdeflate-dev libfmt-dev libgmock-dev
  libgtest-dev libhiredis-dev libjemalloc-dev libprotobuf-dev libsqlite3-dev libssl-dev libxxhash-dev libzstd-dev
  ninja-build protobuf-compiler zlib1g-dev)
demo=(curl sqlite3)
bench=(libbenchmark-dev)
test=(clang-14 clang-format-14 clang-tidy-14 curl libclang-rt-14-dev openssl python3 redis-server sqlite3)

usage() {
  sed -n '2,/^set/s/^# \{0,1\}//p' "$0" | sed '$d'
  exit 2
}

list_only=0
if [ "${1:-}" = --list ]; then
  list_only=1
  shift
fi
[ $# -gt 0 ] || usage

wanted=()
for group in "$@"; do
  case $group in
    runtime) wanted+=("${runtime[@]}") ;;
    build) wanted+=("${build[@]}") ;;
    demo) wanted+=("${demo[@]}") ;;
    test) wanted+=("${test[@]}") ;;
    bench) wanted+=("${bench[@]}") ;;
    *) usage ;;
  esac
done

if [ "$list_only" = 1 ]; then
  printf '%s\n' "${wanted[@]}"
  exit 0
fi

command -v apt-get >/dev/null && command -v dpkg-query >/dev/null || {
  echo "packages.sh: this is not Debian; install the counterparts of: ${wanted[*]}" >&2
  exit 1
}

# dpkg-query fails when a name is unknown to it, which only means that the package is missing.
installed=" $(dpkg-query -W -f '${Package}=${db:Status-Status} ' "${wanted[@]}" 2>/dev/null || true) "
missing=()
for package in "${wanted[@]}"; do
  [[ $installed == *" $package=installed "* ]] || missing+=("$package")
done
[ ${#missing[@]} -gt 0 ] || exit 0

as_root=()
if [ "$(id -u)" != 0 ]; then
  if command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
    as_root=(sudo)
  else
    echo "packages.sh: not root; please run: apt-get install --no-install-recommends ${missing[*]}" >&2
    exit 1
  fi
fi

echo "packages.sh: installing ${missing[*]}"
apt() {
  # A lock held by another apt is waited for; a mirror that stutters is asked again.
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq \
    -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3 -o Dpkg::Use-Pty=0 "$@"
}
apt update || echo "packages.sh: the package lists could not be refreshed, going on with those at hand" >&2
apt install -y --no-install-recommends "${missing[@]}" >/dev/null
