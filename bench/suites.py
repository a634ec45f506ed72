# SPDX-License-Identifier: LGPL-2.1-or-later
"""The benchmarks themselves, one function a suite; the table is at the end."""

import contextlib
import glob
import os
import shutil
import statistics
import subprocess
import tempfile
import time

from measure import (Failure, Patient, Talker, at_least, at_most, free_bytes, paired,
                     scratch_file, setting)

MIB = 1 << 20
GIB = 1 << 30
HUGE = "/sys/kernel/mm/transparent_hugepage"


class Bench:
    """What all suites share: the programs, the sizes, and where figures go."""

    def __init__(self, options, report):
        self.options, self.report = options, report
        self.capturer = Talker(options.programs["capturer"])
        self.capturer.__enter__()

    def close(self):
        self.capturer.__exit__()

    def patient(self, **options):
        wanted = (options.get("mib", 64) + 256) * MIB
        if wanted * 1.5 > free_bytes():
            raise Failure(f"{wanted >> 20} MiB are too much for the memory that is free")
        return Patient(self.options.programs["patient"], **options)

    def capture(self, patient, what="memory"):
        return self.capturer.ask("capture", patient.pid, what)

    @contextlib.contextmanager
    def snapshot(self, patient, what="memory"):
        self.capturer.ask("take", patient.pid, what)
        try:
            yield
        finally:
            self.capturer.ask("free")


def series(results, name):
    return [result[name] for result in results]


def told(results, name):
    return [result["result"][name] for result in results]


# -- the pause: seen by threads of the target, against the target's own fork() ----------------------

def seen(bench, patient, what):
    """A capture and a fork() in turns, as the target saw them."""
    patient.ask("fork")
    return paired(bench.options.rounds,
                  lambda: patient.figures(lambda: bench.capture(patient, what)),
                  lambda: patient.figures(lambda: patient.ask("fork")))


def pause_of(bench, label, what, bar, with_writer=True, **options):
    add = bench.report.ratio
    with bench.patient(**options) as patient:
        ours, forks = seen(bench, patient, what)
    add(f"pause, {label}: seen by a computing thread / its fork()",
        series(ours, "spinner"), series(forks, "spinner"), bar)
    add(f"pause, {label}: told by the product / fork()",
        told(ours, "pause_ns"), told(forks, "fork_ns"))
    add(f"pause, {label}: stall of a blocking call / fork()",
        series(ours, "call"), series(forks, "spinner"))
    if not with_writer:
        return
    # A target of its own: two threads that never sleep leave no CPU to whoever captures.
    with bench.patient(no_spinner=True, write_flat_out=True, **options) as patient:
        ours, forks = seen(bench, patient, what)
    add(f"pause, {label}: seen by a writing thread / in a fork()",
        series(ours, "writer"), series(forks, "writer"), bar)


def suite_pause(bench):
    """Pause in 4 KiB pages, by size."""
    for mib in bench.options.sizes:
        pause_of(bench, f"{size_name(mib)}", "memory", at_most(1.10), mib=mib)


def suite_crowd(bench):
    """Pause with many sleeping threads."""
    count, mib = bench.options.crowd, bench.options.sizes[0]
    pause_of(bench, f"{size_name(mib)}, {count} asleep", "most", at_most(1.25), mib=mib,
             sleepers=count)


def size_name(mib):
    return f"{mib >> 10} GiB" if mib % 1024 == 0 else f"{mib} MiB"


@contextlib.contextmanager
def folios(kib):
    """Pages of that many KiB, and not of 2 MiB, where MADV_HUGEPAGE asks for large ones."""
    with setting(f"{HUGE}/hugepages-2048kB/enabled", "never"), \
            setting(f"{HUGE}/hugepages-{kib}kB/enabled", "madvise"):
        yield


@contextlib.contextmanager
def hugetlb_pool(mib):
    """Room for that much, and for a copy of it."""
    with setting("/proc/sys/vm/nr_hugepages", str(mib)):
        with open("/proc/sys/vm/nr_hugepages", encoding="ascii") as file:
            if int(file.read()) < mib:
                raise Failure("the kernel has not so many huge pages")
        yield


