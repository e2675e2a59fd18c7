"""Part `names` of make bench: names, inlined callers and lines of cold and warm addresses, beside llvm-symbolizer-14."""

import os
import subprocess
import threading
import time

import measure as m
from measure import h
import names_programs as names

ADDRESSES = 20000
REPEATS = 5
BENCH_LEVELS = os.path.join(h.BUILD, "tests/bench/bench_levels")
BIG_BYTES = 100 << 20


def build_c_object(directory):
    """One unit, as large as an amalgamation: kiln's own sources one after the other are too many names for one unit, so
    functions are generated: loops, switches, calls, much of it inlined."""
    source = os.path.join(directory, "generated.c")
    with open(source, "w", encoding="ascii") as file:
        file.write("#include <string.h>\nint table[4096];\n")
        for i in range(4000):
            file.write(f"static inline int small_{i}(int x, const int *p)\n{{\n\tint sum = x;\n\n"
                       f"\tfor (int i = 0; i < (x & 15); i++)\n\t\tsum += p[i] ^ {i * 7};\n\treturn sum;\n}}\n")
            file.write(f"static int middle_{i}(int x)\n{{\n\tif (x < {i % 97})\n\t\treturn small_{i}(x, table);\n"
                       f"\tif (x % {i % 13 + 2})\n\t\treturn small_{max(0, i - 1)}(x + 1, table + x);\n"
                       f"\treturn x * {i};\n}}\n")
            file.write(f"int outer_{i}(int x, char *p)\n{{\n\tswitch (x & 7) {{\n\tcase 0:\n\t\treturn middle_{i}(x);\n"
                       f"\tcase 1:\n\t\tmemset(p, {i % 256}, x);\n\t\tbreak;\n\tcase 2:\n"
                       f"\t\treturn middle_{max(0, i - 3)}(x) + small_{i}(x, table);\n"
                       f"\tdefault:\n\t\treturn middle_{i}(x >> 1) - middle_{max(0, i - 5)}(x << 1);\n\t}}\n"
                       f"\treturn table[x & 4095];\n}}\n")
    return names.build(directory, "generated.o", "gcc", "-O2", "-g", "-fPIC", "-c", source)


def link(directory, name, unit, count):
    """The unit `count` times, under other names."""
    copies = []
    for number in range(count):
        copy = os.path.join(directory, f"copy-{number}.o")
        if not os.path.exists(copy):
            subprocess.run(["objcopy", f"--prefix-symbols=c{number}_", unit, copy], check=True)
        copies.append(copy)
    return names.build(directory, name, "gcc", "-shared", "-nostdlib", "-Wl,--unresolved-symbols=ignore-all", *copies)


# ---- one run ----

def time_run(command, text):
    """Seconds from the start of a command to its end."""
    began = time.monotonic()
    subprocess.run(command, input=text, stdout=subprocess.DEVNULL, text=True, check=True)
    return time.monotonic() - began


def family(pid):
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
        return [pid, *map(int, file.read().split())]


def peak_kib(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmHWM:"))


def memory_mib(command, text):
    """The peaks of the process and of its workers together, when all is answered and it waits for more."""
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    answered, wanted = threading.Event(), text.count("\n")

    def read():
        blocks = 0
        for line in process.stdout:
            blocks += line == "\n"
            if blocks == wanted:
                answered.set()

    reader = threading.Thread(target=read)
    reader.start()
    process.stdin.write(text)
    process.stdin.flush()
    h.expect(answered.wait(60), f"{command}: not all is answered")
    total = sum(map(peak_kib, family(process.pid))) / 1024
    process.stdin.close()
    process.wait()
    reader.join()
    process.stdout.close()
    return total


def compare(path, addresses):
    """(kiln's seconds, llvm's), interleaved; then the memory of both."""
    text = names.as_input(addresses)
    ours, theirs = [h.KILN, "symbolize", "-e", path], [names.LLVM, "--inlines", "-e", path]
    times = [], []
    for _ in range(REPEATS):
        for command, seconds in zip((ours, theirs), times):
            seconds.append(time_run(command, text))
    return times, (memory_mib(ours, text), memory_mib(theirs, text))


def warm(path):
    start, size = names.text_section(path)
    result = subprocess.run([BENCH_LEVELS, path, f"{start:x}", f"{start + size:x}"], capture_output=True, text=True,
                            check=True)
    return float(result.stdout.split()[0])


def bench_names():
    """Cold: one run of the command, from its start to its end. Warm: debug_find_levels() alone."""
    rows, one, medians = [], [], {}
    with h.scratch() as directory:
        unit = build_c_object(directory)
        single = link(directory, "one", unit, 1)
        big = link(directory, "big", unit, BIG_BYTES // os.path.getsize(single) + 1)
        programs = [("C, one large unit", single),
                    ("C, 8 such units", link(directory, "eight", unit, 8)),
                    ("C, many small units (kiln's), clang", names.build_c(directory, "c-clang", "clang")),
                    ("C++ templates, gcc", os.path.join(h.WORKLOADS, "names-templates")),
                    ("C++ templates, clang", names.build_templates(directory, "cxx-clang", "clang++"))]
        rust = os.path.join(h.WORKLOADS, "stacks-panic")
        programs += [("Rust", rust)] if os.path.exists(rust) else []
        for name, path in programs:
            (ours, theirs), (our_mib, their_mib) = compare(path, names.draw_addresses(path, ADDRESSES))
            medians[name] = m.median(ours)
            rows.append([name, f"{m.spread(ours)} s", f"{m.spread(theirs)} s",
                         f"{m.median(ours) / m.median(theirs):.2f}", f"{our_mib:.0f} MiB", f"{their_mib:.0f} MiB",
                         f"{our_mib / their_mib:.2f}", f"{warm(path) / 1e6:.1f} M/s"])
        address = names.as_input(names.draw_addresses(big, 1))
        for _ in range(REPEATS):
            one.append(time_run([h.KILN, "symbolize", "-e", big], address))
        size = os.path.getsize(big) >> 20
    growth = medians["C, 8 such units"] / medians["C, one large unit"]
    return f"### Names of {ADDRESSES:,} addresses, beside llvm-symbolizer-14\n\n" + m.table(
        ["program", "kiln symbolize, cold", "llvm-symbolizer --inlines", "ratio", "kiln's memory", "llvm's", "ratio",
         "warm lookups"], rows) + (
        f"\nCold: the whole run of the command ({REPEATS} each, in turn), which starts, reads and indexes what is asked, and prints "
        "functions, inlined callers and lines. Memory: peak of all its processes together. Warm: debug_find_levels() on "
        f"addresses whose units are indexed, one thread. Eight units of the size of one: {growth:.1f} times its time. One "
        f"address of a file of {size} MiB: {m.spread(one)} s.\n")
