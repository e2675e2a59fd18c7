#!/usr/bin/python3
"""What bad input gets: exit codes, words and hints of the command line."""

import contextlib
import os
import shutil
import subprocess

import harness as h


def expect_words(result, *words):
    for word in words:
        h.expect(word in result.stderr, f"{word!r} is not in: {result.stderr}")
    h.expect(result.stderr.startswith("kiln: "), result.stderr)


def test_help_and_version():
    h.expect("kiln record" in h.expect_exit(0, "--help").stdout, "help")
    h.expect(h.expect_exit(0, "--version").stdout.startswith("kiln "), "version")
    h.expect("--view" in h.expect_exit(0, "report", "--help").stdout, "help of a verb")


def test_not_built_yet():
    for arguments in (["diff", "a", "b"], ["export", "a", "-o", "b"],
                      ["record", "-p", "1", "--heap=growth"], ["record", "-p", "1", "--heap=sampled:4096"],
                      ["record", "-p", "1", "-e", "heap"], ["1", "--children"],
                      ["report", "f", "--view", "leaks"], ["report", "f", "--format", "csv"],
                      ["report", "f", "--scope", "t=1-2"], []):
        expect_words(h.expect_exit(2, *arguments), "not built yet")


def test_heap_options_that_oppose_each_other():
    for arguments in (["-e", "cpu", "--heap=exact"], ["--heap=auto", "-e", "cpu"], ["-e", "cpu,heap", "--heap=off"]):
        expect_words(h.expect_exit(2, "record", "-p", "1", *arguments), "-e and --heap")
    for percent in ("0", "-1", "101", "much"):
        expect_words(h.expect_exit(2, "record", "-p", "1", "--max-overhead", percent), "--max-overhead")
    expect_words(h.expect_exit(2, "report", "f", "--view", "alloc", "--metric", "cpu"), "--view alloc")


def test_heap_that_was_not_measured_is_null():
    h.need_root()
    with h.workload("hot-split") as target, h.scratch() as directory:
        for number, choice in enumerate((["-e", "cpu"], ["--heap=off"])):
            path = f"{directory}/{number}.kiln"
            h.expect_exit(0, "record", "-p", target.pid, "-d", "1", "-o", path, *choice)
            summary = h.report(path)
            h.expect(summary["heap"] is None and summary["overhead"]["heap_hits"] is None, summary)
            h.expect("heap      not measured" in h.expect_exit(0, "report", path).stdout, "summary")
            for view in (["alloc"], ["hot", "--metric", "peak-bytes"], ["tree", "--metric", "live-count"]):
                rows = h.report(path, *view)
                h.expect(rows["total"] is None and rows["rows"] == [] and rows["why"], rows)
                text = h.expect_exit(0, "report", path, "--view", *view).stdout
                h.expect(text.startswith("heap: not measured: "), text)
            for metric in ("live-bytes", "live-count", "alloc-bytes", "alloc-count", "peak-bytes"):
                h.expect(h.report(path, "alloc", "--metric", metric)["metric"] == metric, metric)


def test_unknown_option_names_the_nearest():
    expect_words(h.expect_exit(2, "record", "--usr", "-p", "1"), "--usr", "--user")
    expect_words(h.expect_exit(2, "report", "x", "--veiw", "hot"), "--veiw", "--view")
    expect_words(h.expect_exit(2, "record", "-p", "1", "-F", "100000"), "-F")
    expect_words(h.expect_exit(2, "record", "-p", "1", "-F", "many"), "-F")
    expect_words(h.expect_exit(2, "record"), "-p PID")
    expect_words(h.expect_exit(2, "run"), "CMD")


