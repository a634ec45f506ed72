# SPDX-License-Identifier: LGPL-2.1-or-later
# Open descriptors: what people see, what fits, what programs get.
source "$PROCSNAP_SOURCE/tests/cli/lib.bash"

printf seventeen\ letters >file
exec 7<>file 8>>gone 9</proc/self 10<file
read -rN 9 _ <&10
rm gone
start plain python3 -c '
import os, socket, sys
os.dup2(os.eventfd(5), 11)
server = socket.create_server(("127.0.0.1", 0))
os.dup2(server.fileno(), 12)
os.dup2(os.pidfd_open(os.getpid()), 13)
os.execv(sys.argv[1], sys.argv[1:])' "$PROCSNAP_TARGETS/plain"
# Whoever runs the tests may have left us others.
"$PROCSNAP" show "$plain" --handles | grep -E '^ *(FD|[0-9]|1[0-3]) '
"$PROCSNAP" show "$plain" --handles --json | python3 -c '
import json, os, sys
pid = int(sys.argv[1])
shown = json.load(sys.stdin)
assert sorted(shown) == ["handles", "process"]
links = {int(fd): os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")}
assert {handle["fd"]: handle["link"] for handle in shown["handles"]} == links
for handle in shown["handles"]:
    info = open("/proc/%d/fdinfo/%d" % (pid, handle["fd"]), encoding="utf-8").read()
    assert handle["fdinfo"] == info, handle
    values = dict(line.split() for line in info.splitlines())
    assert int(handle["open_flags"], 16) == int(values["flags:"], 8) & ~os.O_CLOEXEC
    if handle["link"].startswith("anon_inode:"):
        continue
    status = os.stat("/proc/%d/fd/%d" % (pid, handle["fd"]))
    assert (handle["inode"], int(handle["mode"], 16)) == (status.st_ino, status.st_mode)
    assert handle["device"] == f"{os.major(status.st_dev)}:{os.minor(status.st_dev)}"
    if handle["type"] == "file":
        assert handle["position"] == int(values["pos:"]) and handle["size_bytes"] == status.st_size
    assert (handle["count"] is None) == (handle["type"] != "event")
    assert (handle["pid"] is None) == (handle["type"] != "process")
by_number = {handle["fd"]: handle for handle in shown["handles"]}
assert by_number[8]["flags"] == ["deleted", "append"] and by_number[7]["flags"] == []
assert by_number[11]["count"] == 5 and by_number[13]["pid"] == pid
assert by_number[7]["access"] == "rw" and by_number[8]["access"] == "w"
' "$plain"
for width in 40 80; do
	python3 "$PROCSNAP_SOURCE/tests/cli/on_terminal.py" $width "$PROCSNAP" show "$plain" \
		--handles | head -n 1
done
grep -E '^TracerPid:' /proc/"$plain"/status
