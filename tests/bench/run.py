#!/usr/bin/python3
"""make bench: what kiln costs and how fast it is, beside perf in the same run; prints a markdown table.

usage: run.py [--write] [PART…]      parts: sample loop attach own size heap walk tables memo names; --write puts the result into
docs/benchmarks.md
Repetitions are interleaved (A B A B …) and medians are shown, so that a busy machine hits all sides alike. Each figure
stands with the range in which its repetitions lay.
"""

import contextlib
import os
import re
import statistics
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import measure as m  # noqa: E402
from measure import h  # noqa: E402
import heap  # noqa: E402
import names  # noqa: E402
import oracle  # noqa: E402
import test_real_programs as real  # noqa: E402
import walker  # noqa: E402

DOCUMENT = os.path.join(h.ROOT, "docs/benchmarks.md")
DEPTHS = (5, 30, 100)
SAMPLE_REPEATS, SAMPLE_SECONDS, SAMPLE_SECONDS_99_HZ = 3, 3, 5
LOOP_DEPTH, LOOP_REPEATS, LOOP_ROUNDS = 30, 6, 5
ATTACH_REPEATS, ATTACH_LIMIT_S = 3, 6
OWN_SECONDS = 20
SIZE_SECONDS = 10


def note(text):
    print(f"# {text}", file=sys.stderr, flush=True)


# ---- a: ns per sample ----

