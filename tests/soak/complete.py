"""The part `complete` of make soak: how many stacks of real programs and of those in tests/e2e/stacks.py are whole, and
beside it how many perf's copies of the stack (--call-graph dwarf, as it is by default) lead to the root."""

import bisect
import collections
import contextlib
import os
import re
import signal
import sqlite3
import subprocess

import measure as m
from measure import h
import oracle
import stacks as s
import test_real_programs as real

HZ = 999
# perf copies 8 KiB a sample and needs a long time to walk them: a tenth of the samples is enough for a share.
PERF_PART = 10
PERF_LIMIT_S = 300

# A client that keeps one nginx busy over one connection: batches of requests, whose answers are only counted.
NGINX_CLIENT = """
import socket, sys
s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1])
ask = b"GET /page HTTP/1.1\\r\\nHost: x\\r\\nAccept-Encoding: gzip\\r\\n\\r\\n"
while True:
    s.sendall(ask * 50)
    left = 50
    while left:
        data = s.recv(1 << 20)
        if not data:
            sys.exit(1)
        left -= data.count(b"HTTP/1.1 200")
"""
NGINX_CONFIG = """daemon off; master_process off; worker_processes 1; pid {0}/pid; error_log {0}/log;
events {{ worker_connections 64; }}
http {{
	access_log off; keepalive_requests 1000000000; gzip on; gzip_types text/plain; gzip_min_length 1;
	client_body_temp_path {0}/a; proxy_temp_path {0}/b; fastcgi_temp_path {0}/c;
	uwsgi_temp_path {0}/d; scgi_temp_path {0}/e;
	server {{ listen unix:{0}/socket; root {0}; default_type text/plain; }}
}}
"""

# What npm does all day: versions are compared, patterns matched, text parsed, packed and digested.
NODE_SCRIPT = """
const path = require("path"), zlib = require("zlib"), crypto = require("crypto");
function load(name) {
  for (const directory of process.argv.slice(2))
    try { return require(path.join(directory, name)); } catch {}
  return null;
}
const semver = load("semver"), minimatch = load("minimatch");
if (!semver) { console.log("no package"); process.exit(1); }
const match = minimatch ? (minimatch.minimatch || minimatch) : (a, b) => a.endsWith(b.slice(1));
console.log("ready");
function work(round) {
  const versions = [];
  for (let i = 0; i < 2000; i++)
    versions.push(`${i * 7 % 13}.${(i + round) * 11 % 17}.${i}` + (i % 5 ? "" : "-beta." + i));
  versions.sort(semver.compare);
  const fit = versions.filter(v => semver.satisfies(v, ">=3.2.1 <9 || ~11.4"));
  const files = fit.map(v => `lib/${v}/index.${v.length % 2 ? "js" : "ts"}`).filter(f => match(f, "lib/*/*.js"));
  const text = JSON.stringify({ versions, files });
  const back = JSON.parse(text);
  return crypto.createHash("sha512").update(zlib.gzipSync(text, { level: 1 })).digest("hex").length + back.files.length;
}
let sum = 0;
for (let round = 0; ; round++) sum += work(round);
"""
NODE_PACKAGES = ("/usr/lib/node_modules/npm/node_modules", "/usr/share/nodejs",
                 "/usr/share/node_modules/npm/node_modules")


@contextlib.contextmanager
def nginx():
    server = real.find("nginx")
    with h.scratch() as directory:
        with open(directory + "/conf", "w", encoding="utf-8") as file:
            file.write(NGINX_CONFIG.format(directory))
        with open(directory + "/page", "w", encoding="utf-8") as file:
            file.writelines(f"line {number * 2654435761 % 4294967296:x}\n" for number in range(400))
        with h.spawn(server, "-p", directory, "-c", directory + "/conf") as process:
            h.wait_until(lambda: os.path.exists(directory + "/socket"), "nginx listens")
            with h.spawn("/usr/bin/python3", "-c", NGINX_CLIENT, directory + "/socket"):
                yield process


