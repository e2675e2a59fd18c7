"""Parts `walk`, `tables` and `memo` of make bench: what a stack costs by depth and by the number of modules, how fast
tables are made and come, and what the memo of stacks saves on programs that nobody here wrote."""

import contextlib
import glob
import os
import re
import sqlite3
import statistics
import subprocess
import sys
import time

import heap
import heap_books as books
import measure as m
from measure import h
import test_real_programs as real

HZ = 999
DEPTHS = (5, 30, 200, 1000)
MODULES = (10, 100, 1000)
REPEATS, SECONDS = 3, 3
START_REPEATS = 5
DUMP_TABLE = os.path.join(h.BUILD, "tests/tools/dump_table")
# Their tables are what the issue and FACTS name; the biggest are last.
FILES = ("libc.so.6", "libstdc++.so.6", "libcrypto.so.3", "python3", "node", "libLLVM-14.so.1")
MEMO_OFF = {"KILN_MEMO": "off"}


def note(text):
    print(f"# {text}", file=sys.stderr, flush=True)


# ---- one recording ----

class Figures:
    """What one recording says of the walker."""

    def __init__(self, path, statistics_of, idle_ns):
        summary = h.report(path)
        overhead, cpu = summary["overhead"], summary["cpu"]
        runs, ns = statistics_of
        self.hits = overhead["probe_hits"]
        self.own_ns = overhead["probe_ns"]
        # A run that is no hit is a tick of another task.
        self.kernel_ns = (ns - (runs - self.hits) * idle_ns) / self.hits
        self.frames = overhead["frames"] / self.hits
        self.memo = overhead["memo_frames"] / max(1, overhead["frames"])
        self.complete = cpu["stacks"]["complete"] / max(1, cpu["samples"])


def measure(pid, directory, idle_ns=0, seconds=SECONDS, env=None, settle=True):
    """Samples of one process; its tables are there before the clock of the kernel's statistics is read."""
    recording = h.Recording(directory, "-p", pid, "-e", "cpu", "-F", HZ, env=env).wait_attached()
    if settle:
        wait_tables(recording.process.pid)
    m.let_pass(seconds)
    spent = m.Statistics.of(recording.process.pid)
    return Figures(recording.finish(), spent, idle_ns)


def wait_tables(probe):
    """No worker makes a table any more."""
    def at_rest():
        before = workers_ns(probe)
        m.let_pass(0.1)
        return workers_ns(probe) - before < 1_000_000
    h.wait_until(at_rest, "kiln's tables are made", 60)


def workers_ns(probe):
    return sum(map(m.cpu_ns, h.roles(probe)["workers"]))


def idle_tick_ns(directory):
    """What a tick of another task costs."""
    with h.spawn("/usr/bin/tail", "-f", "/dev/null") as target:
        recording = h.Recording(directory, "-p", target.pid, "-e", "cpu", "-F", HZ).wait_attached()
        m.let_pass(1)
        runs, ns = m.Statistics.of(recording.process.pid)
        recording.finish()
    return ns / max(1, runs)


# ---- walk: by depth ----

def bench_walk():
    """By depth, with the memo and without; and the biggest table that there is."""
    targets = [(f"recursion, {depth} deep", lambda depth=depth: h.workload("recursion", depth)) for depth in DEPTHS]
    targets.append(("clang++ -O2 (libLLVM)", clang))
    found = {(name, memo): [] for name, _ in targets for memo in ("off", "on")}
    with h.scratch() as directory, m.Statistics():
        idle_ns = idle_tick_ns(directory)
        for turn in range(REPEATS):
            note(f"walk: {turn + 1} of {REPEATS}")
            for name, program in targets:
                with program() as target:
                    for memo, env in (("off", MEMO_OFF), ("on", None)):
                        found[name, memo].append(measure(target.pid, directory, idle_ns, env=env))
    rows, points = [], {"off": [], "on": []}
    for name, _ in targets:
        for memo in ("off", "on"):
            each = found[name, memo]
            frames, ns = m.median([f.frames for f in each]), m.median([f.kernel_ns for f in each])
            if name.startswith("recursion"):
                points[memo].append((frames, ns))
            rows.append([name, memo, f"{frames:.0f}", m.spread([f.own_ns for f in each]),
                         m.spread([f.kernel_ns for f in each]), f"{ns / frames:.0f}",
                         f"{100 * m.median([f.memo for f in each]):.1f} %", f"{sum(f.hits for f in each):,}",
                         f"{100 * min(f.complete for f in each):.2f} %"])
    lines = {memo: statistics.linear_regression(*zip(*points[memo])) for memo in points}
    return "### A CPU sample by depth\n\n" + m.table(
        ["target", "memo", "user frames, mean", "ns a sample, kiln's counter", "ns a sample, kernel's statistics",
         "ns a frame, all in all", "frames from the memo", "samples", "complete stacks, worst"], rows) + (
        f"\n{HZ} Hz, {REPEATS} recordings of {SECONDS} s each, in turn, after the tables were made. By the straight line "
        f"through the depths a frame that is walked costs {lines['off'].slope:.0f} ns, one of the memo "
        f"{lines['on'].slope:.0f} ns, a sample without frames {lines['off'].intercept:.0f} ns.\n")


