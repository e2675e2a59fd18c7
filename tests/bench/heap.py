"""Part `heap` of make bench: what exact books cost per malloc and free, beside probes that only count, heaptrack and
bpftrace in the same run; and how long detaching takes."""

import contextlib
import os
import re
import signal
import sqlite3
import statistics
import subprocess
import sys
import time

import measure as m
from measure import h
import heap_books as books
import test_heap_targets as targets

DEPTHS = (5, 20, 60)
LOOP_REPEATS, OTHERS_REPEATS = 5, 3  # others: heaptrack and bpftrace, which take seconds to attach
WARM_PAIRS, PAIRS, UNWATCHED_PAIRS, HEAPTRACK_PAIRS, BPFTRACE_PAIRS = 2000, 100_000, 3_000_000, 200_000, 5000
PROGRAM_REPEATS = 5
DETACH_REPEATS = 5
BARE = os.path.join(h.BUILD, "tests/tools/bare_probes")
NOTHING, VETO, RETURN, KILN = "nothing", "veto", "return", "kiln"
WAYS = (NOTHING, VETO, RETURN, KILN)
OTHERS = ("heaptrack", "bpftrace")
EPOLL_WAIT, READ_STDIN = ("232",), ("0", "0x0")  # as /proc/PID/syscall has them

SQL = ("create table t(a integer primary key, b text, c blob);"
       "with recursive n(x) as (select 1 union all select x+1 from n where x < 60000) "
       "insert into t select x, printf('%08d text', x * 7919 % 60000), randomblob(0) from n;"
       "create index i on t(b); select count(*), sum(a), min(b), max(b) from t;"
       "select count(distinct substr(b, 3, 4) || a % 7) from t; select sum(length(replace(b, '7', 'seven'))) from t;\n")
PYTHON = ("import hashlib, json\nd = {}\nfor i in range(5000):\n    d[str(i)] = [i] * (i % 20)\n"
          "s = ','.join(k + str(sum(v)) for k, v in d.items())\nprint(hashlib.sha256(s.encode()).hexdigest())\n"
          "print(len(json.dumps(json.loads(json.dumps(d)), indent=1)))\n")
CXX = targets.SOURCE + "#include <algorithm>\n" + "\n".join(
    f"int h{i}(std::vector<int> &v) {{ std::map<int, std::string> m; m[{i}] = \"x\"; std::sort(v.begin(), v.end()); "
    f"return m.size() + s<{i + 10}>().f(); }}" for i in range(12)) + "\n"


def note(text):
    print(f"# {text}", file=sys.stderr, flush=True)


def require(program):
    try:
        return targets.find(program)
    except h.Skip:
        sys.exit(f"run.py: {program} is not installed (sudo make bench installs it)")


def library(pid, name):
    """The file of the target's library of that name."""
    return next(path for _, _, _, path in books.code_mappings(pid) if os.path.basename(path).startswith(name))


# ---- the ways to watch; each a context, in which the target is watched ----

class Bare:
    """Probes that only count, by tests/tools/bare_probes."""

    def __init__(self, pid, files, *options):
        self.process = subprocess.Popen([BARE, *options, str(pid), *files], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)

    def __enter__(self):
        h.wait_for_words(self.process, "ready")
        return self

    def __exit__(self, *_):
        out, _ = self.process.communicate(timeout=30)
        self.entries, self.returns, self.frees = map(int, out.split())


class Kiln:
    """kiln record --heap=exact, attached and at rest: its tables are made."""

    def __init__(self, pid, directory):
        self.pid, self.directory = pid, directory

    def __enter__(self):
        self.recording = books.start(self.pid, self.directory, "session")
        try:
            books.wait_heap(self.recording, self.pid)
            self.settle()
        except BaseException:
            self.give_up()
            raise
        return self

    def give_up(self):
        self.recording.process.kill()
        self.recording.process.communicate()

    def settle(self):
        """The walker knows the target's mappings, and no worker makes a table any more."""
        h.wait_until(lambda: books.knows_mappings(self.pid), "its mappings are known", 20)
        probe = self.recording.process.pid

        def at_rest():
            before = m.cpu_of_family(probe)
            m.let_pass(0.1)
            return m.cpu_of_family(probe) - before < 5_000_000
        h.wait_until(at_rest, "kiln's tables are made", 20)

    def __exit__(self, failed, *_):
        if failed:
            self.give_up()
            return
        path = self.recording.finish()
        self.heap = h.report(path)["heap"]
        h.expect(self.heap and self.heap["allocs"], f"measured: {self.heap}")
        self.complete = complete_stacks(path)


