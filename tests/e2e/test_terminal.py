#!/usr/bin/python3
"""The real binary in a real terminal: every screen, keys, resize, save, quit."""

import glob
import shutil

import harness as h


def attach(terminal, target):
    terminal.type(f"clear; {h.KILN} {target.pid}; echo status-$?")
    terminal.expect("LIVE", "hot_three", seconds=20)


def test_every_screen():
    h.need_root()
    with h.workload("hot-split") as target, h.Terminal(100, 30) as terminal:
        modes = terminal.modes()
        attach(terminal, target)
        h.expect(terminal.modes() != modes, "kiln has taken the terminal")
        terminal.keys("2")
        terminal.expect("FUNCTION", "hot_three", "hot-split")
        terminal.keys("3")
        terminal.expect("TOTAL%", "main")
        terminal.keys("i")
        terminal.expect("bottom-up", "hot_three")
        terminal.keys("4")
        terminal.expect("hot_three", "all")
        terminal.keys("?")
        terminal.expect("help")
        terminal.keys("Escape")
        terminal.expect("all", absent=("help: ",))
        terminal.keys("1")
        terminal.expect("CPU", "LIVE")
        terminal.keys("q")
        terminal.expect("status-0")
        h.wait_until(lambda: terminal.modes() == modes, "stty -a as before")


def test_sizes():
    h.need_root()
    with h.workload("hot-split") as target, h.Terminal(100, 30) as terminal:
        attach(terminal, target)
        for columns, rows in ((80, 24), (60, 20), (40, 10)):
            terminal.resize(columns, rows)
            terminal.expect("LIVE", "hot_th")
        terminal.resize(38, 9)
        terminal.expect("38x9", "40x10")
        terminal.resize(1, 1)
        terminal.resize(300, 100)
        terminal.expect("LIVE", "hot_three")
        terminal.resize(100, 30)
        for key in "2341":
            terminal.keys(key)
            terminal.resize(50 + ord(key), 15)
            terminal.expect("LIVE")
        terminal.keys("q")
        terminal.expect("status-0")


def test_save_and_open():
    h.need_root()
    with h.workload("hot-split") as target, h.Terminal() as terminal:
        attach(terminal, target)
        terminal.keys("S")
        terminal.expect(".kiln")
        files = h.wait_until(lambda: glob.glob(terminal.socket + ".data/kiln/*.kiln"), "a snapshot")
        terminal.keys("q")
        terminal.expect("status-0")
        h.check_accounts(h.report(files[0]))
        terminal.type(f"clear; {h.KILN} open {files[0]}; echo opened-$?")
        terminal.expect("hot_three", "SNAPSHOT")
        terminal.keys("2")
        terminal.expect("FUNCTION", "hot_three")
        terminal.keys("q")
        terminal.expect("opened-0")
        shutil.rmtree(terminal.socket + ".data")


def test_target_exits():
    h.need_root()
    with h.workload("exit-with", 7) as target, h.Terminal() as terminal:
        terminal.type(f"clear; {h.KILN} {target.pid}; echo status-$?")
        terminal.expect("LIVE", "last_work", seconds=20)
        h.signal_phase(target)
        terminal.expect("EXITED", "last_work")
        terminal.keys("2")
        terminal.expect("FUNCTION", "last_work")
        terminal.keys("q")
        terminal.expect("status-0")


def test_run_names_the_output_file():
    h.need_root()
    with h.Terminal() as terminal:
        terminal.type(f"clear; {h.KILN} run -- {h.WORKLOADS}/hot-split; echo status-$?")
        terminal.expect("LIVE", "hot_three", "/tmp/kiln-output-", seconds=20)
        terminal.keys("q")
        terminal.expect("status-0")


def test_demo():
    h.need_root()
    with h.Terminal() as terminal:
        terminal.type(f"clear; {h.KILN} demo; echo status-$?")
        terminal.expect("LIVE", "mandelbrot_iterate", seconds=20)
        terminal.keys("q")
        terminal.expect("status-0")
    h.wait_until(lambda: not h.kiln_processes(), "nothing is left")


def test_unknown_terminals_are_said_in_words():
    h.need_root()
    with h.workload("hot-split") as target, h.Terminal() as terminal:
        for term in ("dumb", "no-such-terminal", ""):
            terminal.type(f"clear; TERM={term} {h.KILN} {target.pid}; echo status-$?")
            terminal.expect("kiln: ", "status-2")


def test_without_a_terminal_one_report():
    h.need_root()
    with h.workload("hot-split") as target:
        result = h.run(target.pid, "-d", "1")
        h.expect(result.returncode == 0, result.stderr)
        h.expect("hot_three" in result.stdout and "\x1b" not in result.stdout, result.stdout)


h.main([test_every_screen, test_sizes, test_save_and_open, test_target_exits, test_run_names_the_output_file, test_demo,
        test_unknown_terminals_are_said_in_words, test_without_a_terminal_one_report])
