"""Bench: APPS applications (default 1,000) in one repository on a real fleet with one cluster; then one file of one of them changes, ROUNDS times.

What is rendered, recorded and said is counted by the coordinator's metrics before and after; what is committed by Git itself, as the paths that the
environment branch's new commits changed. Time is from the request to refresh until the API shows the change Healthy.
"""
import json
import os
import statistics
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))
import cold_start  # noqa: E402
import status  # noqa: E402
import swarm  # noqa: E402

APPS, ROUNDS = int(os.environ.get("APPS", "1000")), int(os.environ.get("ROUNDS", "10"))
BUDGET_MS, FIRST_S = 1000, 500
NAMES = ("renders_total", "ledger_events_total", "ledger_commits_total", "agent_messages_total")


def metrics(f):
    text = cold_start.get(f, "/metrics")[1].decode()
    return {name: float(line.split()[1]) for line in text.splitlines() for name in NAMES if line.startswith(f"sluice_{name} ")}


def attempts(f, app=None):
    code, body = cold_start.get(f, "/v1/history?limit=1000" + (f"&app={app}&env=dev" if app else ""))
    return json.loads(body)["attempts"] if code == 200 else []


def all_applied(f):
    """Asks seldom: a history of all attempts is work that the coordinator would else not have."""
    end = time.monotonic() + FIRST_S
    while sum(each["state"] == "SUCCEEDED" for each in attempts(f)) < min(APPS, 1000):
        if time.monotonic() > end:
            raise SystemExit(f"not all applied in {FIRST_S} s")
        time.sleep(0.5)


def tip(f):
    return f.run("git", "--git-dir", f.state + "/state.git", "rev-parse", "refs/heads/sluice/env/dev").stdout.strip()


def one_round(f, number):
    app, before, old = f"app{number % APPS}", metrics(f), tip(f)
    f.write(f"{app}/settings/settings.yaml", status.SETTINGS % (number % APPS, f"change {number}"))
    f.git("add", "-A")
    f.git("commit", "-q", "-m", f"change {number}")
    began = time.monotonic()
    f.sluice("refresh")
    cold_start.until(lambda: any(each["subject"] == f"change {number}" and each["state"] == "SUCCEEDED" for each in attempts(f, app)), 60)
    took = (time.monotonic() - began) * 1000
    changed = f.run("git", "--git-dir", f.state + "/state.git", "diff", "--name-only", old, tip(f)).stdout.split()
    after = metrics(f)
    return {"ms": round(took), "others_changed": [path for path in changed if f"/{app}/" not in path and f"/{app}.json" not in path],
            "paths": len(changed), **{name: after[name] - before[name] for name in NAMES}}


def main():
    f = swarm.fleet.Fleet()
    try:
        f.start_coordinator()
        f.write("sluice.yaml", status.HEAD + "".join(status.APP % (n, n) for n in range(APPS)))
        for n in range(APPS):
            f.write(f"app{n}/settings/settings.yaml", status.SETTINGS % (n, "0"))
        f.add_cluster("dev1", "dev")
        began = time.monotonic()
        f.push("first")
        all_applied(f)
        all_s = time.monotonic() - began
        rounds = [one_round(f, number) for number in range(1, ROUNDS + 1)]
        rss = round(swarm.rss_mib(f.processes["coordinator"].pid), 1)
    finally:
        f.stop()
    worst = max(each["ms"] for each in rounds)
    print(f"{APPS} applications in one repository: all of them applied in {all_s:.1f} s; then one file of one, {ROUNDS} times\n"
          f"  p50 {statistics.median(each['ms'] for each in rounds):.0f} ms   max {worst} ms   (budget: under {BUDGET_MS} ms)   RSS {rss} MiB")
    for name in NAMES + ("paths",):
        print(f"  {name:<24} {sorted(set(each[name] for each in rounds))} a round")
    print(f"  paths of other applications changed: {sum(len(each['others_changed']) for each in rounds)}")
    swarm.save("applications", {"applications": APPS, "all_applied_s": round(all_s, 1), "rounds": rounds, "rss_mib": rss, "budget_ms": BUDGET_MS})


if __name__ == "__main__":
    main()
