"""`minigrad live` with a browser on the same computer: python -m tests.benchmarks.live

Six lanes train on the digits, one thread, as fast as they can. Measured are: frames that the page
draws in a second; what a message takes until its answer (the server's handlers, while the other
thread trains); what a frame takes in the page; rounds in a second with the page, and without one:
a script that makes the same steps of the same lanes and measures nothing. Both are measured in
turns, with the curves alone and with the views that the page shows first. Each turn compares its
own two speeds. Of a turn in which other programs took more than `FOREIGN` of a core no speed
counts. What a process does in a second of its own time suffers less from them: that is a line of
its own. The memory is that of the server, beside that of the script.
"""

import json
import os
import re
import statistics
import subprocess
import sys
import time
from pathlib import Path

from websockets.sync.client import connect

from tests.browser import Browser, find

RACE = "lanes=backprop,cdni,activities~lr:.05,fa,dfa,forward~lr:.01"
SECONDS = 1.5
TURNS = 5
FOREIGN = 0.15  # cores
SHOWN = {"curves alone": "close", "with weights": "open"}
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
    browser.ask("Network.disable")  # else the browser writes each frame to this script, too
    browser.open(address)
    browser.until("window.minigrad?.state.lanes.length")
    browser.value(COUNTING)
    orders = {"handler": [], "order": []}
    for shown, act in SHOWN.items():
        browser.value(f"window.minigrad.context.{act}('weights')")
        turns = [turn(plain, live, browser) for _ in range(TURNS)]
        quiet = [of for of in turns if of["foreign"] < FOREIGN]
        page = browser.value("[...window.minigrad.timings]")
        browser.value("window.minigrad.context.send({do: 'play', on: true})")
        orders["handler"] += answers(address, {"do": "no such order"})
        orders["order"] += answers(address, {"do": "rate", "lane": 0, "lr": 0.1})
        memory = resident(live.pid)
        browser.value("window.minigrad.context.send({do: 'play', on: false})")
        found = {
            f"{shown}: frames drawn in a second": spread([of["frames"] for of in turns]),
            "  a frame in the page, ms": percentiles(page),
            "  other programs, cores": spread([of["foreign"] for of in turns], 2),
            "  turns that count": f"{len(quiet)} of {TURNS}",
            "  rounds in a second without a page": spread([of["alone"] for of in quiet]),
            "  rounds in a second with the page": spread([of["beside"] for of in quiet]),
            "  speed with the page / without": spread([of["share"] for of in quiet], 3),
            "  the same for a second of the process's own time": spread(
                [of["work"] for of in turns], 3
            ),
            "  cores that the browser takes": spread([of["browser"] for of in turns], 2),
        }
        for name, value in found.items():
            print(f"{name:52} {value}", flush=True)
    more = memory - resident(plain.pid)
    return {
        "a handler of the server, ms": percentiles(orders["handler"]),
        "an order until its reply, ms": percentiles(orders["order"]),
        "memory of minigrad live, MB": f"{memory:.0f}",
        "more than a script with the same lanes, MB": f"{more:.0f}",
    }


def turn(plain, live, browser):
    """Speeds without the page and with it, one after the other, and who else was at work."""
    since, before, used = time.perf_counter(), busy(), cpu(plain.pid)
    ours = used + cpu(live.pid) + family(browser.process.pid) + time.process_time()
    plain.stdin.write(f"{SECONDS}\n")
    plain.stdin.flush()
    alone = float(plain.stdout.readline())
    work_alone = alone * SECONDS / (cpu(plain.pid) - used)

    browser.value("window.minigrad.context.send({do: 'play', on: true})")
    time.sleep(1)
    look = "[window.minigrad.state.step, drawn]"
    (step, drawn), then = browser.value(look), time.perf_counter()
    used, browsed = cpu(live.pid), family(browser.process.pid)
    time.sleep(SECONDS)
    (end, last), now = browser.value(look), time.perf_counter()
    work_beside = (end - step) / (cpu(live.pid) - used)
    browsed = family(browser.process.pid) - browsed
    browser.value("window.minigrad.context.send({do: 'play', on: false})")

    beside = (end - step) / (now - then)
    all_ours = cpu(plain.pid) + cpu(live.pid) + family(browser.process.pid) + time.process_time()
    others = busy() - before - (all_ours - ours)
    return {
        "alone": alone,
        "beside": beside,
        "share": beside / alone,
        "work": work_beside / work_alone,
        "frames": (last - drawn) / (now - then),
        "browser": browsed / (now - then),
        "foreign": others / (time.perf_counter() - since),
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


TICKS = os.sysconf("SC_CLK_TCK")


def cpu(pid):
    """The time that a process has worked, in seconds."""
    with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def family(pid):
    """The same for a process and all that it has started."""
    children = [path.read_text().split() for path in Path(f"/proc/{pid}/task").glob("*/children")]
    return cpu(pid) + sum(family(child) for of in children for child in of)


def busy():
    """The time that all processes of the computer have worked, in seconds."""
    with open("/proc/stat", encoding="utf-8") as file:
        user, nice, system, _, _, *interrupts = map(int, file.readline().split()[1:8])
    return (user + nice + system + sum(interrupts)) / TICKS


def resident(pid):
    """The memory of a process in MB."""
    with open(f"/proc/{pid}/status", encoding="utf-8") as file:
        return int(re.search(r"VmRSS:\s*(\d+)", file.read())[1]) / 1024


def spread(values, digits=1):
    if not values:
        return "not known"
    middle = statistics.median(values)
    return f"{middle:.{digits}f}  ({min(values):.{digits}f} to {max(values):.{digits}f})"


def percentiles(times):
    ordered = sorted(times)
    p50, p95 = (ordered[int(share * (len(ordered) - 1))] for share in (0.5, 0.95))
    return f"p50 {p50:.1f}, p95 {p95:.1f}, longest {ordered[-1]:.1f}"


if __name__ == "__main__":
    main()
