"""What the tests of the heap share: programs that keep books of their own, kiln beside them, and the comparison."""

import contextlib
import json
import os
import re
import select
import subprocess

import harness as h

KINDS = ("session", "perf")
# Of the interface: three mappings belong to the CPU's ring; the heap's ring, sums and counters come with the probes.
MAPPINGS_WITH_HEAP = 6
METRICS = {"live-bytes": "live_bytes", "live-count": "live_count", "alloc-bytes": "alloc_bytes",
           "alloc-count": "alloc_count", "peak-bytes": "peak_bytes"}
SUMS = {"live-bytes": "live_bytes", "live-count": "live_blocks", "alloc-bytes": "alloc_bytes",
        "alloc-count": "allocs", "peak-bytes": "peak_bytes"}
HEAP_LOST = ("heap_ring_full", "heap_scratch_busy", "live_map_full", "stack_map_full")


def for_both_links(*tests):
    """Each test twice: with uprobe sessions, and with perf-event uprobes."""
    def bind(test, kind):
        def bound():
            h.need_root()
            need_links(kind)
            test(kind)
        bound.__name__ = f"{test.__name__}_{kind}"
        return bound
    return [bind(test, kind) for test in tests for kind in KINDS]


DOCTOR = []


def need_links(kind):
    """Kernels before 6.13 have no uprobe sessions; doctor finds that out by trying."""
    if not DOCTOR:
        DOCTOR.append(h.run("doctor").stdout)
    said = re.search(rf"^[^:\n]*{kind}[^:\n]*: no: (.*)$", DOCTOR[0], re.M)
    if said:
        raise h.Skip(f"no uprobe links of the kind {kind}: {said[1]}")


# ---- a program that keeps books ----

class Books:
    """A workload with a ledger: waits for a line before it works, prints what it knows, waits again."""

    def __init__(self, name, *arguments, env=None, command=None):
        command = command or [os.path.join(h.WORKLOADS, name), *map(str, arguments)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                        env=dict(os.environ, **(env or {})))
        self.pid = self.process.pid

    def __enter__(self):
        h.wait_for_words(self.process, "ready")
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()

    def go(self):
        self.process.stdin.write("go\n")
        self.process.stdin.flush()

    def line(self, seconds=30):
        ready, _, _ = select.select([self.process.stdout], [], [], seconds)
        h.expect(ready, "the workload says nothing")
        line = self.process.stdout.readline()
        h.expect(line, f"the workload ended early: status {self.process.poll()}")
        return line

    def json(self, seconds=30):
        return json.loads(self.line(seconds))

    def end(self):
        """By the end of its stdin."""
        self.process.stdin.close()
        h.expect(self.process.wait(timeout=h.DEADLINE_S) == 0, f"status {self.process.returncode}")


def counter_of(path):
    with open(path, "rb") as file:
        return int.from_bytes(file.read(8), "little")


def expect_computing(process, path):
    """It lives, and its counter advances."""
    begin = counter_of(path)
    h.wait_until(lambda: process.poll() is not None or counter_of(path) > begin + 100, "the target computes on")
    h.expect(process.poll() is None, f"the target ended: {process.poll()}")


# ---- the target's code ----

def code_mappings(pid):
    with open(f"/proc/{pid}/maps", encoding="utf-8", errors="replace") as maps:
        for line in maps:
            fields = line.split(None, 5)
            if "x" in fields[1] and fields[4] != "0":
                start, end = (int(word, 16) for word in fields[0].split("-"))
                yield start, end, int(fields[2], 16), fields[5].strip()


def changed_code(pid):
    """Where the executable memory of the target differs from its files: {(path, file offset): byte in memory}."""
    changed = {}
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        for start, end, offset, path in code_mappings(pid):
            with open(f"/proc/{pid}/map_files/{start:x}-{end:x}", "rb") as file:
                file.seek(offset)
                expected = file.read(end - start)
            memory.seek(start)
            found = memory.read(end - start)[:len(expected)]
            if found == expected:
                continue
            for page in range(0, len(expected), 4096):
                if found[page:page + 4096] != expected[page:page + 4096]:
                    for i in range(page, min(page + 4096, len(expected))):
                        if found[i] != expected[i]:
                            changed[path, offset + i] = found[i]
    return changed


def traps(pid, path=""):
    """How many places of the module (all modules) hold a trap."""
    try:
        return sum(1 for (name, _), byte in changed_code(pid).items() if byte == 0xCC and path in name)
    except OSError:
        return 0


