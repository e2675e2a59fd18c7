#!/usr/bin/python3
"""Every unwind row that kiln makes, compared with readelf's, which shares no code with libdw.

    test_unwind_rows.py [FILE…]

KILN_DUMP_TABLE names the built tests/tools/dump_table (else it is looked for under $KILN_BUILD or build/).
Both sides are reduced to one list "from this address on, this rule", which must be equal: so no row is missing,
none is added, none lies elsewhere. TAP output.
"""
import os
import re
import shutil
import subprocess
import sys

LIBRARIES = ("libc.so.6", "ld-linux-x86-64.so.2", "libstdc++.so.6")
GAP, ROOT, UNSUPPORTED = "gap - -", "root - u", "? - -"
PLT_SLOT_BYTES = 16

CIE = re.compile(r'^([0-9a-f]{8}) [0-9a-f]+ 0+ CIE "(\w*)"')
FDE = re.compile(r"^([0-9a-f]{8}) [0-9a-f]+ [0-9a-f]+ FDE cie=([0-9a-f]+) pc=([0-9a-f]+)\.\.([0-9a-f]+)")
EXPRESSION = re.compile(r"^\s+DW_CFA_def_cfa_expression \((.*)\)")
IN_REGISTER = re.compile(r"(\w+) \(\w+\)")  # "r8 (r8)": saved in a register
OPERATION = re.compile(r"DW_OP_(\w+)(?: \(\w+\))?(?:: (-?\d+))?$")


def library_path(name):
    """Where the running system has it: as the loader says for this very program, else in the usual places."""
    with open("/proc/self/maps", encoding="utf-8", errors="replace") as maps:
        for line in maps:
            if line.rstrip().endswith("/" + name):
                return line.split(None, 5)[5].rstrip()
    for folder in ("/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu", "/lib64", "/usr/lib64"):
        if os.path.exists(os.path.join(folder, name)):
            return os.path.join(folder, name)
    return None


def evaluate(expression, address):
    """The offset from rsp that a CFA expression gives at this address; None when it needs more than rsp and rip."""
    stack = []
    for text in expression.split("; "):
        match = OPERATION.match(text)
        if not match:
            return None
        name, operand = match.groups()
        if name == "breg7":
            stack.append(("rsp", int(operand)))
        elif name == "breg16":
            stack.append(("number", address + int(operand)))
        elif name.startswith("lit"):
            stack.append(("number", int(name[3:])))
        elif name in ("and", "ge", "shl", "plus") and len(stack) >= 2:
            (_, right), (kind, left) = stack.pop(), stack.pop()
            value = {"and": left & right, "ge": int(left >= right), "shl": left << right,
                     "plus": left + right}[name]
            stack.append((kind, value))
        else:
            return None
    return stack[0][1] if len(stack) == 1 and stack[0][0] == "rsp" else None


def plt_rows(begin, end, expression):
    """Rows of an expression over [begin, end): asked at every single address."""
    rows = []
    for address in range(begin, end):
        offset = evaluate(expression, address)
        rule = UNSUPPORTED if offset is None else f"rsp{offset:+d} s c-8"
        if not rows or rows[-1][1] != rule:
            rows.append((address, rule))
        if offset is None:
            break
    return rows


def rule_of(columns, values):
    """readelf's row as dump_table prints it. An unmentioned rbp, and 'u' (mentioned later), is the caller's."""
    row = dict(zip(columns, values))
    return_address = row.get("ra")
    if return_address == "u":
        return ROOT
    if return_address != "c-8":
        return UNSUPPORTED
    cfa, rbp = row["CFA"], row.get("rbp", "s")
    if rbp in ("u", "s"):
        rbp = "s"
    elif not re.fullmatch(r"c[+-]\d+", rbp):
        return UNSUPPORTED
    if cfa == "exp":
        return "exp"
    if not re.fullmatch(r"r[sb]p[+-]\d+", cfa):
        return UNSUPPORTED
    return f"{cfa} {rbp} c-8"


def readelf_expressions(path):
    """Section offset of each FDE → its CFA expressions."""
    found, current = {}, None
    for line in run("readelf", "--debug-dump=frames", path):
        match = FDE.match(line)
        if match:
            current = match.group(1)
        match = EXPRESSION.match(line)
        if match and current:
            found.setdefault(current, []).append(match.group(1))
    return found


