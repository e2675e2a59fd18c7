#!/usr/bin/python3
"""The ledger: programs that know their heap to the byte, and kiln that has to say the same; with both kinds of links."""

import contextlib
import os
import signal

import harness as h
import heap_books as books


def test_owners_and_totals(kind):
    books.check(kind, "heap-leak", 2000, 100)


def test_target_that_ends(kind):
    """The last books are those of its end."""
    with books.Books("heap-leak", 100, 10) as target, h.scratch() as directory:
        recording = books.attach(target.pid, directory, kind)
        target.go()
        expected = target.json()
        target.end()
        summary = books.expect_ledger(books.finish(recording, how=None), expected)
        h.expect(summary["target"]["exit"] == {"code": 0}, f"{summary['target']}")


def test_peak(kind):
    books.check(kind, "heap-peak")


def test_every_call_and_every_failure(kind):
    books.check(kind, "heap-calls")


def test_blocks_from_before(kind):
    books.check(kind, "heap-before")


def test_threads_free_each_others_blocks(kind):
    """Calls in flight: the peak may be off by what eight threads hold in their hands."""
    with books.attached(kind, "heap-threads", "exchange") as (target, recording):
        target.go()
        expected = target.json()
        summary = books.expect_ledger(books.finish(recording), expected, skip=("peak_bytes",))
        off = abs(summary["heap"]["peak_bytes"] - expected["heap"]["peak_bytes"])
        h.expect(off <= 2 * 8 * 2000, f"peak off by {off}")


def test_threads_end_inside_the_books(kind):
    """An ending thread gives back its cache by calls of free, for blocks that are free already: they are none of the
    books, and count as frees of unknown blocks."""
    with books.attached(kind, "heap-threads", "exit") as (target, recording):
        target.go()
        expected = target.json()
        books.expect_ledger(books.finish(recording), expected, skip=("peak_bytes", "frees_before_attach"))


def test_fork(kind):
    with books.attached(kind, "heap-fork") as (target, recording):
        target.go()
        child = target.json()["child"]
        # It does not pay for its parent's probes: they are taken out of it, or each goes when it is met.
        if kind == "session":
            h.wait_until(lambda: not books.changed_code(child), "the child's code is as in the files")
        else:
            h.wait_until(lambda: books.traps(child) <= books.traps(target.pid) - 2, "no probes on malloc and free")
        target.go()
        expected = target.json()
        reports = books.finish(recording)
        books.expect_ledger(reports, expected)
        h.expect(not books.rows_of(reports.alloc("alloc-bytes"), "child_leaks"), "the child's are not in the books")


def test_exec(kind):
    with books.attached(kind, "heap-exec") as (target, recording):
        target.go()
        h.expect(target.line().strip() == "second", "the second program")
        books.wait_heap(recording, target.pid)
        h.wait_until(lambda: books.knows_mappings(target.pid), "the mappings of the second program are known")
        target.go()
        expected = target.json()
        # What the first program left is gone: in no one's live bytes, but still in who allocated it.
        reports = books.finish(recording)
        books.expect_ledger(reports, expected)
        before = books.sum_of(reports.alloc("alloc-bytes"), "before_exec")
        h.expect(before == 200 * 1000, f"before_exec: {before}")


def test_allocator_of_a_module(kind):
    books.check(kind, "heap-dlopen", os.path.join(h.WORKLOADS, "liballoc"), module="/liballoc")


def test_allocator_that_is_loaded_later(kind):
    """What dlopen itself allocates is not known to the program; the owners' rows are."""
    module = os.path.join(h.WORKLOADS, "liballoc")
    with books.attached(kind, "heap-dlopen", module, "during") as (target, recording):
        target.go()
        h.expect(target.line().strip() == "loaded", "the module is loaded")
        books.wait_module(target.pid, "/liballoc")
        h.wait_until(lambda: books.knows_mappings(target.pid), "its mappings are known")
        target.go()
        expected = target.json()
        reports = books.finish(recording)
        summary = books.expect_closed(reports)
        books.expect_owners(reports, expected["owners"], skip=("peak_bytes",))
        for field in ("failed", "frees_before_attach"):
            h.expect(summary["heap"][field] == expected["heap"][field], f"{field}: {summary['heap']}")
        h.expect(summary["heap"]["allocs"] >= expected["heap"]["allocs"], f"{summary['heap']}")


