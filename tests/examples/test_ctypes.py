#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Windows' definitions in ctypes, those of examples/snapshot.py, serve on Linux unchanged.

They are compared with the tables of Windows' layouts, and what they give of a specimen with /proc;
then the process looks at itself: its parent, threads and descriptors.
"""

import ctypes
import importlib.util
import os
import pathlib
import platform
import sys
import threading

from specimen import Specimen

SOURCE = pathlib.Path(os.environ["PROCSNAP_SOURCE"])


def load_example():
    spec = importlib.util.spec_from_file_location("snapshot", SOURCE / "examples/snapshot.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# Where a CONTEXT has the instruction pointer.
POINTER_OFFSET = {"x86_64": 248, "aarch64": 264}[platform.machine()]

pss = load_example()
library = pss.load(os.environ["PROCSNAP_LIBRARY"])


def place(structure, path):
    """Offset and size of a field such as TypeSpecificInformation.Event.Signaled."""
    offset = 0
    for name in path.split("."):
        field = getattr(structure, name)
        offset, size = offset + field.offset, field.size
        structure = dict((entry[0], entry[1]) for entry in structure._fields_)[name]
    return offset, size


def structures_have_windows_sizes_and_offsets():
    compared = 0
    for line in (SOURCE / "tests/data/layout-x64.tsv").read_text(encoding="utf-8").splitlines():
        name, field, *numbers = line.split("\t")
        structure = getattr(pss, name, None)
        if not isinstance(structure, type(ctypes.Structure)):
            continue
        offset, size = map(int, numbers)
        if field == ".":
            assert ctypes.sizeof(structure) == size, (name, ctypes.sizeof(structure), size)
        else:
            assert place(structure, field) == (offset, size), (name, field)
        compared += 1
    assert compared > 150, compared


def constants_have_windows_values():
    rows = [line.split("\t") for line in
            (SOURCE / "tests/data/values.tsv").read_text(encoding="utf-8").splitlines()]
    values = {row[0]: row[1] for row in rows if len(row) == 2 or row[2] == platform.machine()}
    compared = 0
    for name in dir(pss):
        if name in values and isinstance(getattr(pss, name), int):
            assert getattr(pss, name) == int(values[name], 0), name
            compared += 1
    assert compared > 15, compared
    assert pss.QUERIES[pss.PSS_PERFORMANCE_COUNTERS] == int(
        values["PSS_QUERY_PERFORMANCE_COUNTERS"], 0)
    assert pss.WALKS[pss.PSS_THREAD_NAME] == int(values["PSS_WALK_THREAD_NAME"], 0)


def check_process(snapshot, specimen):
    process = snapshot.query(pss.PSS_PROCESS_INFORMATION)
    assert process.ExitStatus == 259
    assert process.ProcessId == specimen.pid
    assert process.ParentProcessId == os.getpid()
    assert abs(process.CreateTime.unix_time() - specimen.created()) < 0.011
    path = pss.text(process.ImageFileName, ctypes.sizeof(process.ImageFileName))
    assert path.split("\0")[0] == os.readlink(f"/proc/{specimen.pid}/exe")
    assert 0 < process.WorkingSetSize <= process.PeakWorkingSetSize < process.VirtualSize


def check_threads(snapshot, specimen, before):
    names = [pss.text(name.ThreadName, name.ThreadNameSize)
             for name in snapshot.walk(pss.PSS_THREAD_NAME)]
    code = [region for region in specimen.regions() if "x" in region.mode]
    count = snapshot.query(pss.PSS_THREAD_INFORMATION)
    tids = []
    for thread in snapshot.walk(pss.PSS_THREAD_ENTRY):
        tids.append(thread.ThreadId)
        cpu = (thread.KernelTime.ticks() + thread.UserTime.ticks()) * 100
        assert before[thread.ThreadId] - 100 <= cpu <= specimen.cpu_ns(thread.ThreadId) + 100
        assert thread.CreateTime.unix_time() >= specimen.created() - 0.011
        assert thread.ExitStatus == 259 and thread.ProcessId == specimen.pid
        assert thread.SizeOfContextRecord == count.ContextLength > 0
        assert thread.ContextRecord % 16 == 0
        pointer = ctypes.c_uint64.from_address(thread.ContextRecord + POINTER_OFFSET).value
        assert any(region.start <= pointer < region.end for region in code)
    assert count.ThreadsCaptured == len(tids) == len(names)
    assert dict(zip(tids, names)) == specimen.threads()


def check_regions(snapshot, specimen):
    regions = [(region.BaseAddress, region.BaseAddress + region.RegionSize, region.Protect,
                pss.text(region.MappedFileName, region.MappedFileNameLength))
               for region in snapshot.walk(pss.PSS_VA_SPACE_ENTRY)]
    assert regions == [(region.start, region.end, region.protection(), region.path)
                       for region in specimen.regions()]
    assert snapshot.query(pss.PSS_VA_SPACE_INFORMATION).RegionCount == len(regions)


def check_handles(snapshot, specimen):
    handles = {}
    for handle in snapshot.walk(pss.PSS_HANDLE_ENTRY):
        assert handle.Flags & pss.PSS_HANDLE_HAVE_BASIC_INFORMATION
        assert handle.GrantedAccess == specimen.access(handle.Handle or 0)
        name = pss.text(handle.ObjectName, handle.ObjectNameLength)
        handles[handle.Handle or 0] = (pss.text(handle.TypeName, handle.TypeNameLength), name,
                                       handle.TypeSpecificInformation)
    links = specimen.handles()
    assert snapshot.query(pss.PSS_HANDLE_INFORMATION).HandlesCaptured == len(handles)
    assert sorted(handles) == sorted(links)
    for fd in specimen.file, specimen.gone:
        assert handles[fd][:2] == ("File", links[fd].removesuffix(" (deleted)"))
    assert handles[specimen.pipe][:2] == ("Pipe", links[specimen.pipe])
    kind, name, _ = handles[specimen.socket.fileno()]
    assert kind == "Socket" and f"127.0.0.1:{specimen.socket.getsockname()[1]} " in name, name
    check_objects(specimen, handles)


def check_objects(specimen, handles):
    """What Windows has a structure for."""
    kind, _, union = handles[specimen.event]
    assert kind == "Event" and union.Event.Signaled == 1
    kind, _, union = handles[specimen.semaphore]
    if specimen.tells_semaphores():
        assert kind == "Semaphore" and union.Semaphore.CurrentCount == 3
    else:
        assert kind == "Event" and union.Event.Signaled == 1
    kind, name, union = handles[specimen.section]
    assert (kind, name) == ("Section", "memfd:section") and union.Section.MaximumSize == 12345
    kind, _, union = handles[specimen.tester]
    assert kind == "Process" and union.Process.ExitStatus == 259
    assert (union.Process.ProcessId, union.Process.ParentProcessId) == (os.getpid(), os.getppid())


def check_pages(snapshot, specimen):
    """Pages that a clone cannot hold; which these are is the kernel's affair."""
    regions = specimen.regions()
    count = 0
    for page in snapshot.walk(pss.PSS_AUXILIARY_PAGE_ENTRY):
        assert page.PageContents and page.PageSize == os.sysconf("SC_PAGESIZE")
        assert page.BasicInformation.BaseAddress == page.Address
        assert any(region.start <= page.Address < region.end for region in regions)
        count += 1
    information = snapshot.query(pss.PSS_AUXILIARY_PAGES_INFORMATION)
    assert count == (information.AuxPagesCaptured if information else 0)


