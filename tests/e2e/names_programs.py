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
    """Which names are names of one place; demangled, as the others are."""

    def __init__(self, path):
        symbols = []
        for options in ([], ["-D"]):
            result = subprocess.run(["nm", *options, "--defined-only", path], capture_output=True, text=True,
                                    check=False)
            fields = map(str.split, result.stdout.splitlines())
            symbols += [(three[2].partition("@")[0], int(three[0], 16)) for three in fields if len(three) == 3]
        readable = demangle({name for name, _ in symbols})
        self.places = collections.defaultdict(set)
        for name, address in symbols:
            self.places[readable[name]].add(address)

    def are(self, one, other):
        return bool(self.places[one] & self.places[other])


CLONE = re.compile(r" \[clone [^\]]*\]|(?<=\w)\.(?:part|isra|constprop|cold|lto_priv|localalias)(?:\.\d+)*\b.*$|\.\d+$")


def bare(name):
    """Without its version, and without which clone or part of the function it is."""
    name = name.partition("@")[0]
    while CLONE.search(name):
        name = CLONE.sub("", name)
    return name


def classify(ours, theirs, aliases):
    """What kind of difference there is between two answers to one address: of functions, innermost first."""
    ours, theirs = [frame.function for frame in ours], [bare_version(frame.function) for frame in theirs]
    if ours == theirs:
        return "same"
    if len(ours) == len(theirs) and ours[:-1] == theirs[:-1] and aliases.are(ours[-1], theirs[-1]):
        # The concrete function has several names, each tool likes another of them.
        return "alias"
    if list(map(bare, ours)) == list(map(bare, theirs)):
        # "f.part.0" is named by the symbol table; DWARF calls it f.
        return "clone"
    return "inner" if ours[0] != theirs[0] else "chain"


def bare_version(name):
    return name.partition("@")[0]


def is_plain(name):
    """Without arguments: DWARF's name of a function that has no linkage name."""
    while re.search(r"<[^<>]*>", name):
        name = re.sub(r"<[^<>]*>", "", name)
    return "(" not in name.replace("operator()", "")


def classify_addr2line(ours, theirs, aliases):
    """As above; binutils 2.40 has differences of its own."""
    kind = classify(ours, theirs, aliases)
    if kind in ("same", "alias", "clone"):
        return kind
    mine = [bare(frame.function) for frame in ours]
    other = [bare(frame.function) for frame in theirs]
    if mine == ["??"]:
        # Behind the end of a function it goes on with the symbol before.
        return "gap"
    if len(other) < len(mine) and (other == mine[-len(other):] or aliases.are(other[-1], mine[-1])
                                   and other[:-1] == mine[-len(other):-1]):
        # It does not know the ranges of inlined functions that stand in .debug_rnglists by number (clang).
        return "rnglistx"
    if len(other) == len(mine) and aliases.are(other[-1], mine[-1]) and other[:-1] == mine[:-1]:
        return "alias"
    if len(other) == len(mine) and other[1:-1] == mine[1:-1] and (is_plain(mine[0]) or is_plain(other[-1])):
        # Without a linkage name (gcc, of local types): for the innermost it takes the symbol's, which is the
        # outermost's, and for the outermost it does not.
        return "plain"
    return kind