def test_allocator_in_the_program_that_throws(kind):
    """An exception passes through operator new: its return address must not have been changed."""
    books.check(kind, "heap-own", module="/heap-own")


def test_new_and_delete(kind):
    books.check(kind, "heap-new", by_total=("make_vector",))


def test_wrapped_allocator_counts_once(kind):
    preload = {"LD_PRELOAD": os.path.join(h.WORKLOADS, "liballoc-wrapper")}
    books.check(kind, "heap-leak", 300, 50, env=preload, module="/liballoc-wrapper")
    books.check(kind, "heap-calls", "malloc", "malloc-zero", "malloc-fails", "calloc", "calloc-overflows", "realloc",
                "realloc-fails", "free-nothing", env=preload, module="/liballoc-wrapper")


PACKAGED = ("libjemalloc.so.2", "libtcmalloc_minimal.so.4", "libmimalloc.so.2.0")


def test_allocators_of_packages(kind):
    """They bring the same names; each does its own work in the same books."""
    missing = []
    for name in PACKAGED:
        path = "/usr/lib/x86_64-linux-gnu/" + name
        if not os.path.exists(path):
            missing.append(name)
            continue
        books.check(kind, "heap-leak", 300, 50, env={"LD_PRELOAD": path}, module="/" + name.split(".so")[0])
        books.check(kind, "heap-threads", env={"LD_PRELOAD": path}, module="/" + name.split(".so")[0],
                    skip=("peak_bytes",))
    if len(missing) == len(PACKAGED):
        raise h.Skip("none of them is installed: " + " ".join(missing))


@contextlib.contextmanager
def environment(name, value):
    os.environ[name] = value
    try:
        yield
    finally:
        del os.environ[name]


def test_full_map_is_counted(kind):
    """Room for 256 Ki blocks, and no more to be had: what is refused is neither live nor freed."""
    with environment("KILN_HEAP_MEMORY_BYTES", "1"), books.attached(kind, "heap-leak", 150000, 10) as (target, recording):
        target.go()
        expected = target.json()["heap"]
        summary = books.finish(recording).summary()
        heap = summary["heap"]
        for field in ("allocs", "alloc_bytes", "failed"):
            h.expect(heap[field] == expected[field], f"{field}: {heap[field]}, not {expected[field]}")
        h.expect(heap["allocs"] == heap["frees"] + heap["live_blocks"] + heap["refused_blocks"], f"{heap}")
        h.expect(heap["alloc_bytes"] == heap["free_bytes"] + heap["live_bytes"] + heap["refused_bytes"], f"{heap}")
        h.expect(30000 < heap["refused_blocks"] == summary["lost"]["live_map_full"], f"{heap} {summary['lost']}")
        h.expect(heap["live_blocks"] <= 1 << 18, f"{heap}")
        h.expect("incomplete by at least" in h.expect_exit(0, "report", recording.path).stdout, "the text says it")


def test_full_ring_is_counted(kind):
    """A stack that found the ring full is sent again; until then its bytes are nobody's, and not lost."""
    with environment("KILN_HEAP_RING_BYTES", "4096"), books.attached(kind, "heap-depth", 450) as (target, recording):
        reader = h.roles(recording.process.pid)["interface"][0]
        os.kill(reader, signal.SIGSTOP)
        target.go()
        expected = target.json()["heap"]
        os.kill(reader, signal.SIGCONT)
        reports = books.finish(recording)
        summary = reports.summary()
        h.expect(summary["lost"]["heap_ring_full"] > 0, f"{summary['lost']}")
        for field in ("allocs", "alloc_bytes", "live_blocks", "live_bytes"):
            h.expect(summary["heap"][field] == expected[field], f"{field}: {summary['heap'][field]}")
        total = sum(row["self"] for row in reports.alloc()["rows"])
        h.expect(total == expected["live_bytes"], f"Σ self {total}, not {expected['live_bytes']}")


def depth_of(rows):
    deepest, level = 0, rows
    while level:
        deepest += 1
        level = [child for row in level for child in row.get("children", [])]
    return deepest


