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
    """A recording of hot-inlined, from a copy of it in the directory."""
    path = os.path.join(directory, "hot-inlined")
    shutil.copy2(binary or os.path.join(h.WORKLOADS, "hot-inlined"), path)
    with subprocess.Popen([path], stdout=subprocess.PIPE, text=True) as target:
        try:
            h.wait_for_words(target, "ready")
            return path, h.record_pid(target.pid, directory, seconds, 997)
        finally:
            target.kill()


def numbers(text, pattern):
    """The rows of a kind: lines come first, then instructions, below their head."""
    lines, _, instructions = text.partition("INSTRUCTION\n")
    rows = (lines if pattern is LINE else instructions).splitlines()
    return [match for match in map(pattern.match, rows) if match]


def count(text):
    return int((text or "0").replace(",", ""))


def objdump(path, symbol):
    """Addresses and jump targets of a function."""
    result = subprocess.run(["objdump", "-d", "-w", "--no-show-raw-insn", f"--disassemble={symbol}", path],
                            capture_output=True, text=True, check=True)
    found = re.findall(r"^ +([0-9a-f]+):\t(\S+) *(?:([0-9a-f]+) <)?", result.stdout, re.M)
    return [(address, target) for address, _, target in found]


def in_code(text):
    """What the head says of the samples in the function's code."""
    return count(re.search(r"^([\d,]+) samples in its code", text, re.M)[1])


def check_sums(text):
    """Every sample stands at an instruction, and at a line."""
    for pattern in (INSTRUCTION, LINE):
        h.expect(sum(count(match[2]) for match in numbers(text, pattern)) == in_code(text), text)


def marked(text, pattern):
    return [match[0] for match in numbers(text, pattern) if match[0].startswith(">")]


def test_inlined_function():
    h.need_root()
    with h.scratch() as directory:
        _, path = snapshot(directory)
        own = h.function(h.report(path, "hot"), "workload_burn")["self"]
        h.expect(own > 100, "workload_burn was not sampled")
        text = h.expect_exit(0, "annotate", path, "workload_burn").stdout
        h.expect(text.startswith("workload_burn  (hot-inlined)\n") and in_code(text) == own, text)
        check_sums(text)
        # In the two functions that it is inlined into, and nothing else of them.
        h.expect("\ninlined into hot_three, " in text and "\ninlined into hot_one, " in text, text)
        h.expect(f"\n{SOURCES}/workload.h\n" in text and "no source" not in text, text)
        h.expect(all("seed = seed *" in line or "for (unsigned" in line for line in marked(text, LINE)), text)
        h.expect(len(marked(text, LINE)) == 1 and not any("ret" in match[6] for match in numbers(text, INSTRUCTION)), text)


def test_concrete_function():
    """Its instructions are objdump's, all of them; what is inlined there is at the line of its call."""
    h.need_root()
    with h.scratch() as directory:
        binary, path = snapshot(directory)
        samples = {}
        for name in ("hot_three", "hot_one"):
            text = h.expect_exit(0, "annotate", path, name).stdout
            check_sums(text)
            samples[name] = in_code(text)
            h.expect(len(marked(text, LINE)) == 1 and "return workload_burn" in marked(text, LINE)[0], text)
            h.expect("(inlined: workload_burn workload.h:" in marked(text, LINE)[0], text)
            theirs = objdump(binary, name)
            ours = numbers(text, INSTRUCTION)
            h.expect([match[3] for match in ours] == [address for address, _ in theirs], f"{text}\n{theirs}")
            h.expect({match[3] for match in ours if match[4] == "•"} == {target for _, target in theirs if target}, text)
            for match, (_, target) in zip(ours, theirs):
                h.expect((match[5] in "↑↓") == bool(target) and (not target or f"0x{target}" in match[6]), match[0])
            intel = h.expect_exit(0, "annotate", "--intel", path, name).stdout
            h.expect([match[3] for match in numbers(intel, INSTRUCTION)] == [address for address, _ in theirs], intel)
            h.expect("%r" not in intel and "%r" in text, intel)
        h.expect(2.2 < samples["hot_three"] / samples["hot_one"] < 4.2, samples)


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
        h.expect(f"\n{SOURCES}/hot-split.c\n" in text, text)
        # Not where the debug information says either: instructions only.
        os.rename(binary, binary + ".1")
        with open(binary + ".1", "rb") as file:
            bytes_of = file.read()
        gone = bytes_of.replace(h.ROOT.encode(), b"/" + b"x" * (len(h.ROOT) - 1))
        with open(binary, "wb") as file:
            file.write(gone)
        text = h.expect_exit(0, "annotate", path, "hot_three").stdout
        h.expect("  no source: No such file or directory\n" in text and numbers(text, INSTRUCTION), text)
        check_sums(text)
        result = h.expect_exit(2, "annotate", "--source-path", "nonsense", path, "hot_three")
        h.expect("--source-path nonsense: not FROM=TO" in result.stderr, result.stderr)


