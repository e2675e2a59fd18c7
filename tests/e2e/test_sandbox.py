#!/usr/bin/python3
"""The workers of a real recording: no right, no file but what they were handed, and one that hangs is replaced."""

import contextlib
import ctypes
import os
import signal

import harness as h

NAMESPACES = ("user", "mnt", "net", "ipc", "uts", "cgroup")


def read(pid, name):
    with open(f"/proc/{pid}/{name}", "rb") as stream:
        return stream.read()


def status(pid):
    lines = read(pid, "status").decode("utf-8", "replace").splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def descriptors(pid):
    found = []
    for fd in os.listdir(f"/proc/{pid}/fd"):
        try:
            found.append(os.readlink(f"/proc/{pid}/fd/{fd}"))
        except OSError:
            pass
    return found


def is_inside(pid):
    """It has given up everything: the list of calls is the last layer."""
    return h.is_alive(pid) and status(pid).get("Seccomp") == "2"


def names_worker(workers):
    """Besides the probe's socket it has those to kiln."""
    return next((pid for pid in workers if sum("socket:" in link for link in descriptors(pid)) > 1), None)


def workers_of(recording):
    workers = h.wait_until(lambda: h.roles(recording.process.pid)["workers"], "workers")
    h.wait_until(lambda: all(map(is_inside, workers)), "workers are in their sandbox")
    return workers


def check_worker(pid):
    facts = status(pid)
    for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        h.expect(int(facts[name], 16) == 0, f"{name}: {facts[name]}")
    h.expect(facts["NoNewPrivs"] == "1" and facts["Seccomp"] == "2", f"{facts}")
    h.expect(facts["Uid"].split() == ["65534"] * 4 and facts["Gid"].split() == ["65534"] * 4, f"{facts}")
    h.expect(facts["Groups"] == "" and facts["Threads"] == "1", f"{facts}")
    for name in NAMESPACES:
        h.expect(os.readlink(f"/proc/{pid}/ns/{name}") != os.readlink(f"/proc/self/ns/{name}"), f"{name} is its own")
    h.expect(os.listdir(f"/proc/{pid}/root/") == [], "its root directory is empty")
    h.expect(not read(pid, "environ").strip(b"\0"), "its environment is empty")
    limits = read(pid, "limits").decode()
    for line in ("Max core file size        0 ", "Max processes             0 "):
        h.expect(line in limits, limits)
    for link in descriptors(pid):
        h.expect("bpf" not in link and "pts" not in link and "perf" not in link, f"it holds {link}")


def test_live_workers():
    h.need_root()
    with h.workload("hot-split") as target, h.scratch() as directory:
        # Without the heap: its helpers are no workers.
        recording = h.Recording(directory, "-e", "cpu", "-p", target.pid, env={"KILN_SECRET": "token"}).wait_attached()
        workers = workers_of(recording)
        h.expect(names_worker(workers) is not None, "one names")
        for pid in workers:
            check_worker(pid)
        recording.wait_samples(target, 0.5)
        hot = h.report(recording.finish(), "hot")
        h.expect(h.function(hot, "hot_three")["total"] > 0, "names came")


def test_doctor():
    result = h.run("doctor")
    lines = [line for line in result.stdout.splitlines() if line.startswith("worker sandbox: ")]
    h.expect(len(lines) == 1, result.stdout)
    h.expect(lines[0].split(": ")[1] in ("yes", "part") and "few system calls" in lines[0], lines[0])


def test_names_worker_is_replaced():
    """It is stopped: no answer comes, and another one gives it."""
    h.need_root()
    with h.workload("dlopen", os.path.join(h.WORKLOADS, "libplugin")) as target, h.scratch() as directory:
        recording = h.Recording(directory, "-e", "cpu", "-p", target.pid).wait_attached()
        first = names_worker(workers_of(recording))
        os.kill(first, signal.SIGSTOP)
        h.signal_phase(target)
        h.wait_for_words(target, "loaded")
        h.wait_until(lambda: not h.is_alive(first), "the one that hangs is killed", 30)
        second = h.wait_until(lambda: names_worker(h.roles(recording.process.pid)["workers"]), "another one")
        h.wait_until(lambda: is_inside(second), "it is in its sandbox")
        check_worker(second)
        recording.wait_samples(target, 0.5)
        path = recording.finish()
        hot = h.report(path, "hot")
        h.expect(h.function(hot, "plugin_work")["total"] > 0, f"{[row['function'] for row in hot['rows']]}")
        h.expect(not any("set aside" in event["text"] for event in h.report(path)["events"]), "once is not for good")


