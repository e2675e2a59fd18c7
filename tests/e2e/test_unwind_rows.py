#!/usr/bin/python3
"""Every unwind row that kiln makes, compared with readelf's, which shares no code with libdw.

    test_unwind_rows.py [FILE…]

KILN_DUMP_TABLE names the built tests/tools/dump_table (else it is looked for under $KILN_BUILD or build/).
Both sides are reduced to one list "from this address on, this rule", which must be equal: so no row is missing,
none is added, none lies elsewhere. Where readelf's rows say "exp" only, the expression is taken from its raw dump and
evaluated here. TAP output.
"""
import bisect
import os
import re
import shutil
import subprocess
import sys

LIBRARIES = ("libc.so.6", "ld-linux-x86-64.so.2", "libstdc++.so.6")
GAP, ROOT, UNSUPPORTED = "gap - -", "root - u", "? - -"
PLT_SLOT_BYTES = 16

UNSUPPORTED_MAX = 1 / 10000  # of the rows of a file: glibc's setcontext is one
SECTION = re.compile(r"^Contents of the (\.\w+) section")
CIE = re.compile(r'^([0-9a-f]{8}) [0-9a-f]+ (?:0+|f+) CIE "(\w*)"')
FDE = re.compile(r"^([0-9a-f]{8}) [0-9a-f]+ [0-9a-f]+ FDE cie=([0-9a-f]+) pc=([0-9a-f]+)\.\.([0-9a-f]+)")
ROW = re.compile(r"[0-9a-f]{16} ")
IN_REGISTER = re.compile(r"\w+ \((\w+)\)")  # "r5 (rdi)": saved in a register
INSTRUCTION = re.compile(r"\s+DW_CFA_(\w+):?(?: r\d+ \((\w+)\))?(?:.* to ([0-9a-f]+)| \((DW_OP.*)\))?")
OPERATION = re.compile(r"DW_OP_(\w+)(?: \((\w+)\))?(?:: (-?\d+))?$")


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
    """({register: factor}, number, the same two of what is then added to memory, or None); None where it is no such sum."""
    stack = []
    for text in expression.split("; "):
        match = OPERATION.match(text)
        if not match:
            return None
        name, register, operand = match.groups()
        if name == "breg16":
            stack.append(({}, address + int(operand), None))
        elif name.startswith("breg"):
            stack.append(({register: 1}, int(operand), None))
        elif name.startswith("lit"):
            stack.append(({}, int(name[3:]), None))
        elif name == "plus_uconst" and stack:
            factors, number, memory = stack.pop()
            stack.append((factors, number + int(operand), memory))
        elif name == "deref" and stack and stack[-1][2] is None:
            factors, number, _ = stack.pop()
            stack.append(({}, 0, (factors, number)))
        elif name in ("and", "ge", "shl", "plus", "mul") and len(stack) >= 2:
            (right, right_number, right_memory), (left, number, memory) = stack.pop(), stack.pop()
            if right_memory or (name != "plus" and (right or memory)) or (name in ("and", "ge", "shl") and left):
                return None
            if name == "mul":
                stack.append(({key: value * right_number for key, value in left.items()}, number * right_number, None))
            elif name == "plus":
                stack.append(({**left, **right}, number + right_number, memory))
            else:
                stack.append(({}, {"and": number & right_number, "ge": int(number >= right_number),
                                   "shl": number << right_number}[name], None))
        else:
            return None
    return stack[-1] if stack else None


def plt_rows(begin, end, expression):
    """Rows of an expression over [begin, end): asked at every single address."""
    rows = []
    for address in range(begin, end):
        value = evaluate(expression, address)
        is_plain = value and value[2] is None and value[0] == {"rsp": 1}
        rule = f"rsp{value[1]:+d} s c-8" if is_plain else UNSUPPORTED
        if not rows or rows[-1][1] != rule:
            rows.append((address, rule))
        if not is_plain:
            break
    return rows


