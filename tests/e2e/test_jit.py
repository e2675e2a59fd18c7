#!/usr/bin/python3
"""Names of code that is made at run time: from the target's perf map or jitdump, wherever and whenever it writes them,
and from nobody else."""

import contextlib
import os
import shutil
import signal
import subprocess

import harness as h

HZ = 999
OTHER_USER = 54321
NAMES = {"jit_inner", "JS:jit_outer a.js:1"}
LEAST = 200  # samples


def map_of(pid):
    return f"/tmp/perf-{pid}.map"


@contextlib.contextmanager
def target(*arguments):
    """Leaves no map behind."""
    with h.workload("jit-names", *arguments) as process:
        try:
            yield process
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(map_of(process.pid))


def attach(process, directory):
    return h.Recording(directory, "-p", process.pid, "-F", HZ, "-e", "cpu").wait_attached()


def record(process, directory, seconds=0.6):
    recording = attach(process, directory)
    h.wait_cpu(process.pid, seconds)
    return recording.finish()


def anonymous(path):
    """Functions of JIT code with their rows, and what the summary says of their module."""
    summary = h.report(path)
    h.check_accounts(summary)
    h.expect(summary["cpu"]["samples"] >= LEAST, f"only {summary['cpu']['samples']} samples")
    rows = {row["function"]: row for row in h.report(path, "hot")["rows"] if row["module"] == "[anon]"}
    symbols = [module["symbols"] for module in summary["modules"] if module["name"] == "[anon]"]
    return rows, symbols


def expect_names(path, names=frozenset(NAMES)):
    rows, symbols = anonymous(path)
    h.expect(set(rows) == set(names), f"{rows}")
    h.expect(all(row["self"] >= LEAST / 10 for row in rows.values()), f"{rows}")
    h.expect(symbols == ["jit"], f"{symbols}")
    return rows


def expect_no_names(path):
    rows, symbols = anonymous(path)
    h.expect(set(rows) == {"[anon]"}, f"{rows}")
    h.expect(symbols != ["jit"], f"{symbols}")


def test_map():
    h.need_root()
    with target("map") as process, h.scratch() as directory:
        expect_names(record(process, directory))


def test_no_map():
    h.need_root()
    with target("none") as process, h.scratch() as directory:
        expect_no_names(record(process, directory))


def change(process, recording, seconds):
    """The target writes, and works on for so long."""
    h.wait_cpu(process.pid, 0.3)
    process.send_signal(signal.SIGUSR1)
    h.wait_for_words(process, "written")
    h.wait_cpu(process.pid, seconds)
    return recording.finish()


def test_map_that_comes_late():
    """What was sampled before it came gets its names as well."""
    h.need_root()
    with target("late") as process, h.scratch() as directory:
        recording = attach(process, directory)
        expect_names(change(process, recording, 0.1))


def test_map_that_grows():
    h.need_root()
    with target("growing") as process, h.scratch() as directory:
        recording = attach(process, directory)
        expect_names(change(process, recording, 0.1))


def test_worker_that_dies():
    """The next one gets the target's files again."""
    h.need_root()
    with target("growing") as process, h.scratch() as directory:
        recording = attach(process, directory)
        h.wait_cpu(process.pid, 0.2)
        killed = h.roles(recording.process.pid)["workers"]
        h.expect(killed, "there are workers")
        for pid in killed:
            os.kill(pid, signal.SIGKILL)
        h.wait_until(lambda: set(h.roles(recording.process.pid)["workers"]) - set(killed), "new workers")
        expect_names(change(process, recording, 0.1))


def test_map_is_seen_live():
    """Not only at the end: the dashboard shows the names some time after they were written."""
    h.need_root()
    with target("late") as process:
        with h.Terminal() as terminal:
            terminal.type(f"{h.KILN} -p {process.pid} -e cpu")
            terminal.expect("attached")
            terminal.keys("2")
            terminal.expect("[anon]")
            process.send_signal(signal.SIGUSR1)
            h.wait_for_words(process, "written")
            terminal.expect("jit_inner", "jit_outer", absent=("*jit_outer",))
            terminal.keys("q")


def test_target_that_ends():
    """It writes its map as its last act: nobody can have read it before it was gone."""
    h.need_root()
    with target("at-end") as process, h.scratch() as directory:
        recording = attach(process, directory)
        h.wait_cpu(process.pid, 0.5)
        process.send_signal(signal.SIGUSR1)
        process.wait()
        os.unlink(map_of(process.pid))
        recording.process.wait(60)
        expect_names(recording.finish(how=None))


def test_jitdump_with_lines():
    h.need_root()
    with h.scratch() as directory, target("dump", directory) as process:
        rows = expect_names(record(process, directory), {"jit_inner", "jit_outer"})
        places = {name: (row["file"], row["line"]) for name, row in rows.items()}
        h.expect(places == {"jit_inner": ("/src/jit.lang", 20), "jit_outer": ("/src/jit.lang", 10)}, f"{places}")


def test_target_of_another_user():
    """What it writes may be for its own eyes only."""
    h.need_root()
    program = os.path.join(h.WORKLOADS, "jit-names")
    command = ["setpriv", "--reuid", str(OTHER_USER), "--regid", str(OTHER_USER), "--clear-groups",
               "sh", "-c", 'umask 077; exec "$0" map', program]
    with h.scratch() as directory, h.spawn(*command, stdout=subprocess.PIPE, text=True) as process:
        h.wait_for_words(process, "ready")
        try:
            expect_names(record(process, directory))
        finally:
            os.unlink(map_of(process.pid))
            process.stdout.close()


