"""What bench and soak share: the machine in words, CPU time and memory of kiln's processes, BPF objects, a terminal
that knows when a word came, and the way of results into docs/."""

import fcntl
import json
import os
import pty
import re
import select
import signal
import statistics
import struct
import subprocess
import sys
import termios
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "e2e"))
import harness as h  # noqa: E402

BPFTOOL = "/usr/sbin/bpftool"


def let_pass(seconds):
    """A measurement takes its time; nothing is waited for."""
    select.select([], [], [], max(0, seconds))


# ---- words ----

def machine():
    """What the figures depend on; nothing that tells whose machine it is."""
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        model = next((line.partition(":")[2].strip() for line in file if line.startswith("model name")), "x86-64")
    with open("/proc/meminfo", encoding="utf-8") as file:
        memory_kib = int(file.readline().split()[1])
    clock = "no hardware counters" if not os.path.isdir("/sys/bus/event_source/devices/cpu") else "hardware counters"
    return (f"{time.strftime('%Y-%m-%d', time.gmtime())}, {os.cpu_count()} cores ({model}), "
            f"{memory_kib / 2**20:.0f} GiB, kernel {os.uname().release.split('-')[0]}, {clock}, load average at the "
            f"start {os.getloadavg()[0]:.1f}")


def table(header, rows):
    lines = ["| " + " | ".join(map(str, row)) + " |" for row in [header, ["---"] * len(header), *rows]]
    return "\n".join(lines) + "\n"


def write_section(path, name, text):
    """Replaces what stands between the two marks of that name, or adds it at the end."""
    begin, end = f"<!-- begin {name} -->\n", f"<!-- end {name} -->\n"
    with open(path, encoding="utf-8") as file:
        old = file.read()
    new = begin + text.rstrip("\n") + "\n" + end
    if begin in old and end in old:
        head, tail = old.partition(begin)[0], old.partition(end)[2]
        new = head + new + tail
    else:
        new = old.rstrip("\n") + "\n\n" + new
    with open(path + ".new", "w", encoding="utf-8") as file:
        file.write(new)
    os.replace(path + ".new", path)


def median(values):
    return statistics.median(values) if values else float("nan")


def spread(values):
    """Median and the range that the values lie in."""
    def show(value):
        return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return f"{show(median(values))} ({show(min(values))} … {show(max(values))})"


# ---- processes ----

def cpu_ns(pid):
    """CPU time of any process, all threads; 0 when it is gone."""
    try:
        return time.clock_gettime_ns((~pid << 3) | 2)  # MAKE_PROCESS_CPUCLOCK(pid, CPUCLOCK_SCHED)
    except OSError:
        return 0


def family(probe):
    """The probe and all kiln processes below it."""
    everything = h.kiln_processes()
    found = [probe]
    for pid in found:
        found += [child for child, parent in everything if parent == pid and child not in found]
    return found


def cpu_of_family(probe):
    return sum(map(cpu_ns, family(probe)))


def memory_kib(pid):
    """(RSS, PSS) of a process."""
    found = {}
    try:
        with open(f"/proc/{pid}/smaps_rollup", encoding="utf-8") as file:
            for line in file:
                key, _, value = line.partition(":")
                if key in ("Rss", "Pss"):
                    found[key] = int(value.split()[0])
    except OSError:
        pass
    return found.get("Rss", 0), found.get("Pss", 0)


def anonymous_kib(pid):
    """What a process has for itself: neither files nor the shared ring."""
    try:
        with open(f"/proc/{pid}/status", encoding="utf-8") as file:
            return next((int(line.split()[1]) for line in file if line.startswith("RssAnon:")), 0)
    except OSError:
        return 0


def wait_perf_attached(process):
    """perf has mapped its buffers."""
    def attached():
        try:
            with open(f"/proc/{process.pid}/maps", encoding="utf-8") as maps:
                return "[perf_event]" in maps.read()
        except OSError:
            return False
    h.wait_until(attached, "perf is attached", 20)


# ---- BPF objects ----

def bpf_list(kind):
    result = subprocess.run([BPFTOOL, "-j", kind, "list"], capture_output=True, text=True, check=True)
    return json.loads(result.stdout or "[]")


