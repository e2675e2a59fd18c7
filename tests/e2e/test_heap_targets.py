#!/usr/bin/python3
"""The heap of programs that nobody here wrote, and of targets that a probe could harm: measured or said, never harmed."""

import contextlib
import os
import select
import shutil
import signal
import subprocess
import threading

import harness as h
import heap_books as books

VALUE_BYTES = 10234  # with its header and its end 10,240: a size class of jemalloc, nothing is rounded up
VALUES = 20000
SQL = ("create table t(a integer primary key, b text, c blob);"
       "with recursive n(x) as (select 1 union all select x+1 from n where x < 20000) "
       "insert into t select x, printf('%08d text', x * 7919 % 20000), randomblob(0) from n;"
       "create index i on t(b); select count(*), sum(a), min(b), max(b) from t;"
       "select group_concat(substr(b, 1, 3)) from (select b from t order by b desc limit 50);")
PYTHON = ("import hashlib\nd = {}\nfor i in range(15000):\n    d[str(i)] = [i] * (i % 20)\n"
          "s = ','.join(k + str(sum(v)) for k, v in d.items())\nprint(hashlib.sha256(s.encode()).hexdigest())\n")
SOURCE = """#include <map>
#include <string>
#include <vector>
template <int N> struct s { std::map<std::string, std::vector<int>> m; int f() { return m["x"].size() + N; } };
int g() { return s<1>().f() + s<2>().f() + s<3>().f(); }
"""


def find(program):
    path = shutil.which(program, path="/usr/bin:/bin:/usr/sbin")
    if not path:
        raise h.Skip(f"{program} is not installed")
    return path


# ---- redis-server ----

class Redis:
    def __init__(self, directory):
        self.socket = directory + "/redis.sock"
        self.client = find("redis-cli")

    def ask(self, *words, **more):
        return subprocess.run([self.client, "-s", self.socket, *words], capture_output=True, check=False, timeout=60,
                              **more).stdout

    def info(self, section, field):
        for line in self.ask("info", section).decode().splitlines():
            if line.startswith(field + ":"):
                return int(line.split(":")[1])
        raise AssertionError(f"redis says no {field}")

    def fill(self):
        value = b"v" * VALUE_BYTES
        text = b"".join(b"*3\r\n$3\r\nSET\r\n$12\r\nkey:%08d\r\n$%d\r\n%s\r\n" % (i, VALUE_BYTES, value)
                        for i in range(VALUES))
        answer = self.ask("--pipe", input=text)
        h.expect(b"errors: 0, replies: %d" % VALUES in answer, answer)
        h.wait_until(lambda: self.info("clients", "connected_clients") == 1, "the client that filled it has gone")


def test_redis_filled_with_200_mb(kind):
    server = find("redis-server")
    with h.scratch() as directory:
        redis = Redis(directory)
        with h.spawn(server, "--port", "0", "--unixsocket", redis.socket, "--save", "", "--dir", directory) as process:
            h.wait_until(lambda: redis.ask("ping") == b"PONG\n", "redis answers")
            recording = books.attach(process.pid, directory, kind)
            before = redis.info("memory", "used_memory")
            redis.fill()
            growth = redis.info("memory", "used_memory") - before
            live = books.expect_closed(books.finish(recording), skip=("peak_bytes",))["heap"]["live_bytes"]
            print(f"# live {live / 1e6:.1f} MB, used_memory + {growth / 1e6:.1f} MB: {100 * (live / growth - 1):+.2f} %")
            h.expect(growth >= 200e6, f"filled with {growth}")
            h.expect(abs(live - growth) <= 0.02 * growth, f"live {live}, used_memory grew by {growth}")
            books.expect_untouched(process.pid)
            h.expect(redis.ask("get", "key:%08d" % 777).strip() == b"v" * VALUE_BYTES, "redis answers right")


# ---- commands that are started under kiln ----

def child_of(pid):
    """The command that kiln has started: it runs another program than kiln."""
    with contextlib.suppress(OSError), open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
        for child in map(int, file.read().split()):
            with contextlib.suppress(OSError):
                if os.path.realpath(os.readlink(f"/proc/{child}/exe")) != os.path.realpath(h.KILN):
                    return child
    return None


