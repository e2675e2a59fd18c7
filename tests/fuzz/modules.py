#!/usr/bin/python3
"""The worker's parsing under libFuzzer: usage: tests/fuzz/modules.py BUILD/fuzz SECONDS.

libdw and libelf crash on some inputs: that costs a worker, and is told. What crashes, hangs or breaks a promise in our
own code fails; the inputs are in BUILD/fuzz/crashes."""

import glob
import os
import re
import subprocess
import sys

OPTIONS = "allocator_may_return_null=1:detect_leaks=0:handle_abort=1:symbolize=1"
# Whose fault a crash is: the innermost frame that is not the C library's or the sanitizer's.
FRAME = re.compile(r"^\s*#\d+ 0x[0-9a-f]+ (?:in (\S+) )?\(?(\S+)", re.MULTILINE)


def blame(program, path):
    """(ours?, words) of one artifact; None when it does not happen again."""
    try:
        result = subprocess.run([program, path], capture_output=True, timeout=60, check=False,
                                env=dict(os.environ, ASAN_OPTIONS=OPTIONS))
    except subprocess.TimeoutExpired:
        return True, "no end"
    text = result.stderr.decode("utf-8", "replace")
    if result.returncode == 0:
        return None
    kind = re.search(r"(?:ERROR: |SUMMARY: |runtime error: )(.{0,60})", re.sub(r"0x[0-9a-f]+", "…", text))
    for function, place in FRAME.findall(text):
        if re.search(r"libdw|libelf", place):
            return False, f"libdw: {function}: {kind and kind.group(1)}"
        if "/symbolizer/" in place or "/base/" in place or "/tests/fuzz/" in place or "/bpf/" in place:
            return True, f"{function} {place}: {kind and kind.group(1)}"
    return True, f"unknown: {kind and kind.group(1)}"


def main(folder, seconds):
    program = os.path.join(folder, "fuzz_modules")
    crashes = os.path.join(folder, "crashes")
    os.makedirs(crashes, exist_ok=True)
    corpora = [os.path.join(folder, "modules"), os.path.join(folder, "seeds"), "tests/fuzz/corpus-modules"]
    done = subprocess.run([program, "-fork=1", "-ignore_crashes=1", "-ignore_ooms=1", "-ignore_timeouts=1", "-timeout=10",
                           "-rss_limit_mb=2048", "-max_len=20000", f"-max_total_time={seconds}",
                           f"-artifact_prefix={crashes}/", *corpora], capture_output=True, check=False,
                          timeout=seconds + 300, env=dict(os.environ, ASAN_OPTIONS=OPTIONS))
    said = done.stderr.decode("utf-8", "replace").splitlines()
    print("\n".join([line for line in said if line.startswith("#")][-1:]) or "\n".join(said[-20:]))
    found = {}
    for path in sorted(glob.glob(os.path.join(crashes, "*"))):
        verdict = blame(program, path)
        if verdict:
            found.setdefault(verdict, []).append(path)
    for (is_ours, words), paths in sorted(found.items()):
        print(f"{'OURS' if is_ours else 'theirs'}: {words}: {len(paths)} inputs, {paths[0]}")
    return any(is_ours for is_ours, _ in found) or not any(line.startswith("#") for line in said)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], int(sys.argv[2])))
