#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Prints what a snapshot of a process holds: snapshot.py PID.

The structures are those of Windows' headers, so the same definitions serve there with
ctypes.WinDLL("kernel32"). Two things catch whoever writes such bindings by hand: texts have units
of 16 bits, which c_wchar has on Windows only; and FILETIME is two halves, aligned to four bytes.
"""

import ctypes
import datetime
import platform
import sys
from ctypes import POINTER, Structure, Union, c_int32, c_uint16, c_uint32, c_uint64, c_void_p

HANDLE = HPSS = HPSSWALK = c_void_p
ULONG_PTR = c_uint64
WCHARS = POINTER(c_uint16)

ERROR_SUCCESS = 0
ERROR_NO_MORE_ITEMS = 259
ERROR_NOT_FOUND = 1168
PROCESS_ALL_ACCESS = 0x001FFFFF
CONTEXT_ALL = 0x0040001F if platform.machine() == "aarch64" else 0x0010001F

PSS_CAPTURE_NONE = 0x00000000
PSS_CAPTURE_VA_CLONE = 0x00000001
PSS_CAPTURE_HANDLES = 0x00000004
PSS_CAPTURE_HANDLE_NAME_INFORMATION = 0x00000008
PSS_CAPTURE_HANDLE_BASIC_INFORMATION = 0x00000010
PSS_CAPTURE_HANDLE_TYPE_SPECIFIC_INFORMATION = 0x00000020
PSS_CAPTURE_THREADS = 0x00000080
PSS_CAPTURE_THREAD_CONTEXT = 0x00000100
PSS_CAPTURE_VA_SPACE = 0x00000800
PSS_CAPTURE_VA_SPACE_SECTION_INFORMATION = 0x00001000
PSS_CREATE_USE_VM_ALLOCATIONS = 0x20000000
PSS_CREATE_MEASURE_PERFORMANCE = 0x40000000

EVERYTHING = (
    PSS_CAPTURE_VA_CLONE | PSS_CAPTURE_HANDLES | PSS_CAPTURE_HANDLE_NAME_INFORMATION
    | PSS_CAPTURE_HANDLE_BASIC_INFORMATION | PSS_CAPTURE_HANDLE_TYPE_SPECIFIC_INFORMATION
    | PSS_CAPTURE_THREADS | PSS_CAPTURE_THREAD_CONTEXT | PSS_CAPTURE_VA_SPACE
    | PSS_CAPTURE_VA_SPACE_SECTION_INFORMATION | PSS_CREATE_MEASURE_PERFORMANCE)

PSS_HANDLE_HAVE_TYPE = 0x01
PSS_HANDLE_HAVE_NAME = 0x02
PSS_HANDLE_HAVE_BASIC_INFORMATION = 0x04
PSS_HANDLE_HAVE_TYPE_SPECIFIC_INFORMATION = 0x08


class FILETIME(Structure):
    """Ticks of 100 ns: an instant since 1601, or a duration."""
    _fields_ = [("dwLowDateTime", c_uint32), ("dwHighDateTime", c_uint32)]

    def ticks(self):
        return self.dwHighDateTime << 32 | self.dwLowDateTime

    def seconds(self):
        """Of a duration."""
        return self.ticks() / 1e7

    def unix_time(self):
        """Of an instant."""
        return (self.ticks() - 116444736000000000) / 1e7


class MEMORY_BASIC_INFORMATION(Structure):
    _fields_ = [
        ("BaseAddress", c_void_p), ("AllocationBase", c_void_p), ("AllocationProtect", c_uint32),
        ("PartitionId", c_uint16), ("RegionSize", ULONG_PTR), ("State", c_uint32),
        ("Protect", c_uint32), ("Type", c_uint32)]


class PSS_PROCESS_INFORMATION(Structure):
    _fields_ = [
        ("ExitStatus", c_uint32), ("PebBaseAddress", c_void_p), ("AffinityMask", ULONG_PTR),
        ("BasePriority", c_int32), ("ProcessId", c_uint32), ("ParentProcessId", c_uint32),
        ("Flags", c_uint32), ("CreateTime", FILETIME), ("ExitTime", FILETIME),
        ("KernelTime", FILETIME), ("UserTime", FILETIME), ("PriorityClass", c_uint32),
        ("PeakVirtualSize", ULONG_PTR), ("VirtualSize", ULONG_PTR), ("PageFaultCount", c_uint32),
        ("PeakWorkingSetSize", ULONG_PTR), ("WorkingSetSize", ULONG_PTR),
        ("QuotaPeakPagedPoolUsage", ULONG_PTR), ("QuotaPagedPoolUsage", ULONG_PTR),
        ("QuotaPeakNonPagedPoolUsage", ULONG_PTR), ("QuotaNonPagedPoolUsage", ULONG_PTR),
        ("PagefileUsage", ULONG_PTR), ("PeakPagefileUsage", ULONG_PTR),
        ("PrivateUsage", ULONG_PTR), ("ExecuteFlags", c_uint32),
        ("ImageFileName", c_uint16 * 260)]


class PSS_VA_CLONE_INFORMATION(Structure):
    _fields_ = [("VaCloneHandle", HANDLE)]


class PSS_AUXILIARY_PAGES_INFORMATION(Structure):
    _fields_ = [("AuxPagesCaptured", c_uint32)]


class PSS_VA_SPACE_INFORMATION(Structure):
    _fields_ = [("RegionCount", c_uint32)]


class PSS_HANDLE_INFORMATION(Structure):
    _fields_ = [("HandlesCaptured", c_uint32)]


class PSS_THREAD_INFORMATION(Structure):
    _fields_ = [("ThreadsCaptured", c_uint32), ("ContextLength", c_uint32)]


class PSS_HANDLE_TRACE_INFORMATION(Structure):
    _fields_ = [("SectionHandle", HANDLE), ("Size", c_uint32)]


class PSS_PERFORMANCE_COUNTERS(Structure):
    _fields_ = [(part + kind, c_uint64)
                for part in ("Total", "VaClone", "VaSpace", "AuxPages", "Handles", "Threads")
                for kind in ("CycleCount", "WallClockPeriod")]


class PSS_AUXILIARY_PAGE_ENTRY(Structure):
    _fields_ = [
        ("Address", c_void_p), ("BasicInformation", MEMORY_BASIC_INFORMATION),
        ("CaptureTime", FILETIME), ("PageContents", c_void_p), ("PageSize", c_uint32)]


class PSS_VA_SPACE_ENTRY(Structure):
    _fields_ = [
        ("BaseAddress", c_void_p), ("AllocationBase", c_void_p), ("AllocationProtect", c_uint32),
        ("RegionSize", ULONG_PTR), ("State", c_uint32), ("Protect", c_uint32), ("Type", c_uint32),
        ("TimeDateStamp", c_uint32), ("SizeOfImage", c_uint32), ("ImageBase", c_void_p),
        ("CheckSum", c_uint32), ("MappedFileNameLength", c_uint16), ("MappedFileName", WCHARS)]


class _PROCESS(Structure):
    _fields_ = [
        ("ExitStatus", c_uint32), ("PebBaseAddress", c_void_p), ("AffinityMask", ULONG_PTR),
        ("BasePriority", c_int32), ("ProcessId", c_uint32), ("ParentProcessId", c_uint32),
        ("Flags", c_uint32)]


class _THREAD(Structure):
    _fields_ = [
        ("ExitStatus", c_uint32), ("TebBaseAddress", c_void_p), ("ProcessId", c_uint32),
        ("ThreadId", c_uint32), ("AffinityMask", ULONG_PTR), ("Priority", c_int32),
        ("BasePriority", c_int32), ("Win32StartAddress", c_void_p)]


class _MUTANT(Structure):
    _fields_ = [
        ("CurrentCount", c_int32), ("Abandoned", c_int32), ("OwnerProcessId", c_uint32),
        ("OwnerThreadId", c_uint32)]


class _EVENT(Structure):
    _fields_ = [("ManualReset", c_int32), ("Signaled", c_int32)]


class _SECTION(Structure):
    _fields_ = [
        ("BaseAddress", c_void_p), ("AllocationAttributes", c_uint32),
        ("MaximumSize", ctypes.c_int64)]


class _SEMAPHORE(Structure):
    _fields_ = [("CurrentCount", c_int32), ("MaximumCount", c_int32)]


class _TYPE_SPECIFIC(Union):
    _fields_ = [
        ("Process", _PROCESS), ("Thread", _THREAD), ("Mutant", _MUTANT), ("Event", _EVENT),
        ("Section", _SECTION), ("Semaphore", _SEMAPHORE)]


class PSS_HANDLE_ENTRY(Structure):
    _fields_ = [
        ("Handle", HANDLE), ("Flags", c_uint32), ("ObjectType", c_uint32),
        ("CaptureTime", FILETIME), ("Attributes", c_uint32), ("GrantedAccess", c_uint32),
        ("HandleCount", c_uint32), ("PointerCount", c_uint32), ("PagedPoolCharge", c_uint32),
        ("NonPagedPoolCharge", c_uint32), ("CreationTime", FILETIME),
        ("TypeNameLength", c_uint16), ("TypeName", WCHARS), ("ObjectNameLength", c_uint16),
        ("ObjectName", WCHARS), ("TypeSpecificInformation", _TYPE_SPECIFIC)]


class PSS_THREAD_ENTRY(Structure):
    _fields_ = [
        ("ExitStatus", c_uint32), ("TebBaseAddress", c_void_p), ("ProcessId", c_uint32),
        ("ThreadId", c_uint32), ("AffinityMask", ULONG_PTR), ("Priority", c_int32),
        ("BasePriority", c_int32), ("LastSyscallFirstArgument", c_void_p),
        ("LastSyscallNumber", c_uint16), ("CreateTime", FILETIME), ("ExitTime", FILETIME),
        ("KernelTime", FILETIME), ("UserTime", FILETIME), ("Win32StartAddress", c_void_p),
        ("CaptureTime", FILETIME), ("Flags", c_uint32), ("SuspendCount", c_uint16),
        ("SizeOfContextRecord", c_uint16), ("ContextRecord", c_void_p)]


class PSS_THREAD_NAME(Structure):
    _fields_ = [("ThreadNameSize", c_uint16), ("ThreadName", WCHARS)]


# Number of each information class: what a query, and what a walk, fills.
QUERIES = {
    PSS_PROCESS_INFORMATION: 0, PSS_VA_CLONE_INFORMATION: 1, PSS_AUXILIARY_PAGES_INFORMATION: 2,
    PSS_VA_SPACE_INFORMATION: 3, PSS_HANDLE_INFORMATION: 4, PSS_THREAD_INFORMATION: 5,
    PSS_HANDLE_TRACE_INFORMATION: 6, PSS_PERFORMANCE_COUNTERS: 7}
WALKS = {
    PSS_AUXILIARY_PAGE_ENTRY: 0, PSS_VA_SPACE_ENTRY: 1, PSS_HANDLE_ENTRY: 2, PSS_THREAD_ENTRY: 3,
    PSS_THREAD_NAME: 4}


def load(path="libprocsnap.so.0"):
    """The library, with its functions' types: without them handles would be cut to 32 bits."""
    library = ctypes.CDLL(path)
    for name, result, *arguments in (
            ("OpenProcess", HANDLE, c_uint32, c_int32, c_uint32),
            ("GetCurrentProcess", HANDLE),
            ("GetProcessId", c_uint32, HANDLE),
            ("GetLastError", c_uint32),
            ("CloseHandle", c_int32, HANDLE),
            ("ReadProcessMemory", c_int32, HANDLE, c_void_p, c_void_p, c_uint64,
             POINTER(c_uint64)),
            ("PssCaptureSnapshot", c_uint32, HANDLE, c_uint32, c_uint32, POINTER(HPSS)),
            ("PssFreeSnapshot", c_uint32, HANDLE, HPSS),
            ("PssQuerySnapshot", c_uint32, HPSS, c_uint32, c_void_p, c_uint32),
            ("PssWalkSnapshot", c_uint32, HPSS, c_uint32, HPSSWALK, c_void_p, c_uint32),
            ("PssWalkMarkerCreate", c_uint32, c_void_p, POINTER(HPSSWALK)),
            ("PssWalkMarkerFree", c_uint32, HPSSWALK),
            ("PssxErrorText", ctypes.c_char_p)):
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library


