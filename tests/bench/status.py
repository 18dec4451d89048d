"""Bench: status queries while promotions run.

A real coordinator with three agents and APPS applications (default 30) in one environment: their status is below the size
from which on it counts against a person's rate (docs/api.md), so each request is answered in full; a bench in which one was refused fails. bench-load asks `GET /v1/status` over the Unix
socket on CONNECTIONS connections (default 16), first while nothing happens, then while commits that change an application follow each
other as fast as they are applied. The generator shares the cores with the coordinator, so its own CPU is in the times.
"""
import os
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))
import swarm  # noqa: E402
import fleet  # noqa: E402
import json  # noqa: E402

APPS = int(os.environ.get("APPS", "30"))
CONNECTIONS = os.environ.get("CONNECTIONS", "16")
SECONDS = os.environ.get("SECONDS_LOAD", "10")
RATE_BUDGET, P99_BUDGET_MS = 20000, 5

HEAD = """\
apiVersion: gitops.sluice/v1alpha1
kind: Fleet
metadata: {name: bench}
---
apiVersion: gitops.sluice/v1alpha1
kind: Environment
metadata: {name: dev}
spec: {promotion: newest}
"""
APP = """\
---
apiVersion: gitops.sluice/v1alpha1
kind: Application
metadata: {name: app%d}
spec:
  source: {path: app%d}
  environments: {dev: {parts: [{paths: [settings]}]}}
"""
SETTINGS = """\
apiVersion: v1
kind: ConfigMap
metadata: {name: settings%d}
data: {value: "%s"}
"""


def load(f, *header):
    done = subprocess.run([os.path.join(fleet.BIN, "bench-load"), f.state + "/api.sock", "/v1/status", CONNECTIONS, SECONDS, *header],
                          capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


class Promotions(threading.Thread):
    """Changes one application after the other until it is told to stop; counts what was applied."""

    def __init__(self, f):
        super().__init__()
        self.f, self.going, self.done = f, True, 0

    def run(self):
        while self.going:
            self.done += 1
            self.f.write(f"app{self.done % APPS}/settings/settings.yaml", SETTINGS % (self.done % APPS, f"round {self.done}"))
            self.f.push(f"round {self.done}")
            time.sleep(0.02)


def settled(f):
    units = f.status()["units"]
    return len(units) == APPS and all(unit["health"] == "Healthy" for unit in units)


def main():
    f = fleet.Fleet()
    try:
        f.start_coordinator()
        f.write("sluice.yaml", HEAD + "".join(APP % (n, n) for n in range(APPS)))
        for n in range(APPS):
            f.write(f"app{n}/settings/settings.yaml", SETTINGS % (n, "0"))
        for name in ("dev1", "dev2", "dev3"):
            f.add_cluster(name, "dev")
        f.push("round 0")
        f.wait("everything is healthy", lambda: settled(f), 120)
        seq = f.status()["ledger"]["seq"] if "ledger" in f.status() else None
        pid = f.processes["coordinator"].pid
        quiet, cpu, began = load(f), swarm.cpu_seconds(pid), time.monotonic()
        promotions = Promotions(f)
        promotions.start()
        busy = load(f)
        spent, wall = swarm.cpu_seconds(pid) - cpu, time.monotonic() - began
        promotions.going = False
        promotions.join()
        figures = {"applications": APPS, "clusters": 3, "connections": int(CONNECTIONS), "quiet": quiet, "while_promoting": busy,
                   "pushes_meanwhile": promotions.done, "coordinator_cpu_share": round(spent / wall, 2), "first_seq": seq,
                   "budget_per_second": RATE_BUDGET, "budget_p99_ms": P99_BUDGET_MS}
    finally:
        f.stop()
    print(f"status of {APPS} applications on 3 clusters, {CONNECTIONS} connections on the Unix socket, {SECONDS} s each")
    for name, each in (("quiet", quiet), (f"{promotions.done} pushes meanwhile", busy)):
        print(f"  {name:<24} {each['per_second']}/s   p50 {each['p50_ms']} ms   p99 {each['p99_ms']} ms   max {each['max_ms']} ms   "
              f"refused {each['refused']}   {each['mib_per_second']} MiB/s   (budget: {RATE_BUDGET}/s, p99 under {P99_BUDGET_MS} ms)")
    swarm.save("status", figures)
    if quiet["refused"] or busy["refused"]:
        sys.exit("status: requests were refused: these are the figures of refusals")


if __name__ == "__main__":
    main()
