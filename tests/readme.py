#!/usr/bin/python3
"""The README's first screen is what the program draws: the golden screen's text. `--update` puts it in."""

import os
import re
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
README = os.path.join(ROOT, "README.md")
GOLDEN = os.path.join(ROOT, "tests/screens/golden/overview-heap-80x24.txt")
BLOCK = re.compile(r"(<!-- screen -->\n```text\n).*?(```\n)", re.S)


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def screen():
    rows = [line[1:-1] for line in read(GOLDEN).splitlines() if line.startswith("|")]
    return "".join(row.rstrip() + "\n" for row in rows)


def shown():
    return BLOCK.search(read(README))[0].split("```text\n", 1)[1].removesuffix("```\n")


if __name__ == "__main__" and sys.argv[1:] == ["--update"]:
    new = BLOCK.sub(lambda match: match[1] + screen() + match[2], read(README))
    with open(README, "w", encoding="utf-8") as file:
        file.write(new)
