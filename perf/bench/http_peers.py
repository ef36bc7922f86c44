#!/usr/bin/env python3
"""Measures the HTTP stack on the real binary beside the servers that Debian packages, all in one run.

    perf/bench/http_peers.py [--binary build/release/syncline] [--only cpu|pipelined|syscalls|idle|large|instructions] [--quick]

Syncline answers `GET /v1/users/{id}` from L1 (500 bytes of JSON, everything on); nginx, h2o, haproxy and Go answer 500 bytes with as
little work as they can, nginx with Lua looks the bytes up in a shared dictionary. One core each: the server on CPU 0, wrk on CPU 1. CPU
seconds are user and system time of the server's processes, medians over rounds that alternate between the servers; on a machine that
does other work compare the ratios. A peer that is not installed is said and left out. Needs python3, wrk, taskset; perf for the system
calls and valgrind for the instructions. Everything is on loopback and in a temporary directory; what it starts it stops.
"""

import argparse
import gzip
import json
import os
import random
import re
import resource
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

BODY_BYTES = 500
CONNECTIONS = 64
TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGESIZE")


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def process_tree(pid):
    found = [pid]
    for one in found:
        for task in os.listdir(f"/proc/{one}/task"):
            with open(f"/proc/{one}/task/{task}/children") as f:
                found += [int(child) for child in f.read().split()]
    return found


