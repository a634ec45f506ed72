# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the benchmarks are made of: the two programs that are talked to, and figures.

A figure is a ratio of two things that were measured in turns within one run, so that whatever else
the machine does falls on both; the order changes from round to round. It is given as the median of
the rounds' ratios with its quartiles, beside the bar that it has to meet, if there is one.
"""

import contextlib
import json
import math
import os
import platform
import statistics
import subprocess
import tempfile


class Failure(Exception):
    """A measurement that could not be made."""


class Talker:
    """A program that answers each line with a line of JSON."""

    def __init__(self, *command):
        self.command = list(map(str, command))
        self.process = subprocess.Popen(self.command, stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            raise Failure(f"{' '.join(self.command)}: ended")
        return json.loads(line)

    def ask(self, *words):
        self.process.stdin.write(" ".join(map(str, words)) + "\n")
        self.process.stdin.flush()
        return self.answer()

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()


class Patient(Talker):
    """A target that measures itself; see patient.c."""

    def __init__(self, program, **options):
        arguments = []
        for name, value in options.items():
            arguments.append("--" + name.replace("_", "-"))
            if value is not True:
                arguments.append(value)
        super().__init__(program, *arguments)
        first = self.answer()
        self.pid, self.address, self.size = first["pid"], first["address"], first["size"]

    def private_bytes(self):
        with open(f"/proc/{self.pid}/status", encoding="ascii") as file:
            return next(int(line.split()[1]) << 10 for line in file if line.startswith("RssAnon:"))

    def figures(self, work):
        """What the target's clocks saw while @work was done to it, and what @work returned."""
        self.ask("touch")
        self.ask("reset")
        result = work()
        report = self.ask("report")
        if report["interrupted"]:
            raise Failure("a call of the target was interrupted")
        kinds = ("nanosleep", "epoll_wait", "futex", "poll")
        return {
            "spinner": report["spinner"]["longest_ns"],
            "writer": report["writer"]["longest_ns"],
            "call": max(report[kind]["longest_ns"] for kind in kinds),
            "result": result,
        }


class Bar:
    """What a ratio must be: at most, or at least, so much."""

    def __init__(self, sign, value):
        self.sign, self.value = sign, value

    def is_met(self, ratio):
        return ratio <= self.value if self.sign == "<=" else ratio >= self.value

    def __str__(self):
        return f"{self.sign} {self.value:g}"


def at_most(value):
    return Bar("<=", value)


def at_least(value):
    return Bar(">=", value)


def paired(rounds, *works):
    """Does each of @works once a round, in turning order; one list of results for each."""
    results = [[] for _ in works]
    for i in range(rounds):
        for j in range(len(works)):
            which = (i + j) % len(works)
            results[which].append(works[which]())
    return results


def quartiles(values):
    if len(values) < 2:
        return [values[0], values[0]]
    cut = statistics.quantiles(values, n=4, method="inclusive")
    return [cut[0], cut[2]]


def slope(points):
    """Exponent of y over x: the straight line of least squares through their logarithms."""
    logs = [(math.log(x), math.log(y)) for x, y in points if x > 0 and y > 0]
    mean_x = statistics.mean(x for x, _ in logs)
    mean_y = statistics.mean(y for _, y in logs)
    return (sum((x - mean_x) * (y - mean_y) for x, y in logs) /
            sum((x - mean_x) ** 2 for x, _ in logs))


UNITS = {"ns": (1e6, "ms"), "bytes": (2.0 ** 20, "MiB"), "per_s": (1.0, "/s"), "x": (1.0, "")}