def readelf_rows(path):
    """[(begin, end, [(address, rule)])] of each FDE, and the number of rows that readelf printed."""
    fdes, cies, count = [], {}, 0
    expressions = None
    rows, columns, is_signal, offset = None, None, False, None
    for line in run("readelf", "--debug-dump=frames-interp", path):
        match = FDE.match(line)
        if match:
            offset = match.group(1)
            is_signal, initial = cies[match.group(2)]
            rows = []
            begin = int(match.group(3), 16)
            fdes.append((begin, int(match.group(4), 16), rows, [(begin, initial[0][1])] if initial else []))
            continue
        match = CIE.match(line)
        if match:
            rows = []
            is_signal = "S" in match.group(2)
            cies[match.group(1)] = (is_signal, rows)
            continue
        if line.startswith("   LOC"):
            columns = line.split()
        elif line.strip() and rows is not None and re.match(r"[0-9a-f]{16} ", line):
            values = IN_REGISTER.sub(r"\1", line).split()
            address = int(values[0], 16)
            rule = UNSUPPORTED if is_signal else rule_of(columns, values)
            if rule == "exp":
                if expressions is None:
                    expressions = readelf_expressions(path)
                mine = expressions.get(offset, [])
                rule = mine[0] if len(mine) == 1 else UNSUPPORTED
            rows.append((address, rule))
            count += 1
    return [(begin, end, rows or inherited) for begin, end, rows, inherited in fdes if end > begin], count


def changes_of(fdes):
    """The list of changes that a walker has to see."""
    rows, last_end = [], 0
    for begin, end, fde_rows in sorted(fdes, key=lambda fde: fde[:2]):
        if begin > last_end:
            rows.append((last_end, GAP))
        for index, (address, rule) in enumerate(fde_rows):
            until = fde_rows[index + 1][0] if index + 1 < len(fde_rows) else end
            rows.extend(plt_rows(address, until, rule) if rule.startswith("DW_OP") else [(address, rule)])
        last_end = end
    rows.append((last_end, GAP))
    merged, current = [], GAP
    for index, (address, rule) in enumerate(rows):
        if index + 1 < len(rows) and rows[index + 1][0] == address:
            continue
        if rule != current:
            merged.append((address, rule))
            current = rule
    return merged


def run(*command):
    environment = dict(os.environ, LC_ALL="C")
    result = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment, check=False)
    # readelf exits with 1, and says nothing, where a separate debug file is named and not installed.
    if result.returncode and (result.stderr or not result.stdout):
        raise RuntimeError(f"{command[0]}: {result.stderr.decode(errors='replace').strip()}")
    return result.stdout.decode(errors="replace").splitlines()


def kiln_changes(tool, path):
    changes = []
    for line in run(tool, path):
        if not line.startswith("#"):
            address, rule = line.split(None, 1)
            changes.append((int(address, 16), rule))
    return changes


def compare(tool, path):
    """(rows of readelf, changes compared, list of differences)"""
    fdes, count = readelf_rows(path)
    expected = changes_of(fdes)
    got = kiln_changes(tool, path)
    if expected == got:
        return count, len(expected), []
    differences = [f"{address:x}: readelf {rule}" for address, rule in sorted(set(expected) - set(got))]
    differences += [f"{address:x}: kiln {rule}" for address, rule in sorted(set(got) - set(expected))]
    return count, len(expected), differences or ["the same rows in another order"]


def main():
    tool = os.environ.get("KILN_DUMP_TABLE") or os.path.join(os.environ.get("O", "build"),
                                                             "tests/tools/dump_table")
    if not shutil.which("readelf"):
        print("1..0 # SKIP readelf (binutils) is not installed")
        return 0
    paths = sys.argv[1:] or [path for path in map(library_path, LIBRARIES) if path]
    print(f"1..{len(paths)}")
    failed = False
    for number, path in enumerate(paths, 1):
        try:
            rows, changes, differences = compare(tool, path)
            # A library of which readelf printed next to nothing has compared nothing.
            if rows < 500:
                differences.append(f"readelf printed only {rows} rows")
        except (RuntimeError, OSError) as error:
            rows, changes, differences = 0, 0, [str(error)]
        failed = failed or bool(differences)
        print(f"{'not ok' if differences else 'ok'} {number} - {os.path.basename(path)}: {rows} rows of readelf, "
              f"{changes} changes compared, {len(differences)} differences")
        for difference in differences[:10]:
            print(f"# {difference}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
