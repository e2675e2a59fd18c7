#!/usr/bin/python3
"""Where the prologue decoder puts traps, compared with objdump's disassembly, which shares no code with it.

The same rules are applied to objdump's text: for every function of a library (each FDE of its unwind information)
both must come to the same place, with the arguments in the same registers, or both to none.
"""
import bisect
import collections
import glob
import os
import re
import shutil
import subprocess

from harness import BUILD, Skip, expect, main

TOOL = os.path.join(BUILD, "tests/tools/dump_sites")
SITE_MAX = 64
CODE_BYTES = SITE_MAX + 15
FOLDERS = ("/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu", "/lib64", "/usr/lib64")
# Name → how many of its first arguments are needed (bpf/heap_events.h).
ALLOCATORS = {"malloc": 1, "calloc": 2, "realloc": 2, "reallocarray": 3, "posix_memalign": 3, "aligned_alloc": 2,
              "memalign": 2, "valloc": 1, "pvalloc": 1, "free": 1}
# glibc's multiplies into its third argument's register before its first branch.
WITHOUT_SITE = {("libc.so.6", "reallocarray")}

FDE = re.compile(r" FDE .* pc=([0-9a-f]+)\.\.([0-9a-f]+)")
LOAD = re.compile(r"^\s+LOAD\s+0x(\w+)\s+0x(\w+)\s+0x\w+\s+0x(\w+)\s+0x\w+\s+(...)\s")
LINE = re.compile(r"^\s*([0-9a-f]+):\t([0-9a-f ]+?)\s*\t(.*)$")
TARGET = re.compile(r"^j\w+\s+([0-9a-f]+)\b")

ARGUMENTS = ("rdi", "rsi", "rdx")
NUMBERS = {name: number for number, name in enumerate("rax rcx rdx rbx rsp rbp rsi rdi".split())}
NUMBERS.update({f"r{number}": number for number in range(8, 16)})
ARITHMETIC = {"add", "or", "adc", "sbb", "and", "sub", "xor", "shl", "shr", "sar", "not", "neg", "mov", "lea", "movabs",
              "movz", "movs"}
JUMPS = re.compile(r"j(mp|n?[abcegloszp]|n?[abgl]e|p[eo])$")


def registers_of():
    """Every name of a register → (its 64-bit name, its bits)."""
    names = {}
    for name in ("rax", "rcx", "rdx", "rbx"):
        names.update({name: (name, 64), "e" + name[1:]: (name, 32), name[1:]: (name, 16), name[1] + "l": (name, 8),
                      name[1] + "h": (name, 8)})
    for name in ("rsp", "rbp", "rsi", "rdi"):
        names.update({name: (name, 64), "e" + name[1:]: (name, 32), name[1:]: (name, 16), name[1:] + "l": (name, 8)})
    for number in range(8, 16):
        name = f"r{number}"
        names.update({name: (name, 64), name + "d": (name, 32), name + "w": (name, 16), name + "b": (name, 8)})
    return names


REGISTERS = registers_of()


def output(*command, **more):
    environment = dict(os.environ, LC_ALL="C")
    result = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment, check=False,
                            encoding="utf-8", errors="replace", **more)
    # readelf exits with 1, and says nothing, where a separate debug file is named and not installed.
    expect(result.stdout or not result.returncode, f"{command}: {result.stderr}")
    return result.stdout


def find_library(name):
    for folder in FOLDERS:
        for path in sorted(glob.glob(os.path.join(folder, name))):
            return path
    raise Skip(f"{name} is not installed")


# ---- the same rules, on objdump's text ----

def split_operands(text):
    return [part.strip() for part in re.split(r",(?![^(]*\))", text)] if text else []


def register(operand):
    return REGISTERS.get(operand[1:]) if operand.startswith("%") else None


def stem(mnemonic):
    """(the mnemonic without its size, the size in bits or 0)"""
    if re.fullmatch(r"mov[zs][bwl][wlq]", mnemonic):
        return mnemonic[:4], {"w": 16, "l": 32, "q": 64}[mnemonic[-1]]
    for suffix, bits in (("b", 8), ("w", 16), ("l", 32), ("q", 64)):
        if mnemonic.endswith(suffix) and (mnemonic[:-1] in ARITHMETIC | {"cmp", "test"}):
            if mnemonic not in ARITHMETIC:
                return mnemonic[:-1], bits
    return mnemonic, 0