def record_command(kind, command, text, path, env):
    """kiln record -- command, which reads its work from stdin: it gets it when the probes are in place."""
    kiln = subprocess.Popen([h.KILN, "record", "--heap=exact", "-o", path, "--", *command], stdin=subprocess.PIPE,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=dict(env, KILN_UPROBES=kind))
    try:
        pid = h.wait_until(lambda: child_of(kiln.pid), "the command runs")
        h.wait_until(lambda: books.interface_mappings(kiln.pid) >= books.MAPPINGS_WITH_HEAP and books.traps(pid),
                     "the heap's probes are in place", 20)
        h.wait_until(lambda: books.knows_mappings(pid), "its mappings are known")
        out, err = kiln.communicate(text, timeout=120)
        return kiln.returncode, out, err
    finally:
        kiln.kill()
        kiln.wait()


def check_command(kind, command, text, least, env=None, result=None):
    """Exit 0, closed books, nothing refused, and the same output as without kiln; result: a file that it makes."""
    text, env = text.encode(), dict(os.environ, **(env or {}))
    plain = subprocess.run(command, input=text, capture_output=True, env=env, check=True, timeout=120)
    made = read(result)
    with h.scratch() as directory:
        path = directory + "/x.kiln"
        status, out, err = record_command(kind, command, text, path, env)
        h.expect(status == 0, f"exit {status}: {err[-2000:]}")
        h.expect(out == plain.stdout + path.encode() + b"\n", f"output: {out[-500:]}")
        h.expect(plain.stderr in err, f"errors: {err[-500:]}")
        h.expect(read(result) == made, f"{result} is not the same")
        reports = books.Reports(path)
        summary = books.expect_closed(reports)
        heap = summary["heap"]
        h.expect(summary["target"]["exit"] == {"code": 0}, f"{summary['target']}")
        h.expect(heap["mode"] == "exact" and not heap["why"], f"{heap}")
        h.expect(heap["allocs"] >= least, f"{heap}")
        rows = reports.alloc("alloc-bytes")["rows"]
        unknown = sum(row["self"] for row in rows if row["function"].startswith("["))
        print(f"# {heap['allocs']} allocations, {len(rows)} owners, {100 * unknown / heap['alloc_bytes']:.3f} % of no "
              f"one, {heap['frees_before_attach']} frees of unknown blocks")
        # Code that was loaded a moment ago: its mappings are known some 10 ms later.
        h.expect(unknown <= 0.05 * heap["alloc_bytes"], f"{unknown} bytes of no one")


def read(path):
    if not path:
        return None
    with open(path, "rb") as file:
        return file.read()


def test_sqlite3(kind):
    check_command(kind, [find("sqlite3"), ":memory:"], SQL + "\n", 50000)


def test_python3_with_malloc(kind):
    check_command(kind, ["/usr/bin/python3", "-"], PYTHON, 50000,
                  env={"PYTHONMALLOC": "malloc", "PYTHONHASHSEED": "0"})


def test_clang_compiling(kind):
    with h.scratch() as directory:
        result = directory + "/a.o"
        check_command(kind, [find("clang++"), "-O1", "-x", "c++", "-c", "-", "-o", result], SOURCE, 50000,
                      result=result)


# ---- targets that a probe could harm ----

def test_seccomp(kind):
    """Its filter kills at any system call that it does not know, also at one that a probe would bring."""
    with books.Books("heap-seccomp") as target, h.scratch() as directory:
        recording = books.start(target.pid, directory, kind).wait_attached()
        # Either its probes come, or kiln has decided against them: what never comes cannot be waited for longer.
        with contextlib.suppress(AssertionError):
            h.wait_until(lambda: books.has_heap(recording, target.pid), "probes", 3)
        target.go()
        expected = target.json()
        reports = books.finish(recording)
        if books.expect_closed_or_said(reports, "seccomp"):
            books.expect_ledger(reports, expected)
        books.expect_untouched(target.pid)
        target.end()


GO_LINES = 60000


def go_input(begin, end):
    return b"".join(b"%08d some text to be matched %d\n" % (i, i * 7919 % 100003) for i in range(begin, end))