def check_memory(snapshot, specimen):
    """The clone has what was there, and the process what is there now."""
    clone = snapshot.query(pss.PSS_VA_CLONE_INFORMATION).VaCloneHandle
    assert library.GetProcessId(clone) not in (0, specimen.pid)
    specimen.ask("change")
    buffer, done = ctypes.c_uint64(), ctypes.c_uint64()
    assert library.ReadProcessMemory(clone, specimen.values["pattern"], ctypes.byref(buffer), 8,
                                     ctypes.byref(done))
    assert (buffer.value, done.value) == (0x9e3779b97f4a7c15, 8)


def a_process_is_captured_queried_and_walked():
    with Specimen() as specimen:
        before = {tid: specimen.cpu_ns(tid) for tid in specimen.threads()}
        process = library.OpenProcess(pss.PROCESS_ALL_ACCESS, False, specimen.pid)
        assert process
        with pss.Snapshot(library, process) as snapshot:
            check_process(snapshot, specimen)
            check_threads(snapshot, specimen, before)
            check_regions(snapshot, specimen)
            check_handles(snapshot, specimen)
            check_pages(snapshot, specimen)
            check_memory(snapshot, specimen)
            assert snapshot.query(pss.PSS_HANDLE_TRACE_INFORMATION) is None
            counters = snapshot.query(pss.PSS_PERFORMANCE_COUNTERS)
            assert counters.TotalWallClockPeriod >= counters.VaCloneWallClockPeriod > 0
        assert library.CloseHandle(process)
        specimen.assert_unharmed()


def a_process_finds_its_parent_its_threads_and_its_descriptors():
    done = threading.Event()
    workers = [threading.Thread(target=done.wait) for _ in range(3)]
    for worker in workers:
        worker.start()
    flags = (pss.PSS_CAPTURE_THREADS | pss.PSS_CAPTURE_HANDLES
             | pss.PSS_CAPTURE_HANDLE_NAME_INFORMATION)
    fds = {int(fd) for fd in os.listdir("/proc/self/fd") if os.path.exists(f"/proc/self/fd/{fd}")}
    with pss.Snapshot(library, library.GetCurrentProcess(), flags, 0) as snapshot:
        process = snapshot.query(pss.PSS_PROCESS_INFORMATION)
        assert (process.ProcessId, process.ParentProcessId) == (os.getpid(), os.getppid())
        tids = {thread.ThreadId for thread in snapshot.walk(pss.PSS_THREAD_ENTRY)}
        assert tids == {threading.get_native_id(), *(worker.native_id for worker in workers)}
        handles = {handle.Handle or 0: pss.text(handle.ObjectName, handle.ObjectNameLength)
                   for handle in snapshot.walk(pss.PSS_HANDLE_ENTRY)}
        assert set(handles) == fds, (handles, fds)
    done.set()
    for worker in workers:
        worker.join()


def refusals_are_codes_with_a_text():
    try:
        pss.Snapshot(library, None)
    except OSError as error:
        assert error.errno == 6 and "handle" in error.strerror
    else:
        raise AssertionError("captured no process")
    assert library.OpenProcess(pss.PROCESS_ALL_ACCESS, False, 0) is None
    assert library.GetLastError() == 87


def main():
    for test in (structures_have_windows_sizes_and_offsets, constants_have_windows_values,
                 a_process_is_captured_queried_and_walked,
                 a_process_finds_its_parent_its_threads_and_its_descriptors,
                 refusals_are_codes_with_a_text):
        test()
        print("ok", test.__name__)


if __name__ == "__main__":
    sys.exit(main())