def step(holds, code, text):
    """One instruction: "site", "pass", or None where the search ends."""
    text = text.split("#")[0].split("<")[0].strip()
    mnemonic, _, rest = text.partition(" ")
    operands = split_operands(rest.strip())
    if mnemonic == "nop" and code == ["90"]:
        return "site"
    if mnemonic == "endbr64" or text == "xchg   %ax,%ax" or re.fullmatch(r"((data16|cs) )*nop[wl]? *\S*", text) \
            or re.fullmatch(r"(data16 )+(cs )?xchg +%ax,%ax", text):
        return "pass"
    if mnemonic == "push":
        return "site" if register(operands[0]) and register(operands[0])[1] == 64 else None
    if mnemonic == "call" or JUMPS.match(mnemonic):
        return "site" if re.match(r"[0-9a-f]+$", rest.strip()) else None
    name, bits = stem(mnemonic)
    is_test = name in ("cmp", "test")
    if name not in ARITHMETIC and not is_test or not operands or any("%gs" in operand for operand in operands):
        return None
    found = [register(operand) for operand in operands]
    if any(operand.startswith("%") and not reg and not operand.startswith("%fs:")
           for operand, reg in zip(operands, found)):
        return None  # a vector, a segment, a control register
    # A 16-bit operand means the prefix 66; movz and movs may read 16 bits without it.
    if bits == 16 or (found[-1] and found[-1][1] == 16) or \
            (found[0] and found[0][1] == 16 and name not in ("movz", "movs")):
        return None
    if name in ("shl", "shr", "sar") and operands[0] == "%cl":
        return None
    if is_test:
        return "pass"
    if not found[-1] or found[-1][0] == "rsp":
        return None  # writes memory, or moves the stack pointer
    is_copy = name == "mov" and found[0] and found[0][1] == 64 and found[-1][1] == 64
    holds[found[-1][0]] = holds.get(found[0][0]) if is_copy else None
    return "pass"


def place(holds, number):
    """Where an argument is: its own register first, then the lowest number."""
    own = ARGUMENTS[number]
    if holds.get(own) == number:
        return own
    return next((name for name in sorted(NUMBERS, key=NUMBERS.get) if holds.get(name) == number), None)


def expected_site(instructions, start, end, count):
    """(offset, length, registers), or None."""
    holds = {name: number for number, name in enumerate(ARGUMENTS)}
    for address, code, text in instructions:
        if address - start > SITE_MAX or address + len(code) > end:
            return None
        what = step(holds, code, text)
        if not what:
            return None
        where = [place(holds, number) for number in range(count)]
        if None in where:
            return None
        if what == "site":
            where += ARGUMENTS[count:]
            return address - start, len(code), [NUMBERS[name] for name in where]
    return None


# ---- a library ----

class Library:
    def __init__(self, path):
        self.path = path
        self.loads = []
        for line in output("readelf", "-lW", path).splitlines():
            match = LOAD.match(line)
            if match and "E" in match.group(4):
                self.loads.append(tuple(int(match.group(i), 16) for i in (1, 2, 3)))
        self.addresses, self.instructions = [], []
        for line in output("objdump", "-d", "-w", path).splitlines():
            match = LINE.match(line)
            if match:
                self.addresses.append(int(match.group(1), 16))
                self.instructions.append((self.addresses[-1], match.group(2).split(), match.group(3)))

    def functions(self):
        """(start, end) of each FDE; objdump must have an instruction there."""
        found = set()
        for line in output("readelf", "--debug-dump=frames", self.path).splitlines():
            match = FDE.search(line)
            if match:
                found.add((int(match.group(1), 16), int(match.group(2), 16)))
        return sorted((start, end) for start, end in found if self.index(start) is not None)

    def index(self, address):
        at = bisect.bisect_left(self.addresses, address)
        return at if at < len(self.addresses) and self.addresses[at] == address else None

    def after(self, start, limit):
        at = self.index(start)
        return self.instructions[at:at + limit]

    def offset(self, address):
        for offset, begin, size in self.loads:
            if begin <= address < begin + size:
                return address - begin + offset
        return None

    def sites(self, functions, count):
        """What our decoder says: start → (offset, length, registers) or the text that says why not."""
        offsets = {self.offset(start): start for start, _ in functions}
        text = "".join(f"{self.offset(start):x} {end - start}\n" for start, end in functions)
        found = {}
        for line in output(TOOL, self.path, str(count), input=text).splitlines():
            start, rest = line.split(" ", 1)
            start = offsets[int(start, 16)]
            if rest.startswith("- "):
                found[start] = rest[2:]
            else:
                numbers = list(map(int, rest.split()))
                found[start] = (numbers[0], numbers[1], numbers[2:])
        return found

    def jumps_back(self, start, end, site):
        """Whether a jump of the function leads to its trap, or to what is before it: a call would count twice."""
        for address, _, text in self.after(start, end - start):
            if address >= end:
                return False
            match = TARGET.match(text)
            if match and start <= int(match.group(1), 16) <= start + site:
                return True
        return False


