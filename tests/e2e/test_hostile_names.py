#!/usr/bin/python3
"""A program whose symbols, source file, own file and command line hold what a terminal obeys, what turns or hides text,
and bytes that are no text: harmless in every output, and the functions are told apart all the same."""

import contextlib
import json
import os
import sqlite3
import subprocess
import unicodedata

import harness as h

# What a function is called, behind a plain word by which it is found again.
NAMES = {
    "osc": b"\x1b]0;owned\x07\x1b[2J\x1b[31m\x1b]52;c;eA==\x07",
    "lines": b"a\nb\r\tc\x08\x7f\x0b\x0c\x0e",
    "c1": b"\xc2\x9b31m\xc2\x9d0;t\xc2\x9c\xc2\x90\xc2\x85",
    "bare": b"\x9b31m\x9d0;t\x9c\x90\x85\x84",
    "invalid": b"\xff\xfe\xc3\x28\xe2\x82\xf8\x88\x80\x80\x80\xf4\x90\x80\x80",
    "overlong": b"\xc0\x9b[31m\xc0\xaf\xe0\x80\x9b\xf0\x80\x80\x9b\xc1\xbf",
    "surrogate": b"\xed\xa0\x80\xed\xbf\xbf\xed\xa0\xbd\xed\xb8\x80",
    "bidi": "\u202e\u2066\u2067\u2069\u200e\u200f\u061c\u202a".encode(),
    "hidden": "\u200b\u200d\u2060\ufeff\u00ad\u034f\u115f\u3164\uffa0\ufe0f\u180e".encode(),
    "breaks": "\u2028\u2029\u0085".encode(),
    "tags": "\U000e0041\U000e0042\U000e007f\U000e0101\ufdd0\uffff\U0010ffff".encode(),
}
LENGTH = 72  # bytes of a name: placeholders of this length are overwritten in the file
LONG = "long_" + "x" * 100_000
# What must not be in any text, besides controls (Cc), formats (Cf), separators (Zl, Zp), surrogates (Cs).
HIDDEN = set("\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180e\u180f\u3164\uffa0") | {chr(c) for c in range(0xfe00, 0xfe10)}

SOURCE = """
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
static volatile unsigned long sink;
%(functions)s
int main(void)
{
    puts("ready");
    fflush(stdout);
    for (;;) {
        %(calls)s
    }
}
"""
FUNCTION = """__attribute__((noinline, noclone)) void %(name)s(void)
{
    void *block = malloc(%(bytes)d);
    for (int i = 0; i < 40000; i++)
        sink += i * %(bytes)d;
    free(block);
}
"""


def placeholder(name):
    """An identifier, and what is to stand in its place."""
    return (f"kiln_{name}_" + "p" * LENGTH)[:LENGTH]


def hostile(name):
    return (f"kiln_{name}_".encode() + NAMES[name]).ljust(LENGTH, b"e")[:LENGTH]


def build(directory, debug):
    """The program; its file has such a name, too. debug: names come from DWARF, else from the symbol table."""
    functions = [placeholder(name) for name in NAMES] + ["kiln_long", "kiln_mangled"]
    text = SOURCE % {
        "functions": "".join(FUNCTION % {"name": f, "bytes": 64 + 16 * i} for i, f in enumerate(functions)),
        "calls": "".join(f"{f}();" for f in functions)}
    source = os.path.join(directory, ("file_" + "p" * LENGTH)[:LENGTH - 2] + ".c")
    with open(source, "w", encoding="utf-8") as stream:
        stream.write(text)
    plain = os.path.join(directory, "plain")
    subprocess.run(["gcc", "-O1", "-g" if debug else "-g0", "-fomit-frame-pointer", "-o", plain, source], check=True)
    # The linker is not asked: whoever makes such a file does not ask it either.
    subprocess.run(["objcopy", "--redefine-sym", b"kiln_long=" + LONG.encode(), "--redefine-sym",
                    b"kiln_mangled=_ZN8\x1b[31m\xe2\x80\xae12kiln_mangledEi", plain], check=True)
    with open(plain, "rb") as stream:
        image = stream.read()
    for name in NAMES:
        before = placeholder(name).encode()
        h.expect(before in image, f"{name} is in the file")
        image = image.replace(before, hostile(name))
    file_name = os.path.basename(source).encode()
    h.expect(not debug or file_name in image, "the source file's name is in the line table")
    image = image.replace(file_name, (b"file_" + NAMES["osc"] + "\u202e\u200b".encode()).ljust(len(file_name), b"e"))
    path = os.path.join(os.fsencode(directory), b"kiln\x1b[31m\xff\xe2\x80\xae\n.bin")
    with open(path, "wb") as stream:
        stream.write(image)
    os.chmod(path, 0o755)
    return path


