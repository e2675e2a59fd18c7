#!/usr/bin/python3
"""kiln symbolize: the same names, inlined callers and lines as llvm-symbolizer and addr2line, from a worker that can
harm nobody, whatever the file says.

KILN_NAMES_ADDRESSES says how many addresses of each program are compared (2000)."""

import collections
import contextlib
import os
import random
import re
import shutil
import signal
import subprocess
import sys

import harness as h
import names_programs as names

ADDRESSES = int(os.environ.get("KILN_NAMES_ADDRESSES", "2000"))
INNER_MAX, CHAIN_MAX = 0.001, 0.01  # shares that may differ without a reason
# Of several rows of one address addr2line does not always take the last one, as llvm does.
LINE_MAX = {names.ask_llvm: 0.002, names.ask_addr2line: 0.06}
HOT_SPLIT = os.path.join(h.WORKLOADS, "hot-split")


# ---- agreement ----

def same_place(ours, theirs):
    """File and line. llvm knows the file of some code without lines from the symbol table, and writes the directory of a
    relative compilation twice: the file's own name is compared."""
    def last(place):
        name, _, line = place.rpartition(":")
        return (os.path.basename(name), line) if line not in ("0", "?") else None
    return last(ours.place) == last(theirs.place)


def compare(path, ask, classify, count=None):
    addresses = names.draw_addresses(path, count or ADDRESSES)
    ours, theirs = names.ask_kiln(path, addresses), ask(path, addresses)
    h.expect(len(ours) == len(theirs) == len(addresses), f"{len(ours)}, {len(theirs)}, {len(addresses)} blocks")
    aliases, kinds, lines, examples = names.Aliases(path), collections.Counter(), 0, []
    for address, mine, other in zip(addresses, ours, theirs):
        kind = classify(mine, other, aliases)
        kinds[kind] += 1
        if kind in ("inner", "chain"):
            examples.append(f"0x{address:x}: {mine} {other}")
        elif kind in ("same", "alias", "clone") and not all(map(same_place, mine, other)):
            lines += 1
            if lines == 1:
                examples.append(f"0x{address:x}: {mine} {other}")
    print(f"# {os.path.basename(path)}, {ask.__name__}: {dict(kinds)}, lines differ: {lines}", flush=True)
    text = "\n".join(examples[:3])
    h.expect(kinds["inner"] <= INNER_MAX * len(addresses), f"innermost functions differ: {kinds}\n{text}")
    h.expect(kinds["chain"] <= CHAIN_MAX * len(addresses), f"chains differ: {kinds}\n{text}")
    h.expect(lines <= LINE_MAX[ask] * len(addresses), f"{lines} lines differ\n{text}")
    return ours


def compare_both(path):
    if not os.path.exists(names.LLVM):
        raise h.Skip("needs the package llvm-14")
    ours = compare(path, names.ask_llvm, names.classify)
    compare(path, names.ask_addr2line, names.classify_addr2line, min(ADDRESSES, 5000))
    return ours


def expect_inlined(blocks, share):
    inlined = sum(len(block) > 1 for block in blocks)
    h.expect(inlined >= share * len(blocks), f"only {inlined} of {len(blocks)} addresses are in inlined code")


def test_c_of_gcc():
    with h.scratch() as directory:
        expect_inlined(compare_both(names.build_c(directory, "c-gcc", "gcc")), 0.05)


def test_c_of_clang_without_aranges():
    with h.scratch() as directory:
        path = names.build_c(directory, "c-clang", "clang")
        sections = subprocess.run(["readelf", "-SW", path], capture_output=True, text=True, check=True).stdout
        h.expect(".debug_aranges" not in sections, "this clang writes .debug_aranges")
        expect_inlined(compare_both(path), 0.05)


def test_c_dwarf_4_compressed():
    with h.scratch() as directory:
        compare_both(names.build_c(directory, "c-gcc-4", "gcc", "-gdwarf-4", "-gz"))