def test_what_others_write_is_refused():
    h.need_root()

    def of_another_user(path):
        shutil.copy(path, path + ".copy")
        os.unlink(path)
        os.rename(path + ".copy", path)
        os.chown(path, OTHER_USER, OTHER_USER)

    def behind_a_link(path):
        os.rename(path, path + ".real")
        os.symlink(path + ".real", path)

    def pipe(path):
        os.unlink(path)
        os.mkfifo(path)

    for make in (of_another_user, behind_a_link, pipe):
        with target("map") as process, h.scratch() as directory:
            path = map_of(process.pid)
            make(path)
            try:
                expect_no_names(record(process, directory))
            finally:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(path + ".real")


def child_of(pid):
    found = []

    def look():
        with open(f"/proc/{pid}/task/{pid}/children", encoding="utf-8") as file:
            found[:] = map(int, file.read().split())
        return found
    h.wait_until(look, f"a child of {pid}")
    return found[0]


def test_container():
    """A PID namespace, and a /tmp of its own: it finds its own map, not that of who has the same number outside."""
    h.need_root()
    program = os.path.join(h.WORKLOADS, "jit-names")
    inside = 'exec 9<"$0"; mount -t tmpfs none /tmp && exec /proc/self/fd/9 map'
    command = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c", inside, program]
    with h.scratch() as directory, h.spawn(*command, stdout=subprocess.PIPE, text=True) as outer:
        h.wait_for_words(outer, "ready")
        pid = child_of(outer.pid)
        with open(map_of(pid), "w", encoding="utf-8") as file:
            file.write("0 7fffffffffff wrong\n")
        try:
            recording = h.Recording(directory, "-p", pid, "-F", HZ, "-e", "cpu").wait_attached()
            h.wait_cpu(pid, 0.6)
            expect_names(recording.finish())
        finally:
            os.unlink(map_of(pid))
            outer.stdout.close()


SCRIPT = """
function kilnLeaf(n) { let x = n; for (let i = 0; i < 3000; i++) x = (x * 31 + i) % 1000003; return x; }
function kilnMiddle(n) { let x = 0; for (let i = 0; i < 50; i++) x += kilnLeaf(n + i); return x; }
function kilnOuter() { let x = 0; for (let i = 0; i < 20; i++) x += kilnMiddle(i); return x; }
console.log('ready');
const end = Number(process.argv[2]) * 1e3;
while (!end || process.cpuUsage().user / 1e3 < end) kilnOuter();
"""


def node(directory, *options):
    program = shutil.which("node")
    if not program:
        raise h.Skip("node is not installed")
    script = directory + "/script.js"
    with open(script, "w", encoding="utf-8") as file:
        file.write(SCRIPT)
    return [program, *options, script]


def expect_script(path):
    """Each function once, whatever tiers it went through; nearly all of the time is in what the script does."""
    rows, symbols = anonymous(path)
    samples = h.report(path)["cpu"]["samples"]
    ours = {name: row["self"] for name, row in rows.items() if "kiln" in name}
    print(f"# node: {samples} samples, {ours}, [anon] {rows.get('[anon]', {}).get('self', 0)}")
    h.expect(symbols == ["jit"], f"{symbols}")
    h.expect(sum(ours.values()) >= 0.8 * samples, f"{ours} of {samples}: {rows.keys()}")
    h.expect(not [name for name in rows if name.split(":")[-1][:1] in "~^+*"], f"{rows.keys()}")
    for function in ("kilnLeaf", "kilnMiddle"):
        names = [name for name in rows if function in name]
        h.expect(len(names) <= 1, f"{names}")


def test_node_map():
    h.need_root()
    with h.scratch() as directory:
        command = node(directory, "--perf-basic-prof")
        with h.spawn(*command, stdout=subprocess.PIPE, text=True, cwd=directory) as process:
            h.wait_for_words(process, "ready")
            try:
                path = record(process, directory, 1.5)
            finally:
                os.unlink(map_of(process.pid))
            process.stdout.close()
        expect_script(path)


def test_node_that_ends():
    """Started by kiln, and gone before anybody could ask."""
    h.need_root()
    with h.scratch() as directory:
        path = directory + "/record.kiln"
        # It writes a log of its own into its working directory.
        h.expect_exit(0, "record", "-F", HZ, "-e", "cpu", "-o", path, "--", *node(directory, "--perf-basic-prof"), "1",
                      cwd=directory)
        os.unlink(map_of(h.report(path)["target"]["pid"]))
        expect_script(path)


def test_node_jitdump():
    """V8 writes 2 MiB at once: most of it when it ends."""
    h.need_root()
    with h.scratch() as directory:
        path = directory + "/record.kiln"
        h.expect_exit(0, "record", "-F", HZ, "-e", "cpu", "-o", path, "--", *node(directory, "--perf-prof"), "1",
                      cwd=directory)
        expect_script(path)
        places = [(row["file"], row["line"]) for row in h.report(path, "hot")["rows"]
                  if row["module"] == "[anon]" and "kiln" in row["function"]]
        # Of what is inlined, the line of the inlined code. None is better than one that is not proved: what node before
        # 20 writes is not.
        version = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True).stdout
        told = [(file, line) for file, line in places if file]
        h.expect(places and all(file == directory + "/script.js" and 2 <= line <= 4 for file, line in told), f"{places}")
        h.expect(told == places or int(version.lstrip("v").partition(".")[0]) < 20, f"node {version.strip()}: {places}")


if __name__ == "__main__":
    h.main([test_map, test_no_map, test_map_that_comes_late, test_map_that_grows,
            test_worker_that_dies, test_map_is_seen_live,
            test_target_that_ends, test_jitdump_with_lines, test_target_of_another_user,
            test_what_others_write_is_refused, test_container,
            test_node_map, test_node_that_ends, test_node_jitdump])