@contextlib.contextmanager
def target(directory, debug=True):
    process = subprocess.Popen([build(directory, debug), b"\x1b]0;owned\x07", "\u202e\u2066".encode(), b"\xff\x9b"],
                               stdout=subprocess.PIPE, text=True)
    try:
        h.wait_for_words(process, "ready")
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def check_characters(text, where, allowed="\n"):
    for character in text:
        category = unicodedata.category(character)
        plane_end = ord(character) & 0xfffe == 0xfffe or 0xfdd0 <= ord(character) <= 0xfdef
        if character in allowed:
            continue
        h.expect(category not in ("Cc", "Cf", "Cs", "Zl", "Zp") and character not in HIDDEN and not plane_end
                 and ord(character) < 0xe0000, f"{where}: {character!r} in {text[:300]!r}")


def check_text(output, where):
    """bytes, as a program wrote them."""
    check_characters(output.decode("utf-8"), where)


def check_json(value, where):
    """Escapes of JSON hide nothing either."""
    if isinstance(value, str):
        check_characters(value, where, "")
    elif isinstance(value, dict):
        for key, item in value.items():
            check_characters(key, where, "")
            check_json(item, where)
    elif isinstance(value, list):
        for item in value:
            check_json(item, where)


def kiln(*arguments):
    return subprocess.run([h.KILN, *arguments], capture_output=True, stdin=subprocess.DEVNULL, timeout=60, check=False)


def check_reports(path):
    said = 0
    for view in ("summary", "hot", "tree", "callers", "alloc", "leaks", "threads", "timeline"):
        for metric in ("cpu", "live-bytes", "alloc-count"):
            for form in ("text", "json", "csv"):
                result = kiln("report", path, "--view", view, "--metric", metric, "--format", form)
                where = f"{view} {metric} {form}"
                check_text(result.stderr, where)
                if result.returncode == 2:  # not built yet, or no such metric in this view
                    continue
                h.expect(result.returncode == 0, f"{where}: {result.stderr!r}")
                check_text(result.stdout, where)
                if form == "json":
                    check_json(json.loads(result.stdout), where)
                said += 1
    h.expect(said >= 8, f"only {said} reports are built")


def check_database(path):
    """All text in all tables and views, as sqlite3 would show it."""
    with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
        # Text comes as bytes: what is no UTF-8 must be seen too.
        database.text_factory = bytes
        tables = [row[0].decode() for row in
                  database.execute("SELECT name FROM sqlite_schema WHERE type IN ('table', 'view')")]
        seen = 0
        for table in tables:
            columns = [row[1].decode() for row in database.execute(f'PRAGMA table_info("{table}")')]
            for column in columns:
                for (value,) in database.execute(
                        f'SELECT DISTINCT "{column}" FROM "{table}" WHERE typeof("{column}") = \'text\''):
                    check_text(value, f"{table}.{column}")
                    seen += b"kiln_" in value
        h.expect(seen > len(NAMES), f"{seen} values of {tables}")


