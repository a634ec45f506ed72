# SPDX-License-Identifier: LGPL-2.1-or-later
"""A process to take snapshots of, and what /proc says of it, for tests in Python."""

import os
import re
import socket
import subprocess
import tempfile
import time

TICK = os.sysconf("SC_CLK_TCK")


def read(path):
    with open(path, encoding="utf-8", errors="surrogateescape") as file:
        return file.read()


class Region:
    """A line of /proc/PID/maps."""

    def __init__(self, line):
        columns = line.split(maxsplit=5)
        self.start, self.end = (int(text, 16) for text in columns[0].split("-"))
        self.mode, self.inode = columns[1], int(columns[4])
        self.path = columns[5] if self.inode and len(columns) > 5 else ""

    def protection(self):
        """Windows' PAGE_* of it."""
        readable, writable, executable, private = (flag != "-" for flag in self.mode)
        private = self.mode[3] == "p" and self.inode != 0
        if writable:
            return (0x80 if private else 0x40) if executable else (0x08 if private else 0x04)
        if executable:
            return 0x20 if readable else 0x10
        return 0x02 if readable else 0x01


class Specimen:
    """Target "plain" with some descriptors of known kinds; ended at the end of a `with`."""

    def __init__(self):
        self.folder = tempfile.TemporaryDirectory()
        path = os.path.join(self.folder.name, "file \u00e4")
        self.file = os.open(path, os.O_CREAT | os.O_RDWR | os.O_APPEND)
        os.write(self.file, b"seventeen letters")
        self.gone = os.open(path + " gone", os.O_CREAT | os.O_WRONLY)
        os.unlink(path + " gone")
        self.event = os.eventfd(5)
        self.semaphore = os.eventfd(3, os.EFD_SEMAPHORE)
        self.section = os.memfd_create("section")
        os.ftruncate(self.section, 12345)
        self.tester = os.pidfd_open(os.getpid())
        self.pipe, self.other_end = os.pipe()
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.passed = [self.file, self.gone, self.event, self.semaphore, self.section,
                       self.tester, self.pipe, self.socket.fileno()]
        self.process = subprocess.Popen(
            [os.path.join(os.environ["PROCSNAP_TARGETS"], "plain")], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, pass_fds=self.passed)
        self.pid = self.process.pid
        self.values = self.answer("ready")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        for fd in [*self.passed[:-1], self.other_end]:
            os.close(fd)
        self.socket.close()
        self.folder.cleanup()

    def answer(self, word):
        words = self.process.stdout.readline().decode().split()
        assert words and words[0] == word, words
        return {key: int(value, 16) for key, value in
                (pair.split("=") for pair in words[1:])}

    def ask(self, command):
        self.process.stdin.write(command.encode() + b"\n")
        self.process.stdin.flush()
        return self.answer("done")

    def threads(self):
        """Names by number."""
        return {int(tid): read(f"/proc/{self.pid}/task/{tid}/comm")[:-1]
                for tid in os.listdir(f"/proc/{self.pid}/task")}

    def cpu_ns(self, tid):
        return int(read(f"/proc/{self.pid}/task/{tid}/schedstat").split()[0])

    def regions(self):
        return [Region(line) for line in read(f"/proc/{self.pid}/maps").splitlines()]

    def handles(self):
        """What the links of all descriptors say, by number."""
        folder = f"/proc/{self.pid}/fd"
        return {int(fd): os.readlink(f"{folder}/{fd}") for fd in os.listdir(folder)}

    def tells_semaphores(self):
        """Whether the kernel says which eventfd is a semaphore: since Linux 6.5."""
        return "eventfd-semaphore: 1" in read(f"/proc/{self.pid}/fdinfo/{self.semaphore}")

    def access(self, fd):
        """Windows' access rights, from how it was opened."""
        flags = int(re.search(r"^flags:\s*(\d+)", read(f"/proc/{self.pid}/fdinfo/{fd}"),
                              re.M).group(1), 8)
        return {os.O_RDONLY: 0x120089, os.O_WRONLY: 0x120116,
                os.O_RDWR: 0x120089 | 0x120116}[flags & os.O_ACCMODE]

    def created(self):
        """Unix time."""
        boot = int(re.search(r"^btime (\d+)", read("/proc/stat"), re.M).group(1))
        ticks = read(f"/proc/{self.pid}/stat").rsplit(")", 1)[1].split()[19]
        return boot + int(ticks) / TICK

    def assert_unharmed(self):
        """Nobody traces it, it has no child, seen or unseen, and all its threads go on."""
        assert "TracerPid:\t0\n" in read(f"/proc/{self.pid}/status")
        end = time.monotonic() + 60
        while not (children := self.ask("children"))["all_none"]:
            assert time.monotonic() < end, children
        beats = self.values["counters"] + 24
        with open(f"/proc/{self.pid}/mem", "rb", buffering=0) as memory:
            before = os.pread(memory.fileno(), 8, beats)
            while os.pread(memory.fileno(), 8, beats) == before:
                assert time.monotonic() < end, "it computes no more"
            counters = os.pread(memory.fileno(), 24, self.values["counters"])
        assert counters == bytes(24), "an EINTR, a SIGCHLD or a wrong value"