def test_no_such_target():
    expect_words(h.expect_exit(3, "record", "-p", "4194303"), "4194303")
    expect_words(h.expect_exit(3, "99999999"), "99999999")
    expect_words(h.expect_exit(3, "99999999999999999999"), "99999999999999999999")
    expect_words(h.expect_exit(3, "-p", "0"), "0")
    expect_words(h.expect_exit(2, "-p", "1x"), "1x")
    expect_words(h.expect_exit(3, "record", "-n", "no-such-program-anywhere"), "no-such-program-anywhere")
    expect_words(h.expect_exit(3, "record", "-p", "2"), "kernel thread")
    # Where the invoking user may write, whatever the current directory is.
    with h.scratch() as directory:
        expect_words(h.expect_exit(3, "record", "-d", "1", "-o", directory + "/x.kiln", "--", "/no/such/command"),
                     "/no/such/command")


def test_zombie():
    child = os.fork()
    if not child:
        os._exit(0)
    os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
    try:
        expect_words(h.expect_exit(3, "record", "-p", child), "zombie")
    finally:
        os.waitpid(child, 0)


def test_ambiguous_name():
    with h.workload("hot-split") as one, h.workload("hot-split") as two:
        expect_words(h.expect_exit(3, "record", "-n", "hot-split"), str(one.pid), str(two.pid))


def test_kiln_itself_is_no_target():
    h.need_root()
    with h.workload("hot-split") as target, h.scratch() as directory:
        with h.spawn(h.KILN, "record", "-p", str(target.pid), "-o", directory + "/x.kiln") as kiln:
            h.wait_until(lambda: len(h.kiln_processes()) >= 4, "kiln runs")
            expect_words(h.expect_exit(3, "record", "-p", kiln.pid), "kiln")
            expect_words(h.expect_exit(3, "record", "-o", directory + "/y.kiln", "-n", "kiln"), "kiln")
            kiln.terminate()
            kiln.wait(timeout=h.DEADLINE_S)


def test_a_thread_means_its_process():
    h.need_root()
    with h.workload("threads", 3) as target, h.scratch() as directory:
        h.signal_phase(target)
        h.wait_for_words(target, "threads")
        tid = next(int(t) for t in os.listdir(f"/proc/{target.pid}/task") if int(t) != target.pid)
        summary = h.report(h.record_pid(tid, directory, 1))
        h.expect(summary["target"]["pid"] == target.pid, summary["target"])


def test_no_privilege():
    h.need_root()
    with h.workload("hot-split") as target:
        result = h.run("record", "-p", target.pid, user=65534, group=65534, extra_groups=[])
        h.expect(result.returncode == 4, f"{result.returncode} {result.stderr}")
        expect_words(result, "CAP_BPF", "sudo ", f"record -p {target.pid}")


def test_32_bit_target():
    h.need_root()
    with h.scratch() as directory:
        source, program = directory + "/x.s", directory + "/x"
        with open(source, "w", encoding="utf-8") as file:
            file.write(".globl _start\n_start:\n jmp _start\n")
        if subprocess.run(["as", "--32", source, "-o", program + ".o"], check=False).returncode or \
           subprocess.run(["ld", "-m", "elf_i386", program + ".o", "-o", program], check=False).returncode:
            raise h.Skip("as and ld make no 32-bit program here")
        with contextlib.ExitStack() as stack:
            try:
                process = stack.enter_context(h.spawn(program))
            except OSError:
                raise h.Skip("this kernel runs no 32-bit program") from None
            h.wait_until(lambda: os.path.basename(os.readlink(f"/proc/{process.pid}/exe")) == "x", "exec")
            expect_words(h.expect_exit(5, "record", "-p", process.pid, "-d", "1"), "32")


def test_no_place_to_save_is_said_at_once():
    h.need_root()
    with h.workload("hot-split") as target:
        # Without -d: it would record until it is interrupted. Again and again: the interface ends before the probe has
        # looked around, and its end was missed once.
        for _ in range(25):
            result = h.expect_exit(1, "record", "-p", target.pid, "-o", "/proc/no/x.kiln", seconds=10)
            expect_words(result, "/proc/no/")


