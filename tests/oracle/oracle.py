# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the oracle tests share: targets, captures by the command, other people's programs, and
reading ELF cores. Waits are for lines that a target writes or for the end of a program; where the
kernel tells of nothing, /proc is looked at again until a deadline.
"""

import bisect
import collections
import contextlib
import ctypes
import mmap
import os
import pathlib
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
import traceback

PROCSNAP = os.environ.get("PROCSNAP", "procsnap")
TARGETS = pathlib.Path(os.environ.get("PROCSNAP_TARGETS", "."))
CHECK_CORE = pathlib.Path(__file__).with_name("check_core.py")
PATIENCE = 250  # seconds, for a program that should end at once on an idle machine

PT_LOAD, PT_NOTE = 1, 4
RSEQ_SIZE = 32
NT_PRSTATUS, NT_PRFPREG, NT_X86_XSTATE = 1, 2, 0x202

# user_regs_struct of x86-64, in order.
REGISTERS = ("r15 r14 r13 r12 rbp rbx r11 r10 r9 r8 rax rcx rdx rsi rdi orig_rax rip cs eflags "
             "rsp ss fs_base gs_base ds es fs gs").split()


class Skip(Exception):
    """This can't be tried here; the text says why."""


def need(*programs):
    for program in programs:
        if not shutil.which(program):
            raise Skip(f"{program} is not installed")


def check(is_right, text):
    if not is_right:
        raise AssertionError(text)


def run(*command, timeout=PATIENCE, **options):
    """Runs a program to its end; its output is text unless options say otherwise."""
    options = {"text": True, "errors": "replace", "stdin": subprocess.DEVNULL, **options}
    environment = {**os.environ, "DEBUGINFOD_URLS": "", "LC_ALL": "C.UTF-8"}
    return subprocess.run([str(word) for word in command], capture_output=True, timeout=timeout,
                          env=environment, check=False, **options)


def run_well(*command, **options):
    """The standard output of a program that must succeed."""
    done = run(*command, **options)
    check(done.returncode == 0,
          f"{' '.join(map(str, command))}: exit status {done.returncode}\n"
          f"{done.stdout!s}\n{done.stderr!s}")
    return done.stdout


