"""The peer multiprocessing.Pipe: a Python program calls a function in another process.

It answers the benchmark's orders by itself, since no Rust program can be on the other end.
"""

import json
import multiprocessing
import os
import sys
import time
from collections import Counter, deque


def serve(connection):
    while True:
        question = connection.recv()
        if question is None:
            return
        connection.send({"result": question["value"] * 2})


def closed(connection, callers, seconds):
    """Keep as many calls under way as there are callers."""
    latencies = []
    sent = deque()
    begin = time.perf_counter_ns()
    end = begin + int(seconds * 1e9)
    number = 0

    def send():
        nonlocal number
        value = number % 64 + 64
        number += 1
        sent.append((value, time.perf_counter_ns()))
        connection.send({"value": value})

    for _ in range(callers):
        send()
    while sent:
        reply = connection.recv()
        now = time.perf_counter_ns()
        value, then = sent.popleft()
        if reply != {"result": value * 2}:
            raise AssertionError(f"{value} was answered by {reply}")
        latencies.append(now - then)
        if now < end:
            send()
    return latencies, time.perf_counter_ns() - begin


def worker_cpu_ns(pid):
    try:
        with open(f"/proc/{pid}/schedstat") as file:
            return int(file.read().split()[0])
    except OSError:
        return None


def say(message):
    print(json.dumps(message), flush=True)


def main():
    cores = [int(core) for core in sys.argv[1:]]
    near, far = multiprocessing.Pipe()
    process = multiprocessing.get_context("fork").Process(target=serve, args=(far,), daemon=True)
    process.start()
    if cores:
        os.sched_setaffinity(0, {cores[0]})
        os.sched_setaffinity(process.pid, {cores[1]})
    say({"ready": {"about": None}})
    for line in sys.stdin:
        order = json.loads(line)
        callers = order["load"]["closed"]["callers"]
        worker_before, host_before = worker_cpu_ns(process.pid), time.process_time_ns()
        latencies, elapsed = closed(near, callers, order["seconds"])
        host, worker = time.process_time_ns() - host_before, worker_cpu_ns(process.pid)
        done = {
            "calls": len(latencies),
            "elapsed_ns": elapsed,
            "host_cpu_ns": host,
            "worker_cpu_ns": None if worker is None else worker - worker_before,
            "latencies": sorted(Counter(latencies).items()),
        }
        say({"done": done})
    near.send(None)
    process.join()


if __name__ == "__main__":
    main()
