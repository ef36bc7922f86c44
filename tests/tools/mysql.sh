#!/usr/bin/env bash
# A private MySQL with the X Plugin for the tests, on loopback.
#
#   tests/tools/mysql.sh start FOLDER    fetches the server if needed, makes FOLDER its data folder, starts it
#   tests/tools/mysql.sh stop FOLDER     stops it cleanly
#   tests/tools/mysql.sh kill FOLDER     ends it as a crash would (SIGKILL)
#   tests/tools/mysql.sh status FOLDER   running or not (status 3)
#   tests/tools/mysql.sh get             only fetches
#
# Debian 12 has no MySQL, unstable has. So apt downloads mysql-server-core of unstable with everything it depends on,
# the C library too, and the server runs inside that tree through the tree's own dynamic loader: nothing is
# installed, nothing is changed on this machine, and root is not needed. The tree (180 MB) is kept between runs in
# SYNCLINE_MYSQL_DIR, by default ${XDG_CACHE_HOME:-~/.cache}/syncline/mysql; the rows of a run live in FOLDER.
# After `start` FOLDER/env holds what the tests read (SYNCLINE_TEST_MYSQL and friends). A stopped or killed
# server starts again on the same ports. It is detached: who starts it must stop it.
set -euo pipefail
export LC_ALL=C

say() { echo "mysql.sh: $*" >&2; }
die() {
  say "$@"
  exit 1
}
usage() {
  sed -n '2,/^set/s/^# \{0,1\}//p' "$0" | sed '$d' >&2
  exit 2
}

command=${1:-}
case $command in
  get) ;;
  start | stop | kill | status) [ $# = 2 ] || usage ;;
  *) usage ;;
esac

cache=$(realpath -m -- "${SYNCLINE_MYSQL_DIR:-${XDG_CACHE_HOME:-${HOME:-/tmp}/.cache}/syncline/mysql}")
tree=$cache/tree
template=$cache/rows  # an initialised data folder without certificate and server id
user=syncline
password=syncline-test
schema=syncline_test

# --- fetching -----------------------------------------------------------------------------------------------

# The archive this machine uses already: a mirror or proxy that its owner chose.
archive() {
  local url
  # shellcheck disable=SC2016
  url=$(apt-get indextargets --format '$(LABEL)|$(REPO_URI)' 'Created-By: Packages' 2>/dev/null | sed -n 's/^Debian|//p' | head -n 1)
  [ -n "$url" ] || die 'no Debian archive is configured for apt'
  echo "$url"
}

# Sets `apt` to options that give apt a state of its own: with an empty package status it resolves everything down
# to the C library, and it neither reads nor writes ours.
private_apt() {
  local state=$cache/apt key='' suite
  rm -rf "$state"
  mkdir -p "$state"/{lists/partial,cache/archives/partial,none,dpkg}
  : >"$state/dpkg/status"
  for each in /usr/share/keyrings/debian-archive-keyring.{gpg,pgp}; do
    [ ! -e "$each" ] || key=" signed-by=$each"
  done
  for suite in "$@"; do
    echo "deb [arch=$(dpkg --print-architecture)$key] $url $suite main"
  done >"$state/sources.list"
  apt=(-qq -o "Dir::Etc::sourcelist=$state/sources.list" -o "Dir::Etc::sourceparts=$state/none"
    -o "Dir::Etc::preferences=$state/none/none" -o "Dir::Etc::preferencesparts=$state/none"
    -o "Dir::State=$state" -o "Dir::State::lists=$state/lists" -o "Dir::State::status=$state/dpkg/status"
    -o "Dir::Cache=$state/cache" -o Dir::Cache::pkgcache=pkgcache.bin -o Dir::Cache::srcpkgcache=srcpkgcache.bin
    # A copy of the archive that is a few weeks old is as good.
    -o Acquire::Check-Valid-Until=false -o Acquire::Check-Date=false
    -o Acquire::Retries=2 -o Acquire::http::Timeout=20 -o Acquire::Languages=none
    # Without this a failed index is no failure.
    -o APT::Update::Error-Mode=any
    -o APT::Sandbox::User=root -o APT::Install-Recommends=false -o Debug::NoLocking=true)
}