@contextlib.contextmanager
def clang():
    """One clang++ that stays busy for longer than it is recorded twice."""
    with h.scratch() as directory:
        source = directory + "/big.cc"
        with open(source, "w", encoding="utf-8") as file:
            file.write("#include <bits/stdc++.h>\n" + "\n".join(
                f"struct s{i} {{ int v; bool operator<(const s{i} &o) const {{ return v < o.v; }} }}; int g{i}(int x) {{ "
                f"std::map<s{i}, std::vector<s{i}>> m; m[s{i}{{x}}].push_back(s{i}{{x}}); return m.size(); }}"
                for i in range(600)))
        # The compiler itself, not a child of it.
        with h.spawn(real.find("clang++"), "-fintegrated-cc1", "-O2", "-c", source, "-o", "/dev/null") as process:
            h.wait_until(lambda: m.cpu_ns(process.pid) > 300_000_000, "the compiler works", 30)
            yield process


# ---- tables ----

def find_file(name):
    for pattern in (f"/lib/x86_64-linux-gnu/{name}", f"/usr/lib/x86_64-linux-gnu/{name}", f"/usr/bin/{name}"):
        for path in glob.glob(pattern):
            return os.path.realpath(path)
    return None


def table_row(path):
    """Figures of the table that kiln makes for a file, by dump_table -t; the best of seven."""
    text = subprocess.run([DUMP_TABLE, "-t", path], capture_output=True, text=True, check=True).stdout
    found = re.search(r": (\d+) FDEs .*?, (\d+) rows, .*, (\d+) rules, (\d+) bytes, ([\d.]+) bytes a row, ([\d.]+) ms", text)
    h.expect(found, text)
    _, rows, rules, size, each, ms = found.groups()
    return [os.path.basename(path), f"{int(rows):,}", rules, f"{int(size) / 1024:,.0f} KiB", each, ms,
            f"{int(rows) / float(ms) / 1000:.1f} M"]


def samples_of(path):
    """[(time_ns, complete)] of the snapshot's samples, in order of time."""
    with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
        rows = database.execute("""
            with recursive root(id, top) as (
                select id, id from stack where parent = 0
                union all select s.id, r.top from stack s join root r on s.parent = r.id)
            select x.time_ns, f.module != 4 and f.module != 5 from sample x join root r on r.id = x.stack
            join stack s on s.id = r.top join frame f on f.id = s.frame order by x.time_ns""")
        return [(time_ns, bool(whole)) for time_ns, whole in rows]


def start_figures(program, directory):
    """(ms from the start of the command to the attach, ms from the attach to the first whole stack, to the moment from
    which on all are whole)."""
    with program() as target:
        h.wait_cpu(target.pid, 0.3)
        began = time.time_ns()
        recording = h.Recording(directory, "-p", target.pid, "-e", "cpu", "-F", HZ).wait_attached()
        m.let_pass(1.5)
        path = recording.finish()
    with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
        attached = int(database.execute("select value from meta where key = 'start_unix_ns'").fetchone()[0])
    samples = samples_of(path)
    first = next((time_ns for time_ns, whole in samples if whole), float("nan"))
    broken = [time_ns for time_ns, whole in samples if not whole and time_ns < 1e9]
    return (attached - began) / 1e6, first / 1e6, (max(broken) if broken else first) / 1e6


