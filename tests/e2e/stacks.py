"""Programs whose stacks have a known shape, and the judgement of what kiln has recorded of them: which stacks are
whole, which of these are right, and where and why the others ended.

A stack is written as text, root first: "_start;libc.so.6!__libc_start_main;libc.so.6!+0x27249;main;work". Frames of the
program itself have no module, functions without a name have the offset in their module. Kernel frames are left out.
"""

import collections
import contextlib
import os
import re

import harness as h

WHOLE = 0.999  # of all samples: the promise of complete stacks
LEAST = 5000

LIBC = r"libc\.so\.6![^;]*"
# What a program may stand in besides its own functions: libc, the dynamic linker, the vDSO, its own PLT.
LIBRARY = r"(?:(?:libc\.so\.6|libm\.so\.6|ld-linux-x86-64\.so\.2|\[vdso\])![^;]*|[^;!]*@plt|\+0x[0-9a-f]+)"
MAIN = rf"_start;libc\.so\.6!__libc_start_main[^;]*;{LIBC};main"
CXX = rf"(?:(?:libstdc\+\+\.so\.6[.0-9]*|libgcc_s\.so\.1)![^;]*|{LIBRARY})"
SIGNAL_FRAME = LIBC


def chain(*functions):
    """Each function is called by the one before, and any of them may be the leaf."""
    return "".join(f"(?:;{function}" for function in functions) + ")?" * len(functions)


# ---- stacks out of a report ----

def name_of(row, program):
    """How a row is written in a stack."""
    module, function = row["module"] or "", row["function"]
    function = function.removeprefix("(anonymous namespace)::").removesuffix(" [clone .cold]")
    function = re.sub(r"\([^()]*\)$", "", function)  # arguments
    function = re.sub(r"::h[0-9a-f]{16}$", "", function)  # Rust's hash
    if function.startswith(module + "+0x"):
        function = function.removeprefix(module)
    return function if module == program else f"{module}!{function}"


class Stacks:
    """What is in a snapshot: how often each stack was seen, apart by whether it reached its root."""

    def __init__(self, path):
        self.summary = h.report(path)
        cpu = self.summary["cpu"]
        self.samples = cpu["samples"]
        self.program = os.path.basename(self.summary["target"]["exe"])
        self.whole, self.broken = collections.Counter(), collections.Counter()
        self.modules = collections.defaultdict(collections.Counter)  # reason → module of the frame where it ended
        work = [(row, "", None) for row in h.report(path, "tree")["rows"]]
        while work:
            row, above, reason = work.pop()
            text = above
            if row["module"] == "[broken]":
                reason = row["function"].strip("[]").removeprefix("broken: ")
            elif row["module"] != "[kernel]":
                text = (above + ";" if above else "") + name_of(row, self.program)
                if reason and not above:
                    self.modules[reason][row["module"]] += row["total"]
            if row["self"]:
                (self.broken if reason else self.whole)[(reason, text) if reason else text] += row["self"]
            work += [(child, text, reason) for child in row["children"]]

    @property
    def completeness(self):
        return sum(self.whole.values()) / max(1, self.samples)

    def reasons(self):
        found = collections.Counter()
        for (reason, _), count in self.broken.items():
            found[reason] += count
        return found

    def wrong(self, shapes):
        """The whole stacks that are none of the shapes."""
        known = re.compile("|".join(f"(?:{shape})" for shape in shapes))
        return collections.Counter({text: count for text, count in self.whole.items() if not known.fullmatch(text)})

    def count(self, pattern):
        """Samples whose whole stack matches."""
        known = re.compile(pattern)
        return sum(count for text, count in self.whole.items() if known.fullmatch(text))

    def tell(self):
        """A line for people."""
        reasons = ", ".join(f"{reason} {count}" for reason, count in self.reasons().most_common())
        return f"{self.samples} samples, {100 * self.completeness:.3f} % complete ({reasons or 'none broken'})"

    def tell_broken(self, rows=6):
        """Where broken stacks ended, the most frequent first; the first frame is the one that had no caller."""
        return [f"{count} × {reason}: {shorten(text)}" for (reason, text), count in self.broken.most_common(rows)]


