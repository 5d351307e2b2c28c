"""`minigrad live` with a browser on the same computer: python -m tests.benchmarks.live

Six lanes train on the digits, one thread, as fast as they can. Measured are: frames that the page
draws in a second; what a message takes until its answer (the server's handlers, while the other
thread trains); what a frame takes in the page; rounds in a second with the page and without one, in
turns; and the memory, beside that of a script that trains the same lanes. On a computer that does
other work, too, the speeds of turns differ by as much as that takes. What a process does in a
second of its own time does not: that is a line of its own.
"""

import json
import os
import re
import statistics
import subprocess
import sys
import time

from websockets.sync.client import connect

from tests.browser import Browser, find

RACE = "lanes=backprop,cdni,activities~lr:.05,fa,dfa,forward~lr:.01"
SECONDS = 5.0
TURNS = 3
PLAIN = """
import sys, time
import minigrad as mg
from minigrad.compare.rules import RULES
from minigrad.feeding import Feeding
from minigrad.stepping import steps
train, test = mg.data.load("digits")
lanes = []
rates = {"backprop": 0.1, "cdni": 0.1, "activities": 0.05, "fa": 0.1, "dfa": 0.1, "forward": 0.01}
for name, lr in rates.items():
    net = mg.models.mlp((784, 32, 10), "relu", seed=0)
    rule = RULES[name].make(net, 0)
    loss = mg.CrossEntropyLoss()
    lanes.append(steps(net, loss, rule, mg.SGD(net, lr), Feeding(train, 32, True, 0)))
for line in sys.stdin:
    until = time.perf_counter() + float(line)
    since, rounds = time.perf_counter(), 0
    while time.perf_counter() < until:
        for lane in lanes:
            next(lane)
        rounds += 1
    print(rounds / (time.perf_counter() - since), flush=True)
"""


def main():
    environment = os.environ | {"MINIGRAD_THREADS": "1"}
    pipes = {"stdout": subprocess.PIPE, "text": True, "env": environment}
    plain = subprocess.Popen([sys.executable, "-c", PLAIN], stdin=subprocess.PIPE, **pipes)
    command = [sys.executable, "-m", "minigrad", "live", "--no-browser", RACE]
    live = subprocess.Popen(command, **pipes)
    browser = Browser(find())
    try:
        found = measured(plain, live, browser)
    finally:
        browser.close()
        for process in (plain, live):
            process.kill()
            process.wait()
    for name, value in found.items():
        print(f"{name:52} {value}")


def measured(plain, live, browser):
    address = live.stdout.readline().strip()
    browser.viewport(1280, 720)
    browser.open(address)
    browser.until("window.minigrad?.state.lanes.length")
    browser.value(COUNTING)
    alone, beside, frames, server, page, order = [], [], [], [], [], []
    work_alone, work_beside = [], []  # rounds in a second of the process's own time
    for _ in range(TURNS):
        used = cpu(plain.pid)
        plain.stdin.write(f"{SECONDS}\n")
        plain.stdin.flush()
        alone.append(float(plain.stdout.readline()))
        work_alone.append(alone[-1] * SECONDS / (cpu(plain.pid) - used))
        browser.value("window.minigrad.context.send({do: 'play', on: true})")
        time.sleep(1)
        step, drawn = browser.value("[window.minigrad.state.step, drawn]")
        since = time.perf_counter()
        used = cpu(live.pid)
        time.sleep(SECONDS)
        end, last = browser.value("[window.minigrad.state.step, drawn]")
        now = time.perf_counter()
        beside.append((end - step) / (now - since))
        work_beside.append((end - step) / (cpu(live.pid) - used))
        frames.append((last - drawn) / (now - since))
        server += answers(address, {"do": "no such order"})
        order += answers(address, {"do": "rate", "lane": 0, "lr": 0.1})
        page += browser.value("[...window.minigrad.timings]")
        memory = resident(live.pid)
        browser.value("window.minigrad.context.send({do: 'play', on: false})")
    more = memory - resident(plain.pid)
    work = [b / a for a, b in zip(work_alone, work_beside, strict=True)]
    shares = [b / a for a, b in zip(alone, beside, strict=True)]
    return {
        "frames drawn in a second": spread(frames),
        "rounds in a second without a page": spread(alone),
        "rounds in a second with the page": spread(beside),
        "speed with the page / without": spread(shares, 3),
        "the same for a second of the process's own time": spread(work, 3),
        "a handler of the server, ms": percentiles(server),
        "an order until its reply, ms": percentiles(order),
        "a frame in the page, ms": percentiles(page),
        "memory of minigrad live, MB": f"{memory:.0f}",
        "more than a script with the same lanes, MB": f"{more:.0f}",
    }


COUNTING = """(() => {
    window.drawn = 0;
    const times = window.minigrad.timings, push = times.push;
    times.push = (...a) => { window.drawn += 1; return push.apply(times, a); };
})()"""


def answers(address, order, n=80):
    """What a second tab, which draws nothing, waits for each answer, in ms.

    A message that is refused is answered by the handler alone; a rate by the thread that trains.
    """
    place, token = address.removeprefix("http://").split("/?token=")
    times = []
    with connect(f"ws://{place}/socket?token={token}", origin=f"http://{place}") as tab:
        for number in range(n):
            time.sleep(0.01)
            since = time.perf_counter()
            tab.send(json.dumps(order | {"id": number}))
            while True:
                found = json.loads(tab.recv())
                if found["kind"] == "reply" and found["to"] == number:
                    break
            times.append(1000 * (time.perf_counter() - since))
    return times


def cpu(pid):
    """The time that a process has worked, in seconds."""
    with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident(pid):
    """The memory of a process in MB."""
    with open(f"/proc/{pid}/status", encoding="utf-8") as file:
        return int(re.search(r"VmRSS:\s*(\d+)", file.read())[1]) / 1024


def spread(values, digits=1):
    middle = statistics.median(values)
    return f"{middle:.{digits}f}  ({min(values):.{digits}f} to {max(values):.{digits}f})"


def percentiles(times):
    ordered = sorted(times)
    p50, p95 = (ordered[int(share * (len(ordered) - 1))] for share in (0.5, 0.95))
    return f"p50 {p50:.1f}, p95 {p95:.1f}, longest {ordered[-1]:.1f}"


if __name__ == "__main__":
    main()
