"""Bench: 24 hours of fleet life on the virtual clock (sluice-sim --day): pushes, runs, promotions, drift; is memory flat?

The coordinator's brain grows with the ledger (its history, which a fold gives back); per event that must stay small and even.
What an agent keeps, and what waits in queues, must not grow: an agent's slot holds at most its last 64 acknowledged seals of a unit.
AGENTS says how many (default 6).
"""
import json
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))
import swarm  # noqa: E402

AGENTS = os.environ.get("AGENTS", "6").split()[0]
BYTES_PER_EVENT_BUDGET = 4096  # of the coordinator's memory, for each event of the ledger
SEALS_KEPT, SEAL_BYTES = 64, 1500
HELD_BUDGET = 1.5  # the coordinator that lived all day against one that folded the same ledger just now
AGENT_BUDGET = 1 << 20
QUEUE_GROWTH_BUDGET, SLOT_BUDGET = 1.5, 8192 + SEALS_KEPT * SEAL_BYTES


def hours():
    out = subprocess.run([os.path.join(swarm.fleet.BIN, "sluice-sim"), "--day", "--agents", AGENTS], check=True,
                         stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout
    return [json.loads(line) for line in out.splitlines() if line.startswith("{")]


def main():
    *day, held = hours()
    first, last = day[1], day[-1]
    per_event = (last["coordinator_bytes"] - first["coordinator_bytes"]) / (last["ledger_events"] - first["ledger_events"])
    rest = [hour["live_bytes"] - hour["disk_bytes"] - hour["coordinator_bytes"] for hour in day]
    checks = {
        "bytes_per_ledger_event": (round(per_event), BYTES_PER_EVENT_BUDGET),
        "events_waiting_growth": (round(last["events_waiting"] / first["events_waiting"], 2), QUEUE_GROWTH_BUDGET),
        "agent_slot_bytes": (last["agent_slot_bytes"], SLOT_BUDGET),
        "coordinator_beside_history": (round(held["live_coordinator_bytes"] / held["folded_bytes"], 2), HELD_BUDGET),
        "live_agent_bytes": (held["live_agent_bytes"], AGENT_BUDGET),
        "agent_blobs_growth": (last["agent_blobs"] - first["agent_blobs"], 4),
    }
    print(f"day: {len(day)} virtual hours, {AGENTS} agents, {last['messages']} messages, {last['ledger_events']} events")
    for hour in day[::4] + [last]:
        print(f"  hour {hour['hour']:2}  rss {hour['rss_kib'] / 1024:6.1f} MiB  live {hour['live_bytes'] / 2**20:6.2f}  on disks {hour['disk_bytes'] / 2**20:6.2f}"
              f"  coordinator {hour['coordinator_bytes'] / 1024:7.0f} KiB  queue {hour['events_waiting']:3}  slot {hour['agent_slot_bytes']:6}")
    for name, (value, budget) in checks.items():
        print(f"  {name:24} {value:>8}   (budget {budget})")
    swarm.save("day", {"agents": int(AGENTS), "budgets": {name: budget for name, (_, budget) in checks.items()},
                       **{name: value for name, (value, _) in checks.items()}, "rest_bytes": rest, "hours": day})
    missed = [name for name, (value, budget) in checks.items() if value > budget]
    if missed:
        sys.exit("day: over budget: " + ", ".join(missed))


if __name__ == "__main__":
    main()