def complete_stacks(path):
    """The share of the allocations whose stack is whole (docs/snapshot.md)."""
    with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
        rows = list(database.execute(
            "select s.id, s.parent, s.alloc_count, f.module = 4 or (f.module = 0 and f.offset = (1 << 48) - 1) "
            "from heap_stack s join frame f on f.id = s.frame order by s.id"))
    is_odd, odd, everything = {}, 0, 0
    for number, parent, count, is_mark in rows:
        is_odd[number] = is_odd[parent] if parent else is_mark
        everything += count
        odd += count if is_odd[number] else 0
    return 1 - odd / everything


def watch(way, pid, files, directory):
    if way == NOTHING:
        return contextlib.nullcontext()
    if way == KILN:
        return Kiln(pid, directory)
    return Bare(pid, files, *(["--veto"] if way == VETO else []))


@contextlib.contextmanager
def bpftrace(pid, libc, least):
    """What a user would type to count calls: its probes go where the symbols begin. least: calls that it must see."""
    program = (f"uprobe:{libc}:malloc {{ @malloc = count(); }} uretprobe:{libc}:malloc {{ @returned = count(); }} "
               f"uprobe:{libc}:free {{ @free = count(); }}")
    with h.spawn(require("bpftrace"), "-p", str(pid), "-e", program, stdout=subprocess.PIPE, text=True) as process:
        # A signal that comes before it waits for events would be lost.
        def is_attached():
            waits = system_call(process.pid)[:1] == EPOLL_WAIT
            return process.poll() is not None or (waits and books.traps(pid) >= 2)
        h.wait_until(is_attached, "bpftrace is attached", 30)
        h.expect(process.poll() is None, "bpftrace ended early")
        yield
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=30)
        counts = {name: int(count) for name, count in re.findall(r"^@(\w+): (\d+)$", out, re.M)}
        h.expect(len(counts) == 3 and min(counts.values()) >= least, f"bpftrace saw {counts}")
    h.wait_until(lambda: not books.changed_code(pid), "bpftrace's probes are gone", 30)


@contextlib.contextmanager
def heaptrack(target, directory):
    """Injected with gdb; it goes with the target, which is no good to anybody afterwards."""
    said = directory + "/heaptrack.txt"
    with open(said, "w", encoding="utf-8") as out, h.spawn(
            require("heaptrack"), "-p", str(target.pid), cwd=directory, start_new_session=True, stdout=out,
            env={k: v for k, v in os.environ.items() if k != "DEBUGINFOD_URLS"}) as process:
        try:
            h.wait_until(lambda: says(said, "injection finished") or process.poll() is not None, "heaptrack is injected", 60)
            h.expect(process.poll() is None and "heaptrack_inject" in maps_of(target.pid), "heaptrack is in the target")
            yield
            target.end()
            process.wait(30)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def system_call(pid):
    """The number of the one that it sleeps in, and its first argument; nothing while it runs."""
    try:
        with open(f"/proc/{pid}/syscall", encoding="ascii") as file:
            return tuple(file.read().split()[:2])
    except OSError:
        return ()


def says(path, words):
    with open(path, encoding="utf-8", errors="replace") as file:
        return words in file.read()


def maps_of(pid):
    with open(f"/proc/{pid}/maps", encoding="utf-8", errors="replace") as file:
        return file.read()


# ---- a: the loop ----

