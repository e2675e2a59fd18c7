#!/usr/bin/python3
"""kill -9 of each process while the heap is traced: at random moments of attach, run and detach. Soon no program and no
link is left, the target's code is as in its files, and it computes on."""

import os
import random
import select
import signal
import time

import harness as h
import heap_books as books

MOMENTS = ("attach", "attach", "attach", "attach", "run", "run", "run", "detach", "detach", "detach")
SEED = int(os.environ.get("KILN_SEED", random.randrange(1 << 32)))
WITHIN_S = 1.0
WITHIN_S_A_PROBE = 0.15  # without links each perf event takes its own time to go


def let_pass(seconds):
    """No waiting for anything: the moment is what is random."""
    select.select([], [], [], seconds)


def reach(moment, recording, pid, chance):
    """Goes on until that moment; returns how many traps there were, as far as known."""
    if moment == "attach":
        h.wait_until(lambda: all(map(len, h.roles(recording.process.pid).values())), "the processes are there")
        let_pass(chance.uniform(0, 0.5))
        return 0
    books.wait_heap(recording, pid)
    found = books.traps(pid)
    if moment == "run":
        let_pass(chance.uniform(0, 0.2))
    else:
        end(recording)
        let_pass(chance.uniform(0, 0.3))
    return found


def end(recording):
    for pid in h.roles(recording.process.pid)["interface"]:
        try:
            os.kill(pid, signal.SIGINT)
        except ProcessLookupError:
            pass


def kill(recording, role, chance):
    """False: it had ended by itself."""
    found = h.roles(recording.process.pid)[role] if role != "probe" else [recording.process.pid]
    if not found or recording.process.poll() is not None:
        return False
    try:
        os.kill(chance.choice(found), signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True


def check_moment(moment, role, kind, target, counter, directory, before, chance):
    recording = books.start(target.pid, directory, kind)
    everything = []
    try:
        probes = 2 * reach(moment, recording, target.pid, chance)
        everything = sum(h.roles(recording.process.pid).values(), [])
        killed = kill(recording, role, chance)
        if role == "workers":  # that is mended, and kiln goes on
            if killed and moment == "run":
                h.wait_until(lambda: len(h.roles(recording.process.pid)["workers"]) >= 2, "another worker")
            end(recording)
        began = time.monotonic()
        h.wait_until(lambda: not books.programs_left(before) and not books.changed_code(target.pid),
                     "no program, no link, no changed byte", 20)
        took = time.monotonic() - began
        books.expect_computing(target, counter)
        # A worker's death is mended: what took its time then is an ordinary end.
        limit = WITHIN_S if kind == "session" else max(WITHIN_S, WITHIN_S_A_PROBE * (probes or 24))
        limit *= max(1, os.getloadavg()[0] / os.cpu_count())  # where others compute too, it takes its turn
        h.expect(took <= limit or role == "workers", f"{moment}: gone after {took:.2f} s, not {limit:.2f}")
        recording.process.communicate(timeout=20)
        h.wait_until(lambda: not any(map(h.is_alive, everything)), "no process is left")
        return killed, took
    finally:
        recording.process.kill()
        recording.process.wait()


def check_role(kind, role):
    chance = random.Random(f"{SEED} {kind} {role}")
    print(f"# KILN_SEED={SEED}")
    before = books.programs()
    killed, longest = 0, 0
    with h.scratch() as directory:
        counter = directory + "/counter"
        with h.workload("heap-loop", counter) as target:
            for moment in MOMENTS:
                hit, took = check_moment(moment, role, kind, target, counter, directory, before, chance)
                killed += hit
                longest = max(longest, took)
    h.expect(killed >= 7, f"only {killed} of 10 were still there to be killed")
    print(f"# {role}, {kind}: {killed} killed of 10, all gone after at most {longest:.2f} s")


def test_kill_9_of_the_probe(kind):
    check_role(kind, "probe")


def test_kill_9_of_the_interface(kind):
    check_role(kind, "interface")


def test_kill_9_of_a_worker(kind):
    check_role(kind, "workers")


if __name__ == "__main__":
    h.main(books.for_both_links(test_kill_9_of_the_probe, test_kill_9_of_the_interface, test_kill_9_of_a_worker))
