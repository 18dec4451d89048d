"""Crash at every step, with the real programs (./dev crash).

    SLUICE_BIN=build/release/bin python3 tests/crash/crash.py [FLOW...] [--victim NAME] [--mode MODE] [--at N]
                                                              [--every K] [--first M] [--jobs 2] [--seconds S]

For each flow (flows.py), each of its victims and each mode: the victim runs under the shim; it is ended (or one of its calls
fails) at its 1st, 2nd, 3rd ... write, sync, rename, link, unlink, mkdir, open-to-create and send after the flow began, until
the flow runs through without reaching the point. A supervisor starts it again, the person asks again for what nobody
acknowledged, everything converges, and shimmed.py looks at ledger, branches, agents' files and starts with its own eyes.
A failure prints the command that repeats it; the fleet is thrown away and the next point begins with a new one.
Modes: kill, after, lost, torn, mixed, eio, enospc, eintr, short (shim.h); alloc and allocs (no memory: once, for ever)."""
import argparse
import multiprocessing
import os
import sys
import time
import traceback

import flows
import shimmed

DEFAULT_MODES = ["kill", "lost"]
ROUNDS_OF_A_FLEET = 120  # the ledger grows with every round; a fresh fleet is quicker then
POINTS_MAX = 5000
THOROUGH_EVERY = 20
SLOW = 6  # seconds of a round: said, for somebody waits that long too


class Rig:
    """One flow, one victim, one mode, on one fleet after the other."""

    def __init__(self, name, victim, mode):
        self.name, self.victim, self.mode = name, victim, mode
        self.flow = flows.FLOWS[name]()
        self.flow.victim = victim
        self.f, self.rounds, self.n = None, 0, 0

    def fleet(self):
        if self.f is None or self.rounds >= ROUNDS_OF_A_FLEET:
            self.drop()
            self.f, self.rounds = shimmed.Shimmed(), 0
        return self.f

    def drop(self):
        if self.f is not None:
            self.f.stop()
        self.f = None

    def round(self, at):
        """True: the point was reached."""
        f = self.fleet()
        self.rounds += 1
        self.n += 1
        f.errors_allowed, f.deaths = None, []
        self.flow.prepare(f, self.n)
        f.late, f.deaths = set(), []
        control = f.controls[self.victim]
        control.arm(self.mode, at, seed=at)
        f.errors_allowed = self.mode if self.mode in shimmed.ERRORS or self.mode.startswith("alloc") else None
        self.flow.act(f, self.n)
        self.flow.done(f, self.n)
        control.disarm()
        reached = control.acted()
        f.wait_for_death(self.victim)
        self.flow.done(f, self.n)
        f.errors_allowed = None
        f.late = {name for name, each in f.controls.items() if each.acted() and name not in f.deaths}
        self.flow.after(f, self.n)
        f.check(thorough=self.rounds % THOROUGH_EVERY == 0)
        return reached

    def command(self, at):
        return f"./dev crash {self.name} --victim {self.victim} --mode {self.mode} --at {at}"


def enumerate_points(task):
    """(flow, victim, mode, points, rounds, seconds, failures) of one task."""
    name, victim, mode, at, every, first, deadline = task
    rig, failures, begun, rounds = Rig(name, victim, mode), [], time.monotonic(), 0
    point = at or first
    while point < POINTS_MAX and time.monotonic() < deadline:
        rounds += 1
        start = time.monotonic()
        try:
            reached = rig.round(point)
        except Exception as error:  # every finding is told, and the next point goes on
            where = rig.f.controls[victim].where() if rig.f else ""
            reached = bool(rig.f and rig.f.controls[victim].acted())
            failures.append(f"FAILED {name}, {victim}, {mode} at {point} ({where}): {error}\n"
                            f"{''.join(traceback.format_tb(error.__traceback__)[-2:])}  repeat: {rig.command(point)}")
            print(failures[-1], flush=True)
            rig.drop()
            if len(failures) >= 5:
                break
        if time.monotonic() - start > SLOW and rig.f:
            print(f"slow: {rig.command(point)} ({rig.f.controls[victim].where()}): {time.monotonic() - start:.1f} s", flush=True)
        if at or not reached:
            break
        point += every
    finished = "all" if not at and time.monotonic() < deadline and len(failures) < 5 else "some"
    rig.drop()
    return name, victim, mode, point - 1 if not at else at, finished, rounds, time.monotonic() - begun, failures


def tasks_of(args):
    deadline = time.monotonic() + args.seconds
    for name in args.flows or flows.FLOWS:
        for victim in flows.FLOWS[name].victims:
            for mode in args.mode or DEFAULT_MODES:
                if args.victim and victim not in args.victim:
                    continue
                yield name, victim, mode, args.at, args.every, args.first, deadline


def say(result):
    name, victim, mode, points, finished, rounds, seconds, failures = result
    print(f"{name:9} {victim:12} {mode:7} {points:5} points {'' if finished == 'all' else '(not all) '}"
          f"{rounds:5} rounds {seconds:7.1f} s  {len(failures)} failed", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("flows", nargs="*", metavar="FLOW", help=", ".join(flows.FLOWS))
    victims = sorted({victim for flow in flows.FLOWS.values() for victim in flow.victims})
    parser.add_argument("--victim", action="append", choices=victims, help=", ".join(victims) + ": not each in each flow", metavar="VICTIM")
    parser.add_argument("--mode", action="append", choices=shimmed.MODES[1:] + ["alloc", "allocs"])
    parser.add_argument("--at", type=int, default=0)
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--first", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=1e9, help="begins no round after that")
    args = parser.parse_args()
    for name in args.flows:
        if name not in flows.FLOWS:
            parser.error(f"there is no flow `{name}`; there are {', '.join(flows.FLOWS)}")
    tasks, failed, begun = list(tasks_of(args)), 0, time.monotonic()
    if not tasks:
        parser.error("no such victim in these flows: " + "; ".join(f"{name}: {', '.join(flows.FLOWS[name].victims)}" for name in args.flows))
    if args.jobs == 1 or len(tasks) == 1:
        results = map(enumerate_points, tasks)
        pool = None
    else:
        pool = multiprocessing.Pool(args.jobs, maxtasksperchild=1)
        results = pool.imap_unordered(enumerate_points, tasks)
    rounds = 0
    for result in results:
        say(result)
        failed += len(result[-1])
        rounds += result[5]
    if pool:
        pool.close()
        pool.join()
    print(f"crash: {len(tasks)} enumerations, {rounds} rounds, {failed} failed, {time.monotonic() - begun:.0f} s")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
