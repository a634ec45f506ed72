# SPDX-License-Identifier: LGPL-2.1-or-later
"""Checks what the command printed with --json: check_json.py PID DUMP DUMP_STDOUT FACTS ALL."""

import json
import os
import re
import sys


def load(path):
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def check_dump(pid, dump, dump_stdout):
    assert dump["pid"] == pid and dump["name"] == "plain"
    assert dump["file"] == f"plain.{pid}.core"
    assert dump["core_bytes"] == os.stat(dump["file"]).st_size
    assert dump["disk_bytes"] == os.stat(dump["file"]).st_blocks * 512
    assert dump["threads"] == 5 and dump["unreadable_bytes"] == 0
    assert 0 < dump["pause_ns"] <= dump["capture_ns"] and dump["memory_bytes"] > 1 << 20
    assert dump["pause_ns"] <= dump["hold_ns"] and dump["pause_forecast_ns"] > 0
    assert dump["max_pause_ns"] is None
    assert dump_stdout["file"] == "-" and dump_stdout["disk_bytes"] is None
    assert dump_stdout["core_bytes"] == os.stat("core").st_size


def check_process(pid, process):
    assert process["pid"] == pid and process["name"] == "plain"
    assert process["executable"] == os.readlink(f"/proc/{pid}/exe")
    assert process["thread_count"] == 5
    assert process["uid"] == os.stat(f"/proc/{pid}").st_uid
    for key in "started", "captured":
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z", process[key])
    assert 0 < process["resident_bytes"] < process["virtual_bytes"]


def check_threads(pid, threads):
    tids = {int(tid) for tid in os.listdir(f"/proc/{pid}/task")}
    assert {thread["tid"] for thread in threads} == tids
    names = sorted(thread["name"] for thread in threads)
    assert names == ["plain", "rewriter"] + 3 * ["sleeper \u00e4"], names
    for thread in threads:
        if thread["name"].startswith("sleeper"):
            assert thread["state"] == "S"
            assert thread["syscall"] in ("nanosleep", "clock_nanosleep")
            assert len(thread["syscall_arguments"]) == 6
        if thread["name"] == "rewriter":
            assert thread["user_time_ns"] > 0


def check_registers(threads, registers):
    assert [entry["tid"] for entry in registers] == [thread["tid"] for thread in threads]
    for entry in registers:
        values = [entry[key] for key in entry if key not in ("tid", "name")]
        assert len(values) in (27, 34)
        assert all(re.fullmatch(r"0x[0-9a-f]+", value) for value in values)


def check_regions(pid, regions):
    with open(f"/proc/{pid}/maps", encoding="utf-8") as maps:
        wanted = [line.split(maxsplit=5) for line in maps]
    assert len(regions) == len(wanted)
    for region, line in zip(regions, wanted):
        start, end = (hex(int(text, 16)) for text in line[0].split("-"))
        assert (region["start"], region["end"]) == (start, end)
        assert region["size_bytes"] == int(end, 16) - int(start, 16)
        assert region["permissions"] == line[1]
        assert region["path"] == (line[5].strip() if len(line) > 5 else "")
        assert isinstance(region["flags"], list)


def main(pid, dump, dump_stdout, facts, everything):
    check_dump(pid, load(dump), load(dump_stdout))
    facts, everything = load(facts), load(everything)
    assert sorted(facts) == ["memory", "process"]
    assert sorted(everything) == ["process", "regions", "registers", "threads"]
    check_process(pid, facts["process"])
    check_process(pid, everything["process"])
    check_threads(pid, everything["threads"])
    check_registers(everything["threads"], everything["registers"])
    check_regions(pid, everything["regions"])
    assert sum(kind["region_count"] for kind in facts["memory"]) == len(everything["regions"])


if __name__ == "__main__":
    main(int(sys.argv[1]), *sys.argv[2:])