class Row:
    """One row of readelf: the cells of its line, and the expressions that it calls exp and vexp."""

    def __init__(self, cells, expressions):
        self.cells, self.expressions = cells, expressions
        self.base = self.offset = None  # CFA = base + offset, or
        self.address, self.extra = None, 0  # CFA = *(address) + extra
        self.read_cfa()

    def value(self, column):
        return evaluate(self.expressions.get(column, ""), 0)

    def read_cfa(self):
        match = re.fullmatch(r"(r\w+)([+-]\d+)", self.cells["CFA"])
        if match:
            self.base, self.offset = match[1], int(match[2])
            return
        factors, number, memory = self.value("CFA") or ({}, 0, None)
        if memory:
            bases = [register for register, factor in memory[0].items() if factor == 1]
            index = "".join(f"+8*{register}" for register, factor in memory[0].items() if factor == 8)
            if len(bases) == 1 and len(memory[0]) == 1 + bool(index):
                self.address, self.extra = f"{bases[0]}{memory[1]:+d}{index}", number
        elif list(factors.values()) == [1]:
            self.base, self.offset = next(iter(factors)), number

    def place(self, column):
        """Where the caller's register is: a letter or the name of a register, and a number."""
        cell = self.cells.get(column, "u")
        match = re.fullmatch(r"([cv])([+-]\d+)", cell)
        if match:
            return match[1], int(match[2])
        if cell not in ("exp", "vexp"):
            return cell, 0
        value = self.value(column)
        if not value or value[2] or list(value[0].values()) != [1]:
            return "?", 0
        register, number = next(iter(value[0])), value[1]
        if register == self.base:
            return "c" if cell == "exp" else "v", number - self.offset
        return f"({register})" if cell == "exp" else register, number

    def signal(self):
        """As glibc's __restore_rt has it: rip, rsp, rbp and the CFA are where the kernel puts them."""
        _, number, _ = self.value("ra") or (None, 0, None)
        low = number - 128
        wanted = {"ra": number, "rsp": low + 120, "rbp": low + 80}
        if any(self.place(column) != ("(rsp)", offset) for column, offset in wanted.items()):
            return UNSUPPORTED
        return f"signal{low:+d} - -" if (self.address, self.extra) == (f"rsp{low + 120:+d}", 0) else UNSUPPORTED

    def rule(self, is_signal):
        """As dump_table prints it. An unmentioned rbp, and 'u' (mentioned later), is the caller's."""
        ra, rbp, rsp = self.place("ra"), self.place("rbp"), self.place("rsp")
        if ra[0] == "u":
            return ROOT
        if is_signal:
            return self.signal()
        if "rip" in self.expressions.get("CFA", ""):
            plain = ra == ("c", -8) and rbp[0] in "us" and rsp[0] == "u"
            return self.expressions["CFA"] if plain else UNSUPPORTED
        if (self.base or self.address) is None:
            return UNSUPPORTED
        # The walker's CFA is the caller's rsp.
        moved = rsp[1] if rsp[0] == "v" else 0
        in_register = rsp[0].startswith("r")
        texts = [self.moved(*ra, moved), self.moved(*rbp, moved)]
        if None in texts or texts[0] in "su" or texts[0][0] == "(" or (rsp[0] not in "uv" and not in_register):
            return UNSUPPORTED
        if self.address and texts[0] != "c-8":
            return UNSUPPORTED
        cfa = f"*({self.address}){self.extra + moved:+d}" if self.address else f"{self.base}{self.offset + moved:+d}"
        return f"{cfa} {texts[1].replace('u', 's')} {texts[0]}" + (f" rsp={rsp[0]}" if in_register else "")

    @staticmethod
    def moved(kind, number, by):
        if kind == "c":
            return f"c{number - by:+d}"
        if kind == "(rbp)":
            return f"(rbp{number:+d})"
        return kind if not number and re.fullmatch(r"[su]|r\w+", kind) else None


def entries(lines):
    """[(section, header, lines)] of readelf's CIEs and FDEs."""
    section, header, found = None, None, []
    for line in lines:
        match = SECTION.match(line)
        if match:
            section = match[1]
        elif " CIE" in line or " FDE " in line:
            found.append((section, line, []))
            header = line
        elif header and line:
            found[-1][2].append(line)
    return found


def run_expressions(lines, at, initial):
    """[(address, {column: expression})] of one program, each where it changes. A column that an instruction without an
    expression sets has none any more."""
    states, state, remembered = [(at, initial)], dict(initial), []
    for line in lines:
        match = INSTRUCTION.match(line)
        if not match:
            continue
        name, register, to, expression = match.groups()
        column = "CFA" if name.startswith("def_cfa") else {"rip": "ra"}.get(register, register)
        if name.startswith(("advance_loc", "set_loc")):
            at = int(to, 16) if to else at
        elif name == "remember_state":
            remembered.append(dict(state))
        elif name == "restore_state" and remembered:
            state = remembered.pop()
        elif name.startswith("restore"):
            state.pop(column, None)
            if column in initial:
                state[column] = initial[column]
        elif expression:
            state[column] = expression
        elif column:
            state.pop(column, None)
        if states[-1][0] == at:
            states.pop()
        states.append((at, dict(state)))
    return states


def readelf_expressions(path):
    """(section, offset of the FDE) → its states, for those that have an expression."""
    found, cies = {}, {}
    for section, header, lines in entries(run("readelf", "--debug-dump=frames,no-follow-links", path)):
        fde = FDE.match(header)
        offset = header.split(" ", 1)[0]
        initial = cies.get((section, fde[2]), {}) if fde else {}
        if not initial and not any("expression" in line for line in lines):
            continue
        states = run_expressions(lines, int(fde[3], 16) if fde else 0, initial)
        if fde:
            found[section, offset] = states
        else:
            cies[section, offset] = states[-1][1]
    return found


class Expressions:
    """The raw dump is read only for a file that needs it."""

    def __init__(self, path):
        self.path, self.found = path, None

    def at(self, key, address):
        if self.found is None:
            self.found = readelf_expressions(self.path)
        states = self.found.get(key, [(0, {})])
        place = bisect.bisect_right([begin for begin, _ in states], address)
        return states[max(place - 1, 0)][1]