def test_c_dwarf_3():
    with h.scratch() as directory:
        compare_both(names.build_c(directory, "c-gcc-3", "gcc", "-gdwarf-3", "-gstrict-dwarf"))


def test_cxx_of_gcc():
    expect_inlined(compare_both(os.path.join(h.WORKLOADS, "names-templates")), 0.3)


def test_cxx_of_clang():
    with h.scratch() as directory:
        expect_inlined(compare_both(names.build_templates(directory, "cxx-clang", "clang++")), 0.3)


def test_cxx_of_clang_dwarf_4():
    with h.scratch() as directory:
        compare_both(names.build_templates(directory, "cxx-clang-4", "clang++", "-gdwarf-4"))


def test_rust():
    path = os.path.join(h.WORKLOADS, "stacks-panic")
    if not os.path.exists(path):
        raise h.Skip("needs the package rustc")
    compare_both(path)


def test_dwz():
    """Partial units, and abstract functions in other units."""
    if not shutil.which("dwz"):
        raise h.Skip("needs the package dwz")
    with h.scratch() as directory:
        path = names.build_c(directory, "c-dwz", "gcc")
        subprocess.run(["dwz", path], check=True)
        debug = subprocess.run(["readelf", "--debug-dump=info", "--dwarf-depth=1", path], capture_output=True, text=True,
                               check=False)
        h.expect("DW_TAG_partial_unit" in debug.stdout, "dwz made no partial unit")
        compare_both(path)


def libc_debug_file():
    libc = "/lib/x86_64-linux-gnu/libc.so.6"
    notes = subprocess.run(["readelf", "-nW", libc], capture_output=True, text=True, check=False).stdout
    build_id = re.search(r"Build ID: ([0-9a-f]{4,})", notes)
    path = f"/usr/lib/debug/.build-id/{build_id[1][:2]}/{build_id[1][2:]}.debug" if build_id else ""
    if not os.path.exists(path):
        raise h.Skip("needs the package libc6-dbg")
    return libc, path


def test_libc_debug_file():
    """The debug file itself: 1,900 units, compressed."""
    compare_both(libc_debug_file()[1])


def test_libc_with_its_debug_file():
    """libc's own file, whose debug information is in the other one."""
    libc, debug = libc_debug_file()
    addresses = names.draw_addresses(debug, 500)
    ours, theirs = names.ask_kiln(libc, addresses), names.ask_kiln(debug, addresses)
    if all(frame.place == "??:0" for block in ours for frame in block):
        raise h.Skip("separate debug files are not looked for yet")
    h.expect(ours == theirs, "the file and its debug file do not say the same")


def test_twenty_thousand_in_order():
    """As many as a script asks at once: each has its block, and the same one as when it is asked alone."""
    path = os.path.join(h.WORKLOADS, "names-templates")
    addresses = names.draw_addresses(path, 20000)
    blocks = names.ask_kiln(path, addresses)
    h.expect(len(blocks) == len(addresses), f"{len(blocks)} blocks")
    some = random.Random(3).sample(range(len(addresses)), 12)
    for i in some:
        alone = h.expect_exit(0, "symbolize", "-e", path, f"{addresses[i]:x}")
        h.expect(names.parse_blocks(alone.stdout) == [blocks[i]], f"0x{addresses[i]:x}: {alone.stdout} {blocks[i]}")


# ---- the command ----

def symbol_address(path, symbol):
    for line in subprocess.run(["nm", path], capture_output=True, text=True, check=True).stdout.splitlines():
        fields = line.split()
        if fields[-1] == symbol:
            return int(fields[0], 16)
    raise AssertionError(f"{path}: no {symbol}")


def test_blocks():
    main = symbol_address(HOT_SPLIT, "main")
    result = h.expect_exit(0, "symbolize", "-e", HOT_SPLIT, f"0x{main:x}", "1", f"{main:X}")
    h.expect(not result.stderr, result.stderr)
    blocks = result.stdout.split("\n\n")
    h.expect(len(blocks) == 4 and blocks[3] == "", result.stdout)
    h.expect(re.fullmatch(r"main\n.*/hot-split\.c:\d+", blocks[0]), blocks[0])
    h.expect(blocks[1] == "??\n??:0", blocks[1])
    h.expect(blocks[2] == blocks[0], blocks[2])


