#!/usr/bin/env python3
"""Runs clients written by others against the real binary and the echo server, and slow attacks beside a client that must not notice.

    /usr/bin/python3 tests/tools/clients.py [--build build/release] [--node-modules FOLDER] [--only attacks]

Each line is `ok`, `FAILED` or `not installed`; the exit code is 1 if anything failed. Used where they are installed: curl, wrk, h2load,
slowhttptest, Chromium (driven through Python's websockets), Python's h11, wsproto and websockets (Debian: python3-...), and npm's undici
and ws in FOLDER (`npm install undici ws`).
Everything is on loopback and in a temporary directory; what it starts it stops.
"""

import argparse
import atexit
import http.client
import importlib.util
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

failed = []


def check(name, condition, detail=""):
    print(f"{'ok' if condition else 'FAILED':7} {name}{': ' + str(detail) if detail else ''}", flush=True)
    if not condition:
        failed.append(name)


def present(name, found):
    if not found:
        print(f"not installed: {name}")
    return found


def run(*command, timeout=60):
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout)


def start(command, ready):
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    atexit.register(process.kill)  # whatever ends us; nothing where it has ended and was waited for
    line = process.stdout.readline()
    found = re.search(ready, line)
    if not found:
        sys.exit(f"did not start: {' '.join(command)}: {line}")
    return process, int(found[1])


def with_curl(api, echo, top):
    if not present("curl", shutil.which("curl")):
        return
    url = f"http://127.0.0.1:{api}/v1/users/1"
    two = run("curl", "-sSv", url, url)
    check("curl: two requests on one connection", two.returncode == 0 and two.stdout.count('"id":1') == 2 and "Re-using" in two.stderr)
    etag = re.search(r"(?i)etag: (\S+)", run("curl", "-sSI", url).stdout)[1]
    code = run("curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}", "-H", f"If-None-Match: {etag}", url).stdout
    check("curl: HEAD, then 304 for its ETag", code == "304", code)
    packed = run("curl", "-sS", "--compressed", f"http://127.0.0.1:{api}/v1/categories?limit=500")
    check("curl: --compressed", packed.returncode == 0 and packed.stdout.startswith('{"rows":['))
    body = os.path.join(top, "body")
    with open(body, "wb") as f:
        f.write(os.urandom(300_000))
    for how in ([], ["-H", "Transfer-Encoding: chunked"], ["-H", "Expect: 100-continue"]):
        out = os.path.join(top, "out")
        sent = run("curl", "-sS", "--data-binary", "@" + body, *how, "-o", out, f"http://127.0.0.1:{echo}/")
        same = sent.returncode == 0 and open(out, "rb").read() == open(body, "rb").read()
        check("curl: 300 KB echoed" + (f", {how[1]}" if how else ""), same, sent.stderr)


def with_load_generators(api):
    url = f"http://127.0.0.1:{api}/v1/users/1"
    if present("wrk", shutil.which("wrk")):
        out = run("wrk", "-t1", "-c64", "-d2s", url).stdout
        check("wrk", "requests in" in out and "Non-2xx" not in out and "Socket errors" not in out, re.search(r"\d+ requests in \S+", out)[0])
    if present("h2load", shutil.which("h2load")):
        out = run("h2load", "--h1", "-m", "16", "-c", "64", "-n", "100000", url).stdout
        check("h2load --h1 -m 16", "100000 succeeded, 0 failed, 0 errored" in out)


def with_h11(api):
    import h11
    client = h11.Connection(our_role=h11.CLIENT)
    with socket.create_connection(("127.0.0.1", api)) as s:
        good = True
        for _ in range(3):
            s.sendall(client.send(h11.Request(method="GET", target="/v1/users/1", headers=[("Host", "x")])) + client.send(h11.EndOfMessage()))
            status, body = None, b""
            while True:
                event = client.next_event()
                if event is h11.NEED_DATA:
                    client.receive_data(s.recv(65536))
                elif isinstance(event, h11.Response):
                    status = event.status_code
                elif isinstance(event, h11.Data):
                    body += event.data
                elif isinstance(event, h11.EndOfMessage):
                    break
            good = good and status == 200 and body.startswith(b'{"id":1')
            client.start_next_cycle()
    check("h11: three requests on one connection", good)