def compare(library, functions, count):
    sites = library.sites(functions, count)
    expect(len(sites) == len(functions), f"{len(functions)} functions asked, {len(sites)} answers")
    wrong, with_site, back, why = [], 0, 0, collections.Counter()
    for start, end in functions:
        expected = expected_site(library.after(start, CODE_BYTES), start, end, count)
        got = sites[start]
        if isinstance(got, str):
            why[got] += 1
        else:
            with_site += 1
            back += library.jumps_back(start, end, got[0])
        if (None if isinstance(got, str) else got) != expected:
            wrong.append(f"{start:x}: decoder {got}, objdump {expected}")
    name = os.path.basename(library.path)
    print(f"# {name}, {count} argument(s): {len(functions)} functions, {with_site} with a site, {len(wrong)} differences, "
          f"{back} that jump back to it")
    for text, number in why.most_common():
        print(f"#   {number}: {text}")
    return wrong


def check_library(pattern, least):
    library = Library(find_library(pattern))
    functions = library.functions()
    expect(len(functions) >= least, f"only {len(functions)} functions compared")
    for count in (1, 2, 3):
        wrong = compare(library, functions, count)
        expect(not wrong, "\n".join(wrong[:20]))


def dynamic_symbols(path):
    found = {}
    for line in output("readelf", "--dyn-syms", "-W", path).splitlines():
        fields = line.split()
        if len(fields) >= 8 and fields[3] in ("FUNC", "IFUNC") and fields[6] != "UND":
            found[fields[7].split("@")[0]] = (int(fields[1], 16), int(fields[2], 0))
    return found


def check_allocators(pattern):
    path = find_library(pattern)
    library, symbols = Library(path), dynamic_symbols(path)
    mine = {name: symbols[name] for name in ALLOCATORS if name in symbols}
    expect({"malloc", "calloc", "realloc", "free"} <= set(mine), f"{path} defines only {sorted(mine)}")
    for name, (start, size) in mine.items():
        end = start + (size or CODE_BYTES)
        got = library.sites([(start, end)], ALLOCATORS[name])[start]
        expected = expected_site(library.after(start, CODE_BYTES), start, end, ALLOCATORS[name])
        print(f"# {name}: {got}")
        if (pattern, name) in WITHOUT_SITE and isinstance(got, str):
            expect(expected is None, f"{name}: objdump {expected}")
            continue
        expect(got == expected, f"{name}: decoder {got}, objdump {expected}")
        expect(not library.jumps_back(start, end, got[0]), f"{name}: jumps back to its trap")


def test_every_function_of_libc():
    check_library("libc.so.6", 2000)


def test_every_function_of_libstdcxx():
    check_library("libstdc++.so.6", 2000)


def test_every_function_of_libcrypto():
    check_library("libcrypto.so.*", 2000)


def test_allocators_of_libc():
    check_allocators("libc.so.6")


def test_allocators_of_jemalloc():
    check_allocators("libjemalloc.so.2")


def test_allocators_of_tcmalloc():
    check_allocators("libtcmalloc_minimal.so.4")


def test_allocators_of_mimalloc():
    check_allocators("libmimalloc.so.2*")


def need_tools():
    for tool in ("objdump", "readelf"):
        if not shutil.which(tool):
            raise Skip(f"{tool} (binutils) is not installed")


def checked(test):
    def run():
        need_tools()
        test()
    run.__name__ = test.__name__
    return run


if __name__ == "__main__":
    main([checked(value) for name, value in list(globals().items()) if name.startswith("test_")])