def shorten(text, frames=6):
    """Long stacks in one line: both ends."""
    parts = text.split(";")
    if len(parts) > 2 * frames:
        parts = parts[:frames] + [f"… {len(parts) - 2 * frames} …"] + parts[-frames:]
    return ";".join(parts)


# ---- the programs ----

class Program:
    """How to start it, what its whole stacks look like (shapes), and which of them have to be there (least counts)."""

    def __init__(self, name, shapes, seen, arguments=(), breaks=None, whole=WHOLE, cpu_s=1.2):
        self.name, self.shapes, self.seen, self.arguments, self.whole = name, shapes, seen, arguments, whole
        self.breaks = breaks  # None: all stacks are whole; else (reasons, module) of those that cannot be
        self.cpu_s = cpu_s  # what it has to use at 4,999 Hz

    @contextlib.contextmanager
    def start(self):
        if not os.path.exists(os.path.join(h.WORKLOADS, self.name)):
            raise h.Skip(f"{self.name} is not built: its compiler is not installed")
        with h.workload(self.name, *self.arguments) as process:
            yield process


def library(name):
    return os.path.join(h.WORKLOADS, name)


REALIGNED = ("aligned_and_variable", "forced", "aligned_with_arguments", "aligned_locals", "bottom")
HANDLER = rf"(?:;{SIGNAL_FRAME}{chain('handle', 'in_the_handler')})?"
NO_INFORMATION = ("no_table", "no_rule")
JITTED = r"\[anon\]![^;]*"

THROWS = [
    rf"{MAIN}{chain('catcher', 'rethrower')}(?:;passer){{0,7}}(?:;thrower|;~guard)?(?:;{CXX})*",
    rf"{MAIN};other_work",
    rf"{MAIN};sorter(?:;{CXX})*(?:;compare_throws)?(?:;thrower)?(?:;{CXX})*"]
THROWN = rf"{MAIN};catcher;rethrower(?:;passer){{7}};thrower;libstdc\+\+[^;]*!__cxa_throw;libgcc.*"
PANICKED = (rf"{MAIN};(?:[^;]*;)*stacks_panic::main;(?:[^;]*;)*stacks_panic::catcher;(?:[^;]*;)*"
            r"(?:stacks_panic::passer;){7}stacks_panic::panicker;.*")