def test_stripped_binary_has_instructions_only():
    h.need_root()
    with h.scratch() as directory:
        stripped = os.path.join(directory, "stripped")
        subprocess.run(["objcopy", "--strip-debug", os.path.join(h.WORKLOADS, "hot-inlined"), stripped], check=True)
        binary, path = snapshot(directory, stripped)
        text = h.expect_exit(0, "annotate", path, "hot_three").stdout
        h.expect("no line is known" in text, text)
        instructions = numbers(text, INSTRUCTION)
        h.expect([match[3] for match in instructions] == [address for address, _ in objdump(binary, "hot_three")], text)
        h.expect(sum(count(match[2]) for match in instructions) == in_code(text) > 100, text)


def test_missing_and_other_binaries():
    h.need_root()
    with h.scratch() as directory:
        binary, path = snapshot(directory)
        name = "hot_three"

        def expect_lines(words):
            result = h.expect_exit(1, "annotate", path, name, seconds=20)
            h.expect(words in result.stderr and len(result.stderr.splitlines()) == 2, result.stderr)
            # What the snapshot itself knows is there all the same.
            found = sum(count(match[2]) for match in numbers(result.stdout, LINE))
            h.expect(found == in_code(result.stdout) > 100, result.stdout)
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
        h.expect(h.expect_exit(0, "annotate", path, "hot-inlined!hot_three").stdout.startswith("hot_three"), "module!name")
        for arguments in ([], [path], [path, "a", "b"], ["--intels", path, "hot_three"]):
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


def test_under_sudo_paths_are_opened_as_the_user():
    """The snapshot names paths: root's rights are not lent to them."""
    h.need_root()
    with h.scratch() as directory:
        _, path = snapshot(directory, seconds=1)
        moved = os.path.join(directory, "moved")
        shutil.copytree(SOURCES, moved)
        os.chmod(directory, 0o755)
        os.chmod(f"{moved}/hot-split.c", 0o600)
        arguments = ("annotate", "--source-path", f"{SOURCES}={moved}", "--source-path", f"{moved}=/nowhere", path,
                     "hot_three")
        text = h.expect_exit(0, *arguments).stdout
        h.expect(f"\n{moved}/hot-split.c\n" in text, text)
        user = {"SUDO_UID": "65533", "SUDO_GID": "65533"}
        text = h.expect_exit(0, *arguments, env=user).stdout
        h.expect(f"\n{moved}/hot-split.c\n" not in text and numbers(text, INSTRUCTION), text)
        # The binary, too.
        os.chmod(os.path.join(directory, "hot-inlined"), 0o700)
        result = h.expect_exit(1, *arguments, env=user)
        h.expect("hot-inlined: Permission denied" in result.stderr, result.stderr)


def test_code_that_is_in_no_file():
    h.need_root()
    with h.scratch() as directory, h.spawn("dd", "if=/dev/zero", "of=/dev/null", "bs=1M") as target:
        path = h.record_pid(target.pid, directory, 2)
        row = next(row for row in h.report(path, "hot")["rows"] if row["module"] == "[kernel]")
        result = h.expect_exit(1, "annotate", path, f"[kernel]!{row['function']}")
        h.expect("no instructions: [kernel]: its code is in no file" in result.stderr, result.stderr)
        h.expect(result.stdout.startswith(row["function"]) and in_code(result.stdout) == row["self"], result.stdout)


if __name__ == "__main__":
    h.main([test_inlined_function, test_concrete_function, test_sources_that_moved_or_changed,
            test_stripped_binary_has_instructions_only, test_missing_and_other_binaries, test_words_and_exit_codes,
            test_as_an_ordinary_user, test_under_sudo_paths_are_opened_as_the_user, test_code_that_is_in_no_file])
