"""kill -9 of every daemon at random moments of the demo's story, again and again, with a supervisor that starts it again.

    SLUICE_BIN=build/release/bin python3 tests/e2e/chaos.py [--kills N] [--seed S]        (./dev chaos)

Train, gate, promote, approve, serve, predict, typo fix, worse model, rollback: rounds of it until N kills are done, then the
last round to its end in peace. What must hold in spite of the kills is asserted on the way and at the end: see `check`.
One seed chooses who dies when; what the kill meets there is up to the machine, so a seed repeats the plan and not the run.
"""
import argparse
import collections
import http.client
import json
import os
import random
import subprocess
import sys
import threading
import time

import fleet

PAUSE = (0.02, 0.8)  # seconds between two kills
PATIENCE = 120  # seconds for each step of the story, however often somebody dies in it
OUTAGE_MAX = 15  # seconds that a port may be silent after its own front or server was killed
SERVER_KILLS_MAX = 2  # of one environment: the third in ten minutes is a crash loop, and said to be one
# A tenth of the kills is spread over each; the coordinator, which has most to lose, gets three.
VICTIMS = ["coordinator"] * 3 + ["dev1", "test1", "prod1", "git", "run", "server", "front"]


class Visitor(threading.Thread):
    """Asks the server of an environment again and again, through its declared port, and writes down what failed."""

    def __init__(self, port):
        super().__init__(daemon=True)
        self.port, self.good, self.failed, self.stopping = port, 0, [], threading.Event()
        self.last_good = time.monotonic()

    def ask(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request("GET", "/")
            answer = connection.getresponse()
            body = answer.read().decode()
            return None if answer.status == 200 and " weights " in body else f"{answer.status} {body[:80]}"
        except (OSError, http.client.HTTPException) as error:
            return repr(error)
        finally:
            connection.close()

    def run(self):
        while not self.stopping.wait(0.01):
            begun = time.monotonic()
            why = self.ask()
            if why is None:
                self.good, self.last_good = self.good + 1, time.monotonic()
            else:
                self.failed.append((begun, time.monotonic(), why))

    def stop(self):
        self.stopping.set()
        self.join(15)


class Supervisor(threading.Thread):
    """Starts again what ended, as systemd would; an end that nobody caused is a fault of the daemon."""

    def __init__(self, f):
        super().__init__(daemon=True)
        self.f, self.lock, self.stopping = f, threading.Lock(), threading.Event()
        self.killed, self.faults = collections.Counter(), []

    def start_again(self, name):
        if name == "coordinator":
            self.f.start_coordinator(wait=False)
        else:
            self.f.start_agent(name)

    def kill(self, name):
        with self.lock:
            process = self.f.processes[name]
            if process.poll() is None:
                self.killed[process.pid] += 1
                process.kill()

    def run(self):
        while not self.stopping.wait(0.02):
            with self.lock:
                for name, process in list(self.f.processes.items()):
                    code = process.poll()
                    if code is None:
                        continue
                    if self.killed.pop(process.pid, 0) == 0:
                        self.faults.append(f"{name} ended by itself with {code}: {self.f.log(name)[-600:]}")
                    self.start_again(name)

    def stop(self):
        self.stopping.set()
        self.join(5)


class Killer(threading.Thread):
    def __init__(self, f, supervisor, seed, kills):
        super().__init__(daemon=True)
        self.f, self.supervisor, self.random, self.wanted = f, supervisor, random.Random(seed), kills
        self.done, self.counts = [], collections.Counter()  # (time, victim, what it was)
        self.stopping = threading.Event()

    def find(self, victim):
        """(pid, what) of a child that may die, or None if there is none now."""
        found = []
        for pid, _, argv in fleet.processes():
            if not any(self.f.dir in word for word in argv):
                continue
            program = os.path.basename(argv[0])
            if victim == "git" and program == "sluice-git":
                found.append((pid, argv[1]))
            if program != "sluice-exec":
                continue
            folder = argv[-1]
            env = folder[len(self.f.dir) + 1:].split("1/")[0]
            kind = "front" if argv[1] == "--front" else "run" if "/runs/" in folder else "server"
            if kind == victim and not (kind == "server" and self.counts["server " + env] >= SERVER_KILLS_MAX):
                found.append((pid, env if kind != "run" else folder))
        return self.random.choice(sorted(found)) if found else None

    def wait_for(self, victim):
        """Children come and go: one of `git` lives for milliseconds, one of `run` for a second in each round."""
        end = time.monotonic() + 1
        while time.monotonic() < end and not self.stopping.is_set():
            found = self.find(victim)
            if found:
                return found
            time.sleep(0.002)
        return None

    def kill(self, victim):
        if victim in self.f.processes:
            self.supervisor.kill(victim)
            self.done.append((time.monotonic(), victim, victim))
            return True
        found = self.wait_for(victim)
        if not found:
            return False
        pid, what = found
        self.done.append((time.monotonic(), victim, what))
        try:
            os.kill(pid, 9)
        except OSError:
            self.done.pop()
            return False
        self.counts[f"{victim} {what}"] += 1
        return True

    def run(self):
        while len(self.done) < self.wanted and not self.stopping.wait(self.random.uniform(*PAUSE)):
            victim = self.random.choice(VICTIMS)
            if not self.kill(victim):  # none of its kind lives now: somebody else
                self.kill(self.random.choice(VICTIMS[:6]))

    def stop(self):
        self.stopping.set()
        self.join(5)


class Story:
    """The demo's story in rounds; every step is asked for again until its fact holds."""

    def __init__(self, seed, kills):
        self.f = fleet.Fleet()
        self.remote = os.path.join(self.f.dir, "remote.git")
        self.acknowledged, self.rounds = {}, 0  # attempt number -> act
        self.attempt_of = {}  # what prod served -> the attempt that brought it there first
        self.f.run("git", "init", "-q", "--bare", self.remote)
        self.f.configure(stateRemote={"url": self.remote})  # so that there is a child sluice-git at every commit
        self.f.start_all()
        self.f.write_app()
        self.f.edit("app/train/train.yaml", "  timeLimit",
                    "  env: [{name: STARTED, value: %s}]\n  retries: {infra: 100}\n  timeLimit" % self.f.dir)
        self.f.edit("app/train/code/train.py", "SECONDS = 0.2", "SECONDS = 1")
        self.supervisor = Supervisor(self.f)
        self.killer = Killer(self.f, self.supervisor, seed, kills)
        self.visitors = {}

    def ask(self, *args):
        """An acknowledged request, or False. What was acknowledged is looked for at the end."""
        done = self.f.sluice(*args, "--reason", "chaos", "-o", "json", code=None, timeout=60)
        if done.returncode != 0:
            return False
        answer = json.loads(done.stdout)
        self.acknowledged[answer.get("attempt", answer.get("n"))] = args[0]
        return True

    def wait(self, what, fact):
        self.f.wait(f"round {self.rounds}: {what}", fact, PATIENCE)

    def healthy(self, env, subject):
        self.wait(f"{env} is healthy on {subject}", lambda: self.f.healthy(env, subject))

    def visit(self, env):
        if env not in self.visitors:
            self.visitors[env] = Visitor(self.f.port + fleet.SERVERS[env])
            self.visitors[env].start()

    def to_prod(self, subject, answer):
        """Asks until somebody acknowledged it, then signs what waits, until prod is there."""
        # The release is named: a coordinator killed now may not know yet again that it succeeded in test, and take an older one.
        self.wait("promote is acknowledged", lambda: self.ask("promote", "app", "--to", "prod", "--release", self.f.unit("test")["release"]))

        def there():
            if self.f.healthy("prod", subject):
                return True
            unit = self.f.unit("prod")
            if unit["waiting"] and unit["waiting"][0]["state"] == "GATING":
                self.f.sluice("approve", "app/prod", "--yes", code=None)
            elif not unit["waiting"] and (unit.get("last") or {}).get("state") in ("FAILED", "ERRORED"):
                raise AssertionError(f"the promotion of {subject} ended {unit['last']}")
            return False

        self.wait(f"prod is healthy on {subject}", there)
        self.wait(f"prod serves {answer}", lambda: self.f.serves("prod") == answer)
        self.wait("the attempt is shown", lambda: self.attempt_of.setdefault(answer, self.f.unit("prod")["attempt"]))

    def roll_back(self, answer):
        target = str(self.attempt_of[answer])  # named, so that asking again after a lost answer asks for the same
        self.wait("rollback is acknowledged", lambda: self.ask("rollback", "app/prod", "--to-attempt", target, "--yes") or
                  self.f.serves("prod") == answer)
        self.wait(f"prod serves {answer} again", lambda: self.f.serves("prod") == answer)
        self.wait("the rollback succeeded", lambda: self.rolled_back(self.f.unit("prod")))
        self.wait("prod is unpinned", lambda: self.f.sluice("unpin", "app/prod", "--reason", "chaos", code=None).returncode == 0)

    @staticmethod
    def rolled_back(unit):
        """The last attempt that ended is this rollback: until then it is the promotion before."""
        return unit["pinned"] and (unit["last"]["act"], unit["last"]["state"]) == ("rollback", "SUCCEEDED")

    def first(self):
        self.f.push("first")
        self.healthy("dev", "first")
        self.visit("dev")
        self.healthy("test", "first")
        self.visit("test")
        self.to_prod("first", "one weights 0.95\n")
        self.visit("prod")
        self.version = "one"

    def round(self):
        n = self.rounds = self.rounds + 1
        runs = len(self.f.wait("runs are seen", self.f.runs, PATIENCE))
        self.f.write("app/serve/README.md", f"typo {n}\n")
        self.f.push(f"typo {n}")
        self.healthy("test", f"typo {n}")
        self.wait("no run more", lambda: len(self.f.runs()) == runs)
        before, self.version = self.version, f"v{n}"
        self.f.edit("app/serve/code/serve.py", f'"{before}"', f'"{self.version}"')
        self.f.push(f"server {n}")
        self.healthy("test", f"server {n}")
        self.to_prod(f"server {n}", f"{self.version} weights 0.95\n")
        self.f.edit("app/train/code/train.py", "ACCURACY = 0.95", f"ACCURACY = 0.5  # {n}")
        self.f.push(f"worse {n}")
        self.wait("test rejects the worse model", lambda: self.rejected(f"worse {n}"))
        self.wait("test serves what it did", lambda: self.f.serves("test") == f"{self.version} weights 0.95\n")
        self.f.edit("app/train/code/train.py", f"ACCURACY = 0.5  # {n}", "ACCURACY = 0.95")
        self.f.push(f"better {n}")
        self.healthy("test", f"better {n}")
        self.roll_back(f"{before} weights 0.95\n")

    def rejected(self, subject):
        return any(a["state"] == "REJECTED" and a["subject"] == subject for a in self.f.json("history", "app/test")["attempts"])

    def run(self):
        self.supervisor.start()
        self.killer.start()
        try:
            self.first()
            self.round()
            while self.killer.is_alive():
                self.round()
        finally:
            self.killer.stop()
            for visitor in self.visitors.values():
                visitor.stop()
            self.supervisor.stop()
        self.check()

    # -- what must hold --

    def check(self):
        self.f.wait("everybody is connected", lambda: all(c["connected"] and not c["stale"] for c in self.f.status()["clusters"]))
        assert not self.supervisor.faults, "\n".join(self.supervisor.faults)
        self.check_acknowledged()
        self.check_runs()
        for env, visitor in self.visitors.items():
            self.check_service(env, visitor)
        self.f.wait("the remote has everything", lambda: self.f.refs(self.remote) == self.f.refs())
        self.f.kill("coordinator", 15)
        self.f.run(fleet.BIN + "/sluice-coordinator", "check", "--dir", self.f.state)  # folds the whole chain
        for repo in (self.f.state_git(), self.remote):
            self.f.run("git", "-C", repo, "fsck", "--strict", "--no-dangling")

    def check_acknowledged(self):
        attempts = {a["n"]: a for a in self.f.json("history", "app/prod", "--limit", "1000")["attempts"]}
        for n, act in self.acknowledged.items():
            assert n in attempts and attempts[n]["act"] == act, f"attempt {n} ({act}) was acknowledged and is not in the ledger"
            assert attempts[n]["state"] in ("SUCCEEDED", "SUPERSEDED", "ABORTED"), attempts[n]

    def check_runs(self):
        """A run id is started once, and once more for each kill of its own sluice-exec."""
        killed = collections.Counter()
        for _, victim, what in self.killer.done:
            if victim == "run":
                killed[what.split("/runs/")[1].split("/")[0]] += 1
        with open(os.path.join(self.f.dir, "started")) as file:
            starts = collections.Counter(file.read().split())
        for run, count in starts.items():
            lost = sum(n for folder, n in killed.items() if run.startswith(folder) or folder.startswith(run))
            assert count <= 1 + lost, f"run {run} was started {count} times; its sluice-exec was killed {lost} times"
        known = {run["id"]: run["phase"] for run in self.f.runs()}
        assert set(known) == set(starts) and set(known.values()) == {"Succeeded"}, (known, starts)

    def check_service(self, env, visitor):
        """Nobody's death but that of its own front or server is seen by who uses it."""
        own = [at for at, victim, what in self.killer.done if victim in ("front", "server") and what == env]
        unexplained = [(ended, why) for begun, ended, why in visitor.failed
                       if not any(begun - OUTAGE_MAX <= at <= ended for at in own)]
        assert not unexplained, f"{env}: {len(unexplained)} requests failed, the first {unexplained[0]}; own deaths {own}"
        assert visitor.good > 0 and time.monotonic() - visitor.last_good < 60, f"{env} answers no more"

    def summary(self):
        counts = collections.Counter(victim for _, victim, _ in self.killer.done)
        asked = {env: f"{v.good} good, {len(v.failed)} failed around their own server's death" for env, v in self.visitors.items()}
        return (f"{len(self.killer.done)} kills ({', '.join(f'{n} {who}' for who, n in sorted(counts.items()))}), "
                f"{self.rounds} rounds, {len(self.acknowledged)} requests acknowledged and kept; requests: {asked}")


def run(kills, seed):
    print(f"chaos: {kills} kills, seed {seed}; again with: ./dev chaos --kills {kills} --seed {seed}", flush=True)
    begun = time.monotonic()
    story = Story(seed, kills)
    try:
        story.run()
        print(f"chaos: {story.summary()}; {time.monotonic() - begun:.0f} s", flush=True)
    except BaseException:
        print("chaos: kills so far: " + ", ".join(f"{what}" for _, _, what in story.killer.done[-20:]), file=sys.stderr)
        raise
    finally:
        story.f.stop()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    args = parser.parse_args()
    run(args.kills, args.seed)


if __name__ == "__main__":
    main()
