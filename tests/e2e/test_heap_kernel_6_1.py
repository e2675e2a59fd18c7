#!/usr/bin/python3
"""The ledger on Debian 12's own kernel, booted in qemu: the fallback without uprobe sessions. Counts, no timing."""

import glob
import json
import os
import shutil
import subprocess

import harness as h
import heap_books as books

SECONDS = 400
PROGRAMS = ("heap-leak", "heap-peak", "heap-calls", "heap-before", "heap-threads", "heap-fork", "heap-exec",
            "heap-dlopen", "liballoc", "heap-loop")
OUTPUT = []


def boot():
    kernels = sorted(glob.glob(os.path.join(h.BUILD, "kernel/boot/vmlinuz-6.1*")))
    if not kernels:
        raise h.Skip("no 6.1 kernel under build/kernel (tests/kernel/fetch.sh could not download it)")
    if not shutil.which("qemu-system-x86_64"):
        raise h.Skip("no qemu-system-x86_64")
    here = os.path.join(h.ROOT, "tests/kernel")
    files = [h.KILN, "/usr/sbin/bpftool"] + [os.path.join(h.WORKLOADS, name) for name in PROGRAMS]
    result = subprocess.run([here + "/boot.sh", kernels[-1], str(SECONDS), here + "/heap.sh", *files],
                            capture_output=True, text=True, timeout=SECONDS + 60, check=False)
    return result.stdout


def lines(prefix):
    if not OUTPUT:
        OUTPUT.append(boot())
    found = [line.removeprefix(prefix).strip() for line in OUTPUT[0].splitlines() if line.startswith(prefix)]
    h.expect(found, f"no line {prefix!r} in:\n{OUTPUT[0][-6000:]}")
    return found


class PrintedReports(books.Reports):
    """The reports as the script has printed them."""

    def __init__(self, name):
        super().__init__(None)
        for line in lines(f"@@view {name} "):
            view, metric, text = line.split(" ", 2)
            self.known[view, None if metric == "-" else metric] = json.loads(text)

    def words(self):
        return str(self.summary()["heap"])


def check(name, by_owner=True, **more):
    h.expect(lines("6.1"), "the kernel is 6.1")
    h.expect(lines(f"@@record {name} ") == ["0"], "kiln ends with 0")
    h.expect(lines(f"@@code {name} ") == ["0"], f"changed code: {lines(f'@@code {name} ')}")
    h.expect(lines(f"@@ended {name} ") == ["0"], "the target ends with 0")
    expected = json.loads(lines(f"@@ledger {name} ")[0])
    if not by_owner:
        expected["owners"] = []
    books.expect_ledger(PrintedReports(name), expected, **more)


def test_owners_and_totals():
    check("leak")


def test_peak():
    check("peak")


def test_every_call_and_every_failure():
    check("calls")


def test_blocks_from_before():
    check("before")


def test_threads_free_each_others_blocks():
    check("threads", skip=("peak_bytes",))


def test_fork():
    check("fork")


def test_exec():
    # Nobody waits here until the walker has the second program's mappings: its first stacks may be of no one.
    check("exec", by_owner=False)


def test_allocator_of_a_module():
    check("dlopen")


def test_nothing_is_left():
    h.expect(lines("@@left") == ["0"], OUTPUT[0])
    for role in ("probe", "interface", "worker"):
        said = lines(f"@@kill {role} ")
        h.expect(len(said) == 1 and said[0].endswith("left 0 changed 0 alive"), f"{role}: {said}")
        h.expect(not said[0].startswith("had 0 "), f"{role}: there were no traps when it was killed: {said}")
    h.expect("@@never" not in OUTPUT[0], OUTPUT[0])


if __name__ == "__main__":
    h.main([test_owners_and_totals, test_peak, test_every_call_and_every_failure, test_blocks_from_before,
            test_threads_free_each_others_blocks, test_fork, test_exec, test_allocator_of_a_module,
            test_nothing_is_left])