class Report:
    """Collects the figures, prints each as it comes, and writes them as JSON."""

    def __init__(self):
        self.figures, self.growth, self.skipped = [], [], []
        self.instructions, self.timeline = [], {}

    def ratio(self, name, ours, reference, bar=None, unit="ns", over=None):
        """@ours against @reference, round by round: ours / reference, or the other way round if
        @over is "reference"."""
        pairs = [(b, a) if over == "reference" else (a, b) for a, b in zip(ours, reference)]
        ratios = [a / b for a, b in pairs if b]
        if not ratios:
            raise Failure(f"{name}: nothing to compare with")
        ratio = statistics.median(ratios)
        self.figures.append({
            "name": name, "unit": unit, "rounds": len(ratios),
            "ours": statistics.median(ours), "reference": statistics.median(reference),
            "ours_quartiles": quartiles(ours), "reference_quartiles": quartiles(reference),
            "ratio": ratio, "quartiles": quartiles(ratios), "range": [min(ratios), max(ratios)],
            "bar": str(bar) if bar else None, "met": bar.is_met(ratio) if bar else None,
        })
        print(row(self.figures[-1]), flush=True)

    def grow(self, name, axis, unit, points, bar, lines=4):
        """@points of (how many, cost). The exponent is that of the largest @lines of them: below,
        what a capture of nothing costs hides it."""
        exponent = slope(points[-lines:])
        entry = {"name": name, "axis": axis, "unit": unit, "points": points,
                 "exponent": exponent, "exponent_of_all": slope(points),
                 "bar": str(bar) if bar else None, "met": bar.is_met(exponent) if bar else None}
        self.growth.append(entry)
        print(growth_row(entry), flush=True)

    def skip(self, name, why):
        self.skipped.append({"name": name, "why": why})
        print(f"  {name}: not measured: {why}", flush=True)

    def held(self, where, arguments):
        """All of it, as the JSON has it."""
        return {"machine": where, "arguments": arguments, "figures": self.figures,
                "growth": self.growth, "instructions": self.instructions,
                "timeline": self.timeline, "skipped": self.skipped}


HEAD = (f"  {'':66}{'ours':>11}{'reference':>11}     {'ratio':>7} {'quartiles':^15} {'n':>3}"
        f"  {'bar':<8}")


def amount(value, unit):
    divisor, text = UNITS[unit]
    value /= divisor
    digits = 3 if value < 1 else 2 if value < 100 else 0
    return f"{value:.{digits}f}{' ' + text if text else ''}"


def verdict(entry):
    return {None: "", True: "met", False: "NOT MET"}[entry["met"]]


def row(figure):
    spread = "-".join(f"{x:.3g}" for x in figure["quartiles"])
    return (f"  {figure['name']:66}{amount(figure['ours'], figure['unit']):>11}"
            f"{amount(figure['reference'], figure['unit']):>11}     {figure['ratio']:7.3g} "
            f"{spread:^15} {figure['rounds']:3}  {figure['bar'] or '':<8}{verdict(figure)}")


def growth_row(entry):
    points = ", ".join(f"{x}: {amount(y, entry['unit'])}" for x, y in entry["points"])
    return (f"  {entry['name']:42} x^{entry['exponent']:.2f}  {entry['bar'] or '':<8}"
            f"{verdict(entry):8} {points}")


def first_line(path, prefix=""):
    with contextlib.suppress(OSError):
        with open(path, encoding="utf-8", errors="replace") as file:
            return next((line.split(":")[-1].strip() for line in file if line.startswith(prefix)), "")
    return ""


def machine():
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return {
        "cpu": first_line("/proc/cpuinfo", "model name"), "cpus": os.cpu_count(),
        "memory_gib": round(pages / 2 ** 30), "kernel": platform.release(),
        "architecture": platform.machine(),
        "is_virtual": "hypervisor" in first_line("/proc/cpuinfo", "flags"),
        "system": first_line("/etc/os-release", "PRETTY_NAME").partition("=")[2].strip('"'),
        "load_before": os.getloadavg()[0],
    }


def free_bytes():
    return int(first_line("/proc/meminfo", "MemAvailable:").split()[0]) << 10


@contextlib.contextmanager
def scratch_file(folder):
    """A name in @folder for a file that comes and goes."""
    with tempfile.TemporaryDirectory(prefix="procsnap-bench-", dir=folder) as inside:
        yield os.path.join(inside, "file")


@contextlib.contextmanager
def setting(path, value):
    """A setting of the kernel, put back in the end."""
    with open(path, encoding="ascii") as file:
        before = file.read().strip()
    chosen = next((word[1:-1] for word in before.split() if word.startswith("[")), before)
    with open(path, "w", encoding="ascii") as file:
        file.write(value)
    try:
        yield
    finally:
        with open(path, "w", encoding="ascii") as file:
            file.write(chosen)
