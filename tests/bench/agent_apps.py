"""Bench: one real agent that looks after APPS applications (default 1,000) of four ConfigMaps each on the engine `process`: memory and CPU
when everything is in place. RSS is from /proc/PID/status, CPU from /proc/PID/stat over 20 seconds.
"""
import os
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import swarm  # noqa: E402

APPS, OBJECTS = int(os.environ.get("APPS", "1000")), 4
SECONDS = 20
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
data: {value: "one"}
"""


def write_apps(f):
    f.write("sluice.yaml", FLEET + "".join(APPLICATION % (i, i) for i in range(APPS)))
    for i in range(APPS):
        f.write(f"apps/{i}/all.yaml", "".join(CONFIG_MAP % (i, k) for k in range(OBJECTS)))


def healthy(f):
    return sum(1 for unit in f.status()["units"] if unit.get("health") == "Healthy")


def main():
    f = swarm.fleet.Fleet()
    try:
        f.start_coordinator()
        f.add_cluster("dev1", "dev")
        write_apps(f)
        began = time.monotonic()
        f.push("all of it")
        f.wait(f"{APPS} units are healthy", lambda: healthy(f) == APPS, 300)
        applied = time.monotonic() - began
        pid = f.processes["dev1"].pid
        time.sleep(5)
        cpu, at = swarm.cpu_seconds(pid), time.monotonic()
        time.sleep(SECONDS)
        figures = {"applications": APPS, "objects_each": OBJECTS, "applied_s": round(applied, 1), "rss_mib": round(swarm.rss_mib(pid), 1),
                   "cpu_percent": round((swarm.cpu_seconds(pid) - cpu) / (time.monotonic() - at) * 100, 2),
                   "coordinator_rss_mib": round(swarm.rss_mib(f.processes["coordinator"].pid), 1),
                   "budgets": {"rss_mib": RSS_BUDGET_MIB, "cpu_percent": CPU_BUDGET_PERCENT}}
    finally:
        f.stop()
    print(f"one agent, {APPS} applications of {OBJECTS} objects: RSS {figures['rss_mib']} MiB (budget {RSS_BUDGET_MIB}), "
          f"CPU {figures['cpu_percent']} % (budget {CPU_BUDGET_PERCENT}); all applied in {figures['applied_s']} s, "
          f"coordinator RSS {figures['coordinator_rss_mib']} MiB")
    swarm.save("agent_apps", figures)


if __name__ == "__main__":
    main()
