#!/usr/bin/env bash
# Runs the Autobahn Testsuite (its fuzzing client) against echo_server: tests/tools/autobahn.sh [CASE...]
#
#     tests/tools/autobahn.sh                 sections 1 to 10, about half a minute on an idle machine
#     tests/tools/autobahn.sh '12.*' '13.*'   compression, about half an hour
#     tests/tools/autobahn.sh --fetch FOLDER  gets the suite and what it needs from their sources
#
# The suite runs on CPython 2.7 alone, which no package source serves any more; so it is taken as WSTEST (a command
# that behaves like `wstest`), as `wstest` in the PATH, or from FOLDER of --fetch (AUTOBAHN_FOLDER, build/autobahn unless
# said otherwise; AUTOBAHN_PYTHON is its interpreter). When it cannot be had the script says so and exits with 77.
# A case that is neither OK nor INFORMATIONAL, in itself or in how it closed, fails the run.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/../.."

folder=${AUTOBAHN_FOLDER:-$PWD/build/autobahn}
python=${AUTOBAHN_PYTHON:-python2.7}
# Where repositories are; %s is owner/name.
from=${AUTOBAHN_GIT:-https://github.com/%s.git}

# repository, tag, folder in it, name to import
sources='crossbario/autobahn-testsuite v25.10.1 autobahntestsuite/autobahntestsuite autobahntestsuite
crossbario/autobahn-python v0.10.9 autobahn autobahn
crossbario/txaio v2.1.0 txaio txaio
twisted/twisted twisted-19.10.0 src/twisted twisted
twisted/incremental incremental-16.10.1 src/incremental incremental
twisted/constantly 15.1.0 constantly constantly
twisted/klein release-17.10.0 src/klein klein
python-attrs/attrs 19.3.0 src/attr attr
glyph/automat v0.8.0 automat automat
python-hyper/hyperlink v19.0.0 hyperlink hyperlink
kjd/idna v2.8 idna idna
benjaminp/six 1.16.0 six.py six.py
zopefoundation/zope.interface 4.6.0 src/zope zope
pallets/werkzeug 1.0.1 src/werkzeug werkzeug
pallets/jinja 2.11.3 src/jinja2 jinja2
pallets/markupsafe 1.1.1 src/markupsafe markupsafe'

fetch() {
  local repository tag inside name got
  rm -rf "$folder"
  mkdir -p "$folder"
  while read -r repository tag inside name; do
    got=$(mktemp -d)
    # shellcheck disable=SC2059
    git clone -q --depth 1 --branch "$tag" -c advice.detachedHead=false "$(printf "$from" "$repository")" "$got"
    cp -r "$got/$inside" "$folder/$name"
    rm -rf "$got"
  done <<<"$sources"
  touch "$folder/zope/__init__.py"
  echo 'from unittest import *' >"$folder/unittest2.py"
  # pyOpenSSL would need a compiler and old headers; we test plain connections.
  sed -i 's/import reactor, ssl/import reactor/; s/ssl\.ClientContextFactory()/None/' "$folder/autobahntestsuite/fuzzing.py"
}

if [ "${1:-}" = --fetch ]; then
  folder=$(readlink -m "${2:?usage: autobahn.sh --fetch FOLDER}")
  fetch
  exit
fi

run_suite() {
  if [ -n "${WSTEST:-}" ]; then
    $WSTEST -m fuzzingclient -s "$1"
  elif command -v wstest >/dev/null; then
    wstest -m fuzzingclient -s "$1"
  else
    (cd "$folder" && PYTHONPATH=$folder "$python" -c 'import sys
from autobahntestsuite import wstest
sys.argv = ["wstest", "-m", "fuzzingclient", "-s", sys.argv[1]]
wstest.run()' "$1")
  fi
}

if [ -z "${WSTEST:-}" ] && ! command -v wstest >/dev/null &&
  { [ ! -d "$folder/autobahntestsuite" ] || ! command -v "$python" >/dev/null; }; then
  echo "the Autobahn Testsuite is not here (tests/tools/autobahn.sh --fetch FOLDER gets it): not run"
  exit 77
fi

cases=("$@")
[ ${#cases[@]} -gt 0 ] || cases=('1.*' '2.*' '3.*' '4.*' '5.*' '6.*' '7.*' '9.*' '10.*')
work=$(mktemp -d)
trap 'kill "$server" 2>/dev/null || true; rm -rf "$work"' EXIT
server=
"${ECHO_SERVER:-build/release/echo_server}" --deflate --takeover >"$work/port" &
server=$!
for _ in $(seq 100); do
  [ -s "$work/port" ] && break
  sleep 0.1
done
port=$(sed -n 's/^port //p' "$work/port")
python3 - "$work" "$port" "${cases[@]}" >"$work/spec.json" <<'PY'
import json, sys
print(json.dumps({"outdir": sys.argv[1] + "/report", "cases": sys.argv[3:], "exclude-cases": [],
                  "exclude-agent-cases": {},
                  "servers": [{"agent": "syncline", "url": f"ws://127.0.0.1:{sys.argv[2]}"}]}))
PY
run_suite "$work/spec.json" >"$work/log" 2>&1 || {
  tail -n 20 "$work/log"
  exit 1
}
python3 - "$work/report/index.json" <<'PY'
import collections, json, os, sys
seen = json.load(open(sys.argv[1]))["syncline"]
fine = {"OK", "INFORMATIONAL"}
def why(got):
    report = json.load(open(os.path.join(os.path.dirname(sys.argv[1]), got["reportfile"])))
    return f"{report.get('result', '')} {report.get('resultClose', '')}"
wrong = sorted(f"{case}: {got['behavior']}, close {got['behaviorClose']}: {why(got)}" for case, got in seen.items()
               if got["behavior"] not in fine or got["behaviorClose"] not in fine)
print(len(seen), "cases:", dict(collections.Counter(got["behavior"] for got in seen.values())))
print("\n".join(wrong))
sys.exit(1 if wrong or not seen else 0)
PY