def test_kernel_without_btf():
    h.need_root()
    with h.workload("hot-split") as target:
        script = f"mount -t tmpfs none /sys/kernel/btf && exec {h.KILN} record -d 1 -o /dev/null -p {target.pid}"
        result = subprocess.run(["unshare", "-m", "sh", "-c", script], capture_output=True, text=True, timeout=60,
                                check=False)
        if "propagation" in result.stderr:
            raise h.Skip("in a chroot no mount can be hidden from the rest of the machine")
        h.expect(result.returncode == 5, f"exit {result.returncode}: {result.stdout}{result.stderr}")
        expect_words(result, "BTF")


def test_kernel_without_bpf_loop():
    h.need_root()
    with h.workload("hot-split") as target, h.scratch() as directory:
        # A sanitizer's runtime wants to be the first that is loaded.
        options = ":".join(filter(None, [os.environ.get("ASAN_OPTIONS"), "verify_asan_link_order=0"]))
        preload = {"LD_PRELOAD": os.path.join(h.WORKLOADS, "libno-bpf-loop"), "ASAN_OPTIONS": options}
        result = h.expect_exit(5, "record", "-d", 1, "-o", directory + "/x.kiln", "-p", target.pid, env=preload)
        expect_words(result, "this kernel lacks the BPF helper bpf_loop", "5.17")
        h.expect(not os.path.exists(directory + "/x.kiln"), "nothing was recorded")


def test_bad_files():
    with h.scratch() as directory:
        for name, content in (("empty", b""), ("text", b"hello\n" * 100), ("half", b"SQLite format 3\0" + b"\0" * 50)):
            with open(f"{directory}/{name}", "wb") as file:
                file.write(content)
            expect_words(h.expect_exit(6, "report", f"{directory}/{name}"))
            expect_words(h.expect_exit(6, "open", f"{directory}/{name}"))
        os.mkfifo(f"{directory}/fifo")
        h.expect(h.run("report", f"{directory}/fifo", seconds=10).returncode in (1, 6), "fifo")
        h.expect(h.run("report", f"{directory}/missing").returncode in (1, 6), "missing")
        h.expect(h.run("report", directory).returncode in (1, 6), "directory")


def test_doctor():
    result = h.run("doctor")
    h.expect(result.returncode in (0, 4, 5), f"{result.returncode}")
    for line in result.stdout.splitlines():
        name, _, rest = line.partition(": ")
        h.expect(name and rest.split(":")[0] in ("yes", "no", "part"), f"line {line!r}")
    h.expect(sum(line.startswith("heap: ") for line in result.stdout.splitlines()) == 1, result.stdout)
    if os.geteuid() == 0:
        result = h.run("doctor", user=65534, group=65534, extra_groups=[])
        h.expect(result.returncode == 4 and "CAP_BPF" in result.stdout, f"{result.returncode}\n{result.stdout}")
        h.expect("\nheap: no: " in result.stdout, result.stdout)


def test_command_that_cannot_run():
    h.need_root()
    with h.scratch() as directory:
        path = directory + "/not-executable"
        with open(path, "w", encoding="utf-8") as file:
            file.write("x")
        expect_words(h.expect_exit(3, "record", "-o", directory + "/x.kiln", "--", path), "not-executable")
        shutil.copy("/bin/true", directory + "/short")
        result = h.expect_exit(0, "record", "-o", directory + "/y.kiln", "--", directory + "/short")
        h.expect(h.report(result.stdout.splitlines()[-1])["target"]["exit"] == {"code": 0}, "exit of a short command")


h.main([test_help_and_version, test_not_built_yet, test_heap_options_that_oppose_each_other,
        test_heap_that_was_not_measured_is_null, test_unknown_option_names_the_nearest, test_no_such_target, test_zombie,
        test_ambiguous_name, test_kiln_itself_is_no_target, test_a_thread_means_its_process, test_no_privilege,
        test_32_bit_target, test_no_place_to_save_is_said_at_once, test_kernel_without_btf, test_kernel_without_bpf_loop,
        test_bad_files, test_doctor, test_command_that_cannot_run])