def feed(process, text):
    process.stdin.write(text)
    process.stdin.flush()


def collect(process):
    """All that it prints, read at the side."""
    parts = []
    thread = threading.Thread(target=lambda: parts.append(process.stdout.read()))
    thread.start()
    return thread, parts


def test_go_program(kind):
    """fzf: Go with libc below. No probe in Go's text; it computes before, during and after."""
    command = [find("fzf"), "--no-sort", "--filter", "99"]
    everything = go_input(0, 3 * GO_LINES)
    plain = subprocess.run(command, input=everything, capture_output=True, check=True, timeout=60).stdout
    h.expect(plain.count(b"\n") > 1000, "fzf finds lines")
    with h.scratch() as directory:
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        try:
            thread, parts = collect(process)
            feed(process, go_input(0, GO_LINES))
            recording = books.start(process.pid, directory, kind).wait_attached()
            # libc below it may be probed, or not: what never comes cannot be waited for longer.
            with contextlib.suppress(AssertionError):
                h.wait_until(lambda: books.has_heap(recording, process.pid), "probes", 3)
            feed(process, go_input(GO_LINES, 2 * GO_LINES))
            h.expect(not books.traps(process.pid, "/fzf"), "no trap in Go's text")
            reports = books.finish(recording)
            books.expect_untouched(process.pid)
            feed(process, go_input(2 * GO_LINES, 3 * GO_LINES))
            process.stdin.close()
            h.expect(process.wait(timeout=60) == 0, f"status {process.returncode}")
            thread.join()
            h.expect(parts[0] == plain, "its output is the same")
            # What its own runtime allocates is in no books; nobody may take libc's for all of it.
            h.expect("go program" in reports.words().lower(), reports.words())
        finally:
            process.kill()
            process.wait()


def test_under_gdb(kind):
    """Traced by another tool: its heap is left alone, and that is said."""
    with h.scratch() as directory:
        counter = directory + "/counter"
        with h.workload("heap-loop", counter) as target:
            with debugger(target):
                path = h.record("-p", target.pid, "--heap=exact", "-d", 1, "-o", directory + "/x.kiln", seconds=30)
                h.expect(not is_stopped(target.pid), "it goes on under gdb")
                books.expect_computing(target, counter)
            books.expect_closed_or_said(books.Reports(path), "trace", "gdb", "debug")
            books.expect_untouched(target.pid)
            books.expect_computing(target, counter)


def status_field(pid, name):
    with open(f"/proc/{pid}/status", encoding="utf-8") as file:
        return next(line.split()[1] for line in file if line.startswith(name + ":"))


def is_stopped(pid):
    return status_field(pid, "State") in "tT"


@contextlib.contextmanager
def debugger(target):
    """gdb is attached and lets it run; SIGUSR1 makes it detach."""
    command = [find("gdb"), "-nx", "-q", "-batch", "-p", str(target.pid), "-ex", "handle SIGUSR1 stop nopass",
               "-ex", "echo \\nattached\\n", "-ex", "continue", "-ex", "detach"]
    gdb = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                           env={k: v for k, v in os.environ.items() if k != "DEBUGINFOD_URLS"})
    try:
        said = b""
        while b"\nattached\n" not in said:
            ready, _, _ = select.select([gdb.stdout], [], [], 30)
            more = os.read(gdb.stdout.fileno(), 4096) if ready else b""
            h.expect(more, "gdb is attached")
            said += more
        h.expect(status_field(target.pid, "TracerPid") == str(gdb.pid), "gdb traces it")
        h.wait_until(lambda: not is_stopped(target.pid), "gdb lets it run", 30)
        yield
        target.send_signal(signal.SIGUSR1)
        h.wait_until(lambda: status_field(target.pid, "TracerPid") == "0", "gdb has detached", 30)
    finally:
        gdb.kill()
        gdb.wait()
        gdb.stdout.close()


if __name__ == "__main__":
    h.main(books.for_both_links(test_redis_filled_with_200_mb, test_sqlite3, test_python3_with_malloc,
                                test_clang_compiling, test_seccomp, test_go_program, test_under_gdb))
