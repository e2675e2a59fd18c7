#!/usr/bin/python3
"""Separate debug information of real programs: static functions and lines of files that are stripped."""

import glob
import os
import random
import re
import shutil
import socket
import subprocess
import urllib.error
import urllib.request

import harness as h

SOURCE = """
#include <stdio.h>
#include <unistd.h>
volatile unsigned long sink;
static __attribute__((noinline)) void busy_secret(void)
{
	for (int i = 0; i < 100000; i++)
		sink += sink * 3 + 1;
}
int main(void)
{
	puts("ready");
	fflush(stdout);
	while (1) {
		busy_secret();
		sink++;
	}
}
"""


def build_id(path):
    """Of a file, as readelf says it."""
    text = subprocess.run(["readelf", "-n", path], capture_output=True, text=True, check=True).stdout
    for line in text.splitlines():
        if "Build ID:" in line:
            return line.split()[-1]
    raise h.Skip(f"{path} has no build-id")


def place(directory, identity):
    """The directory's place for the debug file with this build-id."""
    os.makedirs(f"{directory}/.build-id/{identity[:2]}", exist_ok=True)
    return f"{directory}/.build-id/{identity[:2]}/{identity[2:]}.debug"


def make_program(directory, *flags):
    """A stripped program, its debug file beside it but found by nobody yet; returns the latter and the build-id."""
    program, debug = directory + "/program", directory + "/program.hidden"
    with open(directory + "/secret.c", "w", encoding="utf-8") as file:
        file.write(SOURCE)
    subprocess.run(["gcc", "-O1", "-g", "-Wl,--build-id", *flags, "-o", program, directory + "/secret.c"], check=True)
    identity = build_id(program)
    subprocess.run(["objcopy", "--only-keep-debug", program, debug], check=True)
    subprocess.run(["strip", program], check=True)
    return debug, identity


def hot_of(process, directory, seconds=1, **more):
    """Rows of the functions, and the modules, after so many CPU seconds of the target."""
    recording = h.Recording(directory, "-p", process.pid, "-F", 499, "--heap=off", **more).wait_attached()
    h.wait_cpu(process.pid, seconds)
    path = recording.finish()
    return h.report(path, "hot"), h.report(path)["modules"]


def check_secret(hot, modules, name):
    row = h.function(hot, "busy_secret")
    h.expect(row["self"] > 100, f"busy_secret: {row}, of {hot['rows'][:5]}")
    h.expect(row["file"] and row["file"].endswith("secret.c") and 5 <= row["line"] <= 9, f"its line: {row}")
    levels = [module["symbols"] for module in modules if module["name"] == name]
    h.expect(levels == ["full"], f"{name}: {modules}")


def spawn_ready(*command):
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    h.wait_for_words(process, "ready")
    return process


def stop(process):
    process.kill()
    process.wait()
    process.stdout.close()


def test_libc():
    """Static functions of libc, with their lines, from Debian's libc6-dbg."""
    h.need_root()
    libc = glob.glob("/lib/x86_64-linux-gnu/libc.so.6") or glob.glob("/lib*/libc.so.6")
    if not libc:
        raise h.Skip("no libc.so.6")
    identity = build_id(libc[0])
    if not os.path.exists(f"/usr/lib/debug/.build-id/{identity[:2]}/{identity[2:]}.debug"):
        raise h.Skip("libc6-dbg is not installed, or of another libc")
    code = "x = []\nwhile True:\n x = [str(i) + 'tail' * (i % 40) for i in range(20000)]\n"
    with h.scratch() as directory, h.spawn("/usr/bin/python3", "-c", code,
                                           env=dict(os.environ, PYTHONMALLOC="malloc")) as process:
        h.wait_cpu(process.pid, 0.3)
        hot, modules = hot_of(process, directory, 4)
        rows = [row for row in hot["rows"] if row["function"] in ("_int_malloc", "_int_free", "malloc_consolidate")]
        h.expect(sum(row["self"] for row in rows) > 50, f"{hot['rows'][:10]}")
        for row in rows:
            h.expect(row["file"] and row["file"].endswith("malloc.c") and row["line"] > 1000, f"{row}")
        levels = [module["symbols"] for module in modules if module["name"] == "libc.so.6"]
        h.expect(levels == ["full"], f"{modules}")
        print("# " + ", ".join(f"{row['function']} malloc.c:{row['line']} {row['self']}" for row in rows))


def test_debug_directory():
    """By build-id, in a directory that the user names."""
    h.need_root()
    with h.scratch() as directory:
        debug, identity = make_program(directory)
        process = spawn_ready(directory + "/program")
        try:
            hot, modules = hot_of(process, directory)
            h.expect(h.function(hot, "busy_secret")["self"] == 0, "without its debug file it has a name")
            os.rename(debug, place(directory + "/debug", identity))
            hot, modules = hot_of(process, directory, env={"KILN_DEBUG_PATH": directory + "/debug"})
            check_secret(hot, modules, "program")
        finally:
            stop(process)