def text(units, length):
    """What a pointer and a length in bytes stand for; a terminator may or may not be counted."""
    if not units:
        return ""
    return ctypes.string_at(units, length).decode("utf-16-le", "replace").rstrip("\0")


class Snapshot:
    """A snapshot of a process, freed at the end of a `with`."""

    def __init__(self, library, process, flags=EVERYTHING, context_flags=CONTEXT_ALL):
        self.functions, self.handle = library, HPSS()
        self.check(library.PssCaptureSnapshot(process, flags, context_flags,
                                              ctypes.byref(self.handle)))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        # The process that holds the snapshot is meant, not the captured one.
        self.check(self.functions.PssFreeSnapshot(self.functions.GetCurrentProcess(), self.handle))

    def check(self, error):
        """Errors are returned: GetLastError() knows nothing of them."""
        if error != ERROR_SUCCESS:
            raise OSError(error, self.functions.PssxErrorText().decode())

    def query(self, kind):
        """The one structure of that kind; None if it was not captured."""
        result = kind()
        error = self.functions.PssQuerySnapshot(self.handle, QUERIES[kind], ctypes.byref(result),
                                              ctypes.sizeof(result))
        if error == ERROR_NOT_FOUND:
            return None
        self.check(error)
        return result

    def walk(self, kind):
        """Yields all entries of that kind. What they point at lives until the next one at least,
        and no longer than the walk."""
        marker = HPSSWALK()
        self.check(self.functions.PssWalkMarkerCreate(None, ctypes.byref(marker)))
        try:
            while True:
                entry = kind()
                error = self.functions.PssWalkSnapshot(self.handle, WALKS[kind], marker,
                                                     ctypes.byref(entry), ctypes.sizeof(entry))
                if error in (ERROR_NO_MORE_ITEMS, ERROR_NOT_FOUND):
                    return
                self.check(error)
                yield entry
        finally:
            self.functions.PssWalkMarkerFree(marker)


