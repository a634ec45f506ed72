#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Runs an example on a specimen and compares what it prints with /proc: compare.py NAME PROGRAM."""

import os
import re
import struct
import subprocess
import sys

from specimen import Specimen


def run(*command, **options):
    environment = os.environ | {
        "LD_LIBRARY_PATH": os.path.dirname(os.environ["PROCSNAP_LIBRARY"])}
    result = subprocess.run(command, stdout=subprocess.PIPE, check=False, text=True,
                            env=environment, **options)
    assert result.returncode == 0, f"{command} ended with {result.returncode}"
    return result.stdout


def lines(output, pattern):
    """The groups of all lines that begin with the pattern's first word."""
    word = pattern.split()[0]
    found = [re.fullmatch(pattern, line) for line in output.splitlines()
             if line.split(maxsplit=1)[0] == word]
    assert found and all(found), f"no line like {pattern!r} in\n{output}"
    return [match.groups() for match in found]


def check_threads(specimen, before, threads):
    assert {int(tid): name for tid, _, _, name in threads} == specimen.threads()
    code = [region for region in specimen.regions() if "x" in region.mode]
    for tid, cpu, pointer, _ in threads:
        assert before[tid] - 100 <= int(cpu) * 100 <= specimen.cpu_ns(tid) + 100
        assert any(region.start <= int(pointer, 16) < region.end for region in code), pointer


def check_regions(specimen, regions):
    wanted = [(hex(region.start), hex(region.end - region.start), hex(region.protection()),
               region.path) for region in specimen.regions()]
    assert [(start, size, protection, path) for start, size, protection, _, path in regions
            ] == wanted, (regions, wanted)


def check_handles(specimen, handles):
    links = specimen.handles()
    assert [int(fd) for fd, _, _, _ in handles] == sorted(links)
    for fd, kind, access, name in handles:
        link, fd = links[int(fd)], int(fd)
        assert int(access, 16) == specimen.access(fd)
        if fd in (specimen.file, specimen.gone):
            assert (kind, name) == ("File", link.removesuffix(" (deleted)")), (kind, name, link)
    kinds = {int(fd): kind for fd, kind, _, _ in handles}
    names = {int(fd): name for fd, _, _, name in handles}
    assert kinds[specimen.event] == "Event"
    assert kinds[specimen.pipe] == "Pipe" and kinds[0] == "Pipe"
    assert kinds[specimen.socket.fileno()] == "Socket"
    assert f"127.0.0.1:{specimen.socket.getsockname()[1]}" in names[specimen.socket.fileno()]


def check_snapshot(specimen, program):
    before = {str(tid): specimen.cpu_ns(tid) for tid in specimen.threads()}
    output = run(program, str(specimen.pid))
    ((pid, parent, created, path),) = lines(output, r"process (\d+) parent (\d+) created (\d+) (.*)")
    assert (int(pid), int(parent)) == (specimen.pid, os.getpid())
    assert path == os.readlink(f"/proc/{pid}/exe")
    assert abs((int(created) - 116444736000000000) / 1e7 - specimen.created()) < 0.011
    threads = lines(output, r"thread (\d+) cpu (\d+) ip (0x[0-9a-f]+) (.*)")
    regions = lines(output, r"region (0x\w+) size (0x\w+) protect (0x\w+) (\w+) (.*)")
    handles = lines(output, r"handle (\d+) (\w+) access (0x\w+) (.*)")
    check_threads(specimen, before, threads)
    check_regions(specimen, regions)
    check_handles(specimen, handles)
    (counts,) = lines(output, r"holds (\d+) threads, (\d+) regions, (\d+) handles, (\d+) .*")
    pages = re.findall(r"^page 0x\w+ size 0x\w+$", output, re.M)
    assert [int(count) for count in counts] == [len(threads), len(regions), len(handles),
                                                len(pages)]
    ((clone,),) = lines(output, r"clone (\d+)")
    assert int(clone) not in (0, specimen.pid)
    ((total, of_clone),) = lines(output, r"took (\d+) us, (\d+) of them for the clone")
    assert int(total) >= int(of_clone) > 0


def check_own(specimen, program):
    """Nothing of the specimen but its descriptors, which the example is given."""
    with subprocess.Popen([program], stdout=subprocess.PIPE, text=True,
                          pass_fds=[specimen.file, specimen.gone]) as process:
        output = process.stdout.read()
    assert process.returncode == 0
    assert lines(output, r"parent (\d+)") == [(str(os.getpid()),)]
    assert lines(output, r"thread (\d+)") == [(str(process.pid),)]
    names = {int(fd): name for fd, name in lines(output, r"handle (\d+) (.*)")}
    links = specimen.handles()
    assert names[specimen.file] == links[specimen.file]
    assert names[specimen.gone] + " (deleted)" == links[specimen.gone]
    assert sorted(names) == sorted({0, 1, 2, specimen.file, specimen.gone}), names


def check_freeze(specimen, program):
    with subprocess.Popen([program, str(specimen.pid)], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline().startswith("frozen")
        specimen.ask("change")
        output, _ = process.communicate("\n")
    assert process.returncode == 0
    changed = [(int(start, 16), int(start, 16) + int(size, 16))
               for start, size in lines(output, r"changed (0x\w+) size (0x\w+)")]

    def has_changed(address):
        return any(start <= address < end for start, end in changed)

    assert has_changed(specimen.values["pattern"])
    bulk, size = specimen.values["bulk"], specimen.values["bulk_size"]
    assert not any(has_changed(page) for page in range(bulk, bulk + size, 4096))
    count = re.search(r"^(\d+) pages have changed$", output, re.M).group(1)
    assert int(count) * 4096 == sum(end - start for start, end in changed)


def check_python(specimen, program):
    output = run(sys.executable, program, str(specimen.pid))
    threads = lines(output, r"thread (\d+) cpu [\d.]+ s '(.*)'")
    assert {int(tid): name for tid, name in threads} == specimen.threads()
    assert len(lines(output, r"region (0x\w+) size (0x\w+) '.*'")) == len(specimen.regions())
    handles = lines(output, r"handle (\d+) (\w+) '.*'")
    assert [int(fd) for fd, _ in handles] == sorted(specimen.handles())


def dumped_threads(path):
    """Thread numbers in a minidump."""
    with open(path, "rb") as file:
        dump = file.read()
    signature, version, count, directory = struct.unpack_from("<4sHxxII", dump)
    assert (signature, version) == (b"MDMP", 0xA793)
    streams = {kind: at for kind, _, at in struct.iter_unpack(
        "<III", dump[directory:directory + 12 * count])}
    count, = struct.unpack_from("<I", dump, streams[3])
    return {struct.unpack_from("<I", dump, streams[3] + 4 + 48 * i)[0] for i in range(count)}


def check_minidump(specimen, *program):
    path = os.path.join(specimen.folder.name, "dump.dmp")
    output = run(*program, str(specimen.pid), path)
    ((threads,),) = lines(output, r"dumped (\d+) threads")
    assert int(threads) == len(specimen.threads())
    assert dumped_threads(path) == set(specimen.threads())
    assert os.stat(path).st_mode & 0o777 == 0o600


def check_minidump_python(specimen, program):
    check_minidump(specimen, sys.executable, program)


def main(name, program):
    with Specimen() as specimen:
        globals()[f"check_{name}"](specimen, program)
        specimen.assert_unharmed()


if __name__ == "__main__":
    main(*sys.argv[1:])
