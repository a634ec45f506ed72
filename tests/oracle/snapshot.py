# SPDX-License-Identifier: LGPL-2.1-or-later
"""A core and a minidump of one snapshot, through the library, so that what readers say of the one
can be held against what they say of the other: python3 snapshot.py LIBRARY PID CORE MINIDUMP
"""

import ctypes
import os
import pathlib
import sys

VA_CLONE, HANDLES, NAMES, BASIC, THREADS, CONTEXTS = 0x1, 0x4, 0x8, 0x10, 0x80, 0x100
FLAGS = VA_CLONE | HANDLES | NAMES | BASIC | THREADS | CONTEXTS
CONTEXT_ALL = 0x0010001F
PROCESS_ALL_ACCESS = 0x1FFFFF
DEFAULT = 0x1804 | 0x80000  # handles, regions, threads, headers: the command's


class Options(ctypes.Structure):
    """PSSX_MINIDUMP_OPTIONS"""
    _fields_ = [(name, ctypes.c_uint32) for name in "Size Type Flags Compress".split()] + [
        ("Level", ctypes.c_int32), ("Reserved", ctypes.c_uint32), ("Progress", ctypes.c_void_p),
        ("ProgressContext", ctypes.c_void_p), ("MemoryReserveBytes", ctypes.c_uint64)]


class Failure(Exception):
    """A call of the library that failed."""


def check(lib, code, what):
    if code:
        raise Failure(f"{what}: error {code}: {lib.PssxErrorText().decode(errors='replace')}")


def write_file(lib, path, function, snapshot, *arguments):
    """Calls a function that takes a snapshot and a descriptor."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        check(lib, function(snapshot, fd, *arguments), path)
    finally:
        os.close(fd)


def write(library, pid, core, minidump, kind=DEFAULT):
    """Captures a process once and writes both."""
    lib = ctypes.CDLL(str(library))
    lib.OpenProcess.restype = ctypes.c_void_p
    lib.PssxErrorText.restype = ctypes.c_char_p
    process = ctypes.c_void_p(lib.OpenProcess(PROCESS_ALL_ACCESS, 0, pid))
    snapshot = ctypes.c_void_p()
    options = Options(Size=ctypes.sizeof(Options), Type=kind)
    check(lib, lib.PssCaptureSnapshot(process, FLAGS, CONTEXT_ALL, ctypes.byref(snapshot)),
          f"capture of {pid}")
    try:
        write_file(lib, core, lib.PssxWriteElfCore, snapshot, None, None)
        write_file(lib, minidump, lib.PssxWriteMinidump, snapshot, ctypes.byref(options), None)
    finally:
        lib.PssFreeSnapshot(lib.GetCurrentProcess(), snapshot)
        lib.CloseHandle(process)


if __name__ == "__main__":
    if len(sys.argv) != 5:
        sys.exit(__doc__)
    write(pathlib.Path(sys.argv[1]).resolve(), int(sys.argv[2]), *sys.argv[3:])
