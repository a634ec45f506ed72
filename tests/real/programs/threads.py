# SPDX-License-Identifier: LGPL-2.1-or-later
"""Threads that compute, wait and sleep. Answers each line with "ok ROUNDS"; ends with its input."""

import hashlib
import queue
import sys
import threading

jobs = queue.Queue(maxsize=4)
rounds = 0
errors = []


def produce():
    number = 0
    while True:
        jobs.put((number, hashlib.sha256(str(number).encode()).hexdigest()))
        number += 1


def consume():
    global rounds
    while True:
        number, digest = jobs.get()
        if hashlib.sha256(str(number).encode()).hexdigest() != digest:
            errors.append(number)
        rounds += 1


for target in (produce, consume):
    threading.Thread(target=target, daemon=True).start()
for _ in range(6):
    threading.Thread(target=threading.Event().wait, daemon=True).start()

for _ in sys.stdin:
    print(f"wrong: {errors[0]}" if errors else f"ok {rounds}", flush=True)
