"""Bench: the ledger. What one batch costs, 1,000 promotions decided and recorded, the fold of 100,000 events.

bench-ledger runs the real store and the real brain in one process, without network: it counts its own fsyncs. Recording is done in batches
of 64 events, as the group commit of the coordinator gathers them while an append is under way. The time of one fsync of this disk, taken in
the same run, is printed beside the rest: a batch costs six of them.
"""
import json
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))
import swarm  # noqa: E402

BATCHES, APPS, EVENTS = (os.environ.get(*each) for each in (("BATCHES", "500"), ("APPS", "1000"), ("EVENTS", "100000")))
RECORD_BUDGET_S, FOLD_BUDGET_S = 5, 2


def main():
    done = subprocess.run([os.path.join(swarm.fleet.BIN, "bench-ledger"), BATCHES, APPS, EVENTS], capture_output=True, text=True, check=True)
    got = json.loads(done.stdout)
    both = got["decide_s"] + got["record_s"]
    print(f"ledger, one fsync of this disk {got['one_sync_ms']:.2f} ms\n"
          f"  a batch of 4 events and 2 maps: {got['syncs_per_batch']:.1f} fsyncs, p50 {got['batch_p50_ms']:.1f} ms, "
          f"p99 {got['batch_p99_ms']:.1f} ms, {got['batches_per_second']:.0f}/s\n"
          f"  {got['promotions']} promotions: decided in {got['decide_s']:.2f} s, recorded in {got['record_s']:.2f} s ({got['record_events']} events, "
          f"{got['record_batches']} batches), together {both:.2f} s   (budget: {RECORD_BUDGET_S} s)\n"
          f"  fold of {got['fold_events']} events: {got['fold_s']:.2f} s   (budget: {FOLD_BUDGET_S} s)")
    swarm.save("ledger", {**got, "decided_and_recorded_s": both, "budget_promotions_s": RECORD_BUDGET_S, "budget_fold_s": FOLD_BUDGET_S})


if __name__ == "__main__":
    main()
