#!/usr/bin/env bash
# From a fresh clone to a running server with demo data: ./run.sh
#
# Installs missing packages, builds, makes the demo's database once, serves on loopback until Ctrl-C.
# Environment: PORT (8080), ADMIN_PORT (PORT + 1), DATA (./data: where the demo's database is), USERS (26000: size of
# the demo when it is made). A second start installs, builds and makes nothing and is up in well under two seconds.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")"

port=${PORT:-8080}
admin_port=${ADMIN_PORT:-$((port + 1))}
users=${USERS:-26000}
data=${DATA:-data}
syncline=build/release/syncline
settings=(--config configs/demo/syncline.json
  --set "http.port=$port" --set "admin.port=$admin_port" --set "storage.sqlite.path=$data/syncline.db")
url=http://127.0.0.1:$port
admin_url=http://127.0.0.1:$admin_port
begin=$(date +%s.%N)

# Two servers may share a port without an error (SO_REUSEPORT), which nobody wants by accident.
for each in "$port" "$admin_port"; do
  if (exec 3<>"/dev/tcp/127.0.0.1/$each") 2>/dev/null; then
    echo "run.sh: something listens on port $each already; choose others: PORT=9080 ./run.sh" >&2
    exit 1
  fi
done

scripts/packages.sh runtime build demo
scripts/build.sh release syncline

# The stamp is written last: a demo that was interrupted is filled up, rows that are there stay as they are.
mkdir -p "$data"
if [ ! -f "$data/demo-made" ]; then
  echo "making demo rows for $users users"
  "$syncline" demo-data --db "$data/syncline.db" --fill --users "$users"
  "$syncline" demo-data --out "$data/upload" --users 1000
  touch "$data/demo-made"
fi

"$syncline" serve "${settings[@]}" &
server=$!
# Background jobs of a script ignore SIGINT, so both signals are passed on as the one that means "drain and stop".
trap 'kill -TERM "$server" 2>/dev/null || true' INT TERM
trap 'kill -HUP "$server" 2>/dev/null || true' HUP

# Waits for the server's end, whatever signals arrive meanwhile, and ends with its status.
wait_for_server() {
  local status
  while true; do
    status=0
    wait "$server" || status=$?
    kill -0 "$server" 2>/dev/null && continue
    # A signal interrupts `wait`, whose status is then the signal's: the server's own is still to be had.
    local again=0
    wait "$server" 2>/dev/null || again=$?
    [ "$again" = 127 ] || status=$again
    exit "$status"
  done
}

until curl -fs -o /dev/null --max-time 1 "$admin_url/readyz" 2>/dev/null; do
  kill -0 "$server" 2>/dev/null || wait_for_server
  sleep 0.05
done

cat <<TEXT

Syncline is up at $url after $(awk -v a="$begin" -v b="$(date +%s.%N)" 'BEGIN { printf "%.1f", b - a }') s. Things to try in another terminal:

  curl -s $url/v1/users/17
  curl -sN '$url/v1/sync?scope=user:17&live=1'         # stays open: leave it running, the next two appear on it
  sqlite3 $data/syncline.db "UPDATE users SET city='Oslo' WHERE id=17"
  curl -s -X PATCH $url/v1/users/17 -H 'Content-Type: application/merge-patch+json' -d '{"name":"Ada Lovelace"}'
  curl -s -X POST $url/v1/users/bulk -H 'Content-Type: application/x-ndjson' -T $data/upload/users.ndjson | tail -n 1

Its figures: curl -s $admin_url/metrics | grep '^syncline_'. Ctrl-C drains and stops.
TEXT
wait_for_server
