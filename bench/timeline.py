# SPDX-License-Identifier: LGPL-2.1-or-later
"""Where the time of a capture goes: reads what timeline.c prints, and tells it by phase."""

import statistics
import subprocess

from measure import Failure

# In order; each ends where the next begins. The pause is from "stop the runners" to "let go".
PHASES = (
    ("look before touching", False),
    ("seize and stop the sleepers, read their registers", False),
    ("stop the runners", True),
    ("read their registers, write the frames", True),
    ("the kernel's clone", True),
    ("clone in order, thread back to where it was", True),
    ("let go of the runners", True),
    ("let go of the sleepers", False),
    ("describe, seal, park the clone", False),
)


def parse(text):
    """Captures as lists of (start, lasted, in the kernel, calls, name); with figures told."""
    captures = []
    for line in text.splitlines():
        words = line.split("\t")
        if words[0] == "capture":
            captures.append({"total": int(words[1]), "lines": []})
        elif words[0] == "figures":
            captures[-1]["pause"], captures[-1]["hold"] = int(words[1]), int(words[2])
        else:
            captures[-1]["lines"].append((*map(int, words[:4]), words[4]))
    return captures


def first(lines, name, after):
    """Index of the first line of that name past index @after."""
    for i in range(after, len(lines)):
        if lines[i][4] == name:
            return i
    raise Failure(f"a time line without {name}")


def boundaries(capture):
    """When each phase begins, and the end."""
    lines, total = capture["lines"], capture["total"]
    seize = first(lines, "PTRACE_SEIZE", 0)
    frames = first(lines, "memory of the target", seize)
    # Runners are told last: the last such line before the frames.
    told = max(i for i in range(seize, frames) if lines[i][4] == "PTRACE_INTERRUPT")
    stood = next(i for i in range(told + 1, frames) if lines[i][4] != "wait")
    entered = first(lines, "PTRACE_SYSCALL", frames)
    cloning = first(lines, "PTRACE_SYSCALL", entered + 1)
    cloned = first(lines, "PTRACE_GETEVENTMSG", cloning)
    freed = first(lines, "PTRACE_DETACH", cloned)
    marks = [0] + [lines[i][0] for i in (seize, told, stood, cloning, cloned, freed)]
    after = lines[freed + 1][0] if freed + 1 < len(lines) else total
    # One line for all that are let go; when the runners were is told by the product.
    runners = min(max(marks[2] + capture["pause"], marks[-1]), after)
    return marks + [runners, after, total]


def phases(capture):
    marks = boundaries(capture)
    return [end - start for start, end in zip(marks, marks[1:])]


def run(bench, patient, times):
    done = subprocess.run([bench.options.programs["timeline"], str(patient.pid), str(times),
                           "memory"], check=False, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        raise Failure("timeline failed")
    return parse(done.stdout)


def suite(bench):
    """Where the time of a capture goes, by phase: medians, and the least of all."""
    options = bench.options
    for label, arguments in (("resident", {"mib": options.sizes[0]}),
                             ("threads", {"mib": 16, "sleepers": options.crowd})):
        with bench.patient(**arguments) as patient:
            captures = []
            for _ in range(options.rounds):
                patient.ask("touch")
                captures += run(bench, patient, 1)
        told = [phases(capture) for capture in captures]
        columns = list(zip(*told))
        key = f"{arguments['mib']} MiB with {arguments.get('sleepers', 4)} threads asleep"
        bench.report.timeline[key] = [
            {"phase": name, "in_pause": in_pause, "ns": statistics.median(column),
             "least_ns": min(column)} for (name, in_pause), column in zip(PHASES, columns)]
        print(f"  {key}, {label}: whole {statistics.median(c['total'] for c in captures) / 1e6:.2f} "
              f"ms, pause {statistics.median(c['pause'] for c in captures) / 1e6:.2f} ms")
        for told in bench.report.timeline[key]:
            print(f"    {told['phase']:52}{told['ns'] / 1e6:9.3f} ms, least "
                  f"{told['least_ns'] / 1e6:9.3f}{'  |' if told['in_pause'] else ''}")