def expect_untouched(pid):
    changed = changed_code(pid)
    h.expect(not changed, f"code bytes differ from the files: {list(changed.items())[:8]}")


# ---- what is left behind ----

def bpftool(*arguments):
    result = subprocess.run(["/usr/sbin/bpftool", "-j", *map(str, arguments)], capture_output=True, text=True,
                            check=False)
    return json.loads(result.stdout or "[]") if result.returncode == 0 else []


def programs():
    """The kernel's BPF programs and links."""
    return {(kind, item["id"]) for kind in ("prog", "link") for item in bpftool(kind, "list")}


def held_by_others():
    """Programs and links that processes hold that are none of ours: another kiln on this machine is no finding."""
    ours, held = {pid for pid, _ in h.kiln_processes()}, set()
    for pid in filter(str.isdigit, os.listdir("/proc")):
        if int(pid) in ours:
            continue
        with contextlib.suppress(OSError):
            for fd in os.listdir(f"/proc/{pid}/fd"):
                with contextlib.suppress(OSError):
                    if not os.readlink(f"/proc/{pid}/fd/{fd}").startswith("anon_inode:bpf"):
                        continue
                    with open(f"/proc/{pid}/fdinfo/{fd}", encoding="ascii", errors="replace") as file:
                        held |= {(kind, int(number)) for kind, number in
                                 re.findall(r"^(prog|link)_id:\s*(\d+)", file.read(), re.M)}
    return held


def programs_left(before):
    left = programs() - before
    return left and left - held_by_others()


# ---- kiln beside it ----

def interface_mappings(probe):
    for pid in h.roles(probe)["interface"]:
        with contextlib.suppress(OSError), open(f"/proc/{pid}/maps", encoding="utf-8") as maps:
            return maps.read().count("bpf-map")
    return 0


def has_heap(recording, pid):
    """The traps are in place, and the interface has what it needs to read the books."""
    h.expect(recording.process.poll() is None, f"kiln ended: {recording.process.poll()}")
    return interface_mappings(recording.process.pid) >= MAPPINGS_WITH_HEAP and traps(pid)


def wait_heap(recording, pid):
    h.wait_until(lambda: has_heap(recording, pid), "the heap's probes are in place", 20)
    return recording


def knows_mappings(pid):
    """The walker has the mappings that the target has now: every start is in one of kiln's published lists."""
    wanted = {start for start, _, _, _ in code_mappings(pid)}
    for item in bpftool("map", "list"):
        if item.get("name") != "kiln_mappings":
            continue
        known = {int.from_bytes(bytes(int(byte, 16) for byte in element["value"][:8]), "little")
                 for element in bpftool("map", "dump", "id", item["id"])}
        if wanted <= known:
            return True
    return False


def start(pid, directory, kind, *more, heap="exact"):
    return h.Recording(directory, "-p", pid, f"--heap={heap}", *more, env={"KILN_UPROBES": kind})


def attach(pid, directory, kind, *more, heap="exact"):
    return wait_heap(start(pid, directory, kind, *more, heap=heap), pid)


def wait_module(pid, path):
    """Modules get their probes one after the other; this one has malloc, calloc, realloc and free."""
    h.wait_until(lambda: traps(pid, path) >= 4, f"probes in {path}")


# ---- what it says ----

def finish(recording, **more):
    return Reports(recording.finish(**more))


class Reports:
    """The views of one snapshot, each read once."""

    def __init__(self, path):
        self.path, self.known = path, {}

    def get(self, view, metric=None):
        if (view, metric) not in self.known:
            self.known[view, metric] = h.report(self.path, view, *(["--metric", metric] if metric else []))
        return self.known[view, metric]

    def summary(self):
        return self.get("summary")

    def alloc(self, metric="live-bytes"):
        return self.get("alloc", metric)

    def words(self):
        """What the text says about the heap, and why."""
        text = h.expect_exit(0, "report", self.path).stdout
        lines = [line.strip() for line in text.splitlines() if line.strip().startswith("heap")]
        return " ".join(lines + [(self.summary()["heap"] or {}).get("why") or ""])

    def is_measured(self):
        heap = self.summary()["heap"]
        return bool(heap) and heap["allocs"] is not None


def rows_of(alloc, function):
    name = re.compile(rf"(^|::){re.escape(function)}(\(|$)")
    return [row for row in alloc["rows"] if name.search(row["function"] or "")]