class Server:
    """A server on one CPU; `prefix` is what it runs under."""

    name, path = "", "/"

    def __init__(self, top, prefix=("taskset", "-c", "0")):
        self.top, self.prefix, self.port = top, list(prefix), free_port()
        self.directory = tempfile.mkdtemp(dir=top, prefix=re.sub(r"\W+", "-", self.name))
        self.process = subprocess.Popen(self.prefix + self.command(), stdout=subprocess.DEVNULL, cwd=self.directory,
                                        stderr=open(os.path.join(self.directory, "stderr"), "w"), env={**os.environ, "GOMAXPROCS": "1"})
        self.wait_until_up()

    def wait_until_up(self):
        until = time.monotonic() + 60
        while time.monotonic() < until and self.process.poll() is None:
            try:
                return socket.create_connection(("127.0.0.1", self.port), 1).close()
            except OSError:
                time.sleep(0.05)
        with open(os.path.join(self.directory, "stderr")) as f:
            sys.exit(f"{self.name} did not start: {f.read()[-800:]}")

    def write(self, name, text):
        file = os.path.join(self.directory, name)
        with open(file, "wb" if isinstance(text, bytes) else "w") as f:
            f.write(text)
        return file

    def url(self, path=None):
        return f"http://127.0.0.1:{self.port}{path or self.path}"

    def cpu_s(self):
        """User and system time."""
        user = system = 0
        for pid in process_tree(self.process.pid):
            with open(f"/proc/{pid}/stat") as f:
                fields = f.read().rsplit(") ", 1)[1].split()
            user, system = user + int(fields[11]), system + int(fields[12])
        return user / TICKS, system / TICKS

    def resident_bytes(self):
        total = 0
        for pid in process_tree(self.process.pid):
            with open(f"/proc/{pid}/statm") as f:
                total += int(f.read().split()[1]) * PAGE
        return total

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Syncline(Server):
    name, path, binary, settings = "Syncline", "/v1/users/1", "", []

    def command(self):
        with open("configs/demo/syncline.json") as f:
            config = f.read().replace('"bio": { "type": "string", "bytes_max": 4000 }', '"bio": { "type": "string", "bytes_max": 4000000 }')
        config = self.write("syncline.json", config)
        database = os.path.join(self.directory, "bench.db")
        subprocess.run([self.binary, "demo-data", "--db", database, "--fill", "--users", "100"], check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return [self.binary, "serve", "--config", config, "--set", f"http.port={self.port}", "--set", "admin.port=0", "--set",
                "cores.count=1", "--set", f"storage.sqlite.path={database}", *self.settings]

    def wait_until_up(self):
        super().wait_until_up()
        self.set_bio(1, "")
        self.set_bio(1, "x" * (BODY_BYTES - len(self.get())))
        assert len(self.get()) == BODY_BYTES

    def set_bio(self, row, text):
        request = urllib.request.Request(self.url(f"/v1/users/{row}"), json.dumps({"bio": text}).encode(),
                                         {"Content-Type": "application/merge-patch+json"}, method="PATCH")
        urllib.request.urlopen(request).read()

    def get(self, path=None, **headers):
        with urllib.request.urlopen(urllib.request.Request(self.url(path), headers=headers)) as answer:
            return answer.read()


class SynclineLogged(Syncline):
    name, settings = "Syncline + access log", ["--set", "log.access=true", "--set", "log.path=access.log"]


class Nginx(Server):
    name, needs = "nginx return", ["nginx"]
    head, place = "", "default_type application/json; return 200 '%s';" % ("x" * BODY_BYTES)

    def command(self):
        self.write("big.gz", b"")
        user = "user root;" if os.geteuid() == 0 else ""
        config = self.write("nginx.conf", f"""
{self.load_modules()}
{user} worker_processes 1; master_process off; daemon off; pid {self.directory}/pid; error_log stderr error;
events {{ worker_connections 20000; }}
http {{
  access_log off; sendfile on; tcp_nopush on; tcp_nodelay on; keepalive_requests 1000000000; keepalive_timeout 600s;
  open_file_cache max=100; client_body_temp_path {self.directory}/b; proxy_temp_path {self.directory}/p;
  fastcgi_temp_path {self.directory}/f; uwsgi_temp_path {self.directory}/u; scgi_temp_path {self.directory}/s;
  {self.head}
  server {{
    listen 127.0.0.1:{self.port};
    location / {{ {self.place} }}
    location /big.gz {{ root {self.directory}; }}
  }}
}}""")
        return ["nginx", "-p", self.directory, "-c", config]

    def load_modules(self):
        return ""


class NginxLua(Nginx):
    name, path, needs = "nginx + Lua lookup", "/users/17", ["nginx", "/usr/lib/nginx/modules/ngx_http_lua_module.so"]
    head = """lua_shared_dict users 32m;
  init_by_lua_block { for i = 1, 10000 do ngx.shared.users:set(tostring(i), string.rep('x', 500)) end }"""
    place = """default_type application/json;
      content_by_lua_block { local body = ngx.shared.users:get(string.match(ngx.var.uri, '/(%d+)$')) if not body then return ngx.exit(404) end
        ngx.header.content_length = #body ngx.print(body) }"""

    def load_modules(self):
        modules = "/usr/lib/nginx/modules/"
        wanted = ["ndk_http_module.so", "ngx_http_lua_module.so"]
        return "".join(f"load_module {modules}{m};" for m in wanted if os.path.exists(modules + m))


class H2o(Server):
    name, path, needs = "h2o file", "/body.json", ["h2o"]

    def command(self):
        self.write("body.json", "x" * BODY_BYTES)
        user = "user: root\n" if os.geteuid() == 0 else ""
        return ["h2o", "-c", self.write("h2o.conf", f"""{user}num-threads: 1
max-connections: 20000
listen: {{ host: 127.0.0.1, port: {self.port} }}
http1-request-timeout: 600
hosts:
  default:
    paths:
      /: {{ file.dir: {self.directory} }}
""")]


class Haproxy(Server):
    name, needs = "haproxy return", ["haproxy"]

    def command(self):
        return ["haproxy", "-db", "-f", self.write("haproxy.cfg", f"""global
  nbthread 1
  maxconn 9900
defaults
  mode http
  timeout client 600s
  timeout connect 5s
  timeout server 60s
  timeout http-keep-alive 600s
frontend all
  bind 127.0.0.1:{self.port}
  http-request return status 200 content-type application/json string {"x" * BODY_BYTES}
""")]


class Go(Server):
    name, path, needs = "Go net/http", "/users/17", ["go"]
    source = """package main

import ("net/http"; "os"; "strconv"; "strings")

func main() {
	users := map[int][]byte{}
	for i := 0; i < 10000; i++ { users[i] = []byte(strings.Repeat("x", 500)) }
	http.HandleFunc("/users/", func(w http.ResponseWriter, r *http.Request) {
		id, _ := strconv.Atoi(r.URL.Path[len("/users/"):])
		body, ok := users[id]
		if !ok { http.NotFound(w, r); return }
		w.Header().Set("Content-Type", "application/json")
		w.Write(body)
	})
	panic(http.ListenAndServe("127.0.0.1:" + os.Args[1], nil))
}
"""

    def command(self):
        source = self.write("main.go", self.source)
        program = os.path.join(self.top, "go-server")
        if not os.path.exists(program):
            environment = {**os.environ, "GOCACHE": os.path.join(self.top, "go-cache"), "GO111MODULE": "off"}
            subprocess.run(["go", "build", "-o", program, source], check=True, env=environment)
        return [program, str(self.port)]


PEERS = [Nginx, NginxLua, H2o, Haproxy, Go]


def installed(kind):
    missing = [need for need in kind.needs if not (shutil.which(need) or os.path.exists(need))]
    if missing:
        print(f"{kind.name}: not installed ({', '.join(missing)}), left out")
    return not missing


def wrk(url, seconds, script=None, headers=(), under=()):
    command = [*under, "taskset", "-c", "1", "wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "--latency"]
    for header in headers:
        command += ["-H", header]
    command += ["-s", script, url] if script else [url]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    out = done.stdout
    assert "Non-2xx" not in out and "Socket errors" not in out, out
    scale = {"us": 1, "ms": 1000, "s": 1e6}

    def latency(percent):
        number, unit = re.search(rf"\b{percent}%\s+([\d.]+)(us|ms|s)", out).groups()
        return float(number) * scale[unit]

    return int(re.search(r"(\d+) requests in", out)[1]), latency(50), latency(99), done.stderr


def rounds(servers, count, measure):
    """{server: [figures of each round]}, the servers taking turns."""
    figures = {server: [] for server in servers}
    for _ in range(count):
        for server in servers:
            figures[server].append(measure(server))
    return figures


def cpu_rounds(args, servers, path=lambda server: None, script=lambda server: None, **options):
    """{server: medians of: CPU seconds per 100k requests, of these in user space, p50, p99, requests per second}"""
    def measure(server):
        user, system = server.cpu_s()
        requests, p50, p99, _ = wrk(server.url(path(server)), args.seconds, script=script(server), **options)
        user, system = (after - before for after, before in zip(server.cpu_s(), (user, system)))
        return (user + system) / requests * 1e5, user / requests * 1e5, p50, p99, requests / args.seconds

    for server in servers:
        wrk(server.url(path(server)), 1, script=script(server), **options)
    return {server: [statistics.median(column) for column in zip(*rows)]
            for server, rows in rounds(servers, args.rounds, measure).items()}


def ratios(name, medians, unit, reach):
    nginx = next((row[0] for server, row in medians.items() if type(server) is Nginx), None)
    for server, (cpu, user, p50, p99, rate) in sorted(medians.items(), key=lambda each: each[1][0]):
        ratio = f"; {cpu / nginx:.2f} of {Nginx.name}" if nginx and type(server) is not Nginx else ""
        if server.name == Syncline.name:
            ratio += f" (reach: {reach})"
        tail = f"{p99:.0f} us" if p99 else "not told by wrk"  # which at times says 0 of pipelined requests
        print(f"{name}: {server.name:20} {cpu:.4f} {unit} (user {user:.4f}), {rate / 1000:.0f} k/s, p50 {p50:.0f} us, p99 {tail}{ratio}")


def bench_cpu(args, servers):
    ratios("GET, 64 connections", cpu_rounds(args, servers), "CPU-s per 100k", "0.9")


def bench_pipelined(args, servers):
    scripts = {}
    for server in servers:
        scripts[server.path] = server.write("pipeline.lua", f"""init = function(args)
  local all = {{}}
  for i = 1, 16 do all[i] = wrk.format("GET", "{server.path}") end
  request_text = table.concat(all)
end
request = function() return request_text end
""")
    ratios("pipelined x16", cpu_rounds(args, servers, script=lambda server: scripts[server.path]), "CPU-s per 100k", "0.15")


def bench_syscalls(args, servers):
    if not shutil.which("perf"):
        return print("system calls: perf is not installed, left out")
    # By name what an HTTP server calls; all of them together in one event, since each event costs perf a descriptor a thread.
    named = ",".join("syscalls:sys_enter_" + name for name in (
        "read readv recvfrom recvmsg write writev sendto sendmsg sendfile64 epoll_wait epoll_pwait epoll_ctl accept4 close ioctl "
        "openat newfstatat pread64 futex nanosleep timerfd_settime setsockopt clock_gettime").split())
    for server in servers:
        pids = ",".join(str(pid) for pid in process_tree(server.process.pid))
        try:
            requests, _, _, counted = wrk(server.url(), args.seconds,
                                          under=["perf", "stat", "-x", ";", "-e", "raw_syscalls:sys_enter," + named, "-p", pids])
        except subprocess.CalledProcessError as failed:
            return print("system calls: perf may not count them here:", failed.stderr.strip()[-200:])
        calls = {}
        for line in counted.splitlines():
            fields = line.split(";")
            if len(fields) > 2 and fields[0].isdigit():
                calls[fields[2].rsplit("sys_enter", 1)[1].lstrip("_")] = int(fields[0]) / requests
        total = calls.pop("")
        ordered = sorted(((name, each) for name, each in calls.items() if each >= 0.005), key=lambda each: -each[1])
        print(f"system calls per request: {server.name:20} {total:.2f}: " + ", ".join(f"{n} {c:.2f}" for n, c in ordered))


def read_answer(connection, buffer=b""):
    """One answer with a Content-Length; what was read behind it is an error, since nothing is pipelined."""
    while b"\r\n\r\n" not in buffer:
        piece = connection.recv(65536)
        assert piece, "the server closed"
        buffer += piece
    head, _, body = buffer.partition(b"\r\n\r\n")
    assert head.split(b" ", 2)[1] == b"200", head
    left = int(re.search(rb"(?i)content-length: *(\d+)", head)[1]) - len(body)
    while left > 0:
        left -= len(connection.recv(65536))
    assert left == 0


def opened(server, count):
    request = f"GET {server.path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode()
    out = []
    for _ in range(count):
        connection = socket.create_connection(("127.0.0.1", server.port))
        connection.sendall(request)
        read_answer(connection)
        out.append(connection)
    return out


def bench_idle(args, servers):
    """Between 2,000 and 9,000 connections, so that what a server has once does not count."""
    few, many = (500, 2000) if args.quick else (2000, 9000)
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if limit < many + 100:
        return print(f"idle connections: the descriptor limit is {limit}, left out (ulimit -n 20000)")
    for server in servers:
        wrk(server.url(), 1)
        connections = opened(server, few)
        time.sleep(1)
        before = server.resident_bytes()
        connections += opened(server, many - few)
        time.sleep(1)
        each = (server.resident_bytes() - before) / (many - few)
        reach = " (reach: 600)" if server.name == Syncline.name else ""
        print(f"idle connection after one request: {server.name:20} {each:.0f} bytes RSS{reach}")
        for connection in connections:
            connection.close()


def large_text():
    """About 1 MB that gzip makes a tenth of."""
    dice = random.Random(7)
    words = ["".join(dice.choices("abcdefghijklmnopqrstuvwxyz", k=dice.randint(3, 9))) for _ in range(400)]
    sentences = [" ".join(dice.choices(words, k=12)) + ". " for _ in range(300)]
    text = ""
    while len(text) < 990_000:
        text += dice.choice(sentences)
    return text[:990_000]


def bench_large(args, servers):
    ours = next(server for server in servers if server.name == Syncline.name)
    nginx = next((server for server in servers if type(server) is Nginx), None)
    ours.set_bio(2, large_text())
    path = "/v1/users/2"
    packed = ours.get(path, **{"Accept-Encoding": "gzip"})
    plain = gzip.decompress(packed)
    if nginx is not None:
        nginx.write("big.gz", packed)
    sizes = f"{len(plain) / 1e6:.2f} MB, {len(packed) / 1e3:.0f} KB packed"
    paths = {ours: path, nginx: "/big.gz"}
    medians = cpu_rounds(args, [server for server in (ours, nginx) if server is not None], path=paths.get,
                         headers=["Accept-Encoding: gzip"])
    for server, row in medians.items():
        medians[server] = [cpu / 1e5 / len(packed) * 1e9 for cpu in row[:2]] + row[2:]
    ratios(f"stored gzip ({sizes})", medians, "CPU-s per GB sent", "1.0, nginx sendfile")


def lock_step(server, requests):
    """`requests` over 64 connections: a request on each, then an answer from each."""
    request = f"GET {server.path} HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n\r\n".encode()
    connections = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(CONNECTIONS)]
    done = 0
    while done < requests:
        now = connections[:requests - done]
        for connection in now:
            connection.sendall(request)
        for connection in now:
            read_answer(connection)
        done += len(now)
    for connection in connections:
        connection.close()


def instructions(kind, args, top, requests):
    profile = os.path.join(args.keep or top, f"callgrind.{kind.__name__}.{requests}")
    server = kind(top, ["valgrind", "-q", "--tool=callgrind", "--dump-instr=no", f"--callgrind-out-file={profile}"])
    lock_step(server, requests)
    server.stop()
    with open(profile) as f:
        return int(re.search(r"^(?:totals|summary): (\d+)", f.read(), re.M)[1])


def bench_instructions(args, top, kinds):
    if not shutil.which("valgrind"):
        return print("user instructions: valgrind is not installed, left out")
    for kind in kinds:
        few, many = instructions(kind, args, top, 2000), instructions(kind, args, top, 12000)
        reach = " (reach: 3500)" if issubclass(kind, Syncline) else ""
        print(f"user instructions per request: {kind.name:20} {(many - few) / 10000:.0f}{reach}")


BENCHES = {"cpu": bench_cpu, "pipelined": bench_pipelined, "syscalls": bench_syscalls, "idle": bench_idle, "large": bench_large}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", default="build/release/syncline")
    parser.add_argument("--only", choices=[*BENCHES, "instructions"])
    parser.add_argument("--quick", action="store_true", help="one short round each: does it work, not how fast")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=4)
    parser.add_argument("--without", default="", help="names of peers to leave out, with commas")
    parser.add_argument("--keep", help="a folder that keeps callgrind's profiles")
    args = parser.parse_args()
    if args.quick:
        args.rounds, args.seconds = 1, 1
    Syncline.binary = os.path.abspath(args.binary)
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 20000) if hard != resource.RLIM_INFINITY else 20000, hard))
    kinds = [Syncline] + [kind for kind in PEERS if kind.name not in args.without.split(",") and installed(kind)]
    with tempfile.TemporaryDirectory(prefix="syncline-bench-") as top:
        if args.only in (None, "instructions"):
            bench_instructions(args, top, [kind for kind in [*kinds, SynclineLogged] if kind in (Syncline, SynclineLogged, Nginx)])
        if args.only == "instructions":
            return
        servers = []
        try:
            for kind in kinds:
                servers.append(kind(top))
            for name, bench in BENCHES.items():
                if args.only in (None, name):
                    bench(args, servers)
        finally:
            for server in servers:
                server.stop()


if __name__ == "__main__":
    main()
