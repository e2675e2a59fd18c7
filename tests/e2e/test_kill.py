#!/usr/bin/python3
"""kill -9, ^C, ^Z, SIGTERM of each process in a real terminal: nothing stays, the terminal comes back, data is kept."""

import glob
import os
import shutil
import signal
import time

import harness as h

USER = 1000


def start(terminal, target, prefix="", options=""):
    terminal.type(f"{prefix}{h.KILN} {options} {target.pid}")
    terminal.expect("hot_three", "LIVE", seconds=20)
    pid = terminal.kiln_pid() if not prefix else next(
        p for p, parent in h.kiln_processes() if parent not in [q for q, _ in h.kiln_processes()])
    roles = h.roles(pid)
    h.expect(len(roles["interface"]) == 1 and len(roles["workers"]) >= 2, f"{roles}")
    return roles


def gone(before, roles):
    everything = roles["probe"] + roles["interface"] + roles["workers"]
    return not any(map(h.is_alive, everything)) and h.bpf_programs() <= before


def expect_usable(terminal, modes):
    terminal.type("clear; echo still-$((40+2))-usable")
    terminal.expect("still-42-usable")
    h.wait_until(lambda: terminal.modes() == modes, "the terminal's modes are as before")


def check_end(how, role, rescued=False, prefix=""):
    h.need_root()
    before = h.bpf_programs()
    with h.workload("hot-split") as target, h.Terminal() as terminal:
        modes = terminal.modes()
        roles = start(terminal, target, prefix)
        os.kill(roles[role][0], how)
        began = time.monotonic()
        h.wait_until(lambda: gone(before, roles), "no process, no program, no link, no map")
        print(f"# {role} {how.name}: all gone after {time.monotonic() - began:.2f} s")
        expect_usable(terminal, modes)
        h.expect(h.is_alive(target.pid), "the target goes on")
        if rescued:
            files = glob.glob(terminal.socket + ".data/kiln/*.kiln")
            h.expect(len(files) == 1, f"rescued: {files}")
            h.expect(h.function(h.report(files[0], "hot"), "hot_three")["self"] > 0, "the data is in it")
        shutil.rmtree(terminal.socket + ".data", ignore_errors=True)


def test_kill_9_of_the_probe():
    check_end(signal.SIGKILL, "probe", rescued=True)


def test_kill_9_of_the_interface():
    check_end(signal.SIGKILL, "interface")


def test_sigterm_of_the_probe_saves():
    check_end(signal.SIGTERM, "probe", rescued=True)


def test_sigint_of_the_interface_saves():
    check_end(signal.SIGINT, "interface", rescued=True)


def test_sighup_of_the_interface_saves():
    check_end(signal.SIGHUP, "interface", rescued=True)


def test_kill_9_of_each_worker_is_mended():
    h.need_root()
    before = h.bpf_programs()
    with h.workload("hot-split") as target, h.Terminal() as terminal:
        roles = start(terminal, target)
        for worker in roles["workers"]:
            os.kill(worker, signal.SIGKILL)
            h.wait_until(lambda: len(h.roles(roles["probe"][0])["workers"]) >= len(roles["workers"]) and
                         worker not in h.roles(roles["probe"][0])["workers"], "a new worker")
        terminal.expect("hot_three", "LIVE")
        roles = h.roles(roles["probe"][0])
        terminal.keys("q")
        h.wait_until(lambda: gone(before, roles), "nothing is left")


def test_control_c_in_record_saves():
    h.need_root()
    with h.workload("hot-split") as target, h.scratch() as directory, h.Terminal() as terminal:
        path = directory + "/x.kiln"
        terminal.type(f"clear; {h.KILN} record -p {target.pid} -o {path}; echo status-$?")
        pid = terminal.kiln_pid()
        h.wait_until(lambda: any("bpf-map" in open(f"/proc/{p}/maps").read() for p in h.roles(pid)["interface"]),
                     "attached")
        terminal.keys("C-c")
        terminal.expect("status-0", path)
        h.report(path)


def test_control_z_and_back():
    h.need_root()
    with h.workload("hot-split") as target, h.Terminal() as terminal:
        roles = start(terminal, target)
        terminal.keys("C-z")
        terminal.expect("Stopped", seconds=5)
        with open(f"/proc/{roles['interface'][0]}/stat", encoding="utf-8") as stat:
            h.expect(stat.read().rpartition(")")[2].split()[0] == "T", "the interface is stopped")
        terminal.type("clear; echo a-$((1+1))-shell")
        terminal.expect("a-2-shell")
        terminal.type("fg")
        terminal.expect("hot_three", "LIVE")
        terminal.keys("q")
        h.wait_until(lambda: not any(map(h.is_alive, sum(roles.values(), []))), "it ends")


def test_as_a_user_through_sudo():
    """The interface runs as the user, the workers as nobody; kill -9 leaves nothing there either."""
    h.need_root()
    if not shutil.which("sudo"):
        raise h.Skip("sudo is not installed")
    before = h.bpf_programs()
    with h.workload("hot-split") as target, h.Terminal() as terminal:
        terminal.type(f"SUDO_UID={USER} SUDO_GID={USER} SUDO_USER=somebody {h.KILN} {target.pid}")
        terminal.expect("hot_three", "LIVE", seconds=20)
        roles = h.roles(terminal.kiln_pid())
        owner = lambda pid: os.stat(f"/proc/{pid}").st_uid
        def status(pid, key):
            with open(f"/proc/{pid}/status", encoding="utf-8") as file:
                return next(line.split()[1] for line in file if line.startswith(key + ":"))
        h.expect(status(roles["interface"][0], "Uid") == str(USER), "the interface is the user's")
        for pid in roles["interface"] + roles["workers"]:
            h.expect(int(status(pid, "CapEff"), 16) == 0, f"{pid} has capabilities")
        for pid in roles["workers"]:
            h.expect(status(pid, "Uid") == "65534", "workers are nobody's")
        os.kill(roles["probe"][0], signal.SIGKILL)
        h.wait_until(lambda: gone(before, roles), "nothing is left")


h.main([test_kill_9_of_the_probe, test_kill_9_of_the_interface, test_sigterm_of_the_probe_saves,
        test_sigint_of_the_interface_saves, test_sighup_of_the_interface_saves, test_kill_9_of_each_worker_is_mended,
        test_control_c_in_record_saves, test_control_z_and_back, test_as_a_user_through_sudo])
