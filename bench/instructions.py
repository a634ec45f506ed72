# SPDX-License-Identifier: LGPL-2.1-or-later
"""Counts the instructions of pure work, by callgrind, and compares them with the last values, which
instructions.tsv keeps. Unlike times they are the same on a busy machine."""

import pathlib
import re
import shutil
import subprocess
import tempfile

from measure import Failure, slope

TABLE = pathlib.Path(__file__).with_name("instructions.tsv")
WORKS = ("section", "walk", "plan")
COUNTS = (500, 2000)
HEAD = """\
# Instructions of work on a section made by hand, with so many threads and mappings: synthetic.c.
# Written by "bench --accept FOLDER instructions". Built with: {build}
"""


def count(program, work, size):
    with tempfile.TemporaryDirectory(prefix="procsnap-bench-") as folder:
        done = subprocess.run(
            ["valgrind", "--tool=callgrind", f"--callgrind-out-file={folder}/out",
             f"--toggle-collect=measured_{work}", program, work, str(size)],
            check=False, stderr=subprocess.PIPE, text=True)
    found = re.search(r"Collected : (\d+)", done.stderr)
    if done.returncode or not found:
        raise Failure(f"callgrind: {done.stderr[-300:]}")
    return int(found.group(1))


def read_table():
    last, build = {}, ""
    if not TABLE.exists():
        return last, build
    for line in TABLE.read_text(encoding="utf-8").splitlines():
        if line.startswith("#"):
            build = line.partition("Built with: ")[2] or build
            continue
        work, size, instructions = line.split("\t")
        last[work, int(size)] = int(instructions)
    return last, build


def write_table(counted, build):
    lines = [f"{work}\t{size}\t{instructions}\n" for (work, size), instructions in counted.items()]
    TABLE.write_text(HEAD.format(build=build) + "".join(lines), encoding="utf-8")


def suite(bench):
    """Instructions of walk, section builder and core planner against the last values."""
    program = bench.options.programs["synthetic"]
    if not shutil.which("valgrind"):
        bench.report.skip("instructions", "valgrind is not installed")
        return
    build = subprocess.run([program, "build"], check=True, stdout=subprocess.PIPE,
                           text=True).stdout.strip()
    last, last_build = read_table()
    if build != last_build:
        print(f"  the last values were of {last_build or 'nothing'}; this is {build}")
    counted = {}
    sizes = COUNTS if bench.options.size != "tiny" else (10, 20)
    for work in WORKS:
        for size in sizes:
            counted[work, size] = now = count(program, work, size)
            before = last.get((work, size))
            off = f"{(now / before - 1) * 100:+.2f} %" if before else "no last value"
            bench.report.instructions.append(
                {"work": work, "count": size, "instructions": now, "last": before,
                 "build": build, "last_build": last_build})
            print(f"  {work + ' of ' + str(size):66}{now:11}{before or '':>11}     {off}")
        exponent = slope([(size, counted[work, size]) for size in sizes])
        print(f"  {work + ', growth':66}{'x^' + format(exponent, '.2f'):>11}")
        bench.report.instructions[-1]["exponent"] = exponent
    if bench.options.accept:
        write_table(counted, build)
