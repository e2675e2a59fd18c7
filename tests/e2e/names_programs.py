"""Programs whose names are asked, and what other tools say: shared by the tests and the bench of `kiln symbolize`."""

import collections
import glob
import os
import random
import re
import subprocess

import harness as h

LLVM = "/usr/lib/llvm-14/bin/llvm-symbolizer"
Frame = collections.namedtuple("Frame", "function place")


def build(directory, name, *command):
    """Compiles into directory/name, as quietly as it can."""
    path = os.path.join(directory, name)
    result = subprocess.run([*command, "-w", "-o", path], capture_output=True, text=True, cwd=h.ROOT, check=False)
    h.expect(result.returncode == 0, f"{' '.join(command)}: {result.stderr[:2000]}")
    return path


def c_sources():
    """kiln's own: C of many units that any compiler takes."""
    return sorted(path for room in ("base", "profile", "export", "symbolizer")
                  for path in glob.glob(os.path.join(h.ROOT, room, "*.c")))


def build_c(directory, name, compiler, *options):
    return build(directory, name, compiler, "-std=gnu11", "-O2", "-g", "-fPIC", "-shared", "-D_GNU_SOURCE", "-I.",
                 *options, *c_sources())


def build_templates(directory, name, compiler, *options):
    return build(directory, name, compiler, "-std=c++17", "-O2", "-g", *options,
                 os.path.join(h.ROOT, "tests/workloads/names-templates.cc"))


def text_section(path):
    """(address, bytes) of .text."""
    result = subprocess.run(["readelf", "-SW", path], capture_output=True, text=True, check=False)
    found = re.search(r" \.text +(?:PROGBITS|NOBITS) +([0-9a-f]+) +[0-9a-f]+ +([0-9a-f]+)", result.stdout)
    h.expect(found, f"{path}: no .text")
    return int(found[1], 16), int(found[2], 16)


def draw_addresses(path, count, seed=7):
    start, size = text_section(path)
    source = random.Random(seed)
    return [start + source.randrange(size) for _ in range(count)]


def as_input(addresses):
    return "".join(f"0x{address:x}\n" for address in addresses)


def parse_blocks(text):
    """One list of frames an address; the column that llvm adds is left out."""
    blocks = []
    for block in text.split("\n\n"):
        lines = block.strip("\n").split("\n")
        if len(lines) >= 2:
            blocks.append([Frame(lines[i], re.sub(r"^(.*:\d+):\d+$", r"\1", lines[i + 1]))
                           for i in range(0, len(lines) - 1, 2)])
    return blocks


def ask_kiln(path, addresses):
    result = subprocess.run([h.KILN, "symbolize", "-e", path], input=as_input(addresses), capture_output=True,
                            text=True, timeout=120, check=False)
    h.expect(result.returncode == 0, f"kiln symbolize -e {path}: {result.returncode} {result.stderr}")
    h.expect(not result.stderr, result.stderr)
    return parse_blocks(result.stdout)


def demangle(names):
    """By binutils' demangler, which is libiberty's as kiln's is: of Rust without hashes, of C++ without defaults."""
    names = sorted(names)
    result = subprocess.run(["c++filt", "-i", "-r"], input="\n".join(names), capture_output=True, text=True,
                            check=True)
    return dict(zip(names, result.stdout.split("\n")))


def demangle_blocks(blocks):
    readable = demangle({frame.function for block in blocks for frame in block})
    return [[Frame(readable[frame.function], frame.place) for frame in block] for block in blocks]


def ask_llvm(path, addresses):
    result = subprocess.run([LLVM, "--inlines", "--no-demangle", "-e", path], input=as_input(addresses),
                            capture_output=True, text=True, timeout=120, check=True)
    return demangle_blocks(parse_blocks(result.stdout))


def ask_addr2line(path, addresses):
    result = subprocess.run(["addr2line", "-a", "-i", "-f", "-e", path], input=as_input(addresses),
                            capture_output=True, text=True, timeout=240, check=True)
    blocks = []
    for block in re.split(r"^0x[0-9a-f]{16}\n", result.stdout, flags=re.MULTILINE)[1:]:
        lines = [re.sub(r" \(discriminator \d+\)$", "", line) for line in block.rstrip("\n").split("\n")]
        blocks.append([Frame(lines[i], lines[i + 1]) for i in range(0, len(lines) - 1, 2)])
    return demangle_blocks(blocks)


class Aliases:
    """Which names are names of one place."""

    def __init__(self, path):
        self.places = collections.defaultdict(set)
        for options in ([], ["-D"]):
            result = subprocess.run(["nm", *options, "--defined-only", path], capture_output=True, text=True,
                                    check=False)
            for fields in map(str.split, result.stdout.splitlines()):
                if len(fields) == 3:
                    self.places[fields[2].partition("@")[0]].add(int(fields[0], 16))

    def are(self, one, other):
        return bool(self.places[one] & self.places[other])
