"""What the end-to-end tests share: TAP, workloads, kiln itself, a terminal in tmux, waiting for what is expected."""

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
import traceback

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.join(ROOT, os.environ.get("O", "build"))
KILN = os.path.join(BUILD, os.environ.get("KILN", "kiln"))  # KILN=san/kiln: the build with sanitizers
WORKLOADS = os.path.join(BUILD, "tests/workloads")
DEADLINE_S = 10
# Under `sudo make test` the tests are root's: kiln must not write into their directories as the user who typed. What it
# does for that user is tested with these variables set on purpose.
for variable in ("SUDO_UID", "SUDO_GID", "SUDO_USER", "SUDO_COMMAND", "SUDO_HOME"):
    os.environ.pop(variable, None)
sys.setrecursionlimit(50000)  # JSON of a stack that is 1,000 deep


class Skip(Exception):
    pass


def main(tests):
    """Runs the functions, prints TAP, exits with 1 when one failed."""
    wanted = sys.argv[1:]
    tests = [test for test in tests if not wanted or test.__name__ in wanted]
    print(f"1..{len(tests)}", flush=True)
    failed = False
    for number, test in enumerate(tests, 1):
        name = test.__name__
        began = time.monotonic()
        try:
            test()
            print(f"ok {number} - {name} ({time.monotonic() - began:.1f} s)", flush=True)
        except Skip as skip:
            print(f"ok {number} - {name} # SKIP {skip}", flush=True)
        except Exception:
            failed = True
            print(f"not ok {number} - {name}", flush=True)
            for line in traceback.format_exc().splitlines():
                print(f"# {line}", flush=True)
    sys.exit(failed)


def need_root():
    if os.geteuid() != 0:
        raise Skip("needs root: programs are attached")


def wait_until(condition, what, seconds=DEADLINE_S):
    """Looks again and again until the condition holds; returns what it returned."""
    end = time.monotonic() + seconds
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() > end:
            raise AssertionError(f"not seen within {seconds} s: {what}")
        select.select([], [], [], 0.02)


def expect(condition, message):
    if not condition:
        raise AssertionError(message)


def run(*arguments, seconds=60, env=None, **more):
    """kiln with arguments; returns the finished process with its texts."""
    environment = dict(os.environ, **(env or {}))
    return subprocess.run([KILN, *map(str, arguments)], capture_output=True, text=True, timeout=seconds,
                          stdin=subprocess.DEVNULL, env=environment, check=False, **more)


def expect_exit(code, *arguments, **more):
    result = run(*arguments, **more)
    expect(result.returncode == code,
           f"kiln {' '.join(map(str, arguments))}: exit {result.returncode}, not {code}\n{result.stdout}{result.stderr}")
    return result


@contextlib.contextmanager
def workload(name, *arguments, words="ready"):
    """A program of tests/workloads, which has said that it is ready; killed at the end."""
    process = subprocess.Popen([os.path.join(WORKLOADS, name), *map(str, arguments)], stdout=subprocess.PIPE,
                               text=True)
    try:
        wait_for_words(process, words)
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def wait_for_words(process, words, seconds=DEADLINE_S):
    end = time.monotonic() + seconds
    while True:
        ready, _, _ = select.select([process.stdout], [], [], max(0, end - time.monotonic()))
        if not ready:
            raise AssertionError(f"the workload did not say {words!r}")
        line = process.stdout.readline()
        if line.strip() == words:
            return
        if not line:
            raise AssertionError(f"the workload ended before it said {words!r}")


@contextlib.contextmanager
def spawn(*command, **more):
    """Any program in the background; killed at the end."""
    more.setdefault("stdout", subprocess.DEVNULL)
    more.setdefault("stderr", subprocess.DEVNULL)
    more.setdefault("stdin", subprocess.DEVNULL)
    process = subprocess.Popen(list(command), **more)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def report(path, view="summary", *arguments):
    result = expect_exit(0, "report", path, "--view", view, "--format", "json", *arguments)
    return json.loads(result.stdout)