def with_wsproto(echo):
    from wsproto import ConnectionType, WSConnection
    from wsproto.events import AcceptConnection, CloseConnection, Request, TextMessage
    from wsproto.extensions import PerMessageDeflate
    for extensions in ([], [PerMessageDeflate()]):
        client = WSConnection(ConnectionType.CLIENT)
        seen = []
        with socket.create_connection(("127.0.0.1", echo)) as s:
            s.settimeout(10)
            s.sendall(client.send(Request(host="127.0.0.1", target="/", extensions=extensions)))
            closed, text = False, ""
            while not closed:
                data = s.recv(65536)
                client.receive_data(data if data else None)
                for event in client.events():
                    if isinstance(event, AcceptConnection):
                        s.sendall(client.send(TextMessage("line by line " * 1000)))
                    elif isinstance(event, TextMessage):
                        text += event.data
                        if event.message_finished:
                            seen.append(text)
                            s.sendall(client.send(CloseConnection(1000)))
                    elif isinstance(event, CloseConnection):
                        closed = event.code == 1000
                if not data:
                    break
        check("wsproto: echo and close" + (", deflate offered" if extensions else ""), seen == ["line by line " * 1000] and closed)


def with_websockets(echo):
    import asyncio
    import websockets

    async def talk(compression):
        async with websockets.connect(f"ws://127.0.0.1:{echo}/", compression=compression, max_size=2**24) as s:
            for message in ("ü" * 70_000, b"\0\xff" * 300_000, ""):
                await s.send(message)
                if await s.recv() != message:
                    return False
            await (await s.ping())
        return True

    for compression in (None, "deflate"):
        check(f"websockets: echo, compression {compression}", asyncio.run(talk(compression)))


UNDICI = """const { Client } = require('undici');
(async () => {
  const client = new Client('http://127.0.0.1:%d', { pipelining: 10 });
  const got = await Promise.all(Array.from({ length: 1000 }, async () => {
    const { statusCode, body } = await client.request({ path: '/v1/users/1', method: 'GET' });
    return statusCode === 200 && (await body.json()).id === 1; }));
  await client.close(); process.exit(got.every(x => x) ? 0 : 1); })();"""
WS = """const WebSocket = require('ws'); const text = 'line by line '.repeat(5000);
const s = new WebSocket('ws://127.0.0.1:%d/', { perMessageDeflate: %s });
s.on('open', () => s.send(text)); s.on('message', m => { if (m.toString() !== text) process.exit(1); s.close(1000); });
s.on('close', code => process.exit(code === 1000 ? 0 : 2));"""


def with_node(api, echo, modules):
    for name, programs in {"undici": [("1,000 requests, pipelining 10", UNDICI % api)],
                           "ws": [("echo", WS % (echo, "false")), ("echo, deflate", WS % (echo, "true"))]}.items():
        if not present(name, shutil.which("node") and modules and os.path.isdir(os.path.join(modules, name))):
            continue
        for what, program in programs:
            done = subprocess.run(["node", "-e", program], env={**os.environ, "NODE_PATH": modules}, capture_output=True, text=True, timeout=60)
            check(f"{name}: {what}", done.returncode == 0, done.stderr[-300:])


