#!/usr/bin/env python3
"""Measures the main job end to end on the real binary: upload, first sync, memory, and how long a write takes to reach a stream.

    perf/bench/main_job.py [--binary build/release/syncline] [--rows 26000] [--big-rows 1000000] [--rounds 5]

Every figure is printed with what it is compared to in the same run; wall times are medians over the rounds, so run it on a quiet machine.
Needs python3, curl and sqlite3. Everything is on loopback and in a temporary directory; what it starts it stops.
"""

import argparse
import http.client
import json
import os
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time


class Server:
    def __init__(self, binary, directory, extra=()):
        self.command = [binary, "serve", "--config", os.path.join(directory, "syncline.json"), "--set", "http.port=0",
                        "--set", "admin.port=0", "--set", "storage.sqlite.path=" + os.path.join(directory, "bench.db"), *extra]
        self.process = subprocess.Popen(self.command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        ports = []
        while len(ports) < 2:
            line = self.process.stdout.readline()
            if not line:
                sys.exit("the server did not start: " + " ".join(self.command))
            ports += re.findall(r"http://127\.0\.0\.1:(\d+)", line)
        self.port = int(ports[0])

    def resident_mb(self):
        with open(f"/proc/{self.process.pid}/statm") as f:
            return int(f.read().split()[1]) * os.sysconf("SC_PAGESIZE") / 1e6

    def cpu_s(self):
        with open(f"/proc/{self.process.pid}/stat") as f:
            fields = f.read().rsplit(") ", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(30)


class PeakMemory(threading.Thread):
    """Samples the server's resident memory each 20 ms while it is entered."""

    def __init__(self, server):
        super().__init__(daemon=True)
        self.server, self.peak, self.done = server, 0.0, False

    def run(self):
        while not self.done:
            self.peak = max(self.peak, self.server.resident_mb())
            time.sleep(0.02)

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.done = True
        self.join()


def fresh_directory(binary, top, name):
    directory = os.path.join(top, name)
    os.mkdir(directory)
    shutil.copy("configs/demo/syncline.json", directory)
    subprocess.run([binary, "demo-data", "--db", os.path.join(directory, "bench.db")], check=True, stdout=subprocess.DEVNULL)
    return directory


def curl_upload(port, file, query=""):
    began = time.monotonic()
    out = subprocess.run(["curl", "-sS", "-T", file, "-X", "POST", "-H", "Expect:", f"http://127.0.0.1:{port}/v1/users/bulk{query}"],
                         capture_output=True, text=True, check=True).stdout
    took = time.monotonic() - began
    summary = json.loads(out.strip().splitlines()[-1])
    assert summary["line"] == "summary" and summary["complete"] and summary["rejected"] == 0, out[-500:]
    return took


def curl_sync(port, query):
    began = time.monotonic()
    out = subprocess.run(["curl", "-sS", "-N", f"http://127.0.0.1:{port}/v1/sync?{query}"], capture_output=True, check=True).stdout
    return time.monotonic() - began, out.count(b'{"op":"put"'), len(out)


def multi_row_upserts(file):
    """The same rows as ready-made statements of 1,000 rows in one transaction."""
    def literal(value):
        if value is None:
            return "NULL"
        if isinstance(value, bool):
            return str(int(value))
        if isinstance(value, (int, float)):
            return repr(value)
        if isinstance(value, (dict, list)):
            value = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
        return "'" + value.replace("'", "''") + "'"

    rows = [json.loads(line) for line in open(file, encoding="utf-8")]
    columns = list(rows[0])
    tail = ",".join(f"{c}=excluded.{c}" for c in columns if c != "id")
    parts = ["PRAGMA synchronous=FULL;BEGIN;\n"]
    for at in range(0, len(rows), 1000):
        values = ",\n".join("(" + ",".join(literal(row.get(c)) for c in columns) + ")" for row in rows[at:at + 1000])
        parts.append(f"INSERT INTO users({','.join(columns)}) VALUES {values} ON CONFLICT(id) DO UPDATE SET {tail};\n")
    parts.append("COMMIT;\n")
    return "".join(parts)


def cli_upload(db, statements_file):
    began = time.monotonic()
    with open(statements_file) as f:
        subprocess.run(["sqlite3", db], stdin=f, check=True, stdout=subprocess.DEVNULL)
    return time.monotonic() - began


def bench_upload_and_sync(args, top, rows_file):
    statements = os.path.join(top, "rows.sql")
    with open(statements, "w", encoding="utf-8") as f:
        f.write(multi_row_upserts(rows_file))
    ours, again, cli, syncs, cpu = [], [], [], [], []
    for number in range(args.rounds):
        directory = fresh_directory(args.binary, top, f"upload{number}")
        server = Server(args.binary, directory)
        cpu0 = server.cpu_s()
        ours.append(curl_upload(server.port, rows_file))
        cpu.append(server.cpu_s() - cpu0)
        took, puts, size = curl_sync(server.port, "resources=users")
        assert puts == args.rows, puts
        syncs.append(took)
        again.append(curl_upload(server.port, rows_file))
        server.stop()
        other = fresh_directory(args.binary, top, f"cli{number}")
        subprocess.run([args.binary, "migrate", "--config", os.path.join(other, "syncline.json"), "--set",
                        "storage.sqlite.path=" + os.path.join(other, "bench.db")], check=True, stdout=subprocess.DEVNULL)
        cli.append(cli_upload(os.path.join(other, "bench.db"), statements))
    upload, baseline = statistics.median(ours), statistics.median(cli)
    print(f"upload of {args.rows} users, durable, feed and search included: {upload:.3f} s ({statistics.median(cpu):.2f} CPU-s); "
          f"sqlite3 with ready-made upserts and the same triggers {baseline:.3f} s; ratio {upload / baseline:.2f} (reach: 0.6 s, 2.0)")
    print(f"the same upload again, nothing changes: {statistics.median(again):.3f} s")
    print(f"first sync of {args.rows} users to one curl ({size / 1e6:.1f} MB): {statistics.median(syncs):.3f} s (reach: 0.25 s)")


def slow_reader(port, stop):
    s = socket.create_connection(("127.0.0.1", port))
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    s.sendall(b"GET /v1/sync?resources=users HTTP/1.1\r\nHost: x\r\n\r\n")
    while not stop.is_set():
        s.recv(512)
        time.sleep(0.2)
    s.close()


def bench_memory(args, top):
    directory = fresh_directory(args.binary, top, "memory")
    server = Server(args.binary, directory)
    rows = subprocess.Popen([args.binary, "demo-data", "--resource", "users", "--users", str(args.big_rows), "--stdout"], stdout=subprocess.PIPE)
    with PeakMemory(server) as memory:
        began = time.monotonic()
        out = subprocess.run(["curl", "-sS", "-T", "-", "-X", "POST", "-H", "Expect:", f"http://127.0.0.1:{server.port}/v1/users/bulk"],
                             stdin=rows.stdout, capture_output=True, text=True, check=True).stdout
        took = time.monotonic() - began
    print(f"upload of {args.big_rows} users: {took:.1f} s, peak {memory.peak:.0f} MB RSS (reach: 100); {out.strip().splitlines()[-1]}")
    with PeakMemory(server) as memory:
        took, puts, size = curl_sync(server.port, "resources=users")
    print(f"first sync of {puts} users ({size / 1e6:.0f} MB): {took:.1f} s, peak {memory.peak:.0f} MB RSS (reach: 100)")
    stop = threading.Event()
    readers = [threading.Thread(target=slow_reader, args=(server.port, stop), daemon=True) for _ in range(100)]
    with PeakMemory(server) as memory:
        for reader in readers:
            reader.start()
        time.sleep(3)
        took, puts, size = curl_sync(server.port, "resources=users")
    print(f"the same beside 100 slow readers: {took:.1f} s, peak {memory.peak:.0f} MB RSS (reach: 100)")
    stop.set()
    server.stop()


def write_latencies(port, count):
    """From sending a PATCH to its line on an open stream, in ms."""
    lines = {}
    seen = threading.Condition()
    stream = http.client.HTTPConnection("127.0.0.1", port)
    stream.request("GET", "/v1/sync?scope=user:1&resources=users&live=1")
    answer = stream.getresponse()

    def read():
        while True:
            line = answer.readline()
            if not line:
                return
            at = time.monotonic()
            for found in re.findall(rb'"bio":"mark (\d+)"', line):
                with seen:
                    lines[int(found)] = at
                    seen.notify_all()

    threading.Thread(target=read, daemon=True).start()
    time.sleep(0.2)
    writer = http.client.HTTPConnection("127.0.0.1", port)
    writer.connect()
    writer.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    took = []
    for number in range(count):
        began = time.monotonic()
        writer.request("PATCH", "/v1/users/1", body=json.dumps({"bio": f"mark {number}"}),
                       headers={"Content-Type": "application/merge-patch+json"})
        writer.getresponse().read()
        with seen:
            seen.wait_for(lambda: number in lines, timeout=10)
        took.append((lines[number] - began) * 1000)
        time.sleep(0.003)
    return took


def quantiles(values):
    ordered = sorted(values)
    return f"p50 {ordered[len(ordered) // 2]:.2f} ms, p99 {ordered[int(len(ordered) * 0.99)]:.2f} ms, max {ordered[-1]:.2f} ms"


def bench_latency(args, top, rows_file):
    directory = fresh_directory(args.binary, top, "latency")
    server = Server(args.binary, directory)
    curl_upload(server.port, rows_file)
    print("API write to line on the wire, idle:", quantiles(write_latencies(server.port, 500)), "(reach: p99 10 ms)")
    rows = subprocess.Popen([args.binary, "demo-data", "--resource", "users", "--users", str(args.big_rows), "--seed", "2", "--stdout"],
                            stdout=subprocess.PIPE)
    bulk = subprocess.Popen(["curl", "-sS", "-T", "-", "-X", "POST", "-H", "Expect:", f"http://127.0.0.1:{server.port}/v1/users/bulk"],
                            stdin=rows.stdout, stdout=subprocess.DEVNULL)
    time.sleep(0.5)
    print("the same while a bulk upload runs:", quantiles(write_latencies(server.port, 500)), "(reach: p99 50 ms)",
          "" if bulk.poll() is None else "[the upload ended early: raise --big-rows]")
    bulk.kill()
    rows.kill()
    foreign = []
    stream = subprocess.Popen(["curl", "-sSN", f"http://127.0.0.1:{server.port}/v1/sync?scope=user:7&resources=users&live=1"],
                              stdout=subprocess.PIPE)
    while b"up_to_date" not in stream.stdout.readline():
        pass
    for number in range(30):
        time.sleep(0.1)
        shell = subprocess.Popen(["sqlite3", os.path.join(directory, "bench.db")], stdin=subprocess.PIPE,
                                 stdout=subprocess.DEVNULL, text=True)
        time.sleep(0.05)
        began = time.monotonic()
        shell.stdin.write(f"PRAGMA busy_timeout=5000;UPDATE users SET bio='shell {number}' WHERE id=7;\n")
        shell.stdin.close()
        while f"shell {number}".encode() not in stream.stdout.readline():
            pass
        foreign.append((time.monotonic() - began) * 1000)
        shell.wait()
    stream.kill()
    print("UPDATE in the sqlite3 shell to line on the wire:", quantiles(foreign), "(reach: 100 ms)")
    server.stop()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", default="build/release/syncline")
    parser.add_argument("--rows", type=int, default=26000)
    parser.add_argument("--big-rows", type=int, default=1000000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", choices=["upload", "memory", "latency"])
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="syncline-bench-") as top:
        rows_file = os.path.join(top, "users.ndjson")
        with open(rows_file, "wb") as f:
            subprocess.run([args.binary, "demo-data", "--resource", "users", "--users", str(args.rows), "--stdout"], stdout=f, check=True)
        if args.only in (None, "upload"):
            bench_upload_and_sync(args, top, rows_file)
        if args.only in (None, "latency"):
            bench_latency(args, top, rows_file)
        if args.only in (None, "memory"):
            bench_memory(args, top)


if __name__ == "__main__":
    main()