def bench_tables():
    """How fast tables are made, how soon stacks are whole, and how it grows with the number of modules."""
    rows = []
    for name in FILES:
        path = find_file(name)
        if path:
            note(f"tables: {name}")
            rows.append(table_row(path))
    text = "### Unwind tables\n\n" + m.table(
        ["file", "rows", "rules", "table", "bytes a row", "ms to make it", "rows a second"], rows) + (
        "\nThe worker's part, best of seven; bytes with every dictionary and the page index. The probe's part (checking, "
        "copying, freezing, publishing) is in the figures below.\n")
    rows = []
    with h.scratch() as directory:
        for name, program in (("sqlite3", real.sqlite), ("redis-server under load", real.redis),
                              ("python3", real.python), ("node", node), ("clang++ -O2", clang)):
            note(f"tables: start of {name}")
            each = list(zip(*[start_figures(program, directory) for _ in range(START_REPEATS)]))
            rows.append([name, *[m.spread(values) + " ms" for values in each]])
    text += "\n### Attach to whole stacks\n\n" + m.table(
        ["target", "from the command to the first sample that may come", "from there to the first whole stack",
         "to the last one without its table (in the first second)"], rows) + (
        f"\n`kiln record -F {HZ}`, {START_REPEATS} starts each; a sample comes every "
        f"{1000 / HZ:.0f} ms of the target's CPU time.\n")
    return text + "\n" + modules_table()


@contextlib.contextmanager
def node():
    with h.scratch() as directory:
        with open(directory + "/work.js", "w", encoding="utf-8") as file:
            file.write("let s = 0; for (;;) { const a = []; for (let i = 0; i < 1000; i++) a.push(i * 7919 % 1000); "
                       "a.sort((x, y) => x - y); s += JSON.stringify(a).length; }\n")
        with h.spawn(real.find("node"), directory + "/work.js") as process:
            yield process


MANY = """
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
typedef uint64_t work(uint64_t seed);
int main(int argc, char **argv)
{
	unsigned count = (unsigned)atoi(argv[2]);
	work **all = calloc(count, sizeof(*all));
	volatile uint64_t sum = (uint64_t)argc;
	for (unsigned i = 0; i < count; i++) {
		char path[4096];
		snprintf(path, sizeof(path), "%s/%u.so", argv[1], i);
		void *library = dlopen(path, RTLD_NOW);
		if (!library || !(all[i] = (work *)dlsym(library, "work_000")))
			return 1;
	}
	puts("ready");
	fflush(stdout);
	for (;;)
		for (unsigned i = 0; i < count; i++)
			sum = all[i](sum);
}
"""


def make_modules(directory, count):
    """Libraries that differ in their build-id alone: each has a table of its own."""
    one = directory + "/one.so"
    subprocess.run(["gcc", "-O2", "-g0", "-fPIC", "-shared", "-fomit-frame-pointer", "-D_GNU_SOURCE", "-Wl,--build-id=sha1",
                    "-I", os.path.join(h.ROOT, "tests/workloads"), "-I", h.ROOT, "-o", one,
                    os.path.join(h.ROOT, "tests/workloads/libnumbered.c")], check=True)
    with open(one, "rb") as file:
        image = file.read()
    mark = b"\x04\0\0\0\x14\0\0\0\x03\0\0\0GNU\0"
    place = image.index(mark) + len(mark)
    for number in range(count):
        with open(f"{directory}/{number}.so", "wb") as file:
            file.write(image[:place] + number.to_bytes(20, "big") + image[place + 20:])


def modules_table():
    """The same work spread over more and more modules."""
    rows = []
    with h.scratch() as directory, m.Statistics():
        make_modules(directory, max(MODULES))
        program, source = directory + "/many", directory + "/many.c"
        with open(source, "w", encoding="utf-8") as file:
            file.write(MANY)
        subprocess.run(["gcc", "-O2", "-o", program, source], check=True)
        idle_ns = idle_tick_ns(directory)
        for count in MODULES:
            note(f"tables: {count} modules")
            with h.spawn(program, directory, str(count), stdout=subprocess.PIPE, text=True) as target:
                h.wait_for_words(target, "ready")
                began = time.monotonic()
                recording = h.Recording(directory, "-p", target.pid, "-e", "cpu", "-F", HZ).wait_attached()
                probe = recording.process.pid
                wait_tables(probe)
                length, spent = time.monotonic() - began - 0.1, workers_ns(probe)
                maps = m.maps_kib(probe)
                m.let_pass(SECONDS)
                late = Late(recording.finish())
                off = measure(target.pid, directory, idle_ns, env=MEMO_OFF)
                target.stdout.close()
            rows.append([f"{count:,}", f"{off.frames:.0f}", f"{off.kernel_ns:,.0f}", f"{length:.2f} s",
                         f"{spent / 1e6:,.0f} ms", f"{maps / 1024:.1f} MiB",
                         f"{late.last_ms:,.0f} ms", f"{100 * late.share:.3f} %"])
    return "### By the number of modules\n\n" + m.table(
        ["modules", "user frames, mean", "ns a sample without memo, kernel's statistics",
         "from the command until all tables are made", "CPU time of the workers", "BPF maps",
         "last stack without its table, after the attach", "whole stacks after the first second"], rows) + (
        "\nLibraries that differ in their build-id alone (with one, they would share a table), called one after the other.\n")