PTRACE_CONT, PTRACE_DETACH, PTRACE_SEIZE, PTRACE_O_TRACEFORK, WALL = 7, 17, 0x4206, 2, 0x40000000


def hold_next_child(pid, ready):
    """A tracer, in a process of its own: the next child of pid never runs; those after it do. Ends with pid."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.ptrace.argtypes = (ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p)
    held = None
    if libc.ptrace(PTRACE_SEIZE, pid, None, PTRACE_O_TRACEFORK):
        os._exit(1)
    os.write(ready, b"!")
    while True:
        stopped, what = os.waitpid(-1, WALL)
        if not os.WIFSTOPPED(what):
            if stopped == pid:
                os._exit(0)
            continue
        if stopped != pid and held is None:
            held = stopped
        if stopped != held:
            # The signals that come on the way are delivered; the kernel's own words about forks are none.
            libc.ptrace(PTRACE_CONT if stopped == pid else PTRACE_DETACH, stopped, None,
                        0 if what >> 16 else os.WSTOPSIG(what))


@contextlib.contextmanager
def next_child_held(pid):
    reader, writer = os.pipe()
    tracer = os.fork()
    if not tracer:
        try:
            hold_next_child(pid, writer)
        finally:
            os._exit(1)
    os.close(writer)
    try:
        h.expect(os.read(reader, 1) == b"!", "the tracer is there")
        yield
    finally:
        os.close(reader)
        os.kill(tracer, signal.SIGKILL)
        os.waitpid(tracer, 0)


def test_module_is_set_aside():
    """Two workers in a row do not answer: what they were asked has no names, everything else has, and it is said."""
    h.need_root()
    with h.workload("dlopen", os.path.join(h.WORKLOADS, "libplugin")) as target, h.scratch() as directory:
        recording = h.Recording(directory, "-e", "cpu", "-p", target.pid).wait_attached()
        first = names_worker(workers_of(recording))
        recording.wait_samples(target, 0.3)
        with next_child_held(recording.process.pid):
            os.kill(first, signal.SIGSTOP)
            h.signal_phase(target)
            h.wait_for_words(target, "loaded")
            h.wait_until(lambda: not h.is_alive(first), "the one that hangs is killed", 30)
            held = h.wait_until(lambda: [pid for pid in children(recording) if not is_inside(pid)], "another one, that does not run")[0]
            h.wait_until(lambda: not h.is_alive(held), "it is killed, too", 30)
            third = h.wait_until(lambda: names_worker(h.roles(recording.process.pid)["workers"]), "a third one", 30)
        h.wait_until(lambda: is_inside(third), "it is in its sandbox")
        recording.wait_samples(target, 0.3)
        path = recording.finish()
        summary = h.report(path)
        said = [event["text"] for event in summary["events"] if "set aside" in event["text"]]
        # The program has new frames too, where it calls the library: which of both is asked first is not certain.
        blamed = said[0].split(":")[0] if said else None
        h.expect(said == [f"{blamed}: set aside: reading its names killed two workers"]
                 and blamed in ("dlopen", "libplugin"), f"{summary['events']}")
        h.expect(f"note      {blamed}: set aside" in h.expect_exit(0, "report", path).stdout, "the text says so")
        rows = h.report(path, "hot")["rows"]
        h.expect(any(row["function"].startswith(f"{blamed}+0x") for row in rows), f"frames without a name: {rows}")
        # What had its name keeps it, and the other file's are found by the third worker.
        h.expect(h.function({"rows": rows}, "main_work")["total"] > 0, f"{rows}")
        h.expect((h.function({"rows": rows}, "plugin_work")["total"] > 0) == (blamed == "dlopen"), f"{rows}")


def children(recording):
    """Of the probe, whatever session they are in."""
    return [pid for pid, parent in h.kiln_processes()
            if parent == recording.process.pid and pid not in h.roles(recording.process.pid)["interface"]]


if __name__ == "__main__":
    h.main([test_live_workers, test_doctor, test_names_worker_is_replaced, test_module_is_set_aside])
