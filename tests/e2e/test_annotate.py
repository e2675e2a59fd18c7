#!/usr/bin/python3
"""kiln annotate: a recorded program's instructions and lines with their samples, and what is said when they are not there."""

import os
import re
import shutil
import subprocess

import harness as h

SOURCES = os.path.join(h.ROOT, "tests/workloads")
INSTRUCTION = re.compile(r"^[> ] (?: *([\d.]+)% ±[ \d.]{5} +([\d,]+))? +([0-9a-f]+) ([• ])([↑↓→ ]) (\S.*)$")
LINE = re.compile(r"^[> ] +([\d.]+)% ±[ \d.]{5} +([\d,]+) +(\d+)(?:  (.*))?$")


def snapshot(directory, binary=None, seconds=2):
    """A recording of hot-split, from a copy of it in the directory."""
    path = os.path.join(directory, "hot-split")
    shutil.copy2(binary or os.path.join(h.WORKLOADS, "hot-split"), path)
    with subprocess.Popen([path], stdout=subprocess.PIPE, text=True) as target:
        try:
            h.wait_for_words(target, "ready")
            return path, h.record_pid(target.pid, directory, seconds, 997)
        finally:
            target.kill()


def numbers(text, pattern):
    return [match for match in map(pattern.match, text.splitlines()) if match]


def count(text):
    return int((text or "0").replace(",", ""))


def objdump(path, symbol):
    """Addresses and jump targets of a function."""
    result = subprocess.run(["objdump", "-d", "-w", "--no-show-raw-insn", f"--disassemble={symbol}", path],
                            capture_output=True, text=True, check=True)
    found = re.findall(r"^ +([0-9a-f]+):\t(\S+) *(?:([0-9a-f]+) <)?", result.stdout, re.M)
    return [(address, target) for address, _, target in found]


def hot(path, name):
    row = h.function(h.report(path, "hot"), name)
    h.expect(row["self"] > 0, f"{name} was not sampled")
    return row["self"]


def test_instructions_lines_and_samples():
    h.need_root()
    with h.scratch() as directory:
        binary, path = snapshot(directory)
        for name in ("workload_burn", "hot_three"):
            if h.function(h.report(path, "hot"), name)["self"]:
                check_text(binary, path, name)


def check_text(binary, path, name):
    own = hot(path, name)
    text = h.expect_exit(0, "annotate", path, name).stdout
    h.expect(text.startswith(f"{name}  (hot-split)\n{own:,} samples of its own"), text)
    instructions = numbers(text, INSTRUCTION)
    # Every sample stands at an instruction of the binary, and at a line.
    h.expect(sum(count(match[2]) for match in instructions) == own, text)
    lines = numbers(text, LINE)
    h.expect(sum(count(match[2]) for match in lines) == own, text)
    # The loop: its two lines have nearly all.
    wanted = {"workload_burn": ("workload.h", "seed = seed *"), "hot_three": ("hot-split.c", "return workload_burn")}
    file, words = wanted[name]
    h.expect(f"/{file}\n" in text, text)
    marked = [line for line in text.splitlines() if line.startswith(">") and words in line]
    h.expect(len(marked) == 1, text)
    h.expect("newer than the binary" not in text and "no source" not in text, text)
    for symbol in ("hot_three", "hot_one", "main"):
        theirs = dict(objdump(binary, symbol))
        for match in instructions:
            target = theirs.get(match[3])
            if target and match[5] in "↑↓":
                h.expect(f"0x{target}" in match[6], f"{match[0]}: to {target}")


def test_concrete_function_is_whole():
    h.need_root()
    with h.scratch() as directory:
        binary, path = snapshot(directory)
        for name in ("hot_three", "hot_one"):
            rows = h.report(path, "hot")
            if not any(row["function"] == name for row in rows["rows"]):
                raise AssertionError(f"{name}: {rows}")
            result = h.expect_exit(0, "annotate", path, name)
            ours = [match[3] for match in numbers(result.stdout, INSTRUCTION)]
            theirs = [address for address, _ in objdump(binary, name)]
            h.expect(ours == theirs, f"{ours}\n{theirs}")
            targets = {target for _, target in objdump(binary, name) if target}
            h.expect({match[3] for match in numbers(result.stdout, INSTRUCTION) if match[4] == "•"} == targets, targets)
            intel = h.expect_exit(0, "annotate", "--intel", path, name).stdout
            h.expect([match[3] for match in numbers(intel, INSTRUCTION)] == theirs, intel)
            h.expect("%r" not in intel and "%r" in result.stdout, intel)