def ask_text(text, path=HOT_SPLIT):
    return subprocess.run([h.KILN, "symbolize", "-e", path], input=text, capture_output=True, text=True, timeout=60,
                          check=False)


def test_stdin():
    main = symbol_address(HOT_SPLIT, "main")
    result = ask_text(f"\n0x{main:x}\nnonsense\n  {main:x}\t\n0x\n{'1' * 17}\n{main:x}")
    h.expect(result.returncode == 0, result.stderr)
    functions = [block[0].function for block in names.parse_blocks(result.stdout)]
    h.expect(functions == ["main", "??", "main", "??", "??", "main"], functions)
    h.expect(result.stderr == "kiln: stdin: 3 lines are no addresses\n", result.stderr)
    h.expect(ask_text("").stdout == "", "an answer to nothing")
    h.expect(names.parse_blocks(ask_text("x" * 200000 + f"\n{main:x}\n").stdout)[-1][0].function == "main", "a long line")


def test_usage():
    main = f"{symbol_address(HOT_SPLIT, 'main'):x}"
    for arguments in ([], [main], ["-e"], ["-e", HOT_SPLIT, "x"], ["-e", HOT_SPLIT, "-1"], ["-e", HOT_SPLIT, ""],
                      ["-e", HOT_SPLIT, "0x12345678123456789"], ["-e", HOT_SPLIT, "--nonsense", main]):
        result = h.expect_exit(2, "symbolize", *arguments)
        h.expect(result.stderr.startswith("kiln: ") and not result.stdout, result.stderr)
    h.expect("kiln symbolize -e ELF" in h.expect_exit(0, "symbolize", "--help").stdout, "no help")
    result = h.expect_exit(1, "symbolize", "-e", "/nonexistent", main)
    h.expect(result.stderr == "kiln: /nonexistent: No such file or directory\n", result.stderr)
    with h.scratch() as directory:
        os.mkfifo(directory + "/fifo")
        with open(directory + "/empty", "wb"):
            pass
        with open(directory + "/short", "wb") as file:
            file.write(b"\177ELF\2\1\1")
        for path in ("fifo", "empty", "short", "."):
            result = h.expect_exit(6, "symbolize", "-e", os.path.join(directory, path), main)
            h.expect(result.stderr.startswith("kiln: ") and not result.stdout, result.stderr)
    h.expect_exit(6, "symbolize", "-e", __file__, main)


def test_full_disk():
    with open("/dev/full", "w", encoding="ascii") as full:
        result = subprocess.run([h.KILN, "symbolize", "-e", HOT_SPLIT, "1"], stdout=full, stderr=subprocess.PIPE, text=True,
                                timeout=60, check=False)
    h.expect(result.returncode == 1 and "kiln: stdout: No space left" in result.stderr, result.stderr)


# ---- the worker ----

@contextlib.contextmanager
def conversation(path, **more):
    process = subprocess.Popen([h.KILN, "symbolize", "-e", path], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True, **more)
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout, process.stderr):
            stream.close()


def ask_one(process, address):
    process.stdin.write(f"{address:x}\n")
    process.stdin.flush()
    lines = []
    while not lines or lines[-1] != "\n":
        lines.append(process.stdout.readline())
        h.expect(lines[-1], "it ended")
    return "".join(lines[:-1])


def children(pid):
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
        return [int(word) for word in file.read().split()]


def status_of(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)


def test_answers_before_the_next_question():
    main = symbol_address(HOT_SPLIT, "main")
    with conversation(HOT_SPLIT) as process:
        for _ in range(3):
            h.expect(ask_one(process, main).startswith("main\n"), "main")
            h.expect(ask_one(process, 1) == "??\n??:0\n", "unknown")
        process.stdin.close()
        h.expect(process.wait(10) == 0, "exit")
        process.stdin = open(os.devnull, "w", encoding="ascii")


