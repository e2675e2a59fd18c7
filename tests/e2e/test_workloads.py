#!/usr/bin/python3
"""Workloads with known answers: the shares, depths and lives that the profile must show."""

import json
import math
import os
import signal
import time

import harness as h


def check_split(path, least):
    """hot_three : hot_one = 3 : 1, within z = 4."""
    summary, hot = h.report(path), h.report(path, "hot")
    h.check_accounts(summary)
    h.expect(h.cpu_lost(summary) == 0, f"lost: {summary['lost']}")
    three, one = h.function(hot, "hot_three")["self"], h.function(hot, "hot_one")["self"]
    count = three + one
    h.expect(count >= least, f"only {count} samples")
    z = (three / count - 0.75) / math.sqrt(0.75 * 0.25 / count)
    h.expect(abs(z) <= 4, f"{three} : {one}, z = {z:.2f}")
    print(f"# {count} samples, {three} : {one}, z = {z:.2f}, delivered {summary['cpu']['hz_delivered']:.1f} Hz")


def record_cpu(target, directory, hz, seconds):
    """Until the target has used so many CPU seconds, in all its threads."""
    recording = h.Recording(directory, "-p", target.pid, "-F", hz).wait_attached()
    h.wait_cpu(target.pid, seconds, limit=400)
    return recording.finish()


def test_hot_split_at_999_hz():
    h.need_root()
    with h.workload("hot-split", 2) as target, h.scratch() as directory:
        check_split(record_cpu(target, directory, 999, 10.5), 10000)


def test_hot_split_at_99_hz():
    h.need_root()
    with h.workload("hot-split", 2) as target, h.scratch() as directory:
        check_split(record_cpu(target, directory, 99, 103), 10000)


def depth_of(rows):
    """Depth of the deepest path, without recursion of our own."""
    deepest, level = 0, rows
    while level:
        deepest += 1
        level = [child for row in level for child in row.get("children", [])]
    return deepest


def test_recursion_1000_deep():
    h.need_root()
    with h.workload("recursion", 1000) as target, h.scratch() as directory:
        path = h.record_pid(target.pid, directory, 2, hz=499)
        summary, hot = h.report(path), h.report(path, "hot")
        stacks = summary["cpu"]["stacks"]
        h.expect(stacks["complete"] >= 0.99 * summary["cpu"]["samples"], f"{stacks}")
        recurse = h.function(hot, "recurse")
        h.expect(0 < recurse["total"] <= hot["total"], f"recursion counts once: {recurse} of {hot['total']}")
        tree = json.loads(h.expect_exit(0, "report", path, "--view", "tree", "--format", "json").stdout)
        h.expect(depth_of(tree["rows"]) >= 1003, f"depth {depth_of(tree['rows'])}")


def test_deeper_than_the_limit_is_marked():
    h.need_root()
    with h.workload("recursion", 1500) as target, h.scratch() as directory:
        summary = h.report(h.record_pid(target.pid, directory, 2, hz=499))
        stacks = summary["cpu"]["stacks"]
        h.expect(stacks["truncated"] >= 0.9 * summary["cpu"]["samples"], f"{stacks}")
        hot = h.report(os.path.join(directory, "record.kiln"), "hot")
        h.expect(h.function(hot, "at_the_bottom")["self"] > 0, "the leaf is kept")


def events(path):
    import sqlite3
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as database:
        return [row[0] for row in database.execute("select text from event")]


def test_exec():
    h.need_root()
    with h.workload("exec") as target, h.scratch() as directory:
        recording = h.Recording(directory, "-p", target.pid, "-F", 499).wait_attached()
        recording.wait_samples(target, 0.5)
        h.signal_phase(target)
        h.wait_for_words(target, "second")
        recording.wait_samples(target, 1)
        path = recording.finish()
        hot, summary = h.report(path, "hot"), h.report(path)
        h.check_accounts(summary)
        h.expect(h.function(hot, "before_exec")["self"] > 50, "before")
        h.expect(h.function(hot, "after_exec")["self"] > 200, "after")
        h.expect(any("exec" in text for text in events(path)), f"{events(path)}")
        stacks = summary["cpu"]["stacks"]
        h.expect(stacks["complete"] >= 0.95 * summary["cpu"]["samples"], f"{stacks}")


def test_fork():
    h.need_root()
    with h.workload("fork") as target, h.scratch() as directory:
        recording = h.Recording(directory, "-p", target.pid, "-F", 499).wait_attached()
        h.signal_phase(target)
        h.wait_for_words(target, "forked")
        recording.wait_samples(target, 1)
        path = recording.finish()
        hot = h.report(path, "hot")
        h.expect(h.function(hot, "parent_work")["self"] > 200, "the parent is profiled")
        h.expect(h.function(hot, "child_work")["total"] == 0, "the child is not")
        h.expect(any("fork" in text for text in events(path)), f"{events(path)}")