def suite_pages(bench):
    """Pause with larger pages."""
    mib = bench.options.sizes[0]
    kinds = {"thp": contextlib.nullcontext, "64k": lambda: folios(64),
             "hugetlb": lambda: hugetlb_pool(mib + 64)}
    for pages, prepared in kinds.items():
        label = f"{size_name(mib)}, {pages}"
        if bench.options.size == "tiny" and pages != "thp":
            bench.report.skip(f"pause, {label}", "a test leaves the machine's settings alone")
            continue
        try:
            with prepared():
                # Without one that writes: each huge page it writes to meanwhile is split for good.
                pause_of(bench, label, "memory", None, with_writer=False, mib=mib, pages=pages)
        except (OSError, Failure) as error:
            bench.report.skip(f"pause, {label}", str(error))


# -- other tools -----------------------------------------------------------------------------------

def gcore_command(patient, folder):
    return ["gcore", "-o", f"{folder}/core", str(patient.pid)]


def lldb_command(style):
    def command(patient, folder):
        return ["lldb", "--batch", "-p", str(patient.pid), "-o",
                f"process save-core --plugin-name=minidump --style={style} {folder}/core",
                "-o", "detach"]
    return command


def run_tool(command, patient):
    # To memory, which is the fastest there is.
    with tempfile.TemporaryDirectory(prefix="procsnap-bench-", dir="/dev/shm") as folder:
        done = subprocess.run(command(patient, folder), check=False, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        files = glob.glob(f"{folder}/*")
        if done.returncode or not files or not os.path.getsize(files[0]):
            lines = [line for line in done.stdout.splitlines() if "error" in line] or ["failed"]
            raise Failure(f"{command(patient, folder)[0]}: {lines[-1]}")


def tools(bench):
    """Name, command, how many rounds at most: lldb takes 13 s a GiB where it can write all."""
    if shutil.which("gcore"):
        yield "gcore", gcore_command, 1000
    if shutil.which("lldb") and bench.options.size != "tiny":
        yield "lldb", lldb_command("full"), 3
        yield "lldb, stacks only", lldb_command("stack"), 3


def seen_by_spinner(patient, work):
    """Without the check on interrupted calls: other tools interrupt some."""
    patient.ask("touch")
    patient.ask("reset")
    work()
    return patient.ask("report")["spinner"]["longest_ns"]


def suite_peers(bench):
    """The pause of other tools against ours."""
    mib = bench.options.sizes[0]
    compare_peers(bench, size_name(mib), tools(bench), at_least(100), mib=mib)
    # What a fork() copies is page tables: with huge pages there are hardly any.
    compare_peers(bench, f"{size_name(mib)}, thp", list(tools(bench))[:1], None, mib=mib,
                  pages="thp")


def compare_peers(bench, size, peers, bar, **options):
    with bench.patient(**options) as patient:
        for name, command, most in peers:
            label = f"pause of {name} / ours, {size}"
            try:
                ours, theirs = paired(
                    min(bench.options.rounds, most),
                    lambda: seen_by_spinner(patient, lambda: bench.capture(patient)),
                    lambda: seen_by_spinner(patient, lambda: run_tool(command, patient)))
                bench.report.ratio(label, ours, theirs, bar if name == "gcore" else None,
                                   over="reference")
            except Failure as error:
                bench.report.skip(label, str(error))


# -- lists -----------------------------------------------------------------------------------------

def suite_lists(bench):
    """THREADS alone against reading the same files of /proc by hand."""
    threads = 50
    capturer, times = bench.capturer, max(bench.options.rounds, 3) * 3

    def compare(label, pid):
        ours, reference = paired(
            times, lambda: capturer.ask("capture", pid, "threads")["capture_ns"],
            lambda: capturer.ask("proc", pid)["read_ns"])
        bench.report.ratio(f"threads alone, {threads} of {label} / reading /proc", ours, reference,
                           at_most(1.5))

    with bench.patient(mib=4, sleepers=threads - 5, no_spinner=True) as patient:
        compare("another process", patient.pid)
    with Talker(bench.options.programs["capturer"]) as own:
        capturer = own
        own.ask("threads", threads - 1)
        compare("its own", "self")


# -- throughput ------------------------------------------------------------------------------------

def suite_throughput(bench):
    """Work of a thread that writes as fast as it can, in the second that begins with a capture."""
    mib = bench.options.work_mib
    with bench.patient(mib=mib, write_flat_out=True, no_spinner=True) as patient:

        def second(work):
            patient.ask("touch")
            patient.ask("reset")
            begin = time.monotonic()
            with contextlib.ExitStack() as stack:
                work(stack)
                time.sleep(max(0.0, bench.options.second - (time.monotonic() - begin)))
                report = patient.ask("report")
            return report["writer"]["work"] / report["window_ns"] * 1e9

        def dumped(drain):
            def work(stack):
                path = stack.enter_context(scratch_file("/dev/shm"))
                stack.enter_context(bench.snapshot(patient))
                bench.capturer.ask("core", path, -1, drain)
            return work

        without, kept, undrained, drained = paired(
            bench.options.rounds, lambda: second(lambda stack: None),
            lambda: second(lambda stack: stack.enter_context(bench.snapshot(patient))),
            lambda: second(dumped("keep")), lambda: second(dumped("drain")))
    label = f"writes in the second of a capture, {size_name(mib)}"
    for name, work in (("snapshot kept", kept), ("dumped, not drained", undrained),
                       ("dumped and drained", drained)):
        bench.report.ratio(f"{label}, {name} / without", work, without, unit="per_s")


# -- dumps -----------------------------------------------------------------------------------------

def suite_dump(bench):
    """Rate of a core against plain write() of the same bytes, by the target itself."""
    mib = bench.options.sizes[0]
    with bench.patient(mib=mib, no_spinner=True) as patient:
        resident = patient.private_bytes()
        for place, name in ((bench.options.disk, file_system(bench.options.disk)),
                            ("/dev/shm", "tmpfs")):
            with scratch_file(place) as path:
                cores, plain = paired(bench.options.rounds,
                                      lambda: core(bench, patient, path),
                                      lambda: written(patient, path))
            bench.report.ratio(f"core of {size_name(mib)} to {name}, rate / plain write()",
                               series(cores, "write_ns"), plain, at_least(0.8), over="reference")
        bench.report.ratio(f"core of {size_name(mib)}, on disk / private and resident",
                           series(cores, "disk_bytes"), [resident] * len(cores), at_most(1.05),
                           unit="bytes")
        nowhere, reads, copies = paired(
            bench.options.rounds, lambda: core(bench, patient, "/dev/null")["write_ns"],
            lambda: read_clone(bench, patient), lambda: patient.ask("copy")["copy_ns"])
        label = f"core of {size_name(mib)} to /dev/null, rate"
        rate = resident / GIB / (statistics.median(nowhere) / 1e9)
        bench.report.ratio(f"{label} ({rate:.2g} GiB/s) / reading the clone once", nowhere, reads,
                           at_least(0.8), over="reference")
        bench.report.ratio(f"{label} / memcpy of the memory", nowhere, copies, over="reference")


def file_system(folder):
    done = subprocess.run(["stat", "-f", "-c", "%T", folder], check=True, stdout=subprocess.PIPE,
                          text=True)
    return done.stdout.strip().replace("ext2/ext3", "ext4")


def forget(path):
    if not path.startswith("/dev/null"):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)