def inner_maps(map_id):
    result = subprocess.run([BPFTOOL, "-j", "map", "dump", "id", str(map_id)], capture_output=True, text=True,
                            check=False)
    # {"key": […], "value": ["0x09", "0x26", "0x00", "0x00"]}: the id, lowest byte first
    return {int.from_bytes(bytes(int(byte, 16) for byte in item["value"]), "little")
            for item in json.loads(result.stdout or "[]") if "value" in item}


def held_by(pids):
    """(kind, id) of what these processes hold by their fds, and what hangs on it."""
    held = set()
    for pid in pids:
        try:
            numbers = os.listdir(f"/proc/{pid}/fd")
        except OSError:
            continue
        for number in numbers:
            try:
                if "bpf" not in os.readlink(f"/proc/{pid}/fd/{number}"):
                    continue
                with open(f"/proc/{pid}/fdinfo/{number}", encoding="utf-8") as file:
                    info = dict(line.split(":", 1) for line in file if ":" in line)
            except OSError:
                continue
            for key, kind in (("map_id", "map"), ("link_id", "link")):
                if key in info:
                    held.add((kind, int(info[key])))
            if "prog_id" in info:
                held.add(("prog", int(info["prog_id"])))
    outer = {item["id"] for item in bpf_list("map") if item["type"].endswith("_of_maps")}
    for item in bpf_list("prog"):
        if ("prog", item["id"]) in held:
            held |= {("map", number) for number in item.get("map_ids", [])}
    for number in outer:
        if ("map", number) in held:
            held |= {("map", inner) for inner in inner_maps(number)}
    return held


def maps_kib(probe):
    """Kernel memory of all maps of this kiln."""
    own = held_by(family(probe))
    return sum(item["bytes_memlock"] for item in bpf_list("map") if ("map", item["id"]) in own) // 1024


def others_hold(mine):
    """What processes other than mine hold: other kilns may come and go meanwhile."""
    pids = [int(entry) for entry in os.listdir("/proc") if entry.isdigit() and int(entry) not in mine]
    return held_by(pids)


class Statistics:
    """The kernel's own count and time of each program, on while in the block."""

    FILE = "/proc/sys/kernel/bpf_stats_enabled"

    def __enter__(self):
        with open(self.FILE, encoding="utf-8") as file:
            self.before = file.read()
        with open(self.FILE, "w", encoding="utf-8") as file:
            file.write("1")
        return self

    def __exit__(self, *_):
        with open(self.FILE, "w", encoding="utf-8") as file:
            file.write(self.before)

    @staticmethod
    def of(probe):
        """(runs, nanoseconds) of the sampling program of this kiln."""
        own = held_by(family(probe))
        for item in bpf_list("prog"):
            if ("prog", item["id"]) in own and item["type"] == "perf_event":
                return item.get("run_cnt", 0), item.get("run_time_ns", 0)
        return 0, 0


# ---- a terminal ----