class Pairs:
    """tests/bench/fixed-pairs.c: ns per pair of malloc and free, below so many frames."""

    def __init__(self, program, depth):
        self.process = subprocess.Popen([program, str(depth)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.pid = self.process.pid
        h.wait_for_words(self.process, "ready")
        self.libc = library(self.pid, "libc.so.6")

    @staticmethod
    def build(directory):
        path = directory + "/fixed-pairs"
        subprocess.run(["gcc", "-O2", "-g", "-fomit-frame-pointer", "-D_GNU_SOURCE", "-o", path,
                        os.path.join(h.ROOT, "tests/bench/fixed-pairs.c")], check=True)
        return path

    def run(self, pairs):
        self.process.stdin.write(f"{pairs}\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline()) / pairs

    def measure(self, pairs):
        self.run(WARM_PAIRS)
        return self.run(pairs)

    def end(self):
        if self.process.returncode is None:
            self.process.kill()
            self.process.wait()
            self.process.stdin.close()
            self.process.stdout.close()


def measure_heaptrack(program, depth, directory):
    target = Pairs(program, depth)
    try:
        with heaptrack(target, directory):
            return target.measure(HEAPTRACK_PAIRS)
    finally:
        target.end()


def measure_depth(target, way, directory):
    """(ns per pair, share of complete stacks or None)"""
    if way == "bpftrace":
        with bpftrace(target.pid, target.libc, BPFTRACE_PAIRS):
            return target.measure(BPFTRACE_PAIRS), None
    with watch(way, target.pid, [target.libc], directory) as watcher:
        found = target.measure(UNWATCHED_PAIRS if way == NOTHING else PAIRS)
    return found, watcher.complete if way == KILN else None


def bench_pairs(directory):
    program = Pairs.build(directory)
    loops = {depth: Pairs(program, depth) for depth in DEPTHS}
    found = {(depth, way): [] for depth in DEPTHS for way in (*WAYS, *OTHERS)}
    complete = {depth: [] for depth in DEPTHS}
    try:
        for turn in range(LOOP_REPEATS):
            note(f"heap: loop, {turn + 1} of {LOOP_REPEATS}")
            for depth in DEPTHS:
                for way in WAYS + (("bpftrace",) if turn < OTHERS_REPEATS else ()):
                    ns, whole = measure_depth(loops[depth], way, directory)
                    found[depth, way].append(ns)
                    complete[depth] += [whole] if whole is not None else []
                if turn < OTHERS_REPEATS:
                    found[depth, "heaptrack"].append(measure_heaptrack(program, depth, directory))
    finally:
        for loop in loops.values():
            loop.end()
    return pairs_table(found, complete)


def pairs_table(found, complete):
    rows = []
    for depth in DEPTHS:
        kiln = m.median(found[depth, KILN])
        rows.append([depth, *(m.spread(found[depth, way]) for way in (*WAYS, *OTHERS)),
                     *ratios(kiln, m.median(found[depth, VETO]), m.median(found[depth, RETURN])),
                     f"{100 * min(complete[depth]):.2f} %"])
    slope, start = statistics.linear_regression(DEPTHS, [m.median(found[depth, KILN]) for depth in DEPTHS])
    return ("### Heap: a pair of malloc(64) and free() in a loop, ns of the target's CPU\n\n" + m.table(
        ["calls deep", "not watched", "bare probes, no return (the floor)", "bare probes, with return",
         "kiln --heap=exact", "heaptrack -p", "bpftrace", "kiln / floor", "kiln / with return",
         "kiln's complete stacks, worst"], rows)
        + f"\n{LOOP_REPEATS} runs of {PAIRS:,} pairs each, all in turn, in one process a depth; heaptrack (each in a fresh "
        f"process, {HEAPTRACK_PAIRS:,} pairs) and bpftrace ({BPFTRACE_PAIRS:,}) {OTHERS_REPEATS}. *Bare probes* stand at "
        "the very instructions where kiln's do, as uprobe sessions whose programs only count: the entry says that the "
        "return is not wanted (the floor), or the return comes too, as kiln needs it. "
        f"A call of depth costs kiln {slope:.0f} ns (straight line through the three depths; {start:,.0f} ns at none). "
        "heaptrack is injected into the target by gdb and sets no traps. bpftrace has `uprobe:LIB:malloc "
        "{ @malloc = count(); }`, `uretprobe:LIB:malloc` and `uprobe:LIB:free` likewise: the cheapest that one would type, "
        "without stacks and without a ledger; it probes free at its first instruction, which the kernel single-steps.\n")


def ratios(kiln, veto, returned):
    return f"{kiln / veto:.2f}", f"{kiln / returned:.2f}"


# ---- b: programs ----

class Command:
    """A job that waits twice: as a shell for its start, then for its text on stdin."""

    def __init__(self, words, text, env=None, module="libc.so.6"):
        self.words, self.text, self.env, self.module = words, text, env, module

    def start(self):
        self.process = subprocess.Popen(["/bin/sh", "-c", 'read x; exec "$@"', "sh", *self.words],
                                        stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                        env=dict(os.environ, **(self.env or {})))
        h.wait_until(lambda: self.is_reading("sh", "dash"), "the shell waits")
        return self.process.pid

    def is_reading(self, *names):
        """It runs one of these programs, and sleeps in read(2) of its stdin."""
        try:
            return (system_call(self.process.pid) == READ_STDIN
                    and os.path.basename(os.readlink(f"/proc/{self.process.pid}/exe")).startswith(names))
        except OSError:
            return False

    def execute(self):
        self.process.stdin.write(b"\n")
        self.process.stdin.flush()
        name = os.path.basename(os.path.realpath(self.words[0]))
        h.wait_until(lambda: self.is_reading(name), f"{name} waits for its text", 20)

    def finish(self):
        """CPU seconds of all of it, the start included."""
        self.process.stdin.write(self.text.encode())
        self.process.stdin.close()
        _, status, usage = os.wait4(self.process.pid, 0)
        self.process.returncode = os.waitstatus_to_exitcode(status)
        h.expect(self.process.returncode == 0, f"{self.words[0]}: status {self.process.returncode}")
        return usage.ru_utime + usage.ru_stime

    def end(self):
        if self.process.returncode is None:
            self.process.kill()
            self.process.wait()


def measure_command(command, way, directory):
    """(CPU seconds, what watched)"""
    pid = command.start()
    try:
        files = [library(pid, command.module)]
        with watch(way, pid, files, directory) as watcher:
            command.execute()
            if way == KILN:
                watcher.settle()
            return command.finish(), watcher
    finally:
        command.end()


class RedisJob:
    """A server that lives through all repetitions, and the same requests again and again."""

    REQUESTS = 15000

    def __init__(self, directory):
        self.socket = directory + "/redis.sock"
        self.server = subprocess.Popen([require("redis-server"), "--port", "0", "--unixsocket", self.socket, "--save", "",
                                        "--dir", directory], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.pid = self.server.pid
        h.wait_until(lambda: subprocess.run([require("redis-cli"), "-s", self.socket, "ping"], capture_output=True,
                                            check=False).stdout == b"PONG\n", "redis answers")
        self.files = [library(self.pid, "libjemalloc"), library(self.pid, "libc.so.6")]
        self.run()

    def run(self):
        before = m.cpu_ns(self.pid)
        subprocess.run([require("redis-benchmark"), "-s", self.socket, "-q", "-n", str(self.REQUESTS), "-c", "8", "-P", "8",
                        "-r", "10000", "-t", "set,hset,lpush,lpop"], stdout=subprocess.DEVNULL, check=True)
        return (m.cpu_ns(self.pid) - before) / 1e9

    def end(self):
        self.server.kill()
        self.server.wait()


def measure_redis(job, way, directory):
    with watch(way, job.pid, job.files, directory) as watcher:
        return job.run(), watcher


def bench_programs(directory):
    redis = RedisJob(directory)
    source = ["-fintegrated-cc1", "-O1", "-x", "c++", "-c", "-", "-o", "/dev/null"]
    jobs = [("redis-server (jemalloc)", lambda way: measure_redis(redis, way, directory)),
            ("sqlite3", runner(Command([require("sqlite3"), ":memory:"], SQL), directory)),
            ("python3, PYTHONMALLOC=malloc", runner(Command([require("python3"), "-"], PYTHON,
                                                           {"PYTHONMALLOC": "malloc", "PYTHONHASHSEED": "0"}), directory)),
            ("clang++ -O1", runner(Command([require("clang++"), *source], CXX), directory))]
    found = {(name, way): [] for name, _ in jobs for way in WAYS}
    seen = {(name, way): [] for name, _ in jobs for way in WAYS}
    try:
        for turn in range(PROGRAM_REPEATS):
            for name, measure in jobs:
                note(f"heap: {name}, {turn + 1} of {PROGRAM_REPEATS}")
                for way in WAYS:
                    seconds, watcher = measure(way)
                    found[name, way].append(seconds)
                    seen[name, way].append(watcher)
    finally:
        redis.end()
    return program_table([name for name, _ in jobs], found, seen)


def runner(command, directory):
    return lambda way: measure_command(command, way, directory)


def expect_same_calls(name, seen):
    """Else the ratio compares probes on different functions."""
    bare = m.median([watcher.entries for way in (VETO, RETURN) for watcher in seen[name, way]])
    kiln = m.median([sum(watcher.heap[key] for key in ("allocs", "failed", "nested")) for watcher in seen[name, KILN]])
    h.expect(abs(bare - kiln) <= 0.02 * bare, f"{name}: {bare} calls met by bare probes, {kiln} by kiln's")


def program_table(names, found, seen):
    rows = []
    for name in names:
        expect_same_calls(name, seen)
        alone, veto, returned, kiln = (m.median(found[name, way]) for way in WAYS)
        allocs = m.median([watcher.heap["allocs"] for watcher in seen[name, KILN]])
        rows.append([name, f"{allocs:,.0f}", *(m.spread(found[name, way]) for way in WAYS),
                     *(f"{1e9 * (more - alone) / allocs:,.0f}" for more in (veto, returned, kiln)),
                     *ratios(kiln - alone, veto - alone, returned - alone),
                     f"{100 * min(watcher.complete for watcher in seen[name, KILN]):.2f} %"])
    return ("### Heap: programs, CPU seconds of a fixed job\n\n" + m.table(
        ["program", "allocations", "not watched", "bare probes, no return (the floor)", "bare probes, with return",
         "kiln --heap=exact", "ns an allocation: floor", "with return", "kiln", "(kiln − alone) / (floor − alone)",
         "(kiln − alone) / (with return − alone)", "kiln's complete stacks, worst"], rows)
        + f"\n{PROGRAM_REPEATS} runs each, in turn, from the start of the program to its end (redis-server: a server that "
        "lives on, the same requests of redis-benchmark). The ns of an allocation hold its free. Probes are in place before "
        "the program starts; it reads its work from stdin, and gets it when kiln has its unwind tables. Stacks that are not "
        "complete are from its start, before that.\n")


# ---- c: detach ----

def detach_seconds(pid, kind, directory):
    """(from SIGINT to the interface until the target's code is that of its files, places that were trapped)"""
    recording = books.attach(pid, directory, kind)
    places = books.traps(pid)
    interface = h.roles(recording.process.pid)["interface"]
    began = time.monotonic()
    for one in interface:
        os.kill(one, signal.SIGINT)
    while books.changed_code(pid):
        h.expect(time.monotonic() - began < 60, "the probes go")
    took = time.monotonic() - began
    recording.finish(how=None)
    return took, places


def bench_detach(directory):
    redis = RedisJob(directory)
    found = {(name, kind): [] for name in ("loop", "redis") for kind in books.KINDS}
    try:
        with h.workload("heap-loop", directory + "/counter") as loop:
            for turn in range(DETACH_REPEATS):
                note(f"heap: detach, {turn + 1} of {DETACH_REPEATS}")
                for kind in books.KINDS:
                    found["loop", kind].append(detach_seconds(loop.pid, kind, directory))
                    found["redis", kind].append(detach_seconds(redis.pid, kind, directory))
    finally:
        redis.end()
    rows = [[shown, " to ".join(map(str, sorted({places for _, places in found[name, "session"]}))),
             *(f"{m.spread([seconds for seconds, _ in found[name, kind]])} s" for kind in books.KINDS)]
            for name, shown in (("loop", "a loop of malloc and free (glibc)"), ("redis", "redis-server (jemalloc, glibc)"))]
    return "### Heap: detaching\n\n" + m.table(
        ["target", "places trapped", "uprobe sessions", "perf-event uprobes (Linux before 6.13)"], rows) + (
        f"\n{DETACH_REPEATS} times each, in turn: from SIGINT to kiln until no byte of the target's code differs from its "
        "files.\n")


def bench_heap():
    """f. Exact books of malloc and free."""
    for program in ("heaptrack", "bpftrace", "gdb"):
        require(program)
    with h.scratch() as directory:
        return "\n".join((bench_pairs(directory), bench_programs(directory), bench_detach(directory)))
