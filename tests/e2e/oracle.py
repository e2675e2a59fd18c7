"""Self time by FDE range, from a snapshot and from `perf record` of the same seconds: two programs, one yardstick.

Most functions of Debian's programs have no symbol, so names cannot be compared: both sides are summed over the ranges
that readelf prints for .eh_frame, which shares no code with either.
"""

import bisect
import collections
import re
import sqlite3
import subprocess


class Module:
    """File offsets → virtual addresses → the FDE that covers them."""

    def __init__(self, path):
        self.segments = []
        text = subprocess.run(["readelf", "-lW", path], capture_output=True, text=True, check=False).stdout
        for line in text.splitlines():
            fields = line.split()
            if fields[:1] == ["LOAD"] and "E" in line.split("0x")[-2]:
                offset, address, _, size = (int(field, 16) for field in fields[1:5])
                self.segments.append((offset, address, size))
        ranges = set()
        text = subprocess.run(["readelf", "--debug-dump=frames", path], capture_output=True, text=True,
                              check=False).stdout
        for match in re.finditer(r" FDE .*pc=([0-9a-f]+)\.\.([0-9a-f]+)", text):
            ranges.add((int(match[1], 16), int(match[2], 16)))
        self.ranges = sorted(ranges)
        self.starts = [start for start, _ in self.ranges]

    def key(self, offset):
        for begin, address, size in self.segments:
            if begin <= offset < begin + size:
                pc = offset - begin + address
                place = bisect.bisect_right(self.starts, pc) - 1
                if place >= 0 and pc < self.ranges[place][1]:
                    return f"+0x{self.starts[place]:x}"
        return "+other"


class Modules(dict):
    def __missing__(self, path):
        self[path] = Module(path)
        return self[path]


def name_of(path, offset, modules):
    return path.rpartition("/")[2] + modules[path].key(offset)


def from_snapshot(path, modules):
    """Samples by FDE; the kernel is one row."""
    rows = collections.Counter()
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as database:
        query = """select m.kind, m.path, f.offset, s.self, s.self_kernel from stack s
                   join frame f on f.id = s.frame join module m on m.id = f.module where s.self > 0"""
        for kind, file, offset, count, kernel in database.execute(query):
            if kernel:
                rows["[kernel]"] += kernel
            if count > kernel:
                rows[name_of(file, offset, modules) if kind == "file" else f"[{kind}]"] += count - kernel
    return rows


def mappings(pid):
    """Executable mappings of files, before the process ends."""
    found = []
    with open(f"/proc/{pid}/maps", encoding="utf-8") as maps:
        for line in maps:
            fields = line.split(maxsplit=5)
            if "x" in fields[1]:
                start, end = (int(part, 16) for part in fields[0].split("-"))
                found.append((start, end, int(fields[2], 16), fields[5].strip() if len(fields) > 5 else ""))
    return found


def from_perf(data, pid, maps, modules):
    rows = collections.Counter()
    script = subprocess.run(["perf", "script", "-i", data, "--pid", str(pid), "-F", "ip"], capture_output=True, text=True, check=True)
    for line in script.stdout.split():
        pc = int(line, 16)
        if pc >> 63:
            rows["[kernel]"] += 1
            continue
        for start, end, offset, path in maps:
            if start <= pc < end:
                rows[name_of(path, pc - start + offset, modules) if path.startswith("/") else "[vdso]"] += 1
                break
        else:
            rows["[unknown]"] += 1
    return rows
