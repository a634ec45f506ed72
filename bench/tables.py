# SPDX-License-Identifier: LGPL-2.1-or-later
"""Puts the figures of a run into a page, between two marks, as Markdown tables: all, or in short."""

import pathlib

from measure import amount

BEGIN, END = "<!-- figures: made by bench/bench --docs -->", "<!-- end of figures -->"
BEGIN_SHORT, END_SHORT = ("<!-- in short: made by bench/bench --short -->",
                          "<!-- end of what is in short -->")
# What is told in short, and of which figure.
SHORT = (
    ("a process of 1 GiB stands still, as its computing thread sees it", "its own `fork()`",
     "pause, 1 GiB: seen by a computing thread / its fork()"),
    ("the same, as a thread sees it that writes to memory", "the same in a `fork()`",
     "pause, 1 GiB: seen by a writing thread / in a fork()"),
    ("of 4 GiB", "its own `fork()`", "pause, 4 GiB: seen by a computing thread / its fork()"),
    ("of 1 GiB, with 5,000 threads asleep", "its own `fork()`",
     "pause, 1 GiB, 5000 asleep: seen by a computing thread / its fork()"),
    ("of 1 GiB", "gcore, to memory", "pause of gcore / ours, 1 GiB"),
    ("of 1 GiB in huge pages", "gcore, to memory", "pause of gcore / ours, 1 GiB, thp"),
    ("a core of 1 GiB to ext4", "the target's own `write()` of it",
     "core of 1 GiB to ext4, rate / plain write()"),
    ("a core of 1 GiB to tmpfs", "the target's own `write()` of it",
     "core of 1 GiB to tmpfs, rate / plain write()"),
    ("a compressed core of 512 MiB", "`zstd -T2` of the finished one",
     "core of 512 MiB, zstd 3, rate / zstd -T2 of it"),
)
MET = {None: "", True: "met", False: "**not met**"}


def markdown(head, rows):
    yield "| " + " | ".join(head) + " |"
    yield "|" + "---|" * len(head)
    for row in rows:
        yield "| " + " | ".join(row) + " |"
    yield ""


def machine_line(held):
    machine = held["machine"]
    kind = "virtual machine" if machine["is_virtual"] else "machine"
    # Loads by other work are told, for they are in the spread.
    return (f"{machine['cpu']}, a {kind} with {machine['cpus']} CPUs and {machine['memory_gib']} "
            f"GiB, Linux {machine['kernel'].split('-')[0]}, {machine['system']}. Load before the "
            f"run {machine['load_before']:.1f}. {held['arguments']['rounds']} rounds.")


def spread(figure):
    return "-".join(f"{x:.3g}" for x in figure["quartiles"])


def figures(held):
    yield from markdown(
        ("figure", "ours", "reference", "ratio", "quartiles", "n", "bar", ""),
        [(f["name"], amount(f["ours"], f["unit"]), amount(f["reference"], f["unit"]),
          f"{f['ratio']:.3g}", spread(f), str(f["rounds"]), f["bar"] or "", MET[f["met"]])
         for f in held["figures"]])


def growth(held):
    yield from markdown(
        ("cost", "grows with", "smallest", "largest", "bar", ""),
        [(g["name"], f"n^{g['exponent']:.2f}",
          *(f"{x}: {amount(y, g['unit'])}" for x, y in (g["points"][0], g["points"][-1])),
          g["bar"] or "", MET[g["met"]])
         for g in held["growth"] if not g["name"].startswith("pause of")])


def timelines(held):
    for key, told in held["timeline"].items():
        yield f"A capture of {key}:"
        yield ""
        yield from markdown(("step", "in the pause", "median", "least"),
                            [(phase["phase"], "yes" if phase["in_pause"] else "",
                              amount(phase["ns"], "ns"), amount(phase["least_ns"], "ns"))
                             for phase in told])


def instructions(held):
    yield from markdown(("work", "threads and mappings", "instructions", "last"),
                        [(i["work"], str(i["count"]), f"{i['instructions']:,}",
                          f"{i['last']:,}" if i["last"] else "") for i in held["instructions"]])


def skipped(held):
    for entry in held["skipped"]:
        yield f"- {entry['name']}: not measured: {entry['why']}"
    yield ""


def body(held):
    yield machine_line(held)
    yield ""
    for title, part, key in (("### Figures", figures, "figures"), ("### Growth", growth, "growth"),
                             ("### Time line", timelines, "timeline"),
                             ("### Instructions", instructions, "instructions"),
                             ("### Not measured", skipped, "skipped")):
        if held[key]:
            yield title
            yield ""
            yield from part(held)


def short(held):
    told = {figure["name"]: figure for figure in held["figures"]}
    yield from markdown(
        ("what", "takes", "beside", "which takes", "ratio (of rates, for cores), quartiles"),
        [(what, amount(told[name]["ours"], told[name]["unit"]), beside,
          amount(told[name]["reference"], told[name]["unit"]),
          f"{told[name]['ratio']:.3g}, {spread(told[name])}")
         for what, beside, name in SHORT if name in told])
    yield machine_line(held)


def put(path, begin, end, lines):
    page = pathlib.Path(path)
    before, found, rest = page.read_text(encoding="utf-8").partition(begin)
    _, also, after = rest.partition(end)
    if not found or not also:
        raise SystemExit(f"bench: {path} has no place for figures: {begin} ... {end}")
    text = "\n".join(lines).rstrip()
    page.write_text(f"{before}{begin}\n{text}\n{end}{after}", encoding="utf-8")


def write(held, path):
    put(path, BEGIN, END, body(held))


def write_short(held, path):
    put(path, BEGIN_SHORT, END_SHORT, short(held))
