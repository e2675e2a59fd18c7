#!/usr/bin/python3
"""One real attach from end to end: samples, names, stacks, accounts, nothing left behind. Part of `make check`."""

import json
import os

import harness as h


def test_record_and_report():
    h.need_root()
    with h.workload("hot-split") as target, h.scratch() as directory:
        recording = h.Recording(directory, "-p", target.pid, "-F", 999).wait_attached()
        h.wait_cpu(target.pid, 1.5)
        path = recording.finish()
        summary = h.report(path)
        h.check_accounts(summary)
        h.expect(summary["target"]["pid"] == target.pid, "pid")
        h.expect(summary["target"]["exe"].endswith("/hot-split"), summary["target"]["exe"])
        h.expect(summary["target"]["exit"] is None, "it still runs")
        h.expect(summary["cpu"]["samples"] > 1000, f"samples: {summary['cpu']}")
        h.expect(h.cpu_lost(summary) == 0, f"lost: {summary['lost']}")
        complete = summary["cpu"]["stacks"]["complete"] / summary["cpu"]["samples"]
        h.expect(complete >= 0.99, f"complete: {summary['cpu']['stacks']}")
        hot = h.report(path, "hot")
        three, one = h.function(hot, "hot_three"), h.function(hot, "hot_one")
        h.expect(three["self"] > one["self"] > 0, f"{three} {one}")
        h.expect(three["module"] == "hot-split", three["module"])
        h.expect(three["file"] and three["file"].endswith("hot-split.c") or three["file"].endswith("workload.h"),
                 f"file: {three}")
        h.expect(hot["total"] == summary["cpu"]["samples"] == sum(row["self"] for row in hot["rows"]), "self adds up")
        tree = h.report(path, "tree")
        h.expect("main" in json.dumps(tree), "main is in the tree")


def test_nothing_is_left():
    h.need_root()
    before = h.bpf_programs()
    with h.workload("hot-split") as target, h.scratch() as directory:
        h.record_pid(target.pid, directory, 1)
        h.wait_until(lambda: h.bpf_programs() <= before, "no program, link or map is left")
        h.expect(not h.kiln_processes(), f"processes left: {h.kiln_processes()}")
        h.expect(h.is_alive(target.pid), "the target goes on")


def test_report_needs_no_target_and_no_rights():
    h.need_root()
    with h.scratch() as directory:
        with h.workload("hot-split") as target:
            path = h.record_pid(target.pid, directory, 1)
        os.chmod(directory, 0o755)
        os.chmod(path, 0o644)
        result = h.run("report", path, "--view", "hot", user=65534, group=65534)
        h.expect(result.returncode == 0 and "hot_three" in result.stdout, result.stdout + result.stderr)


h.main([test_record_and_report, test_nothing_is_left, test_report_needs_no_target_and_no_rights])