# Run in a page of the server itself: what a web application on the same origin does.
IN_API_PAGE = """(async () => {
  const seen = {};
  const row = await fetch('/v1/users/2');
  seen['fetch'] = row.ok && (await row.json()).id === 2;
  const etag = row.headers.get('ETag');
  seen['revalidated by the browser'] = (await fetch('/v1/users/2', { cache: 'no-cache' })).status === 200
    && (await fetch('/v1/users/2', { headers: { 'If-None-Match': etag } })).status === 304;
  const created = await fetch('/v1/follows/1,9', { method: 'PUT', headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ user_id: 1, target_id: 9 }) });
  seen['fetch with a body'] = [200, 201].includes(created.status) || 'status ' + created.status;

  const lines = async (url, enough) => {
    const stop = new AbortController(), answer = await fetch(url, { signal: stop.signal });
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    let text = '', reads = 0;
    for (;;) {
      const { value, done } = await reader.read();
      if (done) break;
      text += value; ++reads;
      if (enough(text)) { stop.abort(); break; }
    }
    return { text, reads, encoding: answer.headers.get('Content-Encoding') };
  };
  const whole = await lines('/v1/sync?resources=users', () => false);
  seen['a whole stream'] = whole.text.split('\\n').filter(l => l.includes('"op":"put"')).length === 1000;
  const live = await lines('/v1/sync?resources=users&live=1', text => text.includes('up_to_date'));
  seen['a live stream, read until up to date, aborted'] = live.reads > 0;

  seen['/v1/subscribe'] = await new Promise(resolve => {
    const s = new WebSocket('ws://' + location.host + '/v1/subscribe');
    let puts = 0;
    s.onopen = () => s.send(JSON.stringify({ op: 'subscribe', id: 'all', resources: ['users'] }));
    s.onmessage = e => {
      puts += e.data.includes('"op":"put"') ? 1 : 0;
      if (e.data.includes('up_to_date')) s.close(1000);
    };
    s.onclose = e => resolve(puts === 1000 && e.code === 1000 && e.wasClean || puts + ' rows, code ' + e.code);
  });
  return JSON.stringify(seen);
})()"""
IN_ECHO_PAGE = """(async () => {
  const seen = {}, text = 'line by line '.repeat(20000);
  seen['WebSocket echo, deflate'] = await new Promise(resolve => {
    const s = new WebSocket('ws://' + location.host + '/');
    s.binaryType = 'arraybuffer';
    const got = [];
    s.onopen = () => { s.send(text); s.send(new Uint8Array(300000).fill(7)); };
    s.onmessage = e => { got.push(e.data); if (got.length === 2) s.close(1000, 'bye'); };
    s.onclose = e => resolve(got[0] === text && got[1].byteLength === 300000 && e.code === 1000
      && s.extensions.startsWith('permessage-deflate') || 'code ' + e.code + ' ' + s.extensions);
  });
  const body = new Uint8Array(300000).map((_, i) => i & 127);
  const back = new Uint8Array(await (await fetch('/', { method: 'POST', body })).arrayBuffer());
  seen['300 KB echoed'] = back.length === body.length && back.every((b, i) => b === body[i]);
  // What is not there: a page of another origin may not read the API.
  seen['another origin is kept out'] = await fetch('http://127.0.0.1:%d/v1/users/1').then(() => 'it could read', () => true)
    && await new Promise(resolve => {
      const s = new WebSocket('ws://127.0.0.1:%d/v1/subscribe');
      s.onopen = () => resolve('it could subscribe');
      s.onerror = () => resolve(true);
    });
  return JSON.stringify(seen);
})()"""


def with_chromium(api, echo, top):
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if not present("Chromium", chromium) or not present("Chromium's driver (python3-websockets)", importlib.util.find_spec("websockets")):
        return
    import asyncio
    import json
    import urllib.request
    import websockets
    browser = subprocess.Popen([chromium, "--headless", "--no-sandbox", "--disable-gpu", "--remote-debugging-port=0", "--no-first-run",
                                "--user-data-dir=" + os.path.join(top, "chromium"), "about:blank"], stderr=subprocess.PIPE, text=True)

    async def ask(socket, method, **params):
        ask.last += 1
        await socket.send(json.dumps({"id": ask.last, "method": method, "params": params}))
        while True:
            said = json.loads(await asyncio.wait_for(socket.recv(), 60))
            if said.get("id") == ask.last:
                return said.get("result", said)
    ask.last = 0

    async def in_page(port, url, script):
        request = urllib.request.Request(f"http://127.0.0.1:{port}/json/new?{url}", method="PUT")
        page = json.load(urllib.request.urlopen(request, timeout=30))
        async with websockets.connect(page["webSocketDebuggerUrl"], max_size=2**24) as socket:
            for _ in range(100):
                state = await ask(socket, "Runtime.evaluate", expression="document.readyState + ' ' + location.href")
                if state["result"].get("value") == "complete " + url:
                    break
                await asyncio.sleep(0.1)
            done = await ask(socket, "Runtime.evaluate", expression=script, awaitPromise=True)
            return json.loads(done["result"]["value"]) if "value" in done.get("result", {}) else {"script": str(done)[:600]}

    try:
        port = None
        for line in browser.stderr:
            found = re.search(r"DevTools listening on ws://127\.0\.0\.1:(\d+)/", line)
            if found:
                port = int(found[1])
                break
        if port is None:
            return check("Chromium: starts", False)
        threading.Thread(target=browser.stderr.read, daemon=True).start()
        for url, script in ((f"http://127.0.0.1:{api}/v1/users/1", IN_API_PAGE), (f"http://127.0.0.1:{echo}/", IN_ECHO_PAGE % (api, api))):
            for what, how in asyncio.run(in_page(port, url, script)).items():
                check(f"Chromium: {what}", how is True, "" if how is True else how)
    finally:
        browser.terminate()
        browser.wait(30)


