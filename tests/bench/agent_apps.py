"""Bench: one real agent that looks after APPS applications (default 1,000) of four ConfigMaps each on the engine `process`: what bringing
them there costs it, memory and CPU when everything is in place, and what a change of one object of one application costs (ROUNDS, 10).
RSS is from /proc/PID/status, CPU from /proc/PID/stat (idle: over 20 seconds), what is written from /proc/PID/io.
"""
import json
import os
import statistics
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))
import cold_start  # noqa: E402
import swarm  # noqa: E402

APPS, ROUNDS, OBJECTS = int(os.environ.get("APPS", "1000")), int(os.environ.get("ROUNDS", "10")), 4
FIRST_S, SETTLE_S, SECONDS = 600, 40, 20  # the reports about all objects take half a minute after the last is applied
RSS_BUDGET_MIB, CPU_BUDGET_PERCENT = 64, 1

FLEET = """\
apiVersion: gitops.sluice/v1alpha1
kind: Fleet
metadata: {name: e2e}
---
apiVersion: gitops.sluice/v1alpha1
kind: Environment
metadata: {name: dev}
spec: {promotion: newest}
"""
APPLICATION = """\
---
apiVersion: gitops.sluice/v1alpha1
kind: Application
metadata: {name: app%d}
spec:
  source: {path: apps/%d}
  environments:
    dev: {parts: [{paths: [.]}]}
"""
CONFIG_MAP = """\
---
apiVersion: v1
kind: ConfigMap
metadata: {name: app%d-%d}
data: {value: "%s"}
"""


def write_app(f, app, value):
    f.write(f"apps/{app}/all.yaml", "".join(CONFIG_MAP % (app, k, value if k == 0 else "one") for k in range(OBJECTS)))


def healthy(f, app=None, subject=None):
    """Units of the agent that are Healthy (of this commit)."""
    code, body = cold_start.get(f, "/v1/status" + (f"?app={app}&env=dev" if app else ""))
    units = json.loads(body)["units"] if code == 200 else []
    return sum(1 for unit in units if unit.get("health") == "Healthy" and subject in (None, unit.get("subject")))


class Cost:
    """Of a process from here on: CPU seconds, calls of write and what they wrote."""

    def __init__(self, pid):
        self.pid, self.before = pid, self.now(pid)

    @staticmethod
    def now(pid):
        with open(f"/proc/{pid}/io") as file:
            io = dict(line.split(": ") for line in file.read().splitlines())
        return {"cpu_s": swarm.cpu_seconds(pid), "writes": int(io["syscw"]), "written_kib": int(io["wchar"]) / 1024, "wall_s": time.monotonic()}

    def spent(self):
        return {key: round(value - self.before[key], 2) for key, value in self.now(self.pid).items()}


def one_round(f, pid, number):
    app = f"app{number % APPS}"
    write_app(f, number % APPS, f"change {number}")
    f.git("add", "-A")
    f.git("commit", "-q", "-m", f"change {number}")
    cost = Cost(pid)
    f.sluice("refresh")
    cold_start.until(lambda: healthy(f, app, f"change {number}") == 1, 60)
    time.sleep(2)  # what is saved and said lazily is part of it
    return cost.spent()


def main():
    f = swarm.fleet.Fleet()
    try:
        f.start_coordinator()
        f.add_cluster("dev1", "dev")
        f.write("sluice.yaml", FLEET + "".join(APPLICATION % (i, i) for i in range(APPS)))
        for i in range(APPS):
            write_app(f, i, "one")
        pid, coordinator = f.processes["dev1"].pid, f.processes["coordinator"].pid
        first, beside = Cost(pid), Cost(coordinator)
        f.push("all of it")
        f.wait(f"{APPS} units are healthy", lambda: healthy(f) == APPS, FIRST_S)
        first, beside = first.spent(), beside.spent()
        time.sleep(SETTLE_S)
        idle = Cost(pid)
        time.sleep(SECONDS)
        idle = idle.spent()
        rss = swarm.rss_mib(pid)
        rounds = [one_round(f, pid, number) for number in range(1, ROUNDS + 1)]
        figures = {"applications": APPS, "objects_each": OBJECTS, "first": first, "first_coordinator_cpu_s": beside["cpu_s"],
                   "rss_mib": round(rss, 1), "rss_after_mib": round(swarm.rss_mib(pid), 1),
                   "cpu_percent": round(idle["cpu_s"] / idle["wall_s"] * 100, 2), "rounds": rounds,
                   "coordinator_rss_mib": round(swarm.rss_mib(coordinator), 1),
                   "budgets": {"rss_mib": RSS_BUDGET_MIB, "cpu_percent": CPU_BUDGET_PERCENT}}
    finally:
        f.stop()
    print(f"one agent, {APPS} applications of {OBJECTS} objects\n"
          f"  RSS {figures['rss_mib']} MiB, after the changes {figures['rss_after_mib']} MiB (budget {RSS_BUDGET_MIB})   "
          f"idle CPU {figures['cpu_percent']} % (budget {CPU_BUDGET_PERCENT})\n"
          f"  all applied in {first['wall_s']} s: CPU {first['cpu_s']} s ({first['cpu_s'] / APPS * 1000:.1f} ms an application), "
          f"{first['writes']} writes of {first['written_kib'] / 1024:.0f} MiB; coordinator CPU {beside['cpu_s']} s, RSS {figures['coordinator_rss_mib']} MiB")
    if rounds:
        print("  one object of one changed, median: " +
              ", ".join(f"{key} {statistics.median(each[key] for each in rounds):g}" for key in ("cpu_s", "writes", "written_kib")))
    swarm.save("agent_apps", figures)


if __name__ == "__main__":
    main()