# Downloads the newest server whose dependencies can be had from the suites named. 2: the lists are not to be had.
download() {
  local package version
  private_apt "$@"
  apt-get "${apt[@]}" update || return 2
  while read -r version package; do
    if apt-get "${apt[@]}" -y --download-only install "$package" "${package/server/client}" >&2; then
      say "fetched $package $version"
      return 0
    fi
  done < <(
    apt-cache "${apt[@]}" pkgnames mysql-server-core | grep -E '^mysql-server-core(-[0-9.]+)?$' | while read -r package; do
      version=$(apt-cache "${apt[@]}" policy "$package" | sed -n 's/^  Candidate: //p')
      [ "$version" = '(none)' ] || echo "$version $package"
    done | sort -rV
  )
  return 1
}

# Scripts that run a program of the tree with the tree's libraries.
make_wrappers() {
  local root=$1 final=$2 loader libraries name
  loader=$(find "$root/usr" -name 'ld-linux*.so.*' -type f | head -n 1)
  libraries=$(dirname "$(find "$root/usr" -name libc.so.6 | head -n 1)")
  [ -n "$loader" ] && [ -x "$root/usr/sbin/mysqld" ] || die 'what was fetched holds no server'
  mkdir -p "$root/run"
  for name in sbin/mysqld bin/mysql; do
    printf '#!/bin/sh\nOPENSSL_CONF=/dev/null OPENSSL_MODULES="%s/ossl-modules" exec "%s" --inhibit-cache --library-path "%s" "%s" "$@"\n' \
      "$final${libraries#"$root"}" "$final${loader#"$root"}" "$final${libraries#"$root"}" "$final/usr/$name" \
      >"$root/run/${name#*/}"
    chmod 755 "$root/run/${name#*/}"
  done
}

