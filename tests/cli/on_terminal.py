# SPDX-License-Identifier: LGPL-2.1-or-later
"""Runs a command on a terminal of its own and prints what it wrote: on_terminal.py WIDTH COMMAND..."""

import fcntl
import os
import pty
import struct
import sys
import termios


def main(width, command):
    pid, terminal = pty.fork()
    if pid == 0:
        fcntl.ioctl(1, termios.TIOCSWINSZ, struct.pack("HHHH", 50, width, 0, 0))
        os.execv(command[0], command)
    output = b""
    while True:
        try:
            part = os.read(terminal, 65536)
        except OSError:  # Linux tells the end of a terminal so
            break
        if not part:
            break
        output += part
    os.waitpid(pid, 0)
    sys.stdout.buffer.write(output.replace(b"\r\n", b"\n"))


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
