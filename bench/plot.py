# SPDX-License-Identifier: LGPL-2.1-or-later
"""Draws the pause against resident size and against threads, as plain SVG: two panels, both axes
logarithmic, a line for each tool."""

import math
from xml.sax.saxutils import escape

WIDTH, HEIGHT = 1090, 440
PANEL = {"width": 360, "height": 300, "top": 60}
LEFTS = (60, 590)
COLOURS = {"procsnap": "#0b6e4f", "fork()": "#1f4e9c", "gcore": "#c1440e", "lldb": "#7b2d8b",
           "lldb, stacks only": "#b88a00"}


def name_of(entry):
    """The tool that a line of growth is about, or None if it is about something else."""
    what = entry["name"].partition(" against ")[0]
    if what == "pause":
        return "procsnap"
    if what == "fork":
        return "fork()"
    return what.removeprefix("pause of ") if what.startswith("pause of ") else None


def lines_of(growth, axis):
    lines = {}
    for entry in growth:
        name = name_of(entry)
        if entry["axis"] == axis and name:
            lines[name] = [(x, y / 1e6) for x, y in entry["points"]]
    return lines


class Panel:
    """One pair of axes."""

    def __init__(self, left, lines, label):
        xs = [x for points in lines.values() for x, _ in points]
        ys = [y for points in lines.values() for _, y in points]
        self.left, self.lines, self.label = left, lines, label
        self.low_x, self.high_x = math.log10(min(xs)), math.log10(max(xs))
        self.low_y, self.high_y = math.floor(math.log10(min(ys))), math.ceil(math.log10(max(ys)))
        self.ticks = sorted(set(xs))

    def x(self, value):
        share = (math.log10(value) - self.low_x) / ((self.high_x - self.low_x) or 1)
        return self.left + share * PANEL["width"]

    def y(self, value):
        share = (math.log10(value) - self.low_y) / ((self.high_y - self.low_y) or 1)
        return PANEL["top"] + (1 - share) * PANEL["height"]

    def axes(self):
        bottom, right = PANEL["top"] + PANEL["height"], self.left + PANEL["width"]
        for power in range(self.low_y, self.high_y + 1):
            at = self.y(10.0 ** power)
            yield f'<line class="grid" x1="{self.left}" x2="{right}" y1="{at:.1f}" y2="{at:.1f}"/>'
            yield (f'<text class="tick" x="{self.left - 8}" y="{at + 4:.1f}" text-anchor="end">'
                   f"{10.0 ** power:g}</text>")
        last = -100.0
        for value in self.ticks:
            at = self.x(value)
            if at - last < 34:
                continue
            last = at
            yield (f'<text class="tick" x="{at:.1f}" y="{bottom + 18}" text-anchor="middle">'
                   f"{value:g}</text>")
        yield (f'<text x="{(self.left + right) / 2}" y="{bottom + 40}" text-anchor="middle">'
               f"{escape(self.label)}</text>")
        yield (f'<text x="{self.left - 8}" y="{PANEL["top"] - 16}" text-anchor="end">ms</text>')

    def curves(self):
        taken = []
        for name, points in sorted(self.lines.items(), key=lambda item: -item[1][-1][1]):
            colour = COLOURS.get(name, "#555555")
            path = " ".join(f"{self.x(x):.1f},{self.y(y):.1f}" for x, y in points)
            dash = ' stroke-dasharray="6 4"' if name == "fork()" else ""
            yield f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"{dash}/>'
            for x, y in points:
                yield f'<circle cx="{self.x(x):.1f}" cy="{self.y(y):.1f}" r="3" fill="{colour}"/>'
            at = self.y(points[-1][1]) + 4
            # Names at the ends of lines that meet stand below each other.
            while any(abs(at - other) < 14 for other in taken):
                at += 2
            taken.append(at)
            yield (f'<text x="{self.x(points[-1][0]) + 8:.1f}" y="{at:.1f}" fill="{colour}">'
                   f"{escape(name)}</text>")


def draw(growth, machine, path):
    panels = []
    for left, axis, label in zip(LEFTS, ("resident MiB", "threads"),
                                 ("resident memory, MiB, in pages of 4 KiB",
                                  "threads asleep, 16 MiB resident")):
        lines = lines_of(growth, axis)
        if lines:
            panels.append(Panel(left, lines, label))
    title = ("The pause, as a thread of the process that computes sees it: "
             f"{machine['cpu']}, {machine['cpus']} CPUs, Linux {machine['kernel'].split('-')[0]}")
    body = [f'<text x="20" y="24" class="title">{escape(title)}</text>']
    for panel in panels:
        body += [*panel.axes(), *panel.curves()]
    style = ("text{font:13px sans-serif} .tick{font-size:11px} .title{font-size:14px}"
             " .grid{stroke:#ddd}")
    with open(path, "w", encoding="utf-8") as file:
        file.write(f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
                   f'width="{WIDTH}" height="{HEIGHT}">\n<style>{style}</style>\n'
                   f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>\n')
        file.write("\n".join(body))
        file.write("\n</svg>\n")

