#!/usr/bin/python3
"""Unwind tables of libraries that come and go: built once, and gone when they are too many."""

import os

import harness as h

NUMBERED = os.path.join(h.WORKLOADS, "numbered")
LIBRARIES = 200
TABLE_BYTES = 8 << 10  # of each of them
OTHERS = 26             # maps that are no tables, tables of what stays mapped, some that are on their way


def kept_maps(recording):
    """Ids of the BPF maps that the probe holds: one is the table of each module that has one."""
    found = set()
    directory = f"/proc/{recording.process.pid}/fdinfo"
    for entry in os.listdir(directory):
        try:
            with open(os.path.join(directory, entry), encoding="utf-8") as info:
                words = info.read().split()
        except OSError:
            continue
        if "map_id:" in words:
            found.add(words[words.index("map_id:") + 1])
    return found


def test_a_library_that_comes_back_has_its_table():
    h.need_root()
    with h.workload("stacks-dlopen", NUMBERED, "all") as target, h.scratch() as directory:
        recording = h.Recording(directory, "-e", "cpu", "-p", target.pid).wait_attached()
        seen = set()

        def is_steady():
            nonlocal seen
            last, seen = seen, kept_maps(recording)
            return len(seen) > LIBRARIES and len(seen & last) > LIBRARIES
        h.wait_until(is_steady, "all have a table", 120)
        # Two rounds and more of loading and unloading all of them.
        h.wait_cpu(target.pid, 3)
        now = kept_maps(recording)
        # The mappings are published anew; the tables are not built anew.
        h.expect(len(now - seen) < 5 and len(now) < LIBRARIES + OTHERS, f"{len(now - seen)} new ones, {len(now)} maps")
        recording.finish()


def test_tables_of_what_is_gone_are_bounded():
    h.need_root()
    kept = 2
    with h.workload("stacks-dlopen", NUMBERED, "swap") as target, h.scratch() as directory:
        recording = h.Recording(directory, "-e", "cpu", "-p", target.pid,
                                env={"KILN_TABLES_UNMAPPED_BYTES": str(kept * TABLE_BYTES)}).wait_attached()
        ever = set()

        def were_many():
            nonlocal ever
            ever |= kept_maps(recording)
            return len(ever) > LIBRARIES + 3 * OTHERS
        # More than there are libraries: those that went were made anew.
        h.wait_until(were_many, "tables come and go", 180)
        # Some are on their way out while others come, but not for long.
        h.wait_until(lambda: len(kept_maps(recording)) <= kept + OTHERS, "no more tables than are wanted", 60)
        h.check_accounts(h.report(recording.finish()))


if __name__ == "__main__":
    h.main([test_a_library_that_comes_back_has_its_table, test_tables_of_what_is_gone_are_bounded])