def check_names(path, debug):
    hot = h.report(path, "hot")
    names = [row["function"] for row in hot["rows"]]
    for name in list(NAMES) + ["mangled"]:
        h.expect(any(f"kiln_{name}" in function for function in names), f"{name} is not in {names}")
    if debug:
        h.expect(any(row["file"] and "file_" in row["file"] for row in hot["rows"]), "the source file is told")
        return
    long_name = next(function for function in names if function.startswith("long_"))
    h.expect(1000 < len(long_name.encode()) <= 4096 and long_name.endswith("…"), f"{len(long_name)}")


def check_recorded(debug):
    with h.scratch() as directory, target(directory, debug) as process:
        path = os.path.join(directory, "names.kiln")
        result = kiln("record", "-p", str(process.pid), "-F", "999", "-d", "4", "-o", path)
        h.expect(result.returncode == 0, f"{result.stderr!r}")
        check_text(result.stdout, "record's stdout")
        check_text(result.stderr, "record's stderr")
        check_names(path, debug)
        check_reports(path)
        check_database(path)
        opened = kiln("open", path)
        h.expect(opened.returncode == 0, f"{opened.stderr!r}")
        check_text(opened.stdout, "open without a terminal")


def test_names_of_dwarf():
    h.need_root()
    check_recorded(True)


def test_names_of_symbols():
    h.need_root()
    check_recorded(False)


def test_path_of_the_snapshot():
    """`record` without -o names the file after the target."""
    h.need_root()
    with h.scratch() as directory, target(directory) as process:
        result = subprocess.run([h.KILN, "record", "-p", str(process.pid), "-d", "1"], capture_output=True, cwd=directory,
                                stdin=subprocess.DEVNULL, timeout=60, check=False)
        h.expect(result.returncode == 0, f"{result.stderr!r}")
        check_text(result.stdout, "record's stdout")
        path = result.stdout.splitlines()[-1]
        h.expect(os.path.exists(os.path.join(os.fsencode(directory), path)), f"{path!r} is there")


def check_screens(terminal):
    """Every screen, and what opens from it; the raw bytes beside them."""
    for key, expected, absent in (
            ("1", "CPU", None), ("2", "FUNCTION", None), ("Enter", "callers and callees ›", None),
            ("Escape", "FUNCTION", "callers and callees ›"), ("3", "TOTAL%", None), ("*", "kiln_", None),
            ("i", "bottom-up", None), ("4", "all", "TOTAL%"), ("5", "kiln_", None), ("?", "help: ", None),
            ("Escape", "kiln", "help: "), ("1", "CPU", None)):
        terminal.keys(key)
        screen = terminal.expect(expected, absent=(absent,) if absent else ())
        check_characters(screen, f"screen after {key}")
    title = terminal.tmux("display-message", "-p", "#{pane_title}")
    h.expect("owned" not in title, title)


def check_raw(path):
    """kiln's own sequences are there, the target's are not."""
    with open(path, "rb") as stream:
        raw = stream.read()
    h.expect(b"\x1b[" in raw and b"kiln_" in raw, "something was drawn")
    h.expect(b"\x1b]0;owned" not in raw and b"\x1b]52" not in raw, "an escape sequence came through")
    text = raw.decode("utf-8")
    check_characters(text, "raw bytes", "".join(map(chr, range(0x20))) + "\x7f")


def test_screens():
    h.need_root()
    with h.scratch() as directory, target(directory) as process, h.Terminal(160, 50) as terminal:
        raw = os.path.join(directory, "raw")
        terminal.tmux("pipe-pane", "-O", f"cat >{raw}")
        terminal.type(f"clear; {h.KILN} {process.pid}; echo status-$?")
        terminal.expect("LIVE", "kiln_", seconds=20)
        check_screens(terminal)
        terminal.keys("q")
        terminal.expect("status-0")
        check_raw(raw)


h.main([test_names_of_dwarf, test_names_of_symbols, test_path_of_the_snapshot, test_screens])