class Late:
    """When stacks were whole for good."""

    def __init__(self, path):
        samples = samples_of(path)
        later = [whole for time_ns, whole in samples if time_ns > 1e9]
        self.last_ms = max((time_ns for time_ns, whole in samples if not whole), default=0) / 1e6
        self.share = sum(later) / max(1, len(later))


# ---- memo ----

@contextlib.contextmanager
def heap_loop():
    with h.scratch() as directory, h.workload("heap-loop", directory + "/counter", 1) as process:
        yield process


@contextlib.contextmanager
def python_malloc():
    """Work that varies: JSON, sorting, hashing, formatting."""
    code = "import hashlib, json\nwhile True:\n" + "".join(
        "    " + line + "\n" for line in heap.PYTHON.replace("import hashlib, json\n", "").replace("print", "str").splitlines())
    with h.spawn("/usr/bin/python3", "-c", code, env=dict(os.environ, PYTHONMALLOC="malloc")) as process:
        yield process


@contextlib.contextmanager
def sqlite_varied():
    with h.spawn(real.find("sqlite3"), ":memory:", stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as process:
        process.stdin.write((heap.SQL + "drop table t;\n") * 300)
        process.stdin.close()
        yield process


def heap_figures(program, directory, env):
    """(ns of kiln's programs for a call that allocates or frees, frames of a stack, share of the memo)."""
    with program() as target:
        recording = h.Recording(directory, "-p", target.pid, "--heap=exact",
                                env={"KILN_UPROBES": "session", **(env or {})})
        books.wait_heap(recording, target.pid)
        wait_tables(recording.process.pid)
        m.let_pass(SECONDS)
        path = recording.finish()
    overhead, found = h.report(path)["overhead"], h.report(path)["heap"]
    return overhead["heap_ns"], overhead["heap_frames"] / max(1, found["allocs"]), \
        overhead["heap_memo_frames"] / max(1, overhead["heap_frames"])


def bench_memo():
    """Samples and allocations of five programs, with the memo and without."""
    targets = [("a loop of malloc and free", heap_loop),
               ("redis-server under load", real.redis), ("sqlite3, varied", sqlite_varied),
               ("python3, PYTHONMALLOC=malloc", python_malloc), ("clang++ -O2", clang)]
    rows = []
    with h.scratch() as directory, m.Statistics():
        idle_ns = idle_tick_ns(directory)
        for name, program in targets:
            note(f"memo: {name}")
            cpu, allocations = {}, {}
            for memo, env in (("off", MEMO_OFF), ("on", None)):
                with program() as target:
                    cpu[memo] = measure(target.pid, directory, idle_ns, env=env)
                allocations[memo] = heap_figures(program, directory, env)
            rows.append([name, f"{cpu['on'].frames:.0f}", f"{100 * cpu['on'].memo:.1f} %", f"{cpu['off'].kernel_ns:,.0f}",
                         f"{cpu['on'].kernel_ns:,.0f}", f"{allocations['on'][1]:.0f}", f"{100 * allocations['on'][2]:.1f} %",
                         f"{allocations['off'][0]:,.0f}", f"{allocations['on'][0]:,.0f}"])
    return "### The memo of stacks\n\n" + m.table(
        ["program", "CPU: frames a sample", "of them from the memo", "ns a sample, memo off", "on",
         "heap: frames a stack", "of them from the memo", "ns a probe hit, memo off", "on"], rows) + (
        f"\nCPU samples at {HZ} Hz, {SECONDS} s each, by the kernel's statistics; the heap with exact books, kiln's own counter, "
        "the mean over entries, returns and frees (only entries of allocations have a stack).\n")