def entry_rows(key, lines, is_signal, expressions):
    rows, columns = [], []
    for line in lines:
        if line.startswith("   LOC"):
            columns = line.split()
        elif ROW.match(line):
            values = IN_REGISTER.sub(r"\1", line).split()
            cells, address = dict(zip(columns, values)), int(values[0], 16)
            needed = "exp" in line
            row = Row(cells, expressions.at(key, address) if needed else {})
            rows.append((address, row.rule(is_signal)))
    return rows


def readelf_rows(path):
    """{section: [(begin, end, [(address, rule)])] of each FDE}, and the number of rows that readelf printed."""
    fdes, cies, count = {}, {}, 0
    expressions = Expressions(path)
    for section, header, lines in entries(run("readelf", "--debug-dump=frames-interp,no-follow-links", path)):
        cie, fde = CIE.match(header), FDE.match(header)
        if cie:
            cies[section, cie[1]] = ("S" in cie[2], entry_rows(None, lines, False, expressions))
            count += len(cies[section, cie[1]][1])
        elif fde:
            is_signal, initial = cies[section, fde[2]]
            begin, end = int(fde[3], 16), int(fde[4], 16)
            rows = entry_rows((section, fde[1]), lines, is_signal, expressions)
            count += len(rows)
            if not rows and initial:
                rows = [(begin, UNSUPPORTED if is_signal else initial[0][1])]
            # What a linker has dropped is at 0 in a .debug_frame.
            if end > begin and (begin or section == ".eh_frame"):
                fdes.setdefault(section, []).append((begin, end, rows))
    return fdes, count


def clip(fde, begin, end):
    rows = [row for row in fde[2] if row[0] < end]
    before = [row for row in rows if row[0] <= begin][-1:]
    return begin, end, [(begin, rule) for _, rule in before] + [row for row in rows if row[0] > begin]


def all_fdes(sections):
    """Those of .eh_frame, and the pieces of .debug_frame's that these leave."""
    found = sorted(sections.get(".eh_frame", []), key=lambda fde: fde[:2])
    begins = [fde[0] for fde in found]
    pieces = []
    for fde in sections.get(".debug_frame", []):
        begin, end = fde[:2]
        for covered in found[max(bisect.bisect_right(begins, begin) - 1, 0):bisect.bisect_left(begins, end)]:
            if covered[0] > begin:
                pieces.append(clip(fde, begin, covered[0]))
            begin = max(begin, covered[1])
        if begin < end:
            pieces.append(clip(fde, begin, end))
    return found + pieces


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
    """[(address, rule)], and (rows, unsupported rows, bytes)."""
    changes, figures = [], (0, 0, 0)
    for line in run(tool, path):
        if not line.startswith("#"):
            address, rule = line.split(None, 1)
            # Rows may differ in what is not printed: where rbx is.
            if not changes or changes[-1][1] != rule:
                changes.append((int(address, 16), rule))
        else:
            match = re.search(r"(\d+) rows, (\d+) unsupported, \d+ rules, (\d+) bytes", line)
            figures = tuple(int(figure) for figure in match.groups())
    return changes, figures


def compare(tool, path):
    """(rows of readelf, changes compared, kiln's figures, list of differences)"""
    sections, count = readelf_rows(path)
    expected = changes_of(all_fdes(sections))
    got, figures = kiln_changes(tool, path)
    # Where the kernel starts a program kiln has a root, though no FDE says so.
    header = "\n".join(run("readelf", "-hW", path))
    root = (int(re.search(r"Entry point address:\s+0x([0-9a-f]+)", header)[1], 16), ROOT)
    if root not in expected:
        got = [change for change in got if change != root]
    if expected == got:
        return count, len(expected), figures, []
    differences = [f"{address:x}: readelf {rule}" for address, rule in sorted(set(expected) - set(got))]
    differences += [f"{address:x}: kiln {rule}" for address, rule in sorted(set(got) - set(expected))]
    return count, len(expected), figures, differences or ["the same rows in another order"]


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
        figures = (0, 0, 0)
        try:
            rows, changes, figures, differences = compare(tool, path)
            # A library of which readelf printed next to nothing has compared nothing.
            if rows < 500:
                differences.append(f"readelf printed only {rows} rows")
            if figures[1] > figures[0] * UNSUPPORTED_MAX:
                differences.append(f"kiln cannot say {figures[1]} of {figures[0]} rows")
        except (RuntimeError, OSError) as error:
            rows, changes, differences = 0, 0, [str(error)]
        failed = failed or bool(differences)
        print(f"{'not ok' if differences else 'ok'} {number} - {os.path.basename(path)}: {rows} rows of readelf, "
              f"{changes} changes compared, {len(differences)} differences; {figures[1]} of {figures[0]} rows "
              f"unsupported, {figures[2] / max(figures[0], 1):.2f} bytes a row")
        for difference in differences[:10]:
            print(f"# {difference}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
