"""Bench: memory and CPU of an idle agent (engine process, one server and one ConfigMap) and of its coordinator, over 20 seconds.

RSS is from /proc/PID/status, CPU from /proc/PID/stat. The server and the front are processes of their own and not counted.
"""
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))
import swarm  # noqa: E402

SECONDS = int(os.environ.get("SECONDS_IDLE", "20"))
RSS_BUDGET_MIB, CPU_BUDGET_PERCENT = 20, 1


def main():
    f = swarm.fleet.Fleet()
    try:
        f.start_all()
        f.write_app()
        f.push("first")
        f.wait_healthy("test", "first")
        pids = {name: f.processes[name].pid for name in ("coordinator", "dev1", "test1")}
        before, began = {name: swarm.cpu_seconds(pid) for name, pid in pids.items()}, time.monotonic()
        time.sleep(SECONDS)
        spent = time.monotonic() - began
        figures = {name: {"rss_mib": round(swarm.rss_mib(pid), 1), "cpu_percent": round((swarm.cpu_seconds(pid) - before[name]) / spent * 100, 2)}
                   for name, pid in pids.items()}
    finally:
        f.stop()
    print(f"idle for {SECONDS} s, one application in two environments")
    for name, each in figures.items():
        budget = "" if name == "coordinator" else f"   (budget: under {RSS_BUDGET_MIB} MiB, under {CPU_BUDGET_PERCENT} %)"
        print(f"  {name:<12} RSS {each['rss_mib']} MiB   CPU {each['cpu_percent']} %{budget}")
    swarm.save("idle", {"seconds": SECONDS, "agent_rss_budget_mib": RSS_BUDGET_MIB, "agent_cpu_budget_percent": CPU_BUDGET_PERCENT, **figures})


if __name__ == "__main__":
    main()