def test_sources_that_moved_or_changed():
    h.need_root()
    with h.scratch() as directory:
        moved = os.path.join(directory, "moved")
        shutil.copytree(SOURCES, moved)
        binary, path = snapshot(directory)
        for name in os.listdir(moved):
            os.utime(os.path.join(moved, name), (1000, 1000))
        text = h.expect_exit(0, "annotate", "--source-path", f"{SOURCES}={moved}", path, "hot_three").stdout
        h.expect(f"{moved}/hot-split.c\n" in text and "newer" not in text, text)
        # Changed after it was built.
        with open(f"{moved}/hot-split.c", "a", encoding="utf-8") as file:
            file.write("/* later */\n")
        text = h.expect_exit(0, "annotate", "--source-path", f"{SOURCES}={moved}", path, "hot_three").stdout
        h.expect(f"{moved}/hot-split.c\n  newer than the binary: lines may be wrong\n" in text, text)
        # A FIFO is not read: nobody will ever write into it.
        os.unlink(f"{moved}/hot-split.c")
        os.mkfifo(f"{moved}/hot-split.c")
        text = h.expect_exit(0, "annotate", "--source-path", f"{SOURCES}={moved}", path, "hot_three", seconds=10).stdout
        h.expect("/hot-split.c\n" in text, text)
        # Not where the debug information says either: instructions only.
        text = h.expect_exit(0, "annotate", "--source-path", f"{SOURCES}=/nowhere", path, "hot_three").stdout
        h.expect(numbers(text, INSTRUCTION), text)
        result = h.expect_exit(2, "annotate", "--source-path", "nonsense", path, "hot_three")
        h.expect("--source-path nonsense: not FROM=TO" in result.stderr, result.stderr)


def test_stripped_binary_has_instructions_only():
    h.need_root()
    with h.scratch() as directory:
        stripped = os.path.join(directory, "stripped")
        subprocess.run(["objcopy", "--strip-debug", os.path.join(h.WORKLOADS, "hot-split"), stripped], check=True)
        binary, path = snapshot(directory, stripped)
        text = h.expect_exit(0, "annotate", path, "hot_three").stdout
        h.expect("no line is known" in text, text)
        instructions = numbers(text, INSTRUCTION)
        h.expect([match[3] for match in instructions] == [address for address, _ in objdump(binary, "hot_three")], text)
        h.expect(sum(count(match[2]) for match in instructions) == hot(path, "hot_three"), text)


def test_missing_and_other_binaries():
    h.need_root()
    with h.scratch() as directory:
        binary, path = snapshot(directory)
        name = "workload_burn" if h.function(h.report(path, "hot"), "workload_burn")["self"] else "hot_three"
        own = hot(path, name)

        def expect_lines(words):
            result = h.expect_exit(1, "annotate", path, name, seconds=20)
            h.expect(words in result.stderr and len(result.stderr.splitlines()) == 2, result.stderr)
            # What the snapshot itself knows is there all the same.
            h.expect(sum(count(match[2]) for match in numbers(result.stdout, LINE)) == own, result.stdout)
            h.expect("INSTRUCTION" not in result.stdout, result.stdout)
        os.rename(binary, binary + ".old")
        expect_lines(f"{binary}: No such file or directory")
        shutil.copy2(os.path.join(h.WORKLOADS, "threads"), binary)
        expect_lines("it is not the file that ran: its build-id is")
        os.unlink(binary)
        os.mkfifo(binary)
        expect_lines("not a regular file")
        os.unlink(binary)
        with open(binary, "wb") as file:
            file.write(os.urandom(100000))
        expect_lines("not the file that ran")
        os.unlink(binary)
        os.rename(binary + ".old", binary)
        h.expect_exit(0, "annotate", path, name)


def test_words_and_exit_codes():
    h.need_root()
    with h.scratch() as directory:
        _, path = snapshot(directory, seconds=1)
        result = h.expect_exit(1, "annotate", path, "hot_thre")
        h.expect("no function is called hot_thre" in result.stderr and "did you mean: hot_three" in result.stderr,
                 result.stderr)
        h.expect(h.expect_exit(0, "annotate", path, "hot-split!hot_three").stdout.startswith("hot_three"), "module!name")
        for arguments in ([], [path], [path, "a", "b"], ["--inte", path, "hot_three"]):
            h.expect_exit(2, "annotate", *arguments)
        h.expect_exit(1, "annotate", os.path.join(directory, "none"), "hot_three")
        damaged = os.path.join(directory, "damaged.kiln")
        with open(damaged, "wb") as file:
            file.write(b"not a snapshot")
        h.expect_exit(6, "annotate", damaged, "hot_three")
        result = h.run("annotate", path, "hot_three", env={"LC_ALL": "C"})
        h.expect(result.returncode == 0, result.stderr)


def test_as_an_ordinary_user():
    """No probe, no rights: the user's own."""
    h.need_root()
    with h.scratch() as directory:
        _, path = snapshot(directory, seconds=1)
        os.chmod(directory, 0o755)
        os.chmod(path, 0o644)
        kiln = os.path.join(directory, "kiln")
        shutil.copy2(h.KILN, kiln)
        result = subprocess.run(["setpriv", "--reuid=65533", "--regid=65533", "--clear-groups", kiln, "annotate", path,
                                 "hot_three"], capture_output=True, text=True, timeout=30, check=False)
        h.expect(result.returncode == 0 and numbers(result.stdout, INSTRUCTION), result.stdout + result.stderr)


if __name__ == "__main__":
    h.main([test_instructions_lines_and_samples, test_concrete_function_is_whole, test_sources_that_moved_or_changed,
            test_stripped_binary_has_instructions_only, test_missing_and_other_binaries, test_words_and_exit_codes,
            test_as_an_ordinary_user])