def test_debuglink_of_a_deleted_program():
    """The module is deleted while it runs; what lies beside it is still found."""
    h.need_root()
    with h.scratch() as directory:
        debug, _ = make_program(directory)
        os.mkdir(directory + "/.debug")
        os.rename(debug, directory + "/.debug/program.debug")
        subprocess.run(["objcopy", "--add-gnu-debuglink=.debug/program.debug", "program"], cwd=directory, check=True)
        process = spawn_ready(directory + "/program")
        try:
            os.unlink(directory + "/program")
            check_secret(*hot_of(process, directory), "program")
        finally:
            stop(process)


def test_container():
    """In a mount namespace with a root of its own: the debug file is only in there."""
    h.need_root()
    for tool in ("unshare", "chroot"):
        if not shutil.which(tool):
            raise h.Skip(f"{tool} is not installed")
    with h.scratch() as directory:
        os.chmod(directory, 0o755)
        debug, identity = make_program(directory, "-static")
        root = directory + "/root"
        os.makedirs(root)
        os.rename(debug, place(root + "/usr/lib/debug", identity))
        os.rename(directory + "/program", root + "/program")
        process = spawn_ready("unshare", "-m", "chroot", root, "/program")
        try:
            check_secret(*hot_of(process, directory), "program")
        finally:
            stop(process)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_debuginfod():
    """A real server on loopback, and only when it was asked for."""
    h.need_root()
    server = shutil.which("debuginfod")
    if not server:
        raise h.Skip("debuginfod is not installed")
    with h.scratch() as directory:
        debug, identity = make_program(directory)
        os.mkdir(directory + "/served")
        os.rename(debug, directory + "/served/program.debug")
        url = f"http://127.0.0.1:{free_port()}"
        env = {"DEBUGINFOD_URLS": url, "DEBUGINFOD_CACHE_PATH": directory + "/cache"}
        quiet = {key: value for key, value in os.environ.items() if key != "DEBUGINFOD_URLS"}

        def serves():
            try:
                with urllib.request.urlopen(f"{url}/buildid/{identity}/debuginfo", timeout=5) as answer:
                    return answer.status == 200
            except (urllib.error.URLError, OSError):
                return False

        with h.spawn(server, "-p", url.split(":")[-1], "-d", directory + "/index", "-F", directory + "/served",
                     env=quiet):
            h.wait_until(serves, "debuginfod serves the file", 30)
            process = spawn_ready(directory + "/program")
            try:
                hot, modules = hot_of(process, directory, env=env)
                h.expect(h.function(hot, "busy_secret")["self"] == 0, "a server was asked, but nobody wanted it")
                h.expect(not os.path.exists(directory + "/cache"), "there is a cache")
                path = h.Recording(directory, "-p", process.pid, "-F", 499, "--heap=off", "--debuginfod",
                                   env=env).wait_attached()
                h.wait_cpu(process.pid, 1)
                path = path.finish()
                check_secret(h.report(path, "hot"), h.report(path)["modules"], "program")
            finally:
                stop(process)


def test_debuginfod_without_servers():
    """It is said before anything is done."""
    h.need_root()
    with h.scratch() as directory, h.workload("hot-split", 1) as target:
        result = h.run("record", "-p", target.pid, "-d", 1, "-o", directory + "/x.kiln", "--debuginfod",
                       env=dict(os.environ, DEBUGINFOD_URLS=" "))
        h.expect(result.returncode == 1, f"exit {result.returncode}")
        h.expect("debuginfod" in result.stderr and not os.path.exists(directory + "/x.kiln"), result.stderr)


def test_symbolize():
    """`kiln symbolize` finds what lies beside the file, and says what is not right."""
    with h.scratch() as directory:
        debug, _ = make_program(directory)
        full = subprocess.run(["nm", debug], capture_output=True, text=True, check=True).stdout
        address = [line.split()[0] for line in full.splitlines() if line.endswith(" busy_secret")][0]
        os.rename(debug, directory + "/program.debug")
        subprocess.run(["objcopy", "--add-gnu-debuglink=program.debug", "program"], cwd=directory, check=True)
        os.symlink("program", directory + "/link")
        for name in ("program", "link"):
            result = h.expect_exit(0, "symbolize", "-e", f"{directory}/{name}", "0x" + address)
            h.expect(result.stdout.startswith("busy_secret\n") and re.search("/secret.c:[567]\\n", result.stdout) and
                     not result.stderr, f"{result.stdout}{result.stderr}")
        with open(directory + "/program.debug", "ab") as file:
            file.write(b"x")
        result = h.expect_exit(0, "symbolize", "-e", directory + "/program", "0x" + address)
        h.expect("busy_secret" not in result.stdout and "checksum" in result.stderr,
                 f"{result.stdout}{result.stderr}")