def test_deep_stacks(kind):
    with books.attached(kind, "heap-depth", 200) as (target, recording):
        target.go()
        expected = target.json()
        reports = books.finish(recording)
        books.expect_ledger(reports, expected)
        descend = books.rows_of(reports.alloc(), "descend")
        h.expect(len(descend) == 1 and descend[0]["self"] == 0, f"{descend}")
        h.expect(descend[0]["total"] == expected["heap"]["live_bytes"], f"recursion counts once: {descend}")
        depth = depth_of(reports.get("tree", "live-bytes")["rows"])
        h.expect(depth >= 202, f"depth {depth}")


def test_coroutines(kind):
    books.check(kind, "heap-coroutines")


@contextlib.contextmanager
def loop(threads=1, name="heap-loop", *arguments):
    """A program that allocates all the time; yields it and its counter."""
    with h.scratch() as directory:
        path = directory + "/counter"
        with h.workload(name, *arguments, path, *([threads] if name == "heap-loop" else [])) as target:
            yield target, path, directory


def test_attach_and_detach_while_it_allocates(kind):
    with loop(3) as (target, counter, directory):
        for _ in range(2):
            recording = books.attach(target.pid, directory, kind)
            books.expect_computing(target, counter)
            summary = books.expect_closed(books.finish(recording), skip=("peak_bytes",))
            h.expect(summary["heap"]["allocs"] > 100, f"{summary['heap']}")
            h.expect(summary["heap"]["live_blocks"] <= 3 * 16, f"each thread holds 16: {summary['heap']}")
            books.expect_untouched(target.pid)
        books.expect_computing(target, counter)


def test_budget(kind):
    """--heap=auto takes its probes away when they cost too much; the books end there, and the report says so."""
    with loop() as (target, counter, directory):
        recording = books.start(target.pid, directory, kind, "--max-overhead", 1, heap="auto")
        h.wait_until(lambda: books.traps(target.pid), "probes")
        h.wait_until(lambda: not books.changed_code(target.pid), "the probes are away again", 20)
        h.expect(recording.process.poll() is None, "kiln itself goes on")
        books.expect_computing(target, counter)
        reports = books.finish(recording)
        heap = books.expect_closed(reports)["heap"]
        h.expect("budget" in (heap["why"] or ""), f"why: {heap['why']}")


def test_symbols_that_lie(kind):
    """A trap where they point would change what the program computes: it ends when that happens."""
    with loop(1, "heap-lies", os.path.join(h.WORKLOADS, "liballoc-lies")) as (target, counter, directory):
        recording = books.attach(target.pid, directory, kind)
        h.expect(not books.traps(target.pid, "/liballoc-lies"), "no trap in the module that lies")
        books.expect_computing(target, counter)
        h.expect(books.traps(target.pid, "libc"), "libc's functions have theirs")
        recording.finish()
        books.expect_computing(target, counter)


def test_stopped_target(kind):
    """Attached or not, it is not waited for, and goes on when it is continued."""
    with loop() as (target, counter, directory):
        target.send_signal(signal.SIGSTOP)
        path = h.record("-p", target.pid, "--heap=exact", "-d", 1, "-o", directory + "/x.kiln", seconds=20)
        target.send_signal(signal.SIGCONT)
        books.expect_closed_or_said(books.Reports(path), "stopped", "frozen")
        books.expect_untouched(target.pid)
        books.expect_computing(target, counter)


def test_heap_off():
    h.need_root()
    with loop() as (target, _, directory):
        recording = h.Recording(directory, "-p", target.pid, "--heap=off").wait_attached()
        h.wait_cpu(target.pid, 0.3)
        h.expect(not books.changed_code(target.pid), "no trap")
        reports = books.finish(recording)
        h.expect(not reports.is_measured(), "null, never 0")
        h.expect("not measured" in reports.words(), reports.words())


if __name__ == "__main__":
    h.main(books.for_both_links(
        test_owners_and_totals, test_target_that_ends, test_peak, test_every_call_and_every_failure,
        test_blocks_from_before, test_threads_free_each_others_blocks, test_threads_end_inside_the_books, test_fork,
        test_exec, test_allocator_of_a_module, test_allocator_that_is_loaded_later,
        test_allocator_in_the_program_that_throws, test_new_and_delete, test_wrapped_allocator_counts_once,
        test_allocators_of_packages, test_full_map_is_counted, test_full_ring_is_counted,
        test_deep_stacks, test_coroutines, test_attach_and_detach_while_it_allocates, test_budget,
        test_symbols_that_lie, test_stopped_target) + [test_heap_off])