def test_rights():
    main = symbol_address(HOT_SPLIT, "main")
    is_root = os.geteuid() == 0
    environment = dict(os.environ, SUDO_UID="1234", SUDO_GID="1235") if is_root else None
    with conversation(HOT_SPLIT, env=environment) as process:
        ask_one(process, main)
        *workers, interface = children(process.pid)
        h.expect(len(workers) == 2, workers)
        for pid in [interface, *workers]:
            status = status_of(pid)
            h.expect(int(status["CapEff"], 16) == int(status["CapPrm"], 16) == 0, f"{pid}: {status}")
            if is_root:
                uid = "1234" if pid == interface else "65534"
                h.expect(set(status["Uid"].split()) == {uid}, f"{pid}: {status['Uid']}")
        # The one that reads is in its sandbox; it has its sockets, its loop and the file, and no other.
        reader = workers[0]
        h.expect(status_of(reader)["Seccomp"] == "2", "no sandbox")
        files = [os.readlink(f"/proc/{reader}/fd/{fd}") for fd in os.listdir(f"/proc/{reader}/fd")]
        h.expect([file for file in files if file.startswith("/") and file != "/dev/null"] ==
                 [os.path.realpath(HOT_SPLIT)], files)


def test_worker_that_dies():
    main = symbol_address(HOT_SPLIT, "main")
    with conversation(HOT_SPLIT) as process:
        expected = ask_one(process, main)
        first, second, _ = children(process.pid)
        os.kill(first, signal.SIGKILL)
        h.expect(ask_one(process, main) == expected, "the second worker says something else")
        os.kill(second, signal.SIGSTOP)
        # Now it hangs: after its deadline what it has not said is unknown. What it died of is not asked again for ever.
        answers = [ask_one(process, main) for _ in range(3)]
        h.expect(answers[-1] in ("??\n??:0\n",), answers)
        process.stdin.close()
        h.expect(process.wait(20) == 0, "exit")
        h.expect("set aside" in process.stderr.read(), "no word about it")
        process.stdin = open(os.devnull, "w", encoding="ascii")
        # Also the one that hangs has gone with it.
        h.expect(not os.path.exists(f"/proc/{second}"), "a worker is left")


def test_nothing_is_left():
    """Whichever of them is killed, the others end, also a worker that hangs."""
    for victim in range(2):
        with conversation(HOT_SPLIT) as process:
            ask_one(process, symbol_address(HOT_SPLIT, "main"))
            first, second, interface = family = children(process.pid)
            os.kill(second, signal.SIGSTOP)
            os.kill(interface if victim else process.pid, signal.SIGKILL)
            h.wait_until(lambda: not any(is_alive(pid) for pid in family), f"the end of {family}")
            process.wait(10)