def cpu_lost(summary):
    """CPU samples that were lost: the heap has books of its own."""
    return sum(summary["lost"][reason] for reason in ("cpu_ring_full", "cpu_scratch_busy", "reader_dropped"))


def check_accounts(summary):
    """The sums that must hold in every report."""
    cpu = summary["cpu"]
    stacks = cpu["stacks"]
    expect(cpu["samples"] == cpu["user_samples"] + cpu["kernel_samples"], f"modes do not add up: {cpu}")
    expect(cpu["samples"] == stacks["complete"] + stacks["truncated"] + sum(stacks["broken"].values()),
           f"stacks do not add up: {cpu}")
    attempts = summary["overhead"]["probe_hits"]
    lost = cpu_lost(summary)
    expect(attempts == cpu["samples"] + lost, f"attempts {attempts} != {cpu['samples']} delivered + {lost} lost")


def record(*arguments, seconds=60):
    """kiln record …; returns the path of the snapshot."""
    result = expect_exit(0, "record", *arguments, seconds=seconds)
    return result.stdout.splitlines()[-1]


def record_pid(pid, directory, duration_s, hz=99, name="record.kiln"):
    path = os.path.join(directory, name)
    expect(record("-p", pid, "-F", hz, "-d", duration_s, "-o", path, seconds=duration_s + 60) == path, "path printed")
    return path


def scratch():
    return tempfile.TemporaryDirectory(prefix="kiln-test-")


def function(hot, name):
    """Self and total of a function in a hot report; zeros when it is not there."""
    for row in hot["rows"]:
        if row["function"] == name:
            return row
    return {"self": 0, "total": 0, "module": None}


def bpf_programs():
    """Ids of all BPF programs, links and maps that the kernel holds."""
    found = set()
    for kind in ("prog", "link", "map"):
        result = subprocess.run(["/usr/sbin/bpftool", "-j", kind, "list"], capture_output=True, text=True, check=True)
        found |= {(kind, item["id"]) for item in json.loads(result.stdout or "[]")}
    return found


def kiln_processes():
    """(pid, parent) of every process that runs our binary."""
    found = []
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            if os.readlink(f"/proc/{entry}/exe").removesuffix(" (deleted)") != KILN:
                continue
            with open(f"/proc/{entry}/stat", encoding="utf-8", errors="replace") as stat:
                fields = stat.read().rpartition(")")[2].split()
        except OSError:
            continue
        if fields[0] != "Z":
            found.append((int(entry), int(fields[1])))
    return found