CXX_SOURCE = """
#include <algorithm>
#include <map>
#include <string>
#include <vector>
int main(int count, char **words)
{
	std::map<std::string, std::vector<int>> map;
	for (int i = 0; i < count * 100; i++)
		map[std::to_string(i % NUMBER)].push_back(i);
	for (auto &pair : map)
		std::sort(pair.second.begin(), pair.second.end(), [](int a, int b) { return a > b; });
	return map.begin()->second[0] + words[0][0];
}
"""
SPLIT = "g++ -O2 -g -gdwarf-{0} -gsplit-dwarf -DNUMBER=10 -c -o split{0}.o a.cc && g++ -o split{0} split{0}.o"
MINI = """cp full mini && strip --strip-debug mini && cp mini symbols &&
    nm -D full --format=posix --defined-only | cut -d' ' -f1 | sort >dynamic &&
    nm full --format=sysv --defined-only | awk -F'|' '$4 ~ "FUNC" {{ print $1 }}' | tr -d ' ' | sort >functions &&
    comm -13 dynamic functions >keep && objcopy --only-keep-debug full data &&
    objcopy -S --remove-section .comment --keep-symbols=keep data small && xz -f small &&
    strip mini && objcopy --add-section .gnu_debugdata=small.xz mini"""
# What makes the variant "name" of the program "full" (of "mini": of "symbols"), which has the same code.
VARIANTS = {
    "split4": SPLIT.format(4),
    "split5": SPLIT.format(5),
    "zlib": "objcopy --compress-debug-sections=zlib full zlib",
    "dwz": "cp full dwz && cp other dwz2 && dwz -m common.dwz dwz dwz2 && readelf -SW dwz | grep -q debugaltlink",
    "single": "dwz full -o single",
    "link": "objcopy --only-keep-debug full link.debug && strip -o link full && "
            "objcopy --add-gnu-debuglink=link.debug link",
    "mini": MINI.format(),
}


def text_section(path):
    for line in subprocess.run(["readelf", "-SW", path], capture_output=True, text=True, check=True).stdout.splitlines():
        words = line.split()
        if ".text" in words:
            at = words.index(".text")
            return int(words[at + 2], 16), int(words[at + 4], 16)
    raise AssertionError(f"{path} has no .text")


def levels_of(path, addresses):
    result = h.expect_exit(0, "symbolize", "-e", path, *addresses)
    h.expect(not result.stderr, result.stderr)
    return result.stdout.split("\n\n")


def test_variants():
    """All ways to pack debug information away give the same levels and lines, at each of 2,000 addresses."""
    if not shutil.which("dwz"):
        raise h.Skip("dwz is not installed")
    with h.scratch() as directory:
        with open(directory + "/a.cc", "w", encoding="utf-8") as file:
            file.write(CXX_SOURCE)
        for name, number in (("full", 10), ("other", 11)):
            subprocess.run(["g++", "-O2", "-g", "-Wl,--build-id", f"-DNUMBER={number}", "-o", name, "a.cc"],
                           cwd=directory, check=True)
        start, length = text_section(directory + "/full")
        choice = random.Random(1)
        addresses = [hex(start + choice.randrange(length)) for _ in range(2000)]
        wanted = levels_of(directory + "/full", addresses)
        h.expect(len(wanted) == 2001 and sum("\n" in block for block in wanted) > 1900, f"{wanted[:3]}")
        inlined = sum(block.count("\n") > 1 for block in wanted)
        h.expect(inlined > 500, f"only {inlined} have inlined callers")
        for name, command in VARIANTS.items():
            subprocess.run(["bash", "-ec", command], cwd=directory, check=True, capture_output=True)
            h.expect(text_section(f"{directory}/{name}") == (start, length), f"{name} has other code")
            expected = wanted if name != "mini" else levels_of(directory + "/symbols", addresses)
            found = levels_of(f"{directory}/{name}", addresses)
            different = [(a, b, c) for a, b, c in zip(addresses, expected, found) if b != c]
            h.expect(len(found) == len(expected) and not different, f"{name}: {len(different)}: {different[:3]}")
        print(f"# {len(VARIANTS)} variants, {inlined} of 2000 addresses with inlined callers")


if __name__ == "__main__":
    h.main([test_libc, test_debug_directory, test_debuglink_of_a_deleted_program, test_container, test_debuginfod,
            test_debuginfod_without_servers, test_symbolize, test_variants])
