#!/usr/bin/python3
"""Debian 12's own kernel, booted in qemu: attach, record, report, kill -9. Counts, no timing."""

import glob
import json
import os
import shutil
import subprocess

import harness as h

SECONDS = 280


def boot():
    kernels = sorted(glob.glob(os.path.join(h.BUILD, "kernel/boot/vmlinuz-6.1*")))
    if not kernels:
        raise h.Skip("no 6.1 kernel under build/kernel (tests/kernel/fetch.sh could not download it)")
    if not shutil.which("qemu-system-x86_64"):
        raise h.Skip("no qemu-system-x86_64")
    here = os.path.join(h.ROOT, "tests/kernel")
    result = subprocess.run([here + "/boot.sh", kernels[-1], str(SECONDS), here + "/script.sh", h.KILN,
                             h.WORKLOADS + "/hot-split", "/usr/sbin/bpftool"],
                            capture_output=True, text=True, timeout=SECONDS + 60, check=False)
    return result.stdout


OUTPUT = []


def lines(prefix):
    if not OUTPUT:
        OUTPUT.append(boot())
    found = [line.removeprefix(prefix).strip() for line in OUTPUT[0].splitlines() if line.startswith(prefix)]
    h.expect(found, f"no line {prefix!r} in:\n{OUTPUT[0][-6000:]}")
    return found


def test_record_and_report():
    h.expect(lines("6.1"), "the kernel is 6.1")
    h.expect(lines("@@record") == ["0"] and lines("@@report") == ["0"], OUTPUT[0])
    summary = json.loads(lines("@@summary")[0])
    h.check_accounts(summary)
    cpu = summary["cpu"]
    h.expect(cpu["samples"] > 100, f"{cpu}")
    # In software emulation the first tables may come later than sampling begins: that is said, and no fault.
    untabled = cpu["stacks"]["broken"]["no_table"]
    h.expect(cpu["stacks"]["complete"] >= 0.99 * (cpu["samples"] - untabled) > 100, f"{cpu}")
    hot = json.loads(lines("@@hot")[0])
    three, one = h.function(hot, "hot_three")["self"], h.function(hot, "hot_one")["self"]
    h.expect(three > one > 0, f"{three} : {one}")
    print(f"# 6.1: {cpu['samples']} samples, {cpu['stacks']['complete']} complete, {three} : {one}")


def test_nothing_is_left():
    h.expect(lines("@@left") == ["0"], OUTPUT[0])
    for role in ("probe", "interface", "worker"):
        h.expect(lines(f"@@kill {role}") == ["left 0 target alive"], f"{lines('@@kill')}")
    h.expect("@@never" not in OUTPUT[0], OUTPUT[0])


def test_doctor():
    h.expect(lines("@@doctor") == ["0"], OUTPUT[0])
    sandbox = lines("worker sandbox: ")[0]
    print(f"# worker sandbox: {sandbox}")
    h.expect(sandbox.startswith(("yes: ", "part: ")) and "few system calls" in sandbox, sandbox)


h.main([test_record_and_report, test_nothing_is_left, test_doctor])
