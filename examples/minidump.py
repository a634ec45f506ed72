#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Writes a minidump of a process by way of a snapshot: minidump.py PID FILE.

The same calls serve on Windows with ctypes.WinDLL("kernel32") and ctypes.WinDLL("dbghelp"). The
callback's structures are packed to four bytes; of their unions only what is used is here.
"""

import ctypes
import os
import platform
import sys
from ctypes import CFUNCTYPE, POINTER, Structure, c_int32, c_uint32, c_void_p

S_FALSE = 1
PROCESS_ALL_ACCESS = 0x001FFFFF
CONTEXT_ALL = 0x0040001F if platform.machine() == "aarch64" else 0x0010001F
PSS_CAPTURE_VA_CLONE = 0x00000001
PSS_CAPTURE_THREADS = 0x00000080
PSS_CAPTURE_THREAD_CONTEXT = 0x00000100
MINI_DUMP_WITH_FULL_MEMORY = 0x00000002
MINI_DUMP_IGNORE_INACCESSIBLE_MEMORY = 0x00020000
THREAD_CALLBACK, IS_PROCESS_SNAPSHOT_CALLBACK = 1, 16


class MINIDUMP_CALLBACK_INPUT(Structure):
    _pack_ = 4
    _fields_ = [("ProcessId", c_uint32), ("ProcessHandle", c_void_p), ("CallbackType", c_uint32),
                ("ThreadId", c_uint32)]


class MINIDUMP_CALLBACK_OUTPUT(Structure):
    _pack_ = 4
    _fields_ = [("Status", c_int32)]


CALLBACK_ROUTINE = CFUNCTYPE(c_int32, c_void_p, POINTER(MINIDUMP_CALLBACK_INPUT),
                             POINTER(MINIDUMP_CALLBACK_OUTPUT))


class MINIDUMP_CALLBACK_INFORMATION(Structure):
    _pack_ = 4
    _fields_ = [("CallbackRoutine", CALLBACK_ROUTINE), ("CallbackParam", c_void_p)]


def load():
    library = ctypes.CDLL(os.environ.get("PROCSNAP_LIBRARY", "libprocsnap.so.0"))
    library.OpenProcess.restype = library.GetCurrentProcess.restype = c_void_p
    library.PssxErrorText.restype = ctypes.c_char_p
    library.GetLastError.restype = c_uint32
    library.PssCaptureSnapshot.argtypes = [c_void_p, c_uint32, c_uint32, POINTER(c_void_p)]
    library.PssFreeSnapshot.argtypes = [c_void_p, c_void_p]
    library.CloseHandle.argtypes = [c_void_p]
    library.MiniDumpWriteDump.argtypes = [
        c_void_p, c_uint32, c_void_p, c_uint32, c_void_p, c_void_p,
        POINTER(MINIDUMP_CALLBACK_INFORMATION)]
    return library


def write(library, snapshot, pid, fd):
    threads = []

    def on_question(_, question, answer):
        if question.contents.CallbackType == IS_PROCESS_SNAPSHOT_CALLBACK:
            answer.contents.Status = S_FALSE
        elif question.contents.CallbackType == THREAD_CALLBACK:
            threads.append(question.contents.ThreadId)
        return 1

    callback = MINIDUMP_CALLBACK_INFORMATION(CALLBACK_ROUTINE(on_question), None)
    kind = MINI_DUMP_WITH_FULL_MEMORY | MINI_DUMP_IGNORE_INACCESSIBLE_MEMORY
    if not library.MiniDumpWriteDump(snapshot, pid, fd, kind, None, None, callback):
        sys.exit(f"MiniDumpWriteDump: {library.GetLastError():#x}: "
                 f"{library.PssxErrorText().decode()}")
    print(f"dumped {len(threads)} threads")


def main(pid, path):
    library = load()
    process = library.OpenProcess(PROCESS_ALL_ACCESS, 0, pid)
    if not process:
        sys.exit(f"OpenProcess: {library.PssxErrorText().decode()}")
    snapshot = c_void_p()
    flags = PSS_CAPTURE_VA_CLONE | PSS_CAPTURE_THREADS | PSS_CAPTURE_THREAD_CONTEXT
    error = library.PssCaptureSnapshot(process, flags, CONTEXT_ALL, ctypes.byref(snapshot))
    library.CloseHandle(process)
    if error:
        sys.exit(f"PssCaptureSnapshot: {library.PssxErrorText().decode()}")
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        write(library, snapshot, pid, fd)
    finally:
        os.close(fd)
        library.PssFreeSnapshot(library.GetCurrentProcess(), snapshot)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: minidump.py PID FILE")
    main(int(sys.argv[1]), sys.argv[2])