PROGRAMS = {
    "exceptions now and then": Program("stacks-throw", THROWS, {THROWN: 2}, arguments=(1200000,)),
    "nothing but exceptions": Program("stacks-throw", THROWS, {
        THROWN: 500, rf"{MAIN};sorter(?:;{LIBC})+(?:;compare_throws)?;thrower;libstdc.*": 100}, whole=0.975),
    "Rust panics now and then": Program("stacks-panic", [
        rf"{MAIN};(?:[^;]*;)*stacks_panic::main(?:;.*)?"], {PANICKED: 3}, arguments=(500000,)),
    "nothing but Rust panics": Program("stacks-panic", [
        rf"{MAIN};(?:[^;]*;)*stacks_panic::main(?:;.*)?"], {PANICKED: 2000}, whole=0.97),
    "signals": Program("stacks-signals", [
        rf"{MAIN}(?:;interrupted(?:;at_the_first_instruction|;mostly_prologue|(?:;{LIBRARY})*))?{HANDLER}"],
        {rf"{MAIN};interrupted;at_the_first_instruction;{SIGNAL_FRAME};handle;in_the_handler": 200,
         rf"{MAIN};interrupted;mostly_prologue;{SIGNAL_FRAME};handle;in_the_handler": 20}),
    "signals on another stack": Program("stacks-signals", [
        rf"{MAIN}(?:;interrupted(?:;at_the_first_instruction|;mostly_prologue|(?:;{LIBRARY})*))?{HANDLER}"],
        {rf"{MAIN};interrupted;at_the_first_instruction;{SIGNAL_FRAME};handle;in_the_handler": 200},
        arguments=("altstack",)),
    "realigned stacks": Program("stacks-realign", [
        rf"{MAIN}(?:;vectors)?{chain(*REALIGNED)}(?:;{LIBRARY})*"],
        {rf"{MAIN}(?:;vectors)?;{';'.join(REALIGNED)}": 500,
         rf"{MAIN}(?:;vectors)?;{';'.join(REALIGNED[:-1])}": 100}),
    "vDSO": Program("stacks-vdso", [
        rf"{MAIN}(?:;read_clocks(?:;{LIBRARY})*)?"],
        {rf"{MAIN};read_clocks(?:;{LIBC})?;\[vdso\]![^;]*": 2500}),
    "lazy PLT": Program("stacks-plt", [
        rf"{MAIN}(?:;many_calls(?:;{LIBRARY})*)?"],
        # A stub of one jump is met by some or by no sample, as the processor likes it: those with IBT have two.
        {rf"{MAIN};many_calls;{LIBC}": 50}),
    "lazy PLT with IBT": Program("stacks-plt-ibt", [
        rf"{MAIN}(?:;many_calls(?:;{LIBRARY})*)?"],
        {rf"{MAIN};many_calls;(?:\+0x[0-9a-f]+|[^;!]*@plt)": 15,
         rf"{MAIN};many_calls;{LIBC}": 3}),
    "vfork": Program("stacks-vfork", [
        rf"{MAIN}(?:;spawn_one(?:;{LIBRARY})*)?"],
        {rf"{MAIN};spawn_one;libc\.so\.6![^;]*vfork": 500}, cpu_s=2.4),
    "recursion": Program("recursion", [
        rf"{MAIN}(?:;recurse){{0,1000}}(?:;at_the_bottom)?"],
        {rf"{MAIN}(?:;recurse){{1000}};at_the_bottom": 4500}),
    "coroutines": Program("stacks-coroutines", [
        rf"{MAIN}(?:;{LIBRARY})*",
        rf"(?:{LIBC};)?coroutine_entry(?:;take_turns){{0,8}}(?:;turn_work)?(?:;{LIBRARY})*"],
        {rf"(?:{LIBC};)?coroutine_entry(?:;take_turns){{8}};turn_work": 100,
         rf"(?:{LIBC};)?coroutine_entry(?:;take_turns){{1}};turn_work": 100,
         rf"(?:{LIBC};)?coroutine_entry(?:;take_turns)+(?:;{LIBRARY})*;{LIBC}": 100}),
    "longjmp": Program("stacks-longjmp", [
        rf"{MAIN}(?:;jump_once(?:;jump_from){{0,7}}(?:;{LIBRARY})*)?"],
        {rf"{MAIN};jump_once(?:;jump_from){{7}}": 50,
         rf"{MAIN};jump_once(?:;jump_from){{7}}(?:;{LIBRARY})*;{LIBC}": 200}),
    "string functions": Program("stacks-strings", [
        rf"{MAIN}(?:;small_strings|;large_copies)?(?:;{LIBRARY})*"],
        {rf"{MAIN};small_strings;{LIBC}": 2000, rf"{MAIN};large_copies;{LIBC}": 50}),
    "short threads": Program("stacks-threads", [
        "",  # a thread that ends, in the kernel: its memory has gone
        rf"{MAIN}(?:;start_and_join(?:;{LIBRARY})*)?",
        rf"{LIBC}(?:;{LIBRARY})*{chain('run_thread', 'thread_work')}(?:;{LIBRARY})*"],
        {rf"{LIBC};{LIBC};run_thread;thread_work": 300}, cpu_s=1.5),
    "a library with frame pointers alone": Program("stacks-library", [
        MAIN + chain("libcalls-frames!calls_outer", "libcalls-frames!calls_inner", "called_back")],
        {rf"{MAIN};libcalls-frames!calls_outer;libcalls-frames!calls_inner;called_back": 1000,
         rf"{MAIN};libcalls-frames!calls_outer;libcalls-frames!calls_inner": 1000},
        arguments=(library("libcalls-frames"),)),
    "a library with .debug_frame alone": Program("stacks-library", [
        MAIN + chain("libcalls-debug!calls_outer", "libcalls-debug!calls_inner", "called_back")],
        {rf"{MAIN};libcalls-debug!calls_outer;libcalls-debug!calls_inner;called_back": 1000},
        arguments=(library("libcalls-debug"),)),
    "a library without anything": Program("stacks-library", [
        MAIN + chain("libcalls-nothing!calls_outer", "libcalls-nothing!calls_inner", "called_back")],
        {}, arguments=(library("libcalls-nothing"),), breaks=(NO_INFORMATION, "libcalls-nothing")),
    "assembly with frame pointers": Program("stacks-assembly", [
        MAIN + chain("by_frames", "called_back")],
        {rf"{MAIN};by_frames;called_back": 1000, rf"{MAIN};by_frames": 1000}),
    "assembly without anything": Program("stacks-assembly", [
        MAIN + chain("by_nothing", "called_back")],
        {}, arguments=("nothing",), breaks=(NO_INFORMATION, "stacks-assembly")),
    "JIT with frame pointers": Program("stacks-jit", [
        MAIN + chain(JITTED, JITTED, "called_back")],
        {rf"{MAIN};{JITTED};{JITTED};called_back": 700, rf"{MAIN};{JITTED};{JITTED}": 700}),
    "JIT without anything": Program("stacks-jit", [
        MAIN + chain(JITTED, JITTED, "called_back")],
        {}, arguments=("nothing",), breaks=(("jit",), "[anon]")),
}