get() {
  [ ! -e "$tree/run/complete" ] || return 0
  local url apt=() attempt suites status fetched='' package
  command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null || die 'this machine has no apt'
  url=$(archive)
  # A mirror in the middle of an update heals by itself; what just left unstable is often still in testing.
  for attempt in 1 2 3; do
    for suites in sid 'sid testing' 'sid testing stable'; do
      status=0
      # shellcheck disable=SC2086
      download $suites || status=$?
      [ $status != 0 ] || { fetched=1 && break 2; }
      [ $status = 1 ] || break
    done
    sleep $((attempt * 2))
  done
  [ -n "$fetched" ] || die "no MySQL server is to be had from $url"
  rm -rf "$tree" "$tree.new" "$template"
  mkdir -p "$tree.new"/usr/{bin,sbin,lib,lib64}
  for package in bin sbin lib lib64; do ln -s "usr/$package" "$tree.new/$package"; done
  for package in "$cache"/apt/cache/archives/*.deb; do
    case ${package##*/} in perl* | libperl* | libdb5* | libgdbm* | libc-gconv-* | gcc-*-base*) continue ;; esac
    dpkg-deb --fsys-tarfile "$package" | tar -x -C "$tree.new" --keep-directory-symlink --no-same-owner \
      --exclude=./usr/share/{doc,man,locale} || die "cannot unpack $package"
  done
  find "$tree.new/usr/bin" -type f ! -name mysql -delete
  rm -f "$tree.new"/usr/lib/mysql/plugin/*_client.so
  make_wrappers "$tree.new" "$tree"
  chmod -R go+rX "$tree.new"
  mv "$tree.new" "$tree"
  "$tree/run/mysqld" --no-defaults --version >&2 || die 'the server that was fetched does not run'
  : >"$tree/run/complete"
  rm -rf "$cache/apt"
}

# --- running ------------------------------------------------------------------------------------------------

# The pid of the server whose data folder this is, if it runs.
server_pid() {
  local pid
  pid=$(cat "$folder/mysqld.pid" 2>/dev/null) && [ -n "$pid" ] || return 1
  tr '\0' ' ' 2>/dev/null <"/proc/$pid/cmdline" | grep -qF -- "--datadir=$folder/rows " && echo "$pid"
}

sql() { "$tree/run/mysql" --no-defaults --protocol=socket -S "$sockets/classic" -u root -N -B "$@"; }

# As root the server wants to be told who to be; `nobody`, where it can reach the tree and its rows.
choose_account() {
  account=()
  [ "$(id -u)" = 0 ] || return 0
  account=(--user=root)
  if setpriv --reuid=nobody --regid="$(id -g nobody)" --clear-groups test -r "$tree/run/mysqld" -a -x "$folder" 2>/dev/null; then
    account=(--user=nobody)
    chown nobody "$folder" "$sockets"
  fi
}

free_ports() {
  python3 -c '
import socket
held = [socket.socket() for _ in range(2)]
for s in held: s.bind(("127.0.0.1", 0))
print(*(s.getsockname()[1] for s in held))'
}

# An answer over the X Protocol itself: with its port taken the plugin says it is active and listens to nobody.
answers_x() {
  (
    exec 3<>"/dev/tcp/127.0.0.1/$1"
    printf '\1\0\0\0\1' >&3
    timeout 5 head -c 128 <&3 | grep -aq 'authentication.mechanisms'
  ) 2>/dev/null
}

# A certificate of an authority of its own that names this host: the one the server would make for itself names nobody.
make_certificate() {
  local rows=$folder/rows
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650 -subj '/CN=Syncline test authority' \
    -keyout "$rows/ca-key.pem" -out "$rows/ca.pem" 2>/dev/null
  openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj '/CN=Syncline test server' \
    -keyout "$rows/server-key.pem" -out "$rows/server-req.pem" 2>/dev/null
  openssl x509 -req -in "$rows/server-req.pem" -CA "$rows/ca.pem" -CAkey "$rows/ca-key.pem" -set_serial 2 -days 3650 \
    -extfile <(echo 'subjectAltName=IP:127.0.0.1,DNS:syncline.test') -out "$rows/server-cert.pem" 2>/dev/null
  chown --reference="$rows" "$rows"/{ca,server}*.pem
  chmod 644 "$rows"/{ca,server-cert}.pem
  chmod 600 "$rows"/{ca,server}-key.pem
}

# The data folder. To initialise one takes seconds of a processor, so the first is kept as the template of the others.
make_rows() {
  rm -rf "$folder/rows"
  if cp -a "$template" "$folder/rows" 2>/dev/null; then
    [ "$(id -u)" != 0 ] || chown -R "${account[0]#--user=}" "$folder/rows"
    return 0
  fi
  rm -rf "$folder/rows"
  "$tree/run/mysqld" "${base[@]}" --initialize-insecure >"$folder/initialise.log" 2>&1 9>&- || {
    tail -n 20 "$folder/initialise.log" >&2
    die 'the data folder could not be made'
  }
  # Without auto.cnf each server that begins with a copy makes an id of its own.
  cp -a "$folder/rows" "$template.$$" && rm -f "$template.$$/auto.cnf" && mv -T "$template.$$" "$template" 2>/dev/null ||
    rm -rf "$template.$$"
}

launch() {
  local ports=$1 x_port=$2 i
  rm -f "$sockets"/* "$folder/mysqld.pid"
  # Durable as in life, small in memory. The binary log is off: tests that need it start a server with
  # SYNCLINE_MYSQL_OPTIONS.
  # The performance schema knows the connections (information_schema.PROCESSLIST crashes 9.7.4) and measures nothing.
  # shellcheck disable=SC2086
  setsid "$tree/run/mysqld" "${base[@]}" --bind-address=127.0.0.1 "--port=$ports" "--socket=$sockets/classic" \
    "--pid-file=$folder/mysqld.pid" --mysqlx-bind-address=127.0.0.1 "--mysqlx-port=$x_port" \
    "--mysqlx-socket=$sockets/x" --secure-file-priv=NULL --skip-name-resolve --skip-log-bin \
    --innodb-flush-log-at-trx-commit=1 --performance-schema=ON '--performance-schema-instrument=%=OFF' --loose-innodb-buffer-pool-size=128M \
    --loose-innodb-log-buffer-size=8M --loose-table-open-cache=200 --loose-max-connections=400 --loose-mysqlx-max-connections=400 \
    ${SYNCLINE_MYSQL_OPTIONS:-} </dev/null >"$folder/mysqld.log" 2>&1 9>&- &
  local started=$!
  # The X port listens before the server is ready, so the classic socket is asked.
  for ((i = 0; i < 600; i++)); do
    sql -e 'select 1' >/dev/null 2>&1 && return 0
    kill -0 "$started" 2>/dev/null || return 1
    sleep 0.1
  done
  return 1
}

start() {
  local base account ports x_port attempt pid
  get
  if pid=$(server_pid); then
    kill -CONT "$pid" 2>/dev/null || true  # a test that ended early may have left it frozen
    ! sql -e 'select 1' >/dev/null 2>&1 || return 0
  fi
  mkdir -p "$folder" "$sockets"
  chmod 755 "$folder" "$sockets"
  choose_account
  base=(--no-defaults "--basedir=$tree/usr" "--lc-messages-dir=$tree/usr/share/mysql"
    "--character-sets-dir=$tree/usr/share/mysql/charsets" "--plugin-dir=$tree/usr/lib/mysql/plugin"
    "--datadir=$folder/rows" "${account[@]}")
  if [ ! -e "$folder/initialised" ]; then
    make_rows
    make_certificate || die 'no certificate could be made'
    : >"$folder/initialised"
  fi
  for attempt in 1 2 3; do
    # After the first start the ports stay, so that clients find the server again.
    read -r ports x_port < <(cat "$folder/ports" 2>/dev/null || free_ports)
    if launch "$ports" "$x_port" && answers_x "$x_port"; then
      echo "$ports $x_port" >"$folder/ports"
      break
    fi
    stop
    [ "$attempt" != 3 ] || { tail -n 20 "$folder/mysqld.log" >&2 && die 'the server does not start'; }
  done
  sql -e "CREATE DATABASE IF NOT EXISTS $schema CHARACTER SET utf8mb4;
    CREATE USER IF NOT EXISTS '$user'@'%' IDENTIFIED WITH caching_sha2_password BY '$password';
    GRANT ALL ON *.* TO '$user'@'%' WITH GRANT OPTION;"
  cat >"$folder/env" <<TEXT
export SYNCLINE_TEST_MYSQL=127.0.0.1:$x_port
export SYNCLINE_TEST_MYSQL_SOCKET='$sockets/x'
export SYNCLINE_TEST_MYSQL_USER=$user
export SYNCLINE_TEST_MYSQL_PASSWORD=$password
export SYNCLINE_TEST_MYSQL_SCHEMA=$schema
export SYNCLINE_TEST_MYSQL_CA='$folder/rows/ca.pem'
export SYNCLINE_TEST_MYSQL_FOLDER='$folder'
TEXT
  say "MySQL $(sql -e 'select version()') on 127.0.0.1:$x_port and $sockets/x (X Protocol)"
}

gone() {
  local i
  for ((i = 0; i < $2; i++)); do
    kill -0 "$1" 2>/dev/null || return 0
    sleep 0.1
  done
  return 1
}

stop() {
  local pid
  pid=$(server_pid) || return 0
  kill -TERM "$pid"
  kill -CONT "$pid"  # a test may have left it frozen
  gone "$pid" 300 || crash
}

crash() {
  local pid
  pid=$(server_pid) || return 0
  kill -KILL "$pid"
  gone "$pid" 100 || die "process $pid does not end"
}

# One at a time: for a cache that runs of several worktrees share, and for a folder.
mkdir -p "$cache"
exec 8>"$cache/lock"
if [ "$command" = get ]; then
  flock -w 900 8
  get 8>&-
  exit 0
fi
folder=$(realpath -m -- "$2")
mkdir -p "$folder"
exec 9>"$folder/lock"
flock -w 900 9
# A socket's path has 107 bytes at most.
sockets=$folder/sockets
[ ${#sockets} -le 90 ] || sockets=/tmp/syncline-mysql-$(printf %s "$folder" | cksum | cut -d ' ' -f 1)
case $command in
  start)
    flock -w 900 8
    [ -e "$tree/run/complete" ] || get 8>&-
    flock -u 8
    exec 8>&-
    start
    ;;
  stop) stop ;;
  kill) crash ;;
  status)
    pid=$(server_pid) || {
      echo 'not running'
      exit 3
    }
    # One that is frozen takes the connection and says nothing.
    sessions=$(timeout 10 "$tree/run/mysql" --no-defaults --protocol=socket -S "$sockets/classic" -u root -N -B \
      -e 'select count(*) from performance_schema.threads where processlist_id > 0' 2>&1) || sessions="no answer ($sessions)"
    echo "running, process $pid, $(sed -n 's/^State:[[:space:]]*//p' "/proc/$pid/status"), sessions: $sessions"
    ;;
esac