def print_snapshot(snapshot):
    process = snapshot.query(PSS_PROCESS_INFORMATION)
    created = datetime.datetime.fromtimestamp(process.CreateTime.unix_time())
    path = text(process.ImageFileName, ctypes.sizeof(process.ImageFileName)).split("\0")[0]
    print(f"process {process.ProcessId} parent {process.ParentProcessId} created {created} {path!r}")
    names = [text(name.ThreadName, name.ThreadNameSize)
             for name in snapshot.walk(PSS_THREAD_NAME)]
    for thread, name in zip(snapshot.walk(PSS_THREAD_ENTRY), names):
        cpu = thread.KernelTime.seconds() + thread.UserTime.seconds()
        print(f"thread {thread.ThreadId} cpu {cpu:.3f} s {name!r}")
    for region in snapshot.walk(PSS_VA_SPACE_ENTRY):
        path = text(region.MappedFileName, region.MappedFileNameLength)
        print(f"region {region.BaseAddress:#x} size {region.RegionSize:#x} {path!r}")
    for handle in snapshot.walk(PSS_HANDLE_ENTRY):
        kind = text(handle.TypeName, handle.TypeNameLength)
        name = text(handle.ObjectName, handle.ObjectNameLength)
        print(f"handle {handle.Handle or 0} {kind} {name!r}")


def main(pid):
    library = load()
    process = library.OpenProcess(PROCESS_ALL_ACCESS, False, pid)
    if not process:
        sys.exit(f"OpenProcess: {library.PssxErrorText().decode()}")
    try:
        with Snapshot(library, process) as snapshot:
            print_snapshot(snapshot)
    except OSError as error:
        sys.exit(f"error {error.errno}: {error.strerror}")
    finally:
        library.CloseHandle(process)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(f"usage: {sys.argv[0]} PID")
    main(int(sys.argv[1]))