def core(bench, patient, path, level=-1):
    with bench.snapshot(patient):
        result = bench.capturer.ask("core", path, level, "keep")
    forget(path)
    return result


def written(patient, path):
    ns = patient.ask("write", path)["write_ns"]
    forget(path)
    return ns


def read_clone(bench, patient):
    with bench.snapshot(patient):
        return bench.capturer.ask("read", patient.address, patient.size)["read_ns"]


def timed(command):
    begin = time.monotonic_ns()
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    return time.monotonic_ns() - begin


def suite_zstd(bench):
    """A compressed core against zstd -T2 of the finished one, at the same level."""
    mib, level = bench.options.work_mib, 3
    if not shutil.which("zstd"):
        bench.report.skip("zstd", "zstd is not installed")
        return
    with bench.patient(mib=mib, no_spinner=True, fill="half") as patient, \
            scratch_file("/dev/shm") as path:
        with bench.snapshot(patient):
            bench.capturer.ask("core", path, -1, "keep")
        ours, theirs = paired(
            bench.options.rounds,
            lambda: core(bench, patient, "/dev/null", level)["write_ns"],
            lambda: timed(["zstd", "-q", "-T2", f"-{level}", "-c", path]))
    bench.report.ratio(f"core of {size_name(mib)}, zstd {level}, rate / zstd -T2 of it", ours,
                       theirs, at_least(0.8), over="reference")


