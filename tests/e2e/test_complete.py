#!/usr/bin/python3
"""Complete stacks: of every kind of code, 99.9 % reach their root, the callers are the right ones, and a stack that
cannot be whole says why and where."""

import collections
import os
import re
import subprocess

import harness as h
import stacks as s
import test_real_programs as real

HZ = 4999  # five thousand samples of one CPU in about a second
LATE = 0.01
NUMBERED = os.path.join(h.WORKLOADS, "numbered")


def record(target, directory, seconds, *collected):
    """Until the target has used so many CPU seconds."""
    recording = h.Recording(directory, "-p", target.pid, "-F", HZ, *(collected or ("-e", "cpu"))).wait_attached()
    h.wait_cpu(target.pid, seconds)
    return recording.finish()


def check(name):
    h.need_root()
    program = s.PROGRAMS[name]
    with program.start() as target, h.scratch() as directory:
        stacks = s.Stacks(record(target, directory, program.cpu_s))
        print(f"# {name}: {stacks.tell()}, {stacks.summary['overhead']['probe_ns']:.0f} ns a sample")
        h.check_accounts(stacks.summary)
        troubles = s.judge(stacks, program, late=LATE)
        h.expect(not troubles, "\n".join([name, *troubles]))


def make_test(name):
    def test():
        check(name)
    test.__name__ = "test_" + re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")
    return test


def check_numbers(stacks):
    """call_NNN() calls work_NNN() of libNNN, nothing else does: a stale mapping or table shows as another number, or
    as a whole stack that begins in a library. Returns (samples that show it, the most frequent of them, right samples).
    """
    wrong, right = collections.Counter(), 0
    both = [("", text, count) for text, count in stacks.whole.items()]
    both += [(reason, text, count) for (reason, text), count in stacks.broken.items()]
    for reason, text, count in both:
        caller = re.findall(r"(?:^|;)call_(\d\d\d)(?=;|$)", text)
        found = re.findall(r"(?:^|;)lib(\d\d\d)!(?:work_(\d\d\d))?", text)
        numbers = {number for pair in found for number in pair if number}
        if not numbers:
            continue
        # A broken stack has perhaps lost the caller.
        if len(numbers) > 1 or (caller and caller != list(numbers)) or (not caller and not reason):
            wrong[s.shorten(text)] += count
        elif caller:
            right += count
    return sum(wrong.values()), [f"{count} × {text}" for text, count in wrong.most_common(8)], right


def load_libraries(mode, seconds):
    """200 libraries are loaded and unloaded during the recording; returns its stacks, which have no wrong name."""
    h.need_root()
    with h.workload("stacks-dlopen", NUMBERED, mode) as target, h.scratch() as directory:
        stacks = s.Stacks(record(target, directory, seconds))
        h.check_accounts(stacks.summary)
        wrong, lines, right = check_numbers(stacks)
        print(f"# libraries, {mode}: {stacks.tell()}; of the samples in libraries {right} are right, {wrong} wrong")
        h.expect(not wrong, "\n".join([f"{wrong} samples have the name of another library", *lines]))
        h.expect(stacks.samples >= s.LEAST, f"only {stacks.samples} samples")
        return stacks, right


def test_200_libraries_loaded_at_once():
    stacks, right = load_libraries("all", 3)
    h.expect(right >= 0.3 * stacks.samples, f"{right} samples in the libraries")
    # 200 tables are built while it is sampled already: at the beginning some are missing, and said to be.
    untabled = stacks.reasons()["no_table"]
    h.expect(untabled <= 0.1 * stacks.samples, f"tables came late: {stacks.tell()}")
    # A file that is loaded for the first time is noticed by its first sample, some 20 ms later; then at once.
    unmapped = stacks.reasons()["no_mapping"]
    h.expect(unmapped <= 0.005 * stacks.samples, f"libraries were noticed late: {stacks.tell()}")
    h.expect(sum(stacks.whole.values()) >= s.WHOLE * (stacks.samples - untabled - unmapped),
             "\n".join([stacks.tell(), *stacks.tell_broken()]))


def test_200_libraries_in_each_others_place():
    # A new library is noticed at most 250 ms later; until then its stacks have no mapping, and say so.
    stacks, _ = load_libraries("swap", 1.5)
    reasons = stacks.reasons()
    late = sum(reasons[reason] for reason in ("no_mapping", "bad_return", "no_table"))
    h.expect(stacks.completeness + late / stacks.samples >= s.WHOLE, "\n".join([stacks.tell(), *stacks.tell_broken()]))


def test_inside_probed_allocators():
    """The return addresses of malloc and realloc are the kernel's trampoline: the stacks are whole nevertheless.

    Not quite all: between the moment when the kernel has replaced the return address and the one when it has put the
    pending return on its list nobody knows where the call came from (1.2 % of the samples of a program that does
    nothing but trap), nor while it emulates the trapped push (0.4 %).
    """
    h.need_root()
    with h.scratch() as directory:
        with open(directory + "/counter", "wb") as file:
            file.truncate(4096)
        with h.workload("heap-loop", directory + "/counter", "1") as target:
            stacks = s.Stacks(record(target, directory, 1.2, "--heap=exact"))
        print(f"# probed allocators: {stacks.tell()}")
        h.check_accounts(stacks.summary)
        h.expect(stacks.summary["heap"]["allocs"] > 1000, f"the probes were hit: {stacks.summary['heap']}")
        # The kernel's trampoline is in no module.
        shapes = [rf"{s.MAIN}{s.chain('run', 'loop_alloc')}(?:;{s.LIBRARY}|;\[unknown\]!.*)*"]
        wrong = stacks.wrong(shapes)
        h.expect(sum(wrong.values()) <= (1 - s.WHOLE) * stacks.samples, f"{wrong.most_common(5)}")
        h.expect(stacks.samples >= s.LEAST, f"only {stacks.samples} samples")
        h.expect(stacks.completeness >= 0.97, "\n".join([stacks.tell(), *stacks.tell_broken()]))


def test_go_program():
    """Go has no .eh_frame: frame pointers carry its stacks, to the functions that its own table calls top frames. What
    is lost are moments in which it goes over to another stack."""
    h.need_root()
    fzf = real.find("fzf")
    line = "line of a file: " + "abcde " * 20
    with h.scratch() as directory, h.spawn("yes", line, stdout=subprocess.PIPE) as feed:
        with h.spawn(fzf, "--filter", "zz9zz", "--no-sort", stdin=feed.stdout) as target:
            stacks = s.Stacks(record(target, directory, 1.4))
        feed.stdout.close()
        print(f"# Go: {stacks.tell()}")
        h.check_accounts(stacks.summary)
        h.expect(stacks.samples >= s.LEAST, f"only {stacks.samples} samples")
        h.expect(stacks.completeness >= 0.995, "\n".join([stacks.tell(), *stacks.tell_broken()]))


if __name__ == "__main__":
    h.main([*map(make_test, s.PROGRAMS), test_200_libraries_loaded_at_once, test_200_libraries_in_each_others_place,
            test_inside_probed_allocators, test_go_program])