@contextlib.contextmanager
def node(*options):
    with h.scratch() as directory:
        with open(directory + "/work.js", "w", encoding="utf-8") as file:
            file.write(NODE_SCRIPT)
        packages = [path for path in NODE_PACKAGES if os.path.isdir(path)]
        with h.spawn(real.find("node"), *options, directory + "/work.js", *packages, stdout=subprocess.PIPE, text=True,
                     cwd=directory) as process:
            h.wait_for_words(process, "ready")
            yield process
            process.stdout.close()


@contextlib.contextmanager
def fzf():
    with h.spawn("yes", "line of a file: " + "abcde " * 20, stdout=subprocess.PIPE) as feed:
        with h.spawn(real.find("fzf"), "--filter", "zz9zz", "--no-sort", stdin=feed.stdout) as process:
            yield process
        feed.stdout.close()


# Where whole stacks of a program begin: above main() (programs of packages have no name for _start), or in clone3().
ROOTS = (r"[^;!]*;libc\.so\.6!__libc_start_main(?:[^;]*)(?:;.*)?", rf"{s.LIBC}(?:;.*)?")
GO_ROOTS = (r"(?:runtime\.|_rt0_amd64)[^;]*(?:;.*)?",)


class Row:
    """One program, what it promises, and what its whole stacks look like."""

    def __init__(self, start, whole=s.WHOLE, program=None, roots=ROOTS):
        self.start, self.whole = start, whole
        self.program = program or s.Program(None, roots, {}, whole=whole)


def rows():
    found = {
        "redis-server under load": Row(real.redis),
        "sqlite3": Row(real.sqlite),
        "python3": Row(real.python),
        "nginx": Row(nginx),
        "fzf (Go)": Row(fzf, roots=GO_ROOTS),
        "node": Row(node, 0.995),
        "node --perf-basic-prof": Row(lambda: node("--perf-basic-prof"), 0.995),
    }
    for name, program in s.PROGRAMS.items():
        if not program.breaks:
            found[name] = Row(program.start, program.whole, program)
    return found


# ---- perf's share ----

class Roots:
    """Where a whole stack may begin: functions whose return address is undefined, by readelf; and, for what has no such
    mark (coroutines), where kiln's whole stacks begin."""

    def __init__(self, snapshot, modules):
        self.modules, self.marked, self.begins = modules, {}, set()
        with sqlite3.connect(f"file:{snapshot}?mode=ro", uri=True) as database:
            query = """select distinct m.path, f.offset from stack s join frame f on f.id = s.frame
                       join module m on m.id = f.module where s.parent = 0 and m.kind = 'file'"""
            for path, offset in database.execute(query):
                key = oracle.name_of(path, offset, modules)
                if not key.endswith("+other"):
                    self.begins.add(key)

    def marked_of(self, path):
        """Starts of the functions whose return address is undefined."""
        if path not in self.marked:
            text = subprocess.run(["readelf", "--debug-dump=frames", path], capture_output=True, text=True,
                                  check=False).stdout
            starts, start = set(), None
            for line in text.splitlines():
                found = re.search(r" FDE .*pc=([0-9a-f]+)\.\.", line)
                start = int(found[1], 16) if found else start
                if "DW_CFA_undefined" in line and "(rip)" in line and start is not None:
                    starts.add(f"+0x{start:x}")
            self.marked[path] = starts
        return self.marked[path]

    def has(self, path, pc):
        """Whether the function of this address (as the file counts them) is a root; pc is behind a call, or at the very
        first instruction of what nobody calls."""
        module = self.modules[path]
        for address in (pc - 1, pc):
            place = bisect.bisect_right(module.starts, address) - 1
            if place >= 0 and address < module.ranges[place][1]:
                key = f"+0x{module.starts[place]:x}"
                return key in self.marked_of(path) or path.rpartition("/")[2] + key in self.begins
        return False


def count_roots(script, roots):
    """(samples, those whose outermost frame is a root) of what `perf script -F comm,ip,sym,dso` has printed: a line
    with the command, one for each frame, and an empty one."""
    known, samples, reached, last = {}, 0, 0, None
    for line in script.split("\n"):
        if line and not line[0].isspace():
            samples, last = samples + 1, None
        elif line.strip():
            last = line
        elif last is not None:
            if last not in known:
                found = re.fullmatch(r"\s*([0-9a-f]+) .*\((/.*)\)", last)
                known[last] = bool(found) and os.path.exists(found[2]) and roots.has(found[2], int(found[1], 16))
            reached, last = reached + known[last], None
    return samples, reached