def suite_peak(bench):
    """Peak of the tool's own memory against 32 MiB."""
    crowd = bench.options.crowd
    for label, options in ((size_name(bench.options.sizes[-1]), {"mib": bench.options.sizes[-1]}),
                           (f"{crowd} threads", {"mib": 64, "sleepers": crowd})):
        with bench.patient(no_spinner=True, **options) as patient, \
                scratch_file("/dev/shm") as path:
            peaks = [run_dump(bench, patient, path) for _ in range(min(3, bench.options.rounds))]
        bench.report.ratio(f"peak of procsnap dump, {label} / 32 MiB", peaks,
                           [32 * MIB] * len(peaks), at_most(1), unit="bytes")


def run_dump(bench, patient, path):
    command = [bench.options.programs["capturer"], "run", bench.options.programs["procsnap"],
               "dump", str(patient.pid), "--no-progress", "-o", path]
    with Talker(*command) as talker:
        peak = talker.answer()["peak_bytes"]
    forget(path)
    return peak


# -- growth ----------------------------------------------------------------------------------------

def suite_growth(bench):
    """Cost against the size of what is captured."""
    options = bench.options
    axes = {
        "resident MiB": ("memory", options.growth_mib, lambda n: {"mib": n}),
        "threads": ("most", options.growth_threads, lambda n: {"mib": 16, "sleepers": n}),
        "mappings": ("most", options.growth_mappings, lambda n: {"mib": 16, "mappings": n}),
        "descriptors": ("all", options.growth_descriptors,
                        lambda n: {"mib": 16, "descriptors": n}),
    }
    for axis, (what, counts, patient_options) in axes.items():
        rows = []
        for count in counts:
            try:
                with bench.patient(**patient_options(count)) as patient:
                    rows.append((count, growth_point(bench, patient, what)))
            except Failure as error:
                bench.report.skip(f"growth, {count} {axis}", str(error))
                break
        add_growth(bench.report, axis, rows)


def growth_point(bench, patient, what):
    """The least that a capture costs, and the target's own fork(): what others do adds only."""
    def once():
        seen = patient.figures(lambda: bench.capturer.ask("take", patient.pid, what))
        walk = bench.capturer.ask("walk")["walk_ns"]
        bench.capturer.ask("free")
        taken = seen["result"]
        return {"pause": seen["spinner"], "capture": taken["capture_ns"], "walk": walk,
                "section": taken["section_bytes"], "hold": taken["hold_ns"]}

    def fork():
        return patient.figures(lambda: patient.ask("fork"))["spinner"]

    ours, forks = paired(bench.options.growth_rounds, once, fork)
    point = {name: min(series(ours, name)) for name in ours[0]}
    return point | {"fork": min(forks)}


def add_growth(report, axis, rows):
    # 1, and what a busy machine adds.
    bars = {"pause": 1.15, "hold": 1.15, "capture": 1.15, "walk": 1.15, "section": 1.05,
            "fork": None}
    for name, bar in bars.items():
        points = [(count, point[name]) for count, point in rows]
        if len(points) > 1:
            report.grow(f"{name} against {axis}", axis, "bytes" if name == "section" else "ns",
                        points, at_most(bar) if bar else None)


def suite_plot(bench):
    """The pause of other tools by size and by threads, for the picture; one round each."""
    options = bench.options
    for axis, counts, key in (("resident MiB", options.plot_mib, "mib"),
                              ("threads", options.plot_threads, "sleepers")):
        for name, command, _ in tools(bench):
            points = []
            for count in counts:
                arguments = {"mib": 16} | {key: count}
                try:
                    with bench.patient(**arguments) as patient:
                        points.append((count, seen_by_spinner(
                            patient, lambda p=patient: run_tool(command, p))))
                except Failure as error:
                    bench.report.skip(f"{name}, {count} {axis}", str(error))
                    break
            if len(points) > 1:
                bench.report.grow(f"pause of {name} against {axis}", axis, "ns", points, None)


SUITES = {
    "pause": suite_pause,
    "crowd": suite_crowd,
    "pages": suite_pages,
    "peers": suite_peers,
    "lists": suite_lists,
    "throughput": suite_throughput,
    "dump": suite_dump,
    "zstd": suite_zstd,
    "peak": suite_peak,
    "growth": suite_growth,
    "plot": suite_plot,
}