def test_dlopen():
    h.need_root()
    with h.workload("dlopen", os.path.join(h.WORKLOADS, "libplugin")) as target, h.scratch() as directory:
        recording = h.Recording(directory, "-p", target.pid, "-F", 499).wait_attached()
        recording.wait_samples(target, 0.3)
        h.signal_phase(target)
        h.wait_for_words(target, "loaded")
        recording.wait_samples(target, 2)
        path = recording.finish()
        hot, summary = h.report(path, "hot"), h.report(path)
        plugin = h.function(hot, "plugin_work")
        h.expect(plugin["self"] > 400 and plugin["module"] == "libplugin", f"{plugin}")
        stacks = summary["cpu"]["stacks"]
        h.expect(stacks["complete"] >= 0.95 * summary["cpu"]["samples"], f"{stacks}")
        h.expect(h.function(hot, "main")["total"] >= plugin["self"], "plugin_work is called by main")


def test_1000_threads():
    h.need_root()
    with h.workload("threads", 1000) as target, h.scratch() as directory:
        recording = h.Recording(directory, "-p", target.pid, "-F", 499).wait_attached()
        recording.wait_samples(target, 0.2)
        h.signal_phase(target)
        h.wait_for_words(target, "threads", 60)
        recording.wait_samples(target, 2)
        path = recording.finish()
        hot, summary = h.report(path, "hot"), h.report(path)
        h.check_accounts(summary)
        h.expect(h.function(hot, "thread_work")["self"] > 500, "threads are sampled")
        h.expect(h.function(hot, "main_work")["self"] > 20, "main is kept")
        stacks = summary["cpu"]["stacks"]
        h.expect(stacks["complete"] >= 0.98 * summary["cpu"]["samples"], f"{stacks}")


def test_exit_status():
    h.need_root()
    for argument, expected in ((7, {"code": 7}), (-9, {"signal": 9}), (-11, {"signal": 11})):
        with h.workload("exit-with", argument) as target, h.scratch() as directory:
            recording = h.Recording(directory, "-p", target.pid, "-F", 199).wait_attached()
            recording.wait_samples(target, 0.3)
            h.signal_phase(target)
            path = recording.finish(how=None)
            summary = h.report(path)
            h.expect(summary["target"]["exit"] == expected, f"{summary['target']} != {expected}")
            h.expect(h.function(h.report(path, "hot"), "last_work")["self"] > 20, "the data is kept")


def test_run_sees_the_first_instruction():
    h.need_root()
    with h.scratch() as directory:
        path = h.record("-F", 999, "-d", 2, "-o", directory + "/run.kiln", "--",
                        os.path.join(h.WORKLOADS, "hot-split"))
        summary = h.report(path)
        h.check_accounts(summary)
        h.expect(summary["target"]["exe"].endswith("/hot-split"), summary["target"]["exe"])
        h.expect(900 < summary["cpu"]["hz_delivered"] < 1100, f"{summary['cpu']['hz_delivered']} Hz of 999")
        h.expect(h.function(h.report(path, "hot"), "hot_three")["self"] > 500, "hot_three")
        h.wait_until(lambda: not h.is_alive(summary["target"]["pid"]), "what kiln started has ended")


def test_every_lost_sample_is_counted():
    h.need_root()
    with h.workload("hot-split", 2) as target, h.scratch() as directory:
        recording = h.Recording(directory, "-p", target.pid, "-F", 4999, env={"KILN_RING_BYTES": "4096"})
        recording.wait_attached()
        recording.wait_samples(target, 0.3)
        reader = h.roles(recording.process.pid)["interface"][0]
        os.kill(reader, signal.SIGSTOP)
        recording.wait_samples(target, 1)
        os.kill(reader, signal.SIGCONT)
        recording.wait_samples(target, 0.3)
        summary = h.report(recording.finish())
        h.check_accounts(summary)
        h.expect(summary["lost"]["cpu_ring_full"] > 1000, f"{summary['lost']}")
        print(f"# attempts {summary['overhead']['probe_hits']} = {summary['cpu']['samples']} delivered"
              f" + {h.cpu_lost(summary)} lost")


def test_max_lost_is_exit_7():
    h.need_root()
    with h.workload("hot-split", 2) as target, h.scratch() as directory:
        recording = h.Recording(directory, "-p", target.pid, "-F", 4999, "--max-lost", 1, env={"KILN_RING_BYTES": "4096"})
        recording.wait_attached()
        reader = h.roles(recording.process.pid)["interface"][0]
        os.kill(reader, signal.SIGSTOP)
        recording.wait_samples(target, 1)
        os.kill(reader, signal.SIGCONT)
        os.kill(reader, signal.SIGINT)
        out, err = recording.process.communicate(timeout=60)
        h.expect(recording.process.returncode == 7, f"exit {recording.process.returncode}: {out}{err}")
        h.expect(os.path.exists(recording.path), "judged after saving")


if __name__ == "__main__":
    h.main([test_hot_split_at_999_hz, test_hot_split_at_99_hz, test_recursion_1000_deep,
            test_deeper_than_the_limit_is_marked, test_exec, test_fork, test_dlopen, test_1000_threads,
            test_exit_status, test_run_sees_the_first_instruction, test_every_lost_sample_is_counted,
            test_max_lost_is_exit_7])