class Target:
    """A program of tests/targets/: see target.h there. Its end is that of the with statement."""

    def __init__(self, name, *arguments):
        self.name = name
        self.path = TARGETS / name
        self.process = subprocess.Popen([self.path, *map(str, arguments)], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        self.pid = self.process.pid
        try:
            self.values = self.read_line("ready")
        except BaseException:
            self.end()
            raise

    def read_line(self, word):
        line = self.process.stdout.readline()
        if line.startswith("skipped:"):
            raise Skip(f"{self.name}: {line[len('skipped:'):].strip()}")
        words = line.split()
        check(words[:1] == [word], f"{self.name} says {line!r}, not {word}")
        return {key: int(value, 16) for key, value in (pair.split("=") for pair in words[1:])}

    def command(self, text):
        self.process.stdin.write(text + "\n")
        self.process.stdin.flush()
        return self.read_line("done")

    def __getitem__(self, key):
        return self.values[key]

    def tids(self):
        return sorted(int(name) for name in os.listdir(f"/proc/{self.pid}/task"))

    def states(self):
        """The state of each thread, as a set of letters."""
        states = set()
        for tid in self.tids():
            text = pathlib.Path(f"/proc/{self.pid}/task/{tid}/stat").read_text(errors="replace")
            states.add(text[text.rindex(")") + 2])
        return states

    def wait_states(self, is_right, what):
        end = time.monotonic() + PATIENCE
        while not is_right(self.states()):
            check(time.monotonic() < end, f"{self.name} is never {what}: {self.states()}")
            os.sched_yield()

    def wait_stopped(self):
        """Let go by a tracer, a thread runs for a moment before it is stopped as before."""
        self.wait_states(lambda states: states <= {"T", "Z"}, "stopped")

    def stop(self):
        os.kill(self.pid, signal.SIGSTOP)
        self.wait_stopped()

    def go_on(self):
        os.kill(self.pid, signal.SIGCONT)
        self.wait_states(lambda states: "T" not in states, "going on")

    def end(self):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end()


def obeys(core):
    """Checks a core against the rules."""
    done = run(sys.executable, "-B", CHECK_CORE, core)
    check(done.returncode == 0, done.stdout + done.stderr)


def dump(target, path, *options):
    """Has the command write a core of a target; returns what it says."""
    return run_well(PROCSNAP, "dump", target.pid, "-o", path, *options)


@contextlib.contextmanager
def folder():
    with tempfile.TemporaryDirectory(prefix="oracle-") as path:
        yield pathlib.Path(path)


@contextlib.contextmanager
def captured(name, *arguments):
    """A live target and the core of it that has just been made."""
    with folder() as where, Target(name, *arguments) as target:
        core = where / "core"
        dump(target, core)
        yield target, core


Load = collections.namedtuple("Load", "start end offset filesz flags")


class Core:
    """An ELF core, mapped: its threads' notes and its memory."""

    def __init__(self, path):
        with open(path, "rb") as file:
            self.map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        self.loads = []
        self.notes = []  # of threads: (tid, owner, type, desc)
        phoff, = struct.unpack_from("<Q", self.map, 32)
        count, = struct.unpack_from("<H", self.map, 56)
        if count == 0xFFFF:
            shoff, = struct.unpack_from("<Q", self.map, 40)
            count, = struct.unpack_from("<I", self.map, shoff + 44)
        for number in range(count):
            self.read_header(struct.unpack_from("<IIQQQQQQ", self.map, phoff + 56 * number))
        self.loads.sort()
        self.starts = [load.start for load in self.loads]

    def read_header(self, header):
        kind, flags, offset, start, _, filesz, memsz, _ = header
        if kind == PT_LOAD:
            self.loads.append(Load(start, start + memsz, offset, filesz, flags))
        elif kind == PT_NOTE:
            self.read_notes(offset, offset + filesz)

    def read_notes(self, at, end):
        tid = None
        while at < end:
            namesz, descsz, kind = struct.unpack_from("<III", self.map, at)
            at += 12
            owner = self.map[at:at + namesz].rstrip(b"\0").decode()
            at += (namesz + 3) & ~3
            desc = self.map[at:at + descsz]
            at += (descsz + 3) & ~3
            if (owner, kind) == ("CORE", NT_PRSTATUS):
                tid, = struct.unpack_from("<i", desc, 32)
            self.notes.append((tid, owner, kind, desc))

    def tids(self):
        return [tid for tid, owner, kind, _ in self.notes
                if (owner, kind) == ("CORE", NT_PRSTATUS)]

    def thread_notes(self, owner, kind):
        return {tid: desc for tid, found, note, desc in self.notes
                if (found, note) == (owner, kind)}

    def registers(self):
        """{tid: {register: value}}"""
        if os.uname().machine != "x86_64":
            raise Skip("knows the registers of x86-64 only")
        return {tid: dict(zip(REGISTERS, struct.unpack_from("<27Q", desc, 112)))
                for tid, desc in self.thread_notes("CORE", NT_PRSTATUS).items()}

    def dumped(self):
        """The parts that have bytes in the file."""
        return [load for load in self.loads if load.filesz]

    def read(self, address, size):
        """Bytes of memory; None if they are not in the file."""
        index = bisect.bisect_right(self.starts, address) - 1
        if index < 0:
            return None
        load = self.loads[index]
        if address + size > load.start + load.filesz:
            return None
        at = load.offset + address - load.start
        return self.map[at:at + size]

    def close(self):
        self.map.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def without(start, end, ranges):
    """What is left of a range."""
    for low, high in sorted(ranges):
        if low < end and high > start:
            if start < low:
                yield start, low
            start = max(start, high)
    if start < end:
        yield start, end


def kernels_own(core):
    """Where each thread has the number of its CPU for restartable sequences (rseq). The kernel
    writes it even for a stopped thread, when a tracer has let it go and it lands on another CPU.
    """
    try:
        offset = ctypes.c_ssize_t.in_dll(ctypes.CDLL(None), "__rseq_offset").value
    except ValueError:
        return []  # a C library that does not use it
    areas = [registers["fs_base"] + offset for registers in core.registers().values()]
    return [(area, area + RSEQ_SIZE) for area in areas]


def main(*cases):
    """Runs each case, a function, or one and its arguments; ends the process as meson wants it."""
    outcomes = collections.Counter()
    for case in cases:
        function, *arguments = case if isinstance(case, tuple) else (case,)
        name = " ".join([function.__name__, *map(str, arguments)])
        try:
            function(*arguments)
            outcome = "ok"
        except Skip as reason:
            outcome = f"skipped: {reason}"
        except AssertionError as fault:
            outcome = f"FAILED: {fault}"
        except Exception:
            outcome = f"FAILED: {traceback.format_exc()}"
        outcomes[outcome.partition(":")[0]] += 1
        print(f"{name}: {outcome}", flush=True)
    sys.exit(1 if outcomes["FAILED"] else 0 if outcomes["ok"] else 77)