def sum_of(alloc, function, column="self"):
    return sum(row[column] for row in rows_of(alloc, function))


def expect_closed(reports, gone=None, skip=()):
    """The books close, nothing was lost, and the rows of every metric add up to its sum. skip: peak_bytes, where calls
    of several threads were in flight."""
    summary = reports.summary()
    heap, wrong = summary["heap"], []
    gone = gone or {"blocks": 0, "bytes": 0}

    def same(what, found, expected):
        if found != expected:
            wrong.append(f"{what}: {found}, not {expected}")
    h.expect(reports.is_measured(), f"not measured: {reports.words()}")
    same("allocs = frees + live + gone", heap["allocs"], heap["frees"] + heap["live_blocks"] + gone["blocks"])
    same("the same in bytes", heap["alloc_bytes"], heap["free_bytes"] + heap["live_bytes"] + gone["bytes"])
    for reason in HEAP_LOST:
        same(f"lost {reason}", summary["lost"][reason], 0)
    for metric, field in SUMS.items():
        if field in skip:
            continue
        alloc = reports.alloc(metric)
        same(f"metric of --metric {metric}", alloc["metric"], metric)
        same(f"total of {metric}", alloc["total"], heap[field])
        same(f"Σ self of {metric}", sum(row["self"] for row in alloc["rows"]), heap[field])
    h.expect(not wrong, "; ".join(wrong))
    return summary


def expect_closed_or_said(reports, *words):
    """Measured, with books that close, or not at all: then one of the words says why. Returns whether measured."""
    if reports.is_measured():
        expect_closed(reports, skip=("peak_bytes",))
        return True
    said = reports.words()
    h.expect("not measured" in said, f"the text says: {said!r}")
    h.expect(any(word in said.lower() for word in words), f"none of {words} in {said!r}")
    return False


def expect_owners(reports, owners, skip=(), by_total=()):
    wrong, live = [], reports.alloc()
    for metric, field in METRICS.items():
        if field in skip:
            continue
        for owner in owners:
            function = owner["function"]
            column = "total" if function in by_total else "self"
            found = sum_of(reports.alloc(metric), function, column)
            if found != owner[field]:
                wrong.append(f"{function}, {metric}: {found}, not {owner[field]}")
            # The same figure stands in the columns of any metric's rows.
            rows = rows_of(live, function)
            found = sum(row[field] for row in rows)
            if rows and column == "self" and found != owner[field]:
                wrong.append(f"{function}, {field} of its row: {found}, not {owner[field]}")
    h.expect(not wrong, "; ".join(wrong))


def expect_ledger(reports, expected, skip=(), by_total=()):
    """Every figure that the program knows, and every owner's; skip: figures that it cannot know exactly; by_total:
    owners whose allocation lies in a function that they call."""
    summary = reports.summary()
    heap = summary["heap"] or {}
    wrong = [f"{field}: {heap.get(field)}, not {value}" for field, value in expected["heap"].items()
             if field not in skip and heap.get(field) != value]
    h.expect(not wrong, "; ".join(wrong) + ("" if heap else reports.words()))
    expect_closed(reports, expected["gone"], skip)
    expect_owners(reports, expected["owners"], skip, by_total)
    h.expect(heap["mode"] == "exact" and heap["sample_bytes"] is None and not heap["why"], f"{heap}")
    h.expect(0 <= heap["peak_at_s"] <= summary["duration_s"], f"peak_at_s {heap['peak_at_s']}")
    print(f"# {heap['allocs']} allocations, {heap['live_bytes']} bytes live, {summary['overhead']['probe_hits']} hits")
    return summary


@contextlib.contextmanager
def attached(kind, name, *arguments, env=None, module=None):
    """A program with books, waiting to begin, and kiln attached to its heap; module: what else brings an allocator."""
    with Books(name, *arguments, env=env) as target, h.scratch() as directory:
        recording = attach(target.pid, directory, kind)
        if module:
            wait_module(target.pid, module)
        yield target, recording
        expect_untouched(target.pid)


def check(kind, name, *arguments, env=None, module=None, **more):
    """The whole of a simple one: one line, one ledger, equal."""
    with attached(kind, name, *arguments, env=env, module=module) as (target, recording):
        target.go()
        expected = target.json()
        return expect_ledger(finish(recording), expected, **more)