def is_alive(pid):
    try:
        return not status_of(pid)["State"].startswith("Z")
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_damaged_files():
    """Bytes of headers and of debug information changed at random: as many blocks as questions, exit 0 or 6."""
    with h.scratch() as directory:
        path = os.path.join(directory, "damaged")
        with open(os.path.join(h.WORKLOADS, "names-templates"), "rb") as file:
            image = file.read()
        addresses = names.draw_addresses(os.path.join(h.WORKLOADS, "names-templates"), 300)
        source, codes = random.Random(5), collections.Counter()
        for round_ in range(25):
            damaged = bytearray(image)
            for _ in range(1 << source.randrange(12)):
                damaged[source.randrange(64 if round_ % 5 == 0 else len(image) // 4, len(image))] = source.randrange(256)
            if round_ % 7 == 6:
                del damaged[source.randrange(len(image)):]
            with open(path, "wb") as file:
                file.write(damaged)
            result = ask_text(names.as_input(addresses), path)
            codes[result.returncode] += 1
            if result.returncode == 6:
                continue
            h.expect(result.returncode == 0, f"{result.returncode}: {result.stderr}")
            h.expect(len(names.parse_blocks(result.stdout)) == len(addresses), "blocks are missing")
            h.expect(not re.search(r"[\x00-\x09\x0b-\x1f\x7f]", result.stdout), "control characters")
        print(f"# exit codes: {dict(codes)}", flush=True)
        h.expect(codes[0] >= 15, codes)


# ---- files that mean it ----

def test_hostile_names():
    with h.scratch() as directory:
        source = os.path.join(directory, "evil\033[31m.c")
        with open(source, "w", encoding="utf-8") as file:
            file.write("int EVIL_FUNCTION(int x)\n{ return x + 1; }\n")
        path = names.build(directory, "evil", "gcc", "-O2", "-g", "-shared", "-fPIC", source)
        address = symbol_address(path, "EVIL_FUNCTION")
        with open(path, "r+b") as file:
            image = file.read()
            file.seek(0)
            file.write(image.replace(b"EVIL_FUNCTION", b"ev\033[31mil\302\233\377x"))
        result = h.expect_exit(0, "symbolize", "-e", path, f"{address:x}")
        h.expect(result.stdout.startswith("ev?[31mil??x\n"), repr(result.stdout))
        h.expect("evil?[31m.c:2\n" in result.stdout, repr(result.stdout))


def test_deep_chains_of_long_names():
    """70 levels of names of 3,000 bytes: more than a message holds. The middle is left out, and names are cut."""
    with h.scratch() as directory:
        source = os.path.join(directory, "deep.c")
        with open(source, "w", encoding="ascii") as file:
            for level in range(70):
                name = f"level_{level}_" + "x" * 3000
                body = f"level_{level - 1}_{'x' * 3000}(p)" if level else '__asm__ volatile("nop; nop" ::: "memory")'
                kind = "" if level == 69 else "static inline __attribute__((always_inline)) "
                file.write(f"{kind}void {name}(int *p)\n{{ {body}; }}\n")
        path = names.build(directory, "deep", "gcc", "-O2", "-g", "-shared", "-fPIC", source)
        address = symbol_address(path, "level_69_" + "x" * 3000)
        [block] = names.parse_blocks(h.expect_exit(0, "symbolize", "-e", path, f"{address:x}").stdout)
        h.expect(len(block) == 64, f"{len(block)} levels")
        levels = [int(frame.function.split("_")[1]) for frame in block]
        h.expect(levels == [*range(32), *range(38, 70)], levels)
        h.expect(all(frame.function.endswith("x…") for frame in block), "names are not cut")
        h.expect([frame.place.rpartition(":")[2] for frame in block] == [str(2 * level + 2) for level in levels],
                 [frame.place for frame in block])
        # One such chain after the other: none is torn apart.
        many = names.ask_kiln(path, [address] * 100)
        h.expect(many == [block] * 100, "chains differ")


ABBREVIATIONS = """
.section .debug_abbrev,"",@progbits
.Labbrev:
.uleb128 1, 0x11; .byte 1; .uleb128 0x10, 0x17, 0x11, 0x1, 0x12, 0x7, 0, 0   # compile_unit: stmt_list, low_pc, high_pc
.uleb128 2, 0x2e; .byte 1; .uleb128 0x31, 0x13, 0x11, 0x1, 0x12, 0x7, 0, 0   # subprogram: abstract_origin, low_pc, high_pc
.uleb128 3, 0x1d; .byte 1; .uleb128 0x31, 0x13, 0x11, 0x1, 0x12, 0x7, 0x58, 0xb, 0x59, 0xb, 0, 0 # inlined_subroutine
.uleb128 4, 0x2e; .byte 0; .uleb128 0x3, 0x8, 0, 0                           # subprogram: name
.uleb128 5, 0x11; .byte 1; .uleb128 0x3, 0x8, 0, 0                           # compile_unit: name
.uleb128 6, 0x2e; .byte 0; .uleb128 0x3, 0x8, 0x11, 0x1, 0x12, 0x7, 0, 0     # subprogram: name, low_pc, high_pc
.byte 0
"""


def build_by_hand(directory, units):
    """A library with code of 512 bytes, with `units` as its .debug_info."""
    source = os.path.join(directory, "hand.s")
    with open(source, "w", encoding="ascii") as file:
        file.write('.text\n.globl code\n.type code, @function\ncode:\n.rept 512\nnop\n.endr\n.size code, 512\n.data\n')
        file.write('.globl d\nd: .quad 0\n' + ABBREVIATIONS + '.section .debug_info,"",@progbits\n' + units)
        file.write('.section .debug_line,"",@progbits\n.Lline: .long 0\n')
    return names.build(directory, "hand", "gcc", "-shared", "-nostdlib", source)


def unit(number, body):
    """DWARF 4; body: its DIEs, without the last zero."""
    return (f".Lunit{number}: .long .Lend{number} - .Lstart{number}\n.Lstart{number}: .value 4\n.long .Labbrev\n.byte 8\n"
            f"{body}\n.byte 0\n.Lend{number}:\n")


def functions_at(path, offsets):
    start = symbol_address(path, "code")
    return [[frame.function for frame in block] for block in names.ask_kiln(path, [start + at for at in offsets])]


def test_origins_in_a_circle():
    with h.scratch() as directory:
        body = (".uleb128 1\n.long .Lline\n.quad code, 512\n"
                ".Lone: .uleb128 2\n.long .Ltwo - .Lunit0\n.quad code, 256\n"
                ".Ltwo: .uleb128 3\n.long .Lone - .Lunit0\n.quad code + 16, 16\n.byte 1, 1\n.byte 0\n.byte 0\n"
                ".Lself: .uleb128 2\n.long .Lself - .Lunit0\n.quad code + 256, 256\n.byte 0\n")
        path = build_by_hand(directory, unit(0, body))
        # No name in the circle: the symbol serves.
        h.expect(functions_at(path, [0, 20, 300]) == [["code"]] * 3, functions_at(path, [0, 20, 300]))


def test_absurd_depth():
    """20,000 functions inside each other, all of the same code: 64 of them are told, soon enough."""
    with h.scratch() as directory:
        count = 20000
        body = (".uleb128 1\n.long .Lline\n.quad code, 512\n.Lname: .uleb128 4\n.asciz \"deep\"\n"
                ".uleb128 2\n.long .Lname - .Lunit0\n.quad code, 512\n"
                f".rept {count}\n.uleb128 3\n.long .Lname - .Lunit0\n.quad code, 512\n.byte 1, 7\n.endr\n"
                f".rept {count + 1}\n.byte 0\n.endr\n")
        path = build_by_hand(directory, unit(0, body))
        for functions in functions_at(path, [0, 511, 100] * 50):
            h.expect(len(functions) == 64 and set(functions[:-1]) == {"deep"}, f"{len(functions)} {set(functions)}")


def test_units_that_do_not_say_where_they_are():
    """One has .debug_aranges, one has nothing but its functions, one has no code; none has lines."""
    with h.scratch() as directory:
        def body(name, at):
            code = f".uleb128 6\n.asciz \"{name}\"\n.quad code + {at}, 64\n" if at is not None else ""
            return f".uleb128 5\n.asciz \"{name}.c\"\n{code}.uleb128 4\n.asciz \"declared\"\n"
        units = unit(0, body("by_aranges", 16)) + unit(1, body("silent", 128)) + unit(2, body("data", None))
        units += ('.section .debug_aranges,"",@progbits\n.long 44\n.value 2\n.long .Lunit0 - .Lunit0\n.byte 8, 0\n.long 0\n'
                  ".quad code + 16, 64, 0, 0\n")
        path = build_by_hand(directory, units)
        functions = functions_at(path, [15, 16, 79, 80, 127, 128, 191, 192, 20])
        expected = ["code", "by_aranges", "by_aranges", "code", "code", "silent", "silent", "code", "by_aranges"]
        h.expect(functions == [[name] for name in expected], functions)


if __name__ == "__main__":
    h.main([value for name, value in list(globals().items()) if name.startswith("test_")])