class Screen:
    """The cells that a program has drawn, from the bytes of TERM=xterm-256color: as much of it as kiln and perf use."""

    SEQUENCE = re.compile(r"\x1b(\[[?>=!]?([0-9;]*)[ -/]*([@-~])|[()][0-9A-B]|[ #%][ -~]|[=>78cDEHMNOZ]|\][^\x07]*\x07)")

    def __init__(self, columns, rows):
        self.columns, self.rows = columns, rows
        self.cells = [[" "] * columns for _ in range(rows)]
        self.x = self.y = 0
        self.rest = b""

    def text(self):
        return "\n".join("".join(row) for row in self.cells)

    def feed(self, data):
        data = self.rest + data
        # An escape sequence or a character that is not whole waits for the next bytes.
        cut = data.rfind(b"\x1b", max(0, len(data) - 32))
        text = data.decode("utf-8", errors="ignore")
        if cut >= 0 and not self.SEQUENCE.match(data[cut:].decode("utf-8", errors="ignore")):
            text, self.rest = data[:cut].decode("utf-8", errors="ignore"), data[cut:]
        else:
            self.rest = b""
        place = 0
        while place < len(text):
            match = self.SEQUENCE.match(text, place) if text[place] == "\x1b" else None
            if match:
                place = match.end()
                if match[3]:
                    self.control(match[3], [int(part or 0) for part in (match[2] or "0").split(";")])
                continue
            self.put(text[place])
            place += 1

    def put(self, character):
        if character == "\r":
            self.x = 0
        elif character == "\n":
            self.line_feed()
        elif character == "\b":
            self.x = max(0, self.x - 1)
        elif character == "\t":
            self.x = min(self.columns - 1, self.x // 8 * 8 + 8)
        elif character >= " ":
            if self.x >= self.columns:
                self.x = 0
                self.line_feed()
            self.cells[self.y][self.x] = character
            self.x += 1
            self.last = character

    def line_feed(self):
        if self.y + 1 < self.rows:
            self.y += 1
        else:
            self.cells = self.cells[1:] + [[" "] * self.columns]

    def control(self, final, numbers):
        count = max(1, numbers[0])
        if final in "Hf":
            self.y = min(self.rows, count) - 1
            self.x = min(self.columns, max(1, numbers[1] if len(numbers) > 1 else 1)) - 1
        elif final == "A":
            self.y = max(0, self.y - count)
        elif final == "B":
            self.y = min(self.rows - 1, self.y + count)
        elif final == "C":
            self.x = min(self.columns - 1, self.x + count)
        elif final == "D":
            self.x = max(0, self.x - count)
        elif final == "G":
            self.x = min(self.columns, count) - 1
        elif final == "d":
            self.y = min(self.rows, count) - 1
        elif final == "X":
            for x in range(self.x, min(self.columns, self.x + count)):
                self.cells[self.y][x] = " "
        elif final == "b":
            for _ in range(count):
                self.put(self.last)
        elif final == "K":
            begin = 0 if numbers[0] else self.x
            end = min(self.columns, self.x + 1) if numbers[0] == 1 else self.columns
            for x in range(begin, end):
                self.cells[self.y][x] = " "
        elif final == "J":
            for y in range(0 if numbers[0] else self.y + 1, self.rows):
                self.cells[y] = [" "] * self.columns
            if not numbers[0]:
                self.control("K", [0])


class Pty:
    """A command under a shell in a terminal of its own, read without pause; the clock starts with the command."""

    COLUMNS, ROWS = 100, 30

    def __init__(self, *command, env=None):
        self.master, slave = pty.openpty()
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", self.ROWS, self.COLUMNS, 0, 0))
        self.modes = termios.tcgetattr(slave)
        self.screen = Screen(self.COLUMNS, self.ROWS)
        self.ended = False

        def own_terminal():
            os.setsid()
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)

        # A shell in between, as in life: when a session's leader dies, the kernel hangs up its terminal.
        self.began = time.monotonic()
        self.process = subprocess.Popen(["/bin/sh", "-c", '"$@"; echo "status-$?"; exec tail -f /dev/null', "sh", *command],
                                        stdin=slave, stdout=slave, stderr=slave, preexec_fn=own_terminal,
                                        env=dict(os.environ, TERM="xterm-256color", LC_ALL="C.UTF-8", **(env or {})))
        os.close(slave)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        try:
            os.killpg(self.process.pid, signal.SIGTERM)
            self.drain(0.3)
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()
        os.close(self.master)

    def terminal_modes(self):
        return termios.tcgetattr(self.master)

    def read(self, seconds):
        """Takes what comes within the time; returns whether something came."""
        ready, _, _ = select.select([self.master], [], [], max(0, seconds))
        if not ready:
            return False
        try:
            data = os.read(self.master, 65536)
        except OSError:
            self.ended = True
            return False
        self.screen.feed(data)
        return True

    def drain(self, seconds):
        end = time.monotonic() + seconds
        while not self.ended and time.monotonic() < end:
            self.read(end - time.monotonic())

    def wait(self, condition, what, seconds=20):
        """Looks at the screen after every piece of output; returns (seconds since the start, what it found)."""
        end = time.monotonic() + seconds
        while True:
            found = condition(self.screen.text())
            if found:
                return time.monotonic() - self.began, found
            if self.ended or time.monotonic() > end:
                raise AssertionError(f"not seen: {what}\n{self.screen.text()}")
            self.read(min(0.5, end - time.monotonic()))

    def keys(self, text):
        os.write(self.master, text.encode())

    def child(self, seconds=5):
        """The command itself: the shell's child."""
        def look():
            try:
                with open(f"/proc/{self.process.pid}/task/{self.process.pid}/children", encoding="utf-8") as file:
                    return [int(pid) for pid in file.read().split()]
            except OSError:
                return []
        return h.wait_until(look, "the command runs", seconds)[0]
