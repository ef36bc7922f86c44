#!/usr/bin/env bash
# Configures when that is needed and builds: scripts/build.sh PRESET [TARGET...]
#
# run.sh, test.sh and the Dockerfile all build through this, so that what is tested is what runs. With nothing
# changed it costs about a tenth of a second: Ninja compares times, and new files are found by its glob check.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."

preset=${1:?usage: scripts/build.sh PRESET [TARGET...]}
shift
tree=build/$preset
mkdir -p "$tree"

# One build of a tree at a time: run.sh and test.sh may be started together.
exec 9>"$tree/.lock"
flock 9

# The cache names the folder it was made in; a moved or copied tree is configured anew.
if [ ! -f "$tree/build.ninja" ] || [ CMakePresets.json -nt "$tree/build.ninja" ] ||
  ! grep -qx "CMAKE_HOME_DIRECTORY:INTERNAL=$PWD" "$tree/CMakeCache.txt"; then
  fresh=()
  [ ! -f "$tree/CMakeCache.txt" ] || fresh=(--fresh)
  cmake --preset "$preset" "${fresh[@]}" >"$tree/configure.log" 2>&1 9>&- || {
    cat "$tree/configure.log" >&2
    exit 1
  }
  touch "$tree/build.ninja"
fi

targets=()
[ $# = 0 ] || targets=(--target "$@")
# Progress is for people; a log wants only what went wrong.
quiet=()
[ -t 1 ] || quiet=(-- --quiet)
# The children must not inherit the lock: one that outlives the build would keep it.
cmake --build --preset "$preset" "${targets[@]}" "${quiet[@]}" 9>&-
