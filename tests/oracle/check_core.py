#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Checks an ELF core against what its readers demand: check_core.py CORE...

gdb, lldb, drgn, elfutils, Delve, jhsdb and ClrMD each stumble over something else. The rules here
are those that satisfy all of them at once; the comment at each names who needs it. Needs no library
and reads the tables only, so that a large core is checked at once.
"""

import collections
import struct
import sys

PT_LOAD, PT_NOTE, PN_XNUM, ET_CORE = 1, 4, 0xFFFF, 4
EM_X86_64, EM_AARCH64 = 62, 183
NT_PRSTATUS, NT_PRFPREG, NT_PRPSINFO, NT_AUXV = 1, 2, 3, 6
NT_SIGINFO, NT_FILE = 0x53494749, 0x46494C45
NT_X86_XSTATE, NT_X86_XSAVE_LAYOUT = 0x202, 0x205
AT_NULL, AT_PHDR, AT_PAGESZ, AT_SYSINFO_EHDR = 0, 3, 6, 33
PF_W = 2

OUR_NOTE = ("procsnap", 0x50535331)
PROCESS_NOTES = [NT_PRPSINFO, NT_SIGINFO, NT_AUXV, NT_FILE]
CORE_TYPES = {NT_PRSTATUS, NT_PRFPREG, NT_PRPSINFO, NT_AUXV, NT_SIGINFO, NT_FILE}

# Where the general registers of PRSTATUS begin, and which of them is the stack pointer.
PRSTATUS_REGISTERS = 112
STACK_REGISTER = {EM_X86_64: 19, EM_AARCH64: 31}

Load = collections.namedtuple("Load", "flags offset start paddr filesz memsz align")
Note = collections.namedtuple("Note", "owner type desc")


class Core:
    """The tables of a core, and a list of what is wrong with them."""

    def __init__(self, path):
        self.file = open(path, "rb")
        self.size = self.file.seek(0, 2)
        self.faults = []
        self.loads = []
        self.notes = []

    def fault(self, text):
        self.faults.append(text)

    def check(self, is_right, text):
        if not is_right:
            self.fault(text)
        return is_right

    def read(self, offset, size):
        self.file.seek(offset)
        return self.file.read(size)

    def dumped(self, address):
        """The segment that holds the byte at address; None if the file does not have it."""
        for load in self.loads:
            if load.start <= address < load.start + load.filesz:
                return load
        return None


def read_headers(core):
    header = struct.unpack("<16sHHIQQQIHHHHHH", core.read(0, 64))
    ident, kind, core.machine, _, _, phoff, shoff = header[:7]
    phentsize, phnum, shentsize, shnum = header[9:13]
    core.check(ident[:6] == b"\x7fELF\x02\x01", "not a 64-bit little-endian ELF file")
    core.check(kind == ET_CORE, f"e_type is {kind}")
    core.check(phoff == 64 and phentsize == 56, "program headers do not follow the ELF header")
    count = phnum
    if phnum == PN_XNUM:
        # gdb, lldb and elfutils look for the true count there.
        core.check(shnum == 1 and shentsize == 64, "extended numbering without section header 0")
        count = struct.unpack("<IIQQQQIIQQ", core.read(shoff, 64))[7]
        core.check(count >= PN_XNUM, f"extended numbering for {count} headers")
    else:
        core.check(shoff == 0 and shnum == 0, "section headers in a core that needs none")
    table = core.read(phoff, count * 56)
    return [struct.unpack_from("<IIQQQQQQ", table, i * 56) for i in range(count)]


def check_segments(core, headers):
    kinds = [header[0] for header in headers]
    # Delve reads the first PT_NOTE only.
    core.check(kinds[:1] == [PT_NOTE] and set(kinds[1:]) <= {PT_LOAD},
               "not one PT_NOTE, first, and PT_LOADs after it")
    core.check(headers[0][5] > 0, "no notes")
    end = offset = 0
    for number, header in enumerate(headers):
        if header[0] != PT_LOAD:
            continue
        load = Load(*header[1:])
        core.loads.append(load)
        name = f"segment {number} at {load.start:#x}"
        core.check(load.start >= end, f"{name}: not sorted by address, or twice")
        core.check(load.offset >= offset, f"{name}: its bytes lie before those of the last one")
        core.check(load.align >= 4096 and load.align & (load.align - 1) == 0,
                   f"{name}: p_align {load.align:#x}")
        core.check(load.offset % load.align == 0 and load.start % load.align == 0,
                   f"{name}: not page-aligned (reflink, mmap)")
        core.check(load.paddr == 0, f"{name}: p_paddr is set (drgn takes it for a physical one)")
        core.check(load.filesz in (0, load.memsz) and load.memsz > 0,
                   f"{name}: partly in the file (lldb reads zeroes, ClrMD stops)")
        core.check(load.offset + load.filesz <= core.size, f"{name}: beyond the end of the file")
        end, offset = load.start + load.memsz, load.offset + load.filesz
    core.check(offset == core.size or not core.loads, "bytes behind the last segment")


def read_notes(core, header):
    data = core.read(header[2], header[5])
    at = 0
    while at + 12 <= len(data):
        namesz, descsz, kind = struct.unpack_from("<III", data, at)
        at += 12
        name = data[at:at + namesz]
        at += (namesz + 3) & ~3
        desc = data[at:at + descsz]
        at += (descsz + 3) & ~3
        core.check(name.endswith(b"\0") and name.count(b"\0") == 1,
                   f"note {kind:#x}: owner {name!r} without its NUL")
        core.check(len(desc) == descsz, f"note {kind:#x}: cut short")
        core.notes.append(Note(name.rstrip(b"\0").decode("ascii", "replace"), kind, desc))
    core.check(at == len(data), "bytes behind the last note")


def check_owners(core):
    for note in core.notes:
        if note.owner == "CORE":
            core.check(note.type in CORE_TYPES, f"note {note.type:#x} of CORE")
        elif note.owner == "LINUX":
            core.check(note.type not in CORE_TYPES, f"note {note.type:#x} of LINUX")
        else:
            # Delve, ClrMD and jhsdb look at the type alone.
            core.check((note.owner, note.type) == OUR_NOTE, f"note {note.type:#x} of {note.owner}")
    for kind in (NT_AUXV, NT_FILE, NT_PRPSINFO):
        count = sum(note.type == kind for note in core.notes)
        core.check(count == 1, f"{count} notes of type {kind:#x} (ClrMD wants one)")
    ours = [note.desc for note in core.notes if note.owner == OUR_NOTE[0]]
    core.check(len(ours) == 1 and b"kind live-snapshot\n" in ours[0], "no manifest")


def threads_of(core):
    """The notes of each thread, as lists; what follows the last thread is not told apart."""
    threads = []
    for note in core.notes:
        if note.type == NT_PRSTATUS and note.owner == "CORE":
            threads.append([])
        if threads:
            threads[-1].append(note)
    return threads


def check_threads(core):
    threads = threads_of(core)
    core.check(core.notes and core.notes[0].type == NT_PRSTATUS, "PRSTATUS is not the first note")
    tids = [struct.unpack_from("<i", notes[0].desc, 32)[0] for notes in threads]
    for tid, count in collections.Counter(tids).items():
        core.check(count == 1, f"thread {tid} is there {count} times (ClrMD throws)")
    for first, (tid, notes) in enumerate(zip(tids, threads)):
        kinds = [note.type for note in notes if note.owner != OUR_NOTE[0]]
        if first == 0:
            core.check(kinds[1:5] == PROCESS_NOTES,
                       f"thread {tid}: not the kernel's order of notes: {kinds}")
            del kinds[1:5]
        elif NT_SIGINFO in kinds:
            core.check(kinds[1] == NT_SIGINFO, f"thread {tid}: SIGINFO in the wrong place")
            kinds.remove(NT_SIGINFO)
        core.check(kinds[1:2] in ([NT_PRFPREG], []), f"thread {tid}: no FPREGSET after PRSTATUS")
        core.check(struct.unpack_from("<h", notes[0].desc, 12)[0] == 0,
                   f"thread {tid}: pr_cursig is set, but nothing has crashed")
    check_stacks(core, zip(tids, threads))
    return len(threads)


def check_stacks(core, threads):
    register = STACK_REGISTER.get(core.machine)
    for tid, notes in threads:
        if register is None:
            return
        stack = struct.unpack_from("<Q", notes[0].desc, PRSTATUS_REGISTERS + 8 * register)[0]
        # 0: the thread would not stop, its registers are unknown.
        core.check(stack == 0 or core.dumped(stack),
                   f"thread {tid}: its stack, {stack:#x}, is not in the core")


def xstate_size(mask):
    """What gdb up to 13 expects of a section .reg-xstate."""
    for bits, size in ((0x200, 2696), (0xE0, 2688), (0x18, 1088), (0x4, 832)):
        if mask & bits:
            return size
    return 576


def check_xstate(core):
    states = [note.desc for note in core.notes if note.type == NT_X86_XSTATE]
    for desc in states:
        mask = struct.unpack_from("<Q", desc, 464)[0]
        has_tiles = struct.unpack_from("<Q", desc, 512)[0] & 0x60000
        core.check(has_tiles or len(desc) == xstate_size(mask),
                   f"XSTATE of {len(desc)} bytes for {mask:#x} (gdb: Unexpected size)")
    layouts = sum(note.type == NT_X86_XSAVE_LAYOUT for note in core.notes)
    core.check(layouts == (1 if states else 0), f"{layouts} notes on the layout of XSTATE")


def check_process(core):
    for note in core.notes:
        if note.type == NT_PRPSINFO and note.owner == "CORE":
            core.check(len(note.desc) == 136, f"PRPSINFO of {len(note.desc)} bytes")
            core.check(b"\0" in note.desc[40:56] and b"\0" in note.desc[56:136],
                       "pr_fname or pr_psargs is not terminated")


def check_auxv(core):
    for note in core.notes:
        if note.type != NT_AUXV or note.owner != "CORE":
            continue
        entries = list(struct.iter_unpack("<QQ", note.desc))
        tags = [tag for tag, _ in entries]
        core.check(len(set(tags)) == len(tags), "an auxv tag is there twice (ClrMD throws)")
        core.check(tags[-1:] == [AT_NULL], "auxv does not end with AT_NULL")
        values = dict(entries)
        core.check(AT_SYSINFO_EHDR not in values or core.dumped(values[AT_SYSINFO_EHDR]),
                   "the vDSO is not in the core (gdb and eu-stack unwind through it)")
        core.check(AT_PHDR not in values or core.dumped(values[AT_PHDR]),
                   "the program headers that AT_PHDR points at are not in the core (gdb)")
        return values.get(AT_PAGESZ, 4096)
    return 4096


def mapped_files(core):
    """(start, end, offset in pages, path) of each entry of NT_FILE."""
    for note in core.notes:
        if note.type != NT_FILE or note.owner != "CORE":
            continue
        count, _ = struct.unpack_from("<QQ", note.desc)
        paths = note.desc[16 + 24 * count:].split(b"\0")
        core.check(len(paths) == count + 1, "NT_FILE: not one path a mapping")
        for i, path in enumerate(paths[:-1]):
            entry = struct.unpack_from("<QQQ", note.desc, 16 + 24 * i)
            yield (*entry, path.decode("utf-8", "replace"))


def check_files(core, page_size):
    end = 0
    loads = collections.deque(core.loads)
    for start, stop, _, path in mapped_files(core):
        name = f"{path} at {start:#x}"
        core.check(end <= start < stop, f"{name}: not sorted, or twice")
        end = stop
        while loads and loads[0].start < start:
            loads.popleft()
        pieces = []
        while loads and loads[0].start < stop:
            pieces.append(loads.popleft())
        core.check(sum(piece.memsz for piece in pieces) == stop - start,
                   f"{name}: segments do not cover it")
        dumped = [piece for piece in pieces if piece.filesz]
        is_read_only = not any(piece.flags & PF_W for piece in pieces)
        size = sum(piece.filesz for piece in dumped)
        # jhsdb: "address conflict".
        core.check(not is_read_only or size in (0, stop - start) or
                   (size == page_size and dumped[0].start == start),
                   f"{name}: read-only, and neither the first page nor all of it is in the core")


def check(path):
    core = Core(path)
    headers = read_headers(core)
    check_segments(core, headers)
    read_notes(core, headers[0])
    check_owners(core)
    threads = check_threads(core)
    check_process(core)
    page_size = check_auxv(core)
    check_files(core, page_size)
    if core.machine == EM_X86_64:
        check_xstate(core)
    for fault in core.faults:
        print(f"{path}: {fault}")
    if not core.faults:
        print(f"{path}: {len(core.loads)} segments, {threads} threads, nothing wrong")
    return not core.faults


def main(paths):
    if not paths:
        print(__doc__, file=sys.stderr)
        return 2
    results = [check(path) for path in paths]
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
