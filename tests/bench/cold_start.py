"""Bench: a start of a coordinator whose ledger knows CLUSTERS clusters (default 1,000) and APPS applications on all of them (default 50).

The clusters are registered by sluice-swarm and none is connected. Measured: from the start of the process until `GET /readyz` says ready and
until `GET /v1/status` has been answered whole; resident memory then.
"""
import http.client
import json
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))
import status  # noqa: E402
import swarm  # noqa: E402

CLUSTERS, APPS, STARTS = int(os.environ.get("CLUSTERS", "1000")), int(os.environ.get("APPS", "50")), 3
BUDGET_S = 2


def get(f, path):
    """Status code and body; (0, b"") while nobody listens."""
    api = swarm.fleet.Api(f.state + "/api.sock")
    try:
        api.request("GET", path)
        answer = api.getresponse()
        return answer.status, answer.read()
    except (OSError, http.client.HTTPException):
        return 0, b""
    finally:
        api.close()


def until(fact, seconds=120):
    end = time.monotonic() + seconds
    while not fact():
        if time.monotonic() > end:
            raise SystemExit("waited in vain")
        time.sleep(0.002)


def one_start(f):
    began = time.monotonic()
    f.start_coordinator(wait=False)
    until(lambda: get(f, "/readyz")[0] == 200)
    ready = time.monotonic() - began
    code, body = get(f, "/v1/status")
    answered = time.monotonic() - began
    rss = swarm.rss_mib(f.processes["coordinator"].pid)
    f.kill("coordinator", 15)
    return {"ready_s": round(ready, 3), "status_s": round(answered, 3), "status_bytes": len(body), "status_code": code, "rss_mib": round(rss, 1)}


def committed(f):
    code, body = get(f, "/v1/history?limit=1000")
    return code == 200 and sum(1 for each in json.loads(body)["attempts"] if each["state"] in ("COMMITTED", "SUCCEEDED")) >= APPS


def main():
    f = swarm.prepared_fleet(CLUSTERS)
    try:
        f.start_coordinator()
        f.write("sluice.yaml", status.HEAD + "".join(status.APP % (n, n) for n in range(APPS)))
        for n in range(APPS):
            f.write(f"app{n}/settings/settings.yaml", status.SETTINGS % (n, "0"))
        f.push("first")
        until(lambda: committed(f))
        events = json.loads(get(f, "/v1/events?since=0&limit=1000")[1])["events"]
        f.kill("coordinator", 15)
        starts = [one_start(f) for _ in range(STARTS)]
    finally:
        f.stop()
    best = min(starts, key=lambda each: each["ready_s"])
    print(f"cold start, {CLUSTERS} clusters x {APPS} applications ({events[-1]['seq']} events), {STARTS} starts")
    for each in starts:
        print(f"  ready {each['ready_s']} s   whole status {each['status_s']} s ({each['status_bytes'] / 1048576:.1f} MiB)   "
              f"RSS {each['rss_mib']} MiB   (budget: serving in {BUDGET_S} s)")
    swarm.save("cold_start", {"clusters": CLUSTERS, "applications": APPS, "starts": starts, "best": best, "budget_s": BUDGET_S})


if __name__ == "__main__":
    main()