class Bystander(threading.Thread):
    """A client that asks 200 times a second on one connection, and once a second on a new one."""

    def __init__(self, port):
        super().__init__(daemon=True)
        self.port, self.done, self.times, self.errors = port, False, [], []

    def run(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        expected = None
        while not self.done:
            began = time.monotonic()
            try:
                if len(self.times) % 200 == 199:
                    connection.close()
                connection.request("GET", "/v1/users/1")
                answer = connection.getresponse()
                got = (answer.status, answer.getheader("ETag"), answer.read())
                expected = expected or got
                if got != expected or got[0] != 200 or b'"id":1' not in got[2]:
                    self.errors.append(got)
            except (OSError, http.client.HTTPException) as error:
                self.errors.append(error)
                connection.close()
            self.times.append((time.monotonic() - began) * 1000)
            time.sleep(0.005)

    def p99(self):
        return sorted(self.times)[int(len(self.times) * 0.99)]

    def figures(self):
        ordered = sorted(self.times)
        return f"{len(ordered)} requests, p50 {ordered[len(ordered) // 2]:.2f} ms, p99 {ordered[int(len(ordered) * 0.99)]:.2f} ms, max {ordered[-1]:.1f} ms"


def attacks(api):
    alone = Bystander(api)
    alone.start()
    time.sleep(5)
    alone.done = True
    alone.join()
    print("        nobody attacks:", alone.figures())
    if not present("slowhttptest", shutil.which("slowhttptest")):
        return
    url = f"http://127.0.0.1:{api}/v1/"
    for name, how in {
            "slow headers (-H)": ["-H", "-i", "3", "-x", "24", "-u", url + "users/1"],
            "slow bodies (-B)": ["-B", "-i", "3", "-s", "8192", "-x", "10", "-t", "POST", "-f", "application/json", "-u", url + "users"],
            "slow readers (-X)": ["-X", "-w", "10", "-y", "20", "-n", "3", "-z", "32", "-k", "3", "-u", url + "categories?limit=1000"]}.items():
        beside = Bystander(api)
        beside.start()
        out = run("slowhttptest", "-c", "1000", "-r", "500", "-l", "15", "-p", "3", *how, timeout=60).stdout
        beside.done = True
        beside.join()
        plain = re.sub(r"\x1b\[[\d;]*m", "", out)
        connected = max([int(n) for n in re.findall(r"connected:\s+(\d+)", plain)] or [0])
        # The attacker shares our cores: ten times as slow is its doing, a wait for one of its connections would be seconds.
        unharmed = not beside.errors and beside.p99() < max(50, 10 * alone.p99())
        check(f"1,000 {name}, {connected} connected at once", unharmed and connected > 0, f"{beside.figures()} {beside.errors[:3] or ''}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default="build/release")
    parser.add_argument("--node-modules")
    parser.add_argument("--only", choices=["clients", "attacks"])
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="syncline-clients-") as top:
        binary, database = os.path.join(args.build, "syncline"), os.path.join(top, "clients.db")
        subprocess.run([binary, "demo-data", "--db", database, "--fill", "--users", "1000"], check=True, capture_output=True)
        server, api = start([binary, "serve", "--config", "configs/demo/syncline.json", "--set", "http.port=0", "--set", "admin.port=0",
                             "--set", "storage.sqlite.path=" + database], r"http://127\.0\.0\.1:(\d+)")
        echo_server, echo = start([os.path.join(args.build, "echo_server"), "--deflate"], r"port (\d+)")
        try:
            if args.only in (None, "clients"):
                with_curl(api, echo, top)
                with_load_generators(api)
                for name, use, port in (("h11", with_h11, api), ("wsproto", with_wsproto, echo), ("websockets", with_websockets, echo)):
                    if present(name, importlib.util.find_spec(name)):
                        use(port)
                with_chromium(api, echo, top)
                with_node(api, echo, args.node_modules and os.path.abspath(args.node_modules))
            if args.only in (None, "attacks"):
                attacks(api)
        finally:
            for process in (server, echo_server):
                process.send_signal(signal.SIGTERM)
                process.wait(30)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