def is_alive(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as stat:
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def session_of(pid):
    try:
        return os.getsid(pid)
    except ProcessLookupError:
        return None


def started(pid):
    """When it began, in clock ticks since boot; a process that has gone began last."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as stat:
            return int(stat.read().rpartition(")")[2].split()[19])
    except OSError:
        return 1 << 62


def roles(probe_pid):
    """The processes of one kiln: the probe's children are the interface (in its session) and the workers."""
    children = [pid for pid, parent in kiln_processes() if parent == probe_pid]
    session = session_of(probe_pid)
    # The first one: a child that was just forked to try probes has not left the session yet.
    interface = sorted((pid for pid in children if session_of(pid) == session), key=started)[:1]
    workers = [pid for pid in children if session_of(pid) not in (None, session)]
    return {"probe": [probe_pid], "interface": interface, "workers": workers}


def cpu_seconds(pid):
    """What a process has used so far."""
    with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as stat:
        return sum(map(int, stat.read().rpartition(")")[2].split()[11:13])) / os.sysconf("SC_CLK_TCK")


def wait_cpu(pid, seconds, limit=120):
    """Until the process has used so many more CPU seconds: on a busy machine that is longer."""
    begin = cpu_seconds(pid)
    wait_until(lambda: cpu_seconds(pid) - begin >= seconds, f"process {pid} uses {seconds} s of CPU", limit)


class Recording:
    """kiln record in the background, which is known to be attached."""

    def __init__(self, directory, *arguments, env=None):
        self.path = directory + "/record.kiln"
        self.process = subprocess.Popen([KILN, "record", "-o", self.path, *map(str, arguments)],
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                        stdin=subprocess.DEVNULL, env=dict(os.environ, **(env or {})))

    def wait_attached(self):
        """The clock runs: a perf event's fd is open, and the interface has mapped the ring."""
        def attached():
            for pid in roles(self.process.pid)["interface"]:
                try:
                    with open(f"/proc/{pid}/maps", encoding="utf-8") as maps:
                        return maps.read().count("bpf-map") >= 2
                except OSError:
                    return False
            return False
        wait_until(attached, "kiln is attached")
        return self

    def wait_samples(self, target, seconds):
        """Until the target has used so many more CPU seconds."""
        wait_cpu(target.pid, seconds)

    def finish(self, how=signal.SIGINT):
        """As a script ends it: by a signal to the process that it has started."""
        if how and self.process.poll() is None:
            os.kill(self.process.pid, how)
        out, err = self.process.communicate(timeout=60)
        expect(self.process.returncode == 0, f"exit {self.process.returncode}: {out}{err}")
        expect(out.splitlines()[-1] == self.path, out)
        return self.path


class Terminal:
    """The real binary in tmux: keys go in, screens come out."""

    def __init__(self, columns=80, rows=24, term="tmux-256color"):
        self.socket = tempfile.mktemp(prefix="kiln-tmux-")
        self.tmux("new-session", "-d", "-x", columns, "-y", rows, "-e", f"TERM={term}",
                  "env", "PS1=prompt> ", "XDG_DATA_HOME=" + self.socket + ".data", "/bin/bash", "--norc", "--noprofile")
        self.tmux("set-option", "-g", "remain-on-exit", "on")
        self.expect("prompt>")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        with contextlib.suppress(Exception):
            self.tmux("kill-server")

    def tmux(self, *arguments):
        result = subprocess.run(["tmux", "-u", "-S", self.socket, "-f", "/dev/null", *map(str, arguments)],
                                capture_output=True, text=True, timeout=20, check=False)
        if result.returncode:
            raise AssertionError(f"tmux {arguments}: {result.stderr}")
        return result.stdout

    def screen(self):
        return self.tmux("capture-pane", "-p")

    def keys(self, *keys):
        self.tmux("send-keys", *keys)

    def type(self, line):
        self.tmux("send-keys", "-l", line)
        self.keys("Enter")

    def expect(self, *texts, seconds=DEADLINE_S, absent=()):
        """Waits for a screen that holds every text and none of the absent ones."""
        def seen():
            screen = self.screen()
            return screen if all(t in screen for t in texts) and not any(t in screen for t in absent) else None
        try:
            return wait_until(seen, texts, seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.screen()}") from None

    def resize(self, columns, rows):
        self.tmux("resize-window", "-x", columns, "-y", rows)

    def modes(self):
        """What `stty -a` says of the pane's terminal, asked from outside: nothing is typed."""
        tty = self.tmux("display-message", "-p", "#{pane_tty}").strip()
        with open(tty, encoding="utf-8") as stream:
            return subprocess.run(["stty", "-a"], stdin=stream, capture_output=True, text=True, check=True).stdout

    def pane_pid(self):
        return int(self.tmux("display-message", "-p", "#{pane_pid}"))

    def kiln_pid(self):
        """The probe: the child of the shell in the pane."""
        shell = self.pane_pid()
        return wait_until(lambda: next((pid for pid, parent in kiln_processes() if parent == shell), None),
                          "kiln in the pane")


def signal_phase(process):
    process.send_signal(signal.SIGUSR1)
