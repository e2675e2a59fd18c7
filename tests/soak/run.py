#!/usr/bin/python3
"""make soak: the long figures; prints a markdown table for each and ends with 1 when one is not what was promised.

usage: run.py [--write] [--seconds N] [--kills N] [--samples N] [--row NAME]… [--test-inside] [NAME…]
names: redis clang kills perf rows complete debootstrap (all of them when none is given)
--seconds  how long redis and clang are watched (600)
--kills    how many random kills (100)
--samples  complete: how many samples of each program (30000)
--row      complete: this program only; may be given several times
--test-inside  debootstrap: also `make test` in the fresh system, not only `make demo`
--write    put the results into docs/soak.md
"""

import argparse
import collections
import contextlib
import glob
import io
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "bench"))
import measure as m  # noqa: E402
from measure import h  # noqa: E402
import complete  # noqa: E402
import test_real_programs as real  # noqa: E402
import walker  # noqa: E402

DOCUMENT = os.path.join(h.ROOT, "docs/soak.md")
PERF_SAMPLES = 30000
# What the model may grow by: 16 bytes a sample in the log, and some for stacks and names that are new.
SAMPLE_BYTES, NEW_KIB = 16, 4096
CPU_LIMIT_PCT = 3


def note(text):
    print(f"# {time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


class Verdicts:
    """Promises and whether they held."""

    def __init__(self):
        self.rows = []

    def check(self, what, figure, holds):
        self.rows.append([what, figure, "yes" if holds else "**no**"])

    def holds(self):
        return all(row[2] == "yes" for row in self.rows)

    def text(self):
        return m.table(["promise", "measured", "held"], self.rows)


# ---- ten minutes beside one process ----

class Watch:
    """CPU time and memory of a kiln, taken at regular times."""

    def __init__(self, probe):
        self.probe, self.points = probe, []

    def take(self):
        roles = h.roles(self.probe)
        pids = {role: pids for role, pids in roles.items()}
        point = {"time": time.monotonic(), "cpu": {}, "anonymous": {}, "rss": {}}
        for role, members in pids.items():
            point["cpu"][role] = sum(map(m.cpu_ns, members))
            point["anonymous"][role] = sum(map(m.anonymous_kib, members))
            point["rss"][role] = sum(m.memory_kib(pid)[0] for pid in members)
        point["maps"] = m.maps_kib(self.probe)
        self.points.append(point)
        return point

    def intervals(self):
        """For each interval: (seconds from the start, % of a core for each role)."""
        first = self.points[0]["time"]
        for before, after in zip(self.points, self.points[1:]):
            length = after["time"] - before["time"]
            yield after["time"] - first, {role: 100 * (after["cpu"][role] - before["cpu"][role]) / 1e9 / length
                                          for role in after["cpu"]}

    def table(self):
        rows = []
        shares = list(self.intervals())
        for (seconds, cpu), point in zip(shares, self.points[1:]):
            rows.append([f"{seconds:.0f} s", f"{sum(cpu.values()):.2f} %", f"{cpu['interface']:.2f} %",
                         f"{cpu['workers']:.2f} %", f"{point['anonymous']['interface'] / 1024:.1f} MiB",
                         f"{point['rss']['interface'] / 1024:.1f} MiB",
                         f"{sum(point['rss'].values()) / 1024:.1f} MiB", f"{point['maps'] / 1024:.1f} MiB"])
        return m.table(["until", "CPU of one core", "interface", "workers", "interface: own memory", "interface: RSS",
                        "RSS, all processes", "BPF maps"], rows)


def watch_for(watch, seconds, alive):
    """Takes ten points, the first one when everything has settled."""
    step = seconds / 10
    m.let_pass(min(5, step))
    begin = time.monotonic()
    watch.take()
    for number in range(1, 11):
        while time.monotonic() < begin + number * step and alive():
            m.let_pass(min(0.5, max(0.01, begin + number * step - time.monotonic())))
        if not alive():
            break
        point = watch.take()
        note(f"{time.monotonic() - begin:.0f} s: interface {point['anonymous']['interface']} KiB of its own")


def judge(summary, watch, least_complete):
    """The promises of a long recording."""
    verdicts = Verdicts()
    cpu = summary["cpu"]
    complete = cpu["stacks"]["complete"] / max(1, cpu["samples"])
    broken = ", ".join(f"{reason} {count}" for reason, count in cpu["stacks"]["broken"].items() if count)
    verdicts.check(f"complete user stacks ≥ {100 * least_complete:.0f} %",
                   f"{100 * complete:.3f} % of {cpu['samples']:,} samples ({broken or 'none broken'})",
                   complete >= least_complete)
    # Those of CPU samples: the heap has books of its own.
    attempts = summary["overhead"]["probe_hits"]
    missing = h.cpu_lost(summary)
    verdicts.check("closed accounts: attempts = delivered + losses",
                   f"{attempts:,} = {cpu['samples']:,} + {missing:,}", attempts == cpu["samples"] + missing)
    verdicts.check("nothing lost", f"{missing:,}", missing == 0)
    first, second, last = watch.points[0], watch.points[1], watch.points[-1]
    growth = last["anonymous"]["interface"] - second["anonymous"]["interface"]
    share = (last["time"] - second["time"]) / (last["time"] - first["time"])
    allowed = NEW_KIB + SAMPLE_BYTES * cpu["samples"] * share / 1024
    verdicts.check("flat memory of the interface from the first tenth to the end",
                   f"{second['anonymous']['interface']:,} → {last['anonymous']['interface']:,} KiB (log of samples: "
                   f"{SAMPLE_BYTES * cpu['samples'] * share / 1024:,.0f} KiB)", growth <= allowed)
    shares = [sum(cpu.values()) for _, cpu in watch.intervals()]
    third = max(1, len(shares) // 3)
    early, late = m.median(shares[:third]), m.median(shares[-third:])
    verdicts.check("flat time per tick: CPU of the last third ≤ 1.3 × the first third's",
                   f"{early:.2f} % → {late:.2f} %", late <= 1.3 * early + 0.1)
    total = (sum(last["cpu"].values()) - sum(first["cpu"].values())) / 1e7 / (last["time"] - first["time"])
    verdicts.check(f"kiln's own CPU ≤ {CPU_LIMIT_PCT} % of a core", f"{total:.2f} %", total <= CPU_LIMIT_PCT)
    return verdicts


def soak_redis(options):
    """redis-server under redis-benchmark, the dashboard open in tmux."""
    with real.redis() as target, h.Terminal(100, 30) as terminal:
        terminal.type(f"clear; {h.KILN} {target.pid}; echo status-$?")
        terminal.expect("LIVE", "%", seconds=20)
        terminal.keys("2")
        terminal.expect("FUNCTION")
        watch = Watch(terminal.kiln_pid())
        watch_for(watch, options.seconds, lambda: h.is_alive(target.pid))
        screen = terminal.screen().splitlines()[0].strip()
        note(screen)
        terminal.keys("S")
        files = h.wait_until(lambda: glob.glob(terminal.socket + ".data/kiln/*.kiln"), "a snapshot", 60)
        size = os.path.getsize(files[0])
        summary = h.report(files[0])
        verdicts = judge(summary, watch, 0.99)
        terminal.keys("q")
        terminal.expect("status-0")
        shutil.rmtree(terminal.socket + ".data", ignore_errors=True)
    text = (f"### redis-server under redis-benchmark, {options.seconds} s at 99 Hz, dashboard open\n\n{verdicts.text()}\n"
            f"{watch.table()}\n{summary['overhead']['probe_ns']:.0f} ns a sample, {summary['overhead']['target_pct']:.2f}"
            f" % of the target's CPU time; the snapshot has {size / 1024:,.0f} KiB.\n")
    return text, verdicts.holds()


CLANG_HEAD = """#include <bits/stdc++.h>
template <int N> struct key {
	int v;
	bool operator<(const key &o) const { return v * (N % 7 + 1) < o.v; }
};
template <int N> __attribute__((always_inline)) inline unsigned mix(unsigned x, unsigned *t)
{
	if ((x ^ N) & 1)
		x = x * 2654435761u + t[(x >> 3) % 64];
	else
		t[(x + N) % 64] ^= x >> (N % 13);
	if constexpr (N > 0)
		return mix<N - 1>(x, t);
	return x;
}
"""


def write_clang_source(path, count):
    """One source that keeps the front end (containers of count / 5 types) and the optimiser (long functions) at work."""
    with open(path, "w", encoding="utf-8") as file:
        file.write(CLANG_HEAD)
        for i in range(count):
            if i % 5 == 0:
                file.write(f"int g{i}(int x) {{ std::map<key<{i}>, std::vector<key<{i}>>> m; for (int i = 0; i < x; i++) "
                           f"m[key<{i}>{{i % 7}}].push_back(key<{i}>{{i}}); int s = 0; for (auto &p : m) {{ "
                           f"std::sort(p.second.begin(), p.second.end()); s += p.second.front().v; }} return s; }}\n")
            else:
                file.write(f"unsigned f{i}(unsigned x, unsigned *t) {{ for (unsigned i = 0; i < x; i++) "
                           f"x += mix<{150 + i % 50}>(x ^ {i}, t); return x; }}\n")


def soak_clang(options):
    """One clang++ at one huge source under `kiln record --`."""
    clang = real.find("clang++")
    with h.scratch() as directory:
        source, path = directory + "/huge.cc", directory + "/clang.kiln"
        command = [clang, "-std=c++17", "-O2", "-c", source, "-o", "/dev/null"]
        trial = 60
        write_clang_source(source, trial)
        began = time.monotonic()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        count = int(trial * 1.3 * options.seconds / (time.monotonic() - began)) + trial
        write_clang_source(source, count)
        note(f"clang++: {count} functions")
        with h.spawn(h.KILN, "record", "-d", str(options.seconds + 10), "-o", path, "--", *command) as recorder:
            h.wait_until(lambda: len(h.roles(recorder.pid)["interface"]) == 1, "kiln runs")
            watch = Watch(recorder.pid)
            watch_for(watch, options.seconds, lambda: recorder.poll() is None)
            recorder.wait(120)
        size = os.path.getsize(path)
        summary = h.report(path)
        verdicts = judge(summary, watch, 0.99)
    text = (f"### One clang++ -O2 at a source of {count:,} functions, {summary['duration_s']:.0f} s at 99 Hz, "
            f"`kiln record -- clang++ …`\n\n{verdicts.text()}\n{watch.table()}\n"
            f"{summary['overhead']['probe_ns']:.0f} ns a sample, {summary['overhead']['target_pct']:.2f} % of the "
            f"target's CPU time; the snapshot has {size / 1024:,.0f} KiB.\n")
    return text, verdicts.holds()


# ---- kills ----

def everything():
    return {(kind, item["id"]) for kind in ("prog", "link", "map") for item in m.bpf_list(kind)}


class Victim:
    """A kiln at one target, as a dashboard or as a recorder, in a terminal of its own."""

    def __init__(self, kind, target, directory):
        self.kind, self.target = kind, target
        self.path = directory + "/kill.kiln"
        arguments = [str(target.pid)] if kind == "dashboard" else ["record", "-p", str(target.pid), "-o", self.path]
        self.terminal = m.Pty(h.KILN, *arguments, env={"XDG_DATA_HOME": directory + "/data"})
        self.probe = self.terminal.child()
        self.pids = {self.probe}

    def roles(self):
        """What is alive now of this kiln, by role."""
        roles = h.roles(self.probe) if h.is_alive(self.probe) else {"probe": [], "interface": [], "workers": []}
        self.pids.update(sum(roles.values(), []))
        return roles

    def gone(self):
        self.pids.update(pid for pid, parent in h.kiln_processes() if parent in self.pids)
        return not any(map(h.is_alive, self.pids))


def kill_once(kind, phase, target, directory, dice):
    """One kill; returns (role, seconds until all was gone or None when it went on, trouble or None)."""
    before = everything()
    victim = Victim(kind, target, directory)
    with victim.terminal as terminal:
        if phase == "attach":
            terminal.drain(dice.uniform(0, 0.4))
        else:
            h.wait_until(lambda: terminal.read(0.02) or any(
                "bpf-map" in open(f"/proc/{pid}/maps", encoding="utf-8").read()
                for pid in victim.roles()["interface"]), "attached", 20)
            terminal.drain(dice.uniform(0.2, 1.5))
        if phase == "detach":
            for pid in victim.roles()["interface"]:
                os.kill(pid, signal.SIGINT)
            terminal.drain(dice.uniform(0, 0.1))
        roles = victim.roles()
        choice = [(role, pid) for role, pids in roles.items() for pid in pids]
        if not choice:
            return "ended before", None, None
        role, pid = dice.choice(choice)
        used = m.cpu_ns(target.pid)
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        began = time.monotonic()
        trouble = seconds = None
        if role == "workers" and phase != "detach":
            trouble = check_goes_on(victim, pid, phase)
            began = time.monotonic()
            for each in victim.roles()["interface"]:
                os.kill(each, signal.SIGINT)
        deadline = 1 if role != "workers" else 3
        while not victim.gone() and time.monotonic() - began < 10:
            terminal.read(0.01)
        seconds = time.monotonic() - began
        if seconds > deadline:
            left = {pid: state(pid) for pid in victim.pids if h.is_alive(pid)}
            trouble = trouble or f"processes gone after {seconds:.2f} s only {left or ''}"
        left = None
        while time.monotonic() - began < 10:
            # When the look begins counts: on a busy machine the look itself takes long.
            look = time.monotonic() - began
            left = everything() - before - m.others_hold(victim.pids)
            if not left:
                break
            terminal.read(0.05)
        if left:
            trouble = trouble or f"BPF objects left: {sorted(left)}"
        elif look > deadline:
            trouble = trouble or f"BPF objects gone after {look:.2f} s only"
        terminal.drain(0.1)
        if terminal.terminal_modes() != terminal.modes:
            trouble = trouble or "the terminal's modes are not as before"
        if not h.is_alive(target.pid):
            trouble = trouble or "the target has died"
        else:
            with contextlib.suppress(AssertionError):
                h.wait_until(lambda: m.cpu_ns(target.pid) > used + 10_000_000, "the target computes", 3)
            if m.cpu_ns(target.pid) <= used + 10_000_000:
                trouble = trouble or "the target computes no more"
        if trouble:
            trouble += f" (screen: {' / '.join(line.strip() for line in terminal.screen.text().splitlines() if line.strip())[-300:]})"
    return role, seconds, trouble


def state(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
            return file.read().rpartition(")")[2].split()[0]
    except OSError:
        return "gone"


def check_goes_on(victim, worker, phase):
    """A killed worker is replaced, and the kiln that it served goes on."""
    def mended():
        victim.terminal.read(0.01)
        roles = victim.roles()
        return len(roles["workers"]) == 2 and worker not in roles["workers"] and len(roles["interface"]) == 1
    try:
        h.wait_until(mended, "a new worker", 5)
    except AssertionError:
        return f"no new worker within 5 s: {victim.roles()}"
    if phase == "attach":
        # The attach that it disturbed comes to its end.
        try:
            h.wait_until(lambda: victim.terminal.read(0.02) or any(
                "bpf-map" in open(f"/proc/{pid}/maps", encoding="utf-8").read()
                for pid in victim.roles()["interface"]), "attached", 10)
        except (AssertionError, OSError):
            return "the attach did not end within 10 s after a worker was killed"
    return None


def soak_kills(options):
    """Random kill -9 of a random process at a random moment."""
    dice = random.Random(options.seed)
    counts = collections.Counter()
    times = collections.defaultdict(list)
    troubles = []
    with h.workload("hot-split") as target, h.scratch() as directory:
        for number in range(options.kills):
            kind, phase = dice.choice(["dashboard", "record"]), dice.choice(["attach", "run", "detach"])
            try:
                role, seconds, trouble = kill_once(kind, phase, target, directory, dice)
            except AssertionError as error:
                role, seconds, trouble = "none", None, str(error)
            counts[(kind, phase, role)] += 1
            if seconds is not None and role in ("probe", "interface"):
                times[role].append(seconds)
            if trouble:
                troubles.append(f"kill {number}, {kind}, {phase}, {role}: {trouble}")
                note(troubles[-1])
    rows = [[kind, phase, role, count] for (kind, phase, role), count in sorted(counts.items())]
    verdicts = Verdicts()
    for role in ("probe", "interface"):
        if times[role]:
            verdicts.check(f"{role} killed: no process left after 1 s",
                           f"{len(times[role])} times, {m.median(times[role]):.2f} s, at most {max(times[role]):.2f} s",
                           max(times[role]) <= 1)
    verdicts.check("nothing else went wrong (objects in the kernel, terminal, target, replaced workers)",
                   f"{len(troubles)} of {options.kills}", not troubles)
    text = f"### {options.kills} random kill -9 (seed {options.seed})\n\n{verdicts.text()}\n" + m.table(
        ["kiln", "moment", "killed", "times"], rows)
    if troubles:
        text += "\n" + "\n".join(f"- {trouble}" for trouble in troubles) + "\n"
    return text, verdicts.holds()


# ---- agreement with perf ----

def soak_perf(options):
    """The comparison of make test with three times the samples."""
    lines, good = [], True
    for name, program in (("redis-server", real.redis), ("sqlite3", real.sqlite), ("python3", real.python)):
        note(f"perf: {name}")
        # A target that shares its CPU gets less than 999 samples a second: twice the time is enough here.
        seconds = int(PERF_SAMPLES / real.HZ * (2.2 if name == "redis-server" else 1.6)) + 2
        output = io.StringIO()
        try:
            with contextlib.redirect_stdout(output):
                real.compare(program, seconds=seconds, least=PERF_SAMPLES)
            verdict = "within 3 points"
        except AssertionError as error:
            good, verdict = False, f"**{error}**"
        found = [line.removeprefix("# ") for line in output.getvalue().splitlines()]
        lines.append([name, found[0] if found else "", "<br>".join(found[1:]), verdict])
    return f"### Self time beside perf record, ≥ {PERF_SAMPLES:,} samples, 999 Hz\n\n" + m.table(
        ["target", "samples", "the five largest ranges", "verdict"], lines), good


# ---- unwind rows ----

def soak_rows(options):
    """Every row of the big files equal to readelf's, by the test that make test runs on three libraries."""
    lines, good = [], True
    for name in ("libcrypto.so.3", "python3", "node", "libLLVM-14.so.1"):
        path = walker.find_file(name)
        if not path:
            lines.append([name, "not installed", "", "not measured"])
            continue
        note(f"rows: {name}")
        began = time.monotonic()
        result = subprocess.run([os.path.join(h.ROOT, "tests/e2e/test_unwind_rows.py"), path], capture_output=True,
                                text=True, check=False)
        found = re.search(r"(\d+) rows of readelf, (.*)", result.stdout)
        good = good and result.returncode == 0
        lines.append([name, found[1] if found else result.stdout[-200:], found[2] if found else "",
                      f"{time.monotonic() - began:.0f} s", "yes" if result.returncode == 0 else "**no**"])
    return "### Unwind rows beside readelf's\n\n" + m.table(["file", "rows of readelf", "compared", "took", "all equal"],
                                                           lines), good


# ---- complete stacks ----

def soak_complete(options):
    """One row a program, perf's stack copies beside it."""
    return complete.soak_complete(options, note)


# ---- a fresh system ----

# Not chroot: from inside of one the kernel gives nobody namespaces.
INSIDE = """set -e
mount --bind "$1" "$1"
mount -t proc proc "$1/proc"
mount -t sysfs sys "$1/sys"
mount --rbind /dev "$1/dev"
cd "$1"
mkdir -p .outside
pivot_root . .outside
cd /
umount -l .outside
exec su - somebody -c "cd kiln && $2"
"""


def apt_mirror():
    """Where this machine's apt takes bookworm from; never written down."""
    result = subprocess.run(["apt-get", "indextargets", "--format", "$(SITE)", "Created-By: Packages",
                             "Codename: bookworm"], capture_output=True, text=True, check=True)
    if not result.stdout.strip():
        raise AssertionError("apt here knows no bookworm")
    return result.stdout.split()[0]


def mounts_of(pid):
    """The mount namespace of a process; None when it has ended."""
    try:
        return os.readlink(f"/proc/{pid}/ns/mnt")
    except OSError:
        return None


def end_inside(mounts):
    """Ends what still runs in the fresh system, which has mounts of its own."""
    for entry in os.listdir("/proc"):
        if entry.isdigit() and mounts and mounts_of(entry) == mounts:
            with contextlib.suppress(OSError):
                os.kill(int(entry), signal.SIGKILL)


def inside(root, command, limit_s):
    """(exit status, seconds, output) of a shell line of an ordinary user in the fresh system, without a terminal."""
    began = time.monotonic()
    process = subprocess.Popen(["unshare", "--mount", "sh", "-c", INSIDE, "sh", root, command], text=True,
                               stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                               start_new_session=True)
    own = mounts_of("self")
    h.wait_until(lambda: mounts_of(process.pid) != own, "the fresh system has its mounts")
    mounts = mounts_of(process.pid)
    try:
        output, _ = process.communicate(timeout=limit_s)
    except subprocess.TimeoutExpired:
        end_inside(mounts)
        os.killpg(process.pid, signal.SIGKILL)
        output, _ = process.communicate()
        output += f"\nended after {limit_s} s"
    end_inside(mounts)
    return process.returncode, time.monotonic() - began, output


def soak_debootstrap(options):
    """The README's two commands in a bookworm that has only sudo."""
    root = tempfile.mkdtemp(prefix="kiln-bookworm-", dir="/var/tmp")
    os.chmod(root, 0o755)
    verdicts = Verdicts()
    shown = ""
    try:
        began = time.monotonic()
        subprocess.run(["debootstrap", "--variant=minbase", "--include=sudo", "bookworm", root, apt_mirror()],
                       check=True, stdout=subprocess.DEVNULL)
        note(f"bookworm after {time.monotonic() - began:.0f} s")
        for name in ("resolv.conf", "hosts"):
            shutil.copy("/etc/" + name, root + "/etc/" + name)
        subprocess.run(["chroot", root, "useradd", "-m", "-s", "/bin/bash", "somebody"], check=True)
        with open(root + "/etc/sudoers.d/somebody", "w", encoding="utf-8") as file:
            file.write("somebody ALL=(ALL) NOPASSWD: ALL\n")
        subprocess.run(["git", "clone", "-q", "--no-hardlinks", h.ROOT, root + "/home/somebody/kiln"], check=True)
        subprocess.run(["chroot", root, "chown", "-R", "somebody:somebody", "/home/somebody/kiln"], check=True)
        status, seconds, output = inside(root, "sudo apt-get install -y make && sudo make demo", 1200)
        verdicts.check("`sudo apt-get install -y make && sudo make demo`", f"exit {status} after {seconds:.0f} s",
                       status == 0 and "mandelbrot_iterate" in output)
        shown = "\n".join(output.splitlines()[-30:])
        owner = subprocess.run(["find", root + "/home/somebody/kiln", "-user", "root"], capture_output=True, text=True,
                               check=True).stdout.split()
        verdicts.check("nothing of root's in the clone", f"{len(owner)} files", not owner)
        status, seconds, output = inside(root, "make", 600)
        verdicts.check("plain `make` as a user afterwards", f"exit {status} after {seconds:.0f} s", status == 0)
        if options.test_inside:
            status, seconds, output = inside(root, "sudo make test", 2400)
            last = next((line for line in reversed(output.splitlines()) if re.search(r"\d+ passed", line)), "no result")
            verdicts.check("`sudo make test`", f"{last}; {seconds:.0f} s", status == 0)
            if status:
                lines = [line.strip() for line in output.splitlines()]
                failed = [" ".join(lines[number:number + 3]) if "AssertionError:" in line else line
                          for number, line in enumerate(lines) if re.search(r"not ok \d+ - |AssertionError:", line)]
                shown += "\n\n" + "\n".join(failed[:60])
    finally:
        shutil.rmtree(root, ignore_errors=True)
    # Names of this machine and its mirror stay out of the document.
    shown = re.sub(r"https?://\S+", "(mirror)", shown)
    shown = re.sub(r"UTC on \S+", "UTC", shown)
    return f"### Debian 12 from debootstrap, only sudo added\n\n{verdicts.text()}\n```\n{shown}\n```\n", verdicts.holds()


PARTS = {"redis": soak_redis, "clang": soak_clang, "kills": soak_kills, "perf": soak_perf,
         "rows": soak_rows, "complete": soak_complete, "debootstrap": soak_debootstrap}


def main():
    parser = argparse.ArgumentParser(description="the long figures of kiln")
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--seconds", type=int, default=600)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--samples", type=int, default=30000)
    parser.add_argument("--row", action="append", choices=complete.rows(), metavar="NAME")
    parser.add_argument("--test-inside", action="store_true")
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(PARTS))
    options = parser.parse_args()
    for name in options.names:
        if name not in PARTS:
            parser.error(f"no part {name}; there are {', '.join(PARTS)}")
    if os.geteuid() != 0:
        sys.exit("run.py: needs root: programs are attached (sudo make soak)")
    about = m.machine()
    print(f"{about}\n", flush=True)
    good = True
    for name in options.names or PARTS:
        note(name)
        text, held = PARTS[name](options)
        good = good and held
        print(text, flush=True)
        if options.write:
            m.write_section(DOCUMENT, name, f"{text}\n*{about}*\n")
    print("all promises held" if good else "not all promises held")
    sys.exit(not good)


if __name__ == "__main__":
    main()