def judge(stacks, program, least=LEAST, late=0):
    """All that does not hold, in words; nothing: all holds. late: the share of samples that may have come before the
    tables, which they say; a short recording on a busy machine begins with some."""
    troubles, whole = [], program.whole
    if stacks.samples < least:
        troubles.append(f"only {stacks.samples} samples of {least}")
    wrong = stacks.wrong(program.shapes)
    if sum(wrong.values()) > (1 - whole) * stacks.samples:
        troubles.append(f"{sum(wrong.values())} whole stacks are wrong")
        troubles += [f"  {count} × {shorten(text)}" for text, count in wrong.most_common(6)]
    if program.breaks:
        return troubles + judge_breaks(stacks, *program.breaks, whole)
    untabled = min(stacks.reasons()["no_table"], late * stacks.samples)
    if sum(stacks.whole.values()) < whole * (stacks.samples - untabled):
        troubles.append(f"{100 * stacks.completeness:.3f} % complete, not {100 * whole:.1f} %")
        troubles += ["  " + line for line in stacks.tell_broken()]
    for pattern, count in program.seen.items():
        # The counts are for LEAST samples.
        if stacks.count(pattern) < count * min(1, stacks.samples / LEAST):
            troubles.append(f"{stacks.count(pattern)} stacks instead of {count} are like {pattern}")
    return troubles


def judge_breaks(stacks, reasons, module, whole):
    """Of stacks that cannot be whole: nearly all say so, with the right reason, at the right place."""
    right = sum(stacks.modules[reason][module] for reason in reasons)
    in_module = sum(count for text, count in stacks.whole.items() if module in text)
    total = sum(stacks.broken.values())
    troubles = []
    if right < 0.95 * stacks.samples:
        troubles.append(f"{right} of {stacks.samples} stacks ended in {module} as {' or '.join(reasons)}")
    if total - right > (1 - whole) * stacks.samples:
        troubles.append(f"{total - right} stacks ended elsewhere, or for another reason")
    if troubles:
        troubles += ["  " + line for line in stacks.tell_broken()]
        troubles.append(f"  {in_module} whole stacks go through {module}")
    return troubles