class Recorder:
    """kiln record in the background, attached when this returns."""

    def __init__(self, directory, pid, hz, *more):
        self.path = os.path.join(directory, "bench.kiln")
        self.process = subprocess.Popen([h.KILN, "record", "-p", str(pid), "-F", str(hz), "-o", self.path, *more],
                                        stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
        h.wait_until(self.is_attached, "kiln is attached", 20)

    def is_attached(self):
        for pid in h.roles(self.process.pid)["interface"]:
            try:
                with open(f"/proc/{pid}/maps", encoding="utf-8") as maps:
                    return maps.read().count("bpf-map") >= 2
            except OSError:
                return False
        return False

    def finish(self):
        for pid in h.roles(self.process.pid)["interface"]:
            os.kill(pid, 2)
        h.expect(self.process.wait(60) == 0, "kiln record ends with 0")
        return self.path


def measure_samples(pid, directory, hz, seconds):
    """One recording: kiln's own mean, and the kernel's runs and ns since the program was loaded."""
    recorder = Recorder(directory, pid, hz)
    m.let_pass(seconds)
    runs, spent_ns = m.Statistics.of(recorder.process.pid)
    path = recorder.finish()
    summary = h.report(path)
    return {"probe_ns": summary["overhead"]["probe_ns"], "hits": summary["overhead"]["probe_hits"],
            "runs": runs, "ns": spent_ns, "frames": mean_frames(path),
            "complete": summary["cpu"]["stacks"]["complete"] / max(1, summary["cpu"]["samples"])}


def mean_frames(path):
    """Frames of a stack, the mean over samples."""
    import sqlite3
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as database:
        rows = list(database.execute("select id, parent, self from stack"))
    parents = {number: parent for number, parent, _ in rows}
    frames = count = 0
    for number, _, own in rows:
        if own:
            depth = 0
            while number in parents:
                depth, number = depth + 1, parents[number]
            frames, count = frames + own * depth, count + own
    return frames / count if count else float("nan")


def bench_sample():
    """a. The time inside the program, by the kernel's statistics and by kiln's own counter."""
    targets = [(f"recursion, {depth} deep", 999, lambda depth=depth: h.workload("recursion", depth))
               for depth in DEPTHS]
    targets += [(name, hz, program) for hz in (999, 99) for name, program in
                (("redis-server under load", real.redis), ("python3 sorting", real.python), ("clang++ -O2", walker.clang))]
    found = {target[:2]: [] for target in targets}
    idle = []
    with h.scratch() as directory, m.Statistics():
        for turn in range(SAMPLE_REPEATS):
            note(f"sample: {turn + 1} of {SAMPLE_REPEATS}")
            for name, hz, program in targets:
                with program() as target:
                    seconds = SAMPLE_SECONDS if hz == 999 else SAMPLE_SECONDS_99_HZ
                    found[name, hz].append(measure_samples(target.pid, directory, hz, seconds))
            with h.spawn("/usr/bin/tail", "-f", "/dev/null") as target:
                # Its ticks are all of other tasks: what a tick costs that is not ours.
                figures = measure_samples(target.pid, directory, 999, 1)
                idle.append(figures["ns"] / max(1, figures["runs"]))
    rows, points = [], []
    for name, hz, _ in targets:
        each = found[name, hz]
        # A run that is no hit is a tick of another task: it costs what the idle target's ticks cost.
        kernel = [(f["ns"] - (f["runs"] - f["hits"]) * m.median(idle)) / f["hits"] for f in each]
        own = [f["probe_ns"] for f in each]
        frames = m.median([f["frames"] for f in each])
        rows.append([name, f"{hz} Hz", f"{frames:.0f}", m.spread(own), m.spread(kernel),
                     f"{m.median(own) * hz / 1e7:.2f} %", f"{sum(f['hits'] for f in each):,}",
                     f"{100 * min(f['complete'] for f in each):.2f} %"])
        if name.startswith("recursion"):
            points.append((frames, m.median(own)))
    slope, start = statistics.linear_regression(*zip(*points))
    text = "### Program time of a CPU sample\n\n" + m.table(
        ["target", "rate", "frames, mean", "ns a sample, kiln's counter", "ns a sample, kernel's statistics",
         "of the target's CPU", "samples", "complete stacks, worst"], rows)
    text += (f"\nA frame costs {slope:.0f} ns (straight line through the three depths; {start:.0f} ns at none). The "
             f"kernel counts a run at every tick of a CPU, also of other tasks: such a run costs {m.median(idle):.0f} ns "
             f"here and is taken out of its figures. The recursion finds its tables in the CPU's caches; at 99 Hz the "
             f"real programs have thrown them out by the next sample. Incomplete stacks are those of the first moments, "
             f"when a recording of {SAMPLE_SECONDS} s has no unwind tables yet.\n")
    return text


# ---- b: slow-down of a loop ----

class Loop:
    """The program with the fixed amount of work."""

    def __init__(self, directory):
        path = directory + "/fixed-work"
        source = os.path.join(h.ROOT, "tests/bench/fixed-work.c")
        subprocess.run(["gcc", "-O2", "-g", "-fomit-frame-pointer", "-D_GNU_SOURCE", "-o", path, source], check=True)
        self.process = subprocess.Popen([path, str(LOOP_DEPTH), "800"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        text=True)
        h.wait_for_words(self.process, "ready")

    def run(self):
        """(wall, CPU) nanoseconds of the work."""
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return tuple(map(int, self.process.stdout.readline().split()))

    def end(self):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


@contextlib.contextmanager
def perf_record(pid, directory, hz, *options):
    with h.spawn("perf", "record", "-q", "-e", "cpu-clock", "-F", str(hz), *options, "-p", str(pid), "-o",
                 directory + "/bench.data") as process:
        m.wait_perf_attached(process)
        yield process
        process.send_signal(2)
        process.wait(30)


@contextlib.contextmanager
def kiln_record(pid, directory, hz):
    recorder = Recorder(directory, pid, hz)
    yield recorder.process
    recorder.finish()


def bench_loop():
    """b. The same work under each profiler in turn, in one process."""
    with h.scratch() as directory:
        loop = Loop(directory)
        pid = loop.process.pid
        ways = [("nothing", contextlib.nullcontext)]
        for hz in (99, 999):
            ways += [(f"kiln, {hz} Hz", lambda hz=hz: kiln_record(pid, directory, hz)),
                     (f"perf record -g, {hz} Hz (no frame pointers: broken stacks)",
                      lambda hz=hz: perf_record(pid, directory, hz, "-g")),
                     (f"perf record --call-graph dwarf, {hz} Hz",
                      lambda hz=hz: perf_record(pid, directory, hz, "--call-graph", "dwarf"))]
        cpu = {name: [] for name, _ in ways}
        try:
            loop.run()
            for turn in range(LOOP_REPEATS):
                note(f"loop: turn {turn + 1} of {LOOP_REPEATS}")
                for name, way in ways:
                    with way():
                        for _ in range(LOOP_ROUNDS):
                            cpu[name].append(loop.run()[1])
        finally:
            loop.end()
    base = cpu["nothing"]
    rows = [[name, f"{m.median(cpu[name]) / 1e6:.2f} ms", f"{m.median(cpu[name]) / m.median(base):.4f}",
             f"{quartile(cpu[name], 1) / m.median(base):.4f} … {quartile(cpu[name], 3) / m.median(base):.4f}",
             f"{quartile(cpu[name], 1) / quartile(base, 1):.4f}"] for name, _ in ways]
    return (f"### Slow-down of a CPU-bound loop, {LOOP_DEPTH} frames deep\n\n" + m.table(
        ["profiler", "the work, median", "ratio of the medians", "middle half of the runs",
         "ratio of the lower quartiles"], rows) + f"\n{LOOP_REPEATS * LOOP_ROUNDS} runs each, all ways in turn, by the "
        "target's own CPU clock, which includes the profiler's interrupts but not the time that other jobs took; the "
        "middle half of *nothing* is the noise of this machine.\n")


def quartile(values, which):
    return statistics.quantiles(values, n=4)[which - 1]


# ---- c: attach to the first named row ----

def function_names(pid):
    """Functions that the symbol tables of the target's executable and libraries name; code without a symbol is
    named when the row says where its function begins, as readelf knows it: module+0xSTART."""
    names = set()
    for path in sorted({mapping[3] for mapping in oracle.mappings(pid) if mapping[3].startswith("/")}):
        for options in (["-D"], []):
            result = subprocess.run(["nm", *options, "--defined-only", path], capture_output=True, text=True,
                                    check=False)
            names |= {fields[2].partition("@")[0] for fields in map(str.split, result.stdout.splitlines())
                      if len(fields) == 3 and fields[1] in "tTwWiu"}
        module = os.path.basename(path)
        names |= {f"{module}+0x{start:x}" for start in oracle.Module(path).starts}
    # Words that stand on the screen anyway: headings, the name of the target.
    return {name for name in names if len(name) >= 6} - {"server", "samples", "target", "events", "kernel"}


def named_row(names):
    def look(text):
        for line in text.splitlines():
            if "%" in line:
                for word in re.findall(r"[A-Za-z_][A-Za-z0-9_.+-]{5,}", line):
                    if word in names or word.partition(".")[0] in names:
                        return word
        return None
    return look


def time_attach(names, *command):
    """(seconds, word); no word when none came in the time."""
    with m.Pty(*command, env={"XDG_DATA_HOME": "/nonexistent"}) as terminal:
        try:
            found = terminal.wait(named_row(names), "a name", ATTACH_LIMIT_S)
        except AssertionError:
            found = ATTACH_LIMIT_S, f"nothing in {ATTACH_LIMIT_S} s"
        terminal.keys("q")
        terminal.drain(0.3)
        return found


def bench_attach():
    """c. From starting the command to the first row that names a function of the target."""
    targets = [("hot-split", lambda: h.workload("hot-split")), ("python3 sorting", real.python),
               ("redis-server under load", real.redis)]
    rows = []
    for name, program in targets:
        times, words = {"kiln": [], "perf": []}, {"kiln": set(), "perf": set()}
        with program() as target:
            h.wait_cpu(target.pid, 0.3)  # its libraries are mapped
            names = function_names(target.pid)
            for turn in range(ATTACH_REPEATS):
                note(f"attach: {name}, {turn + 1} of {ATTACH_REPEATS}")
                for tool, command in (("kiln", [h.KILN, str(target.pid)]),
                                      ("perf", ["perf", "top", "-e", "cpu-clock", "-p", str(target.pid), "--stdio"])):
                    seconds, word = time_attach(names, *command)
                    times[tool].append(seconds)
                    words[tool].add(word)
        rows.append([name, f"{m.spread(times['kiln'])} s", f"{m.spread(times['perf'])} s",
                     ("> " if min(times["perf"]) >= ATTACH_LIMIT_S else "")
                     + f"{m.median(times['perf']) / m.median(times['kiln']):.1f}",
                     "; ".join(", ".join(sorted(words[tool])) for tool in ("kiln", "perf"))])
    return "### Attach to the first named row, on a terminal of 100x30\n\n" + m.table(
        ["target", "kiln PID (99 Hz)", "perf top -p PID --stdio (4,000 Hz)", "ratio", "seen first by kiln; by perf"],
        rows) + (f"\n{ATTACH_REPEATS} starts each, in turn: seconds from starting the command until a row of the "
                 "screen names a function of the target or of its libraries. Code without a symbol counts as named when the "
                 "row says where its function begins (module+0xSTART, as readelf has it).\n")


# ---- d: own CPU and memory ----

def bench_own():
    """d. The dashboard open on the hotspots screen at 99 Hz."""
    rows = []
    for name, program in (("hot-split", lambda: h.workload("hot-split")), ("redis-server under load", real.redis)):
        note(f"own: {name}, {OWN_SECONDS} s and {OWN_SECONDS // 2} s")
        with program() as target:
            with m.Pty(h.KILN, str(target.pid)) as terminal:
                terminal.wait(lambda text: "LIVE" in text and "%" in text, "the overview")
                terminal.keys("2")
                terminal.wait(lambda text: "FUNCTION" in text, "the hotspots")
                terminal.drain(2)
                probe = terminal.child()
                pids = m.family(probe)
                began, before = time.monotonic(), {pid: m.cpu_ns(pid) for pid in pids}
                terminal.drain(OWN_SECONDS)
                length = time.monotonic() - began
                used = {pid: m.cpu_ns(pid) - before[pid] for pid in pids}
                rss, pss = map(sum, zip(*[m.memory_kib(pid) for pid in pids]))
                maps = m.maps_kib(probe)
                roles = h.roles(probe)
                share = {role: 100 * sum(used.get(pid, 0) for pid in roles[role]) / 1e9 / length for role in roles}
                terminal.keys("q")
                terminal.drain(0.5)
            with m.Pty("perf", "top", "-e", "cpu-clock", "-F", "99", "-p", str(target.pid), "--stdio") as terminal:
                terminal.wait(lambda text: "%" in text, "perf top")
                terminal.drain(2)
                perf = terminal.child()
                began, before = time.monotonic(), m.cpu_ns(perf)
                terminal.drain(OWN_SECONDS // 2)
                perf_share = 100 * (m.cpu_ns(perf) - before) / 1e9 / (time.monotonic() - began)
                perf_rss = m.memory_kib(perf)[0]
        rows.append([name, f"{sum(share.values()):.2f} %",
                     ", ".join(f"{role} {part:.2f} %" for role, part in share.items()),
                     f"{rss / 1024:.1f} MiB", f"{pss / 1024:.1f} MiB", f"{maps / 1024:.1f} MiB",
                     f"{perf_share:.2f} %, {perf_rss / 1024:.1f} MiB"])
    return "### kiln's own CPU and memory at 99 Hz, hotspots screen open\n\n" + m.table(
        ["target", "CPU of one core", "of which", "RSS, all processes", "PSS, all processes", "BPF maps",
         "perf top -F 99: CPU, RSS"], rows) + (
        f"\nCPU over {OWN_SECONDS} s after the attach, all of kiln's processes; perf top over {OWN_SECONDS // 2} s. PSS "
        "shares what the processes map together; the ring is counted in it and in the BPF maps.\n")


# ---- e: size of a recording ----

def bench_size():
    """e. The same seconds recorded by both."""
    rows = []
    for name, program in (("python3 sorting", real.python), ("redis-server under load", real.redis)):
        note(f"size: {name}, {SIZE_SECONDS} s")
        with program() as target, h.scratch() as directory:
            data = directory + "/perf.data"
            with h.spawn("perf", "record", "-q", "-e", "cpu-clock", "-F", "999", "--call-graph", "dwarf", "-p",
                         str(target.pid), "-o", data) as perf:
                m.wait_perf_attached(perf)
                path = h.record_pid(target.pid, directory, SIZE_SECONDS, hz=999)
                perf.send_signal(2)
                perf.wait(60)
            summary = h.report(path)
            ours, theirs = os.path.getsize(path), os.path.getsize(data)
            count = subprocess.run(["perf", "script", "-i", data, "-F", "comm"], capture_output=True, text=True,
                                   check=False).stdout.count("\n")
        rows.append([name, f"{summary['cpu']['samples']:,}", f"{ours / 1024:,.0f} KiB",
                     f"{count:,}", f"{theirs / 1024:,.0f} KiB", f"1 / {theirs / ours:.0f}"])
    return f"### Size of a recording of {SIZE_SECONDS} s at 999 Hz\n\n" + m.table(
        ["target", "kiln's samples", "kiln's snapshot (names inside)", "perf's samples",
         "perf.data --call-graph dwarf (no names)", "ratio"], rows)


PARTS = {"sample": bench_sample, "loop": bench_loop, "attach": bench_attach, "own": bench_own, "size": bench_size,
         "heap": heap.bench_heap, "walk": walker.bench_walk, "tables": walker.bench_tables, "memo": walker.bench_memo,
         "names": names.bench_names}


def main():
    arguments = sys.argv[1:]
    write = "--write" in arguments
    wanted = [argument for argument in arguments if argument != "--write"] or list(PARTS)
    unknown = [name for name in wanted if name not in PARTS]
    if unknown:
        sys.exit(f"run.py: no part {unknown[0]}; there are {', '.join(PARTS)}")
    if os.geteuid() != 0:
        sys.exit("run.py: needs root: programs are attached (sudo make bench)")
    began = time.monotonic()
    about = m.machine()
    print(f"{about}\n", flush=True)
    for name in wanted:
        text = PARTS[name]()
        print(text, flush=True)
        if write:
            m.write_section(DOCUMENT, name, f"{text}\n*{about}*\n")
    print(f"{time.monotonic() - began:.0f} s in all")


if __name__ == "__main__":
    main()