def perf_share(target, directory, snapshot, seconds):
    """What count_roots() says of perf's stacks of this process; None: perf did not get through them in time."""
    data = directory + "/perf.data"
    with h.spawn(real.find("perf"), "record", "-q", "-e", "cpu-clock", "-F", str(HZ), "--call-graph", "dwarf", "-p",
                 str(target.pid), "-o", data) as recorder:
        m.wait_perf_attached(recorder)
        h.wait_cpu(target.pid, seconds, 400)
        recorder.send_signal(signal.SIGINT)
        recorder.wait(timeout=60)
    try:
        command = ["perf", "script", "-i", data, "-F", "comm,ip,sym,dso", "--no-inline"]
        script = subprocess.run(command, capture_output=True, text=True, errors="replace", check=True,
                                timeout=PERF_LIMIT_S).stdout
    except subprocess.TimeoutExpired:
        return None
    return count_roots(script, Roots(snapshot, oracle.Modules()))


# ---- the table ----

def measure_row(name, row, samples):
    """(cells of the table, what does not hold)."""
    with row.start() as target, h.scratch() as directory:
        h.wait_cpu(target.pid, 0.3)
        recording = h.Recording(directory, "-p", target.pid, "-e", "cpu", "-F", HZ).wait_attached()
        # A target that sleeps often meets the clock less often than its CPU time says.
        begin, seconds = h.cpu_seconds(target.pid), samples / HZ * 1.1
        if "redis" in name or "vfork" in name:
            seconds *= 2
        h.wait_until(lambda: h.cpu_seconds(target.pid) - begin >= seconds, f"{name} uses {seconds:.0f} s", seconds * 10)
        path = recording.finish()
        summary = h.report(path)
        h.check_accounts(summary)
        cpu = summary["cpu"]
        share = cpu["stacks"]["complete"] / cpu["samples"]
        reasons = collections.Counter({reason: count for reason, count in cpu["stacks"]["broken"].items() if count})
        if cpu["stacks"]["truncated"]:
            reasons["truncated"] = cpu["stacks"]["truncated"]
        troubles = s.judge(s.Stacks(path), row.program, samples)
        perf = perf_share(target, directory, path, max(2, samples / PERF_PART / HZ))
    if not perf:
        theirs = f"not within {PERF_LIMIT_S} s"
    else:
        theirs = f"{100 * perf[1] / perf[0]:.1f} % of {perf[0]:,}" if perf[0] else "no samples"
    cells = [name, f"{cpu['samples']:,}", f"{100 * share:.3f} %", f"≥ {100 * row.whole:.1f} %",
             ", ".join(f"{reason} {count}" for reason, count in reasons.most_common()) or "—",
             f"{summary['overhead']['probe_ns']:,.0f}", theirs, "yes" if not troubles else "**no**"]
    return cells, troubles


def soak_complete(options, note):
    """Text and whether all held."""
    wanted, lines, notes = rows(), [], []
    for name, row in wanted.items():
        if options.row and name not in options.row:
            continue
        note(f"complete: {name}")
        try:
            cells, troubles = measure_row(name, row, options.samples)
        except h.Skip as skip:
            cells, troubles = [name, "", "", "", str(skip), "", "", "not measured"], []
        except AssertionError as error:
            cells, troubles = [name, "", "", "", "", "", "", "**no**"], [str(error)]
        lines.append(cells)
        notes += [f"- {name}: {trouble}" for trouble in troubles]
        for trouble in troubles:
            note(trouble)
    text = (f"### Whole stacks, ≥ {options.samples:,} samples each, {HZ} Hz\n\n" + m.table(
        ["program", "samples", "whole", "promised", "the others", "ns a sample",
         "perf --call-graph dwarf: reach the root", "held"], lines))
    return text + ("\n" + "\n".join(notes) + "\n" if notes else ""), all(cells[-1] != "**no**" for cells in lines)
