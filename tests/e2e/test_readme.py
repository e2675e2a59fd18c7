#!/usr/bin/python3
"""What the README says is so: its screen, its commands, its packages."""

import os
import re
import subprocess
import sys

import harness as h

sys.path.insert(0, os.path.join(h.ROOT, "tests"))
import readme  # noqa: E402


def test_the_screen_is_what_the_program_draws():
    h.expect(readme.shown() == readme.screen(), "the README's screen is old: tests/readme.py --update")
    rows = readme.screen().splitlines()
    h.expect(len(rows) == 24 and max(map(len, rows)) <= 80, "80x24")


def test_its_commands_exist():
    text = readme.read(readme.README)
    commands = re.findall(r"sudo make (\w+)", text)
    h.expect({"demo", "test"} <= set(commands), f"{commands}")
    for target in set(commands):
        dry = subprocess.run(["make", "-n", target], cwd=h.ROOT, capture_output=True, text=True, check=False)
        h.expect(dry.returncode == 0, f"make {target}: {dry.stderr}")


def test_its_packages_are_those_of_make_setup():
    makefile = readme.read(os.path.join(h.ROOT, "tests/targets.mk")).replace("\\\n", " ")
    text = readme.read(readme.README).replace("\n", " ")
    for package in re.search(r"BUILD_PACKAGES := (.*)", makefile)[1].split():
        h.expect(f" {package}" in text or f"`{package}" in text, f"the README does not name {package}")


h.main([test_the_screen_is_what_the_program_draws, test_its_commands_exist, test_its_packages_are_those_of_make_setup])
