"""A fleet whose daemons run under the shim (shim.h), and an independent eye on what they leave behind."""
import hashlib
import http.client
import json
import mmap
import os
import struct
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))
import fleet  # noqa: E402

LIBRARY = os.path.join(fleet.BIN, "libsluice-crash-shim.so")
PAGE = 1024
WORDS = ["armed", "at", "mode", "seed", "count", "acted", "alloc_at", "alloc_mode", "alloc_count", "alloc_failed", "resynced"]
MODES = ["count", "kill", "after", "half", "lost", "torn", "mixed", "eio", "enospc", "eintr", "short"]
ERRORS = MODES[MODES.index("eio"):]
LOSSES = ["lost", "torn", "mixed"]
TEXTS = 16 * 4  # where `what` begins
PATIENCE = 40

FLEET = """\
apiVersion: gitops.sluice/v1alpha1
kind: Fleet
metadata: {name: e2e}
---
apiVersion: gitops.sluice/v1alpha1
kind: Environment
metadata: {name: dev}
spec: {promotion: newest}
---
apiVersion: gitops.sluice/v1alpha1
kind: Environment
metadata: {name: prod}
spec: {after: [dev], promotion: manual}
---
apiVersion: gitops.sluice/v1alpha1
kind: Application
metadata: {name: conf}
spec:
  source: {path: conf}
  environments: {dev: {parts: [{paths: [maps]}]}, prod: {parts: [{paths: [maps]}]}}
---
apiVersion: gitops.sluice/v1alpha1
kind: Application
metadata: {name: job}
spec:
  source: {path: job}
  items: [{name: model, kind: model, from: {job: train, output: model}}]
  environments: {dev: {parts: [{paths: [train]}]}}
"""

TRAIN = """\
apiVersion: gitops.sluice/v1alpha1
kind: TrainingJob
metadata: {name: train}
spec:
  command: [/bin/sh, -c, 'echo "$SLUICE_RUN" >> %s; mkdir -p "$SLUICE_OUTPUT_MODEL"; echo %s > "$SLUICE_OUTPUT_MODEL/weights"']
  outputs: [{name: model, path: model}]
  retries: {infra: 5}
  timeLimit: 5m
"""

MAP = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: %s}\ndata: {value: \"%s\"}\n"


class Control:
    """The page that a program under the shim shares with us."""

    def __init__(self, path):
        self.path = path
        with open(path, "wb") as file:
            file.write(b"\0" * PAGE)
        with open(path, "r+b") as file:
            self.page = mmap.mmap(file.fileno(), PAGE)

    def __getitem__(self, name):
        return struct.unpack_from("I", self.page, 4 * WORDS.index(name))[0]

    def __setitem__(self, name, value):
        struct.pack_into("I", self.page, 4 * WORDS.index(name), value)

    def arm(self, mode, at, seed=1):
        self.disarm()
        self.page[TEXTS:TEXTS + 448] = b"\0" * 448
        for name in WORDS:
            self[name] = 0
        self["seed"] = seed
        if mode in ("alloc", "allocs"):
            self["alloc_at"], self["alloc_mode"] = at, 1 if mode == "alloc" else 2
        else:
            self["at"], self["mode"] = at, MODES.index(mode)
        self["armed"] = 1

    def disarm(self):
        self["armed"] = self["alloc_mode"] = 0

    def acted(self):
        return self["acted"] or self["alloc_failed"]

    def where(self):
        what, path = self.page[TEXTS:TEXTS + 64], self.page[TEXTS + 64:TEXTS + 448]
        return (what.split(b"\0")[0] + b" " + path.split(b"\0")[0]).decode(errors="replace").strip()


class Unacknowledged(Exception):
    """Nobody answered, or it was an error while the victim lay dying: the person asks again."""


class Refused(AssertionError):
    """An answer with an error that nothing explains."""


class Shimmed(fleet.Fleet):
    def __init__(self):
        if os.access("/dev/shm", os.W_OK):
            tempfile.tempdir = "/dev/shm"
        super().__init__()
        self.canaries.stopped.set()  # secrets are another test's; looking for them costs time here
        self.controls, self.errors_allowed, self.deaths, self.late, self.keys = {}, None, [], set(), 0
        self.seen = {"tip": None, "seq": 0, "hash": "0" * 64, "committed": {}, "seals": {}}
        for name in ("coordinator", "dev1", "prod1", "join"):
            self.controls[name] = Control(os.path.join(self.dir, name + ".shim"))
        self.start_coordinator()
        for env in ("dev", "prod"):
            self.add_cluster(env + "1", env, sign=env == "prod")
        self.write("sluice.yaml", FLEET)
        for name in "abcd":
            self.set_map(name, "0")
        self.set_job("0")
        self.push("base")
        self.settle("base")

    # -- programs under the shim --

    def shim_env(self, name):
        control = self.controls.get(name)
        if control is None:
            return self.env
        root = self.state if name == "coordinator" else os.path.join(self.dir, name)
        return dict(self.env, LD_PRELOAD=LIBRARY, SHIM_CONTROL=control.path, SHIM_ROOTS=root,
                    SHIM_GRAVE=os.path.join(self.dir, name + ".grave"),
                    SHIM_PROGRAM="sluice-coordinator" if name == "coordinator" else "sluice-agent")

    def start(self, name, *args):
        with open(os.path.join(self.dir, name + ".log"), "ab") as log:
            self.processes[name] = subprocess.Popen(args, env=self.shim_env(name), stdout=log, stderr=log,
                                                    stdin=subprocess.DEVNULL)

    def start_coordinator(self, wait=True):
        self.start("coordinator", fleet.BIN + "/sluice-coordinator", "run", "--dir", self.state)
        if wait:
            self.wait("the coordinator answers", lambda: self.api("/readyz", raw=True))

    def start_again(self, name):
        self.controls[name].disarm()
        if name == "coordinator":
            self.start_coordinator(wait=False)
        else:
            self.start_agent(name)

    def supervise(self):
        """Starts again what ended; an end that no plan explains is a finding."""
        for name, process in list(self.processes.items()):
            code = process.poll()
            if code is None:
                continue
            control = self.controls.get(name)
            planned = control is not None and name not in self.deaths and (control.acted() or name in self.late)
            if not planned:
                raise AssertionError(f"{name} ended by itself with {code}: {self.log(name)[-800:]}")
            self.deaths.append(name)
            self.judge_end(name, code)
            self.start_again(name)

    def judge_end(self, name, code, said=None):
        """A kill is a kill; after a failed call it says why and leaves, and never by a wrong address."""
        said = self.log(name) if said is None else said
        if self.errors_allowed is None:  # in a loss of power a mapped file may be cut under another thread: SIGBUS, and over
            good = code == -9 or (code == -7 and MODES[self.controls[name]["mode"]] in LOSSES)
        elif self.errors_allowed in ERRORS:
            good = code > 0 and "SLU" in said[-2000:]
        else:  # memory: an abort (GLib's SIGTRAP, SIGABRT) or an error
            good = code > 0 or code in (-5, -6)
        assert good or name in self.late, f"{name} ended with {code} after {self.errors_allowed or 'a kill'}: {said[-800:]}"

    def wait_for_death(self, name):
        """The kill may come with the very last call of a flow."""
        if self.controls[name].acted() and self.errors_allowed is None:
            self.wait(f"{name} is started again", lambda: name in self.deaths)

    def wait(self, what, fact, seconds=PATIENCE):
        end = time.monotonic() + seconds
        last = None
        while True:
            self.supervise()
            try:
                if fact():
                    return
                last = None
            except (OSError, http.client.HTTPException, Unacknowledged, KeyError, IndexError, TypeError, ValueError,
                    fleet.CommandFailed) as error:
                last = error
            if time.monotonic() > end:
                raise AssertionError(f"waited in vain: {what}\n{last or ''}\n{self.describe()}")
            time.sleep(0.01)

    def stop(self):
        self.end()

    # -- requests --

    def ask(self, method, path, body=None, headers=None):
        connection = fleet.Api(os.path.join(self.state, "api.sock"), 10)
        try:
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def api(self, path, raw=False):
        status, body = self.ask("GET", path)
        if status != 200:
            raise Unacknowledged(f"{path}: {status} {body[:200]}")
        return body or b"{}" if raw else json.loads(body)

    def status(self):
        return self.api("/v1/status")

    def again(self, what, step):
        """Until it is acknowledged, as a person would; only a death (or the planned error) excuses a failure."""
        for _ in range(8):
            deaths = len(self.deaths)
            try:
                return step()
            except (OSError, http.client.HTTPException, Unacknowledged, fleet.CommandFailed) as error:
                why = error
            end = time.monotonic() + 1
            while len(self.deaths) == deaths and time.monotonic() < end:
                self.supervise()
                time.sleep(0.01)
            full = "SLU3012" in str(why)  # no room a moment ago: refused, and taken again within seconds
            excused = full or len(self.deaths) > deaths or (self.errors_allowed and any(c.acted() for c in self.controls.values()))
            if not excused:
                raise Refused(f"{what}: {why}\n{getattr(why, 'err', '')}")
            self.wait("the coordinator answers", lambda: self.api("/readyz", raw=True))
        raise Refused(f"{what}: {why}")

    def request(self, verb, **args):
        self.keys += 1
        key = {"Idempotency-Key": f"k{self.keys}", "Content-Type": "application/json"}

        def step():
            status, body = self.ask("POST", "/v1/actions/" + verb, json.dumps({"args": args}), key)
            if status not in (200, 202):
                raise Unacknowledged(f"{verb}: {status} {body[:300]}")
            return json.loads(body)

        return self.again(verb, step)

    def command(self, *args, done=lambda: False):
        """`done`: it happened although nobody said so."""
        self.again(" ".join(args), lambda: done() or self.sluice(*args))

    def try_done(self, fact):
        try:
            return fact()
        except (OSError, http.client.HTTPException, Unacknowledged, LookupError):
            return False

    # -- the fleet repository --

    def set_map(self, name, value):
        self.write(f"conf/maps/{name}.yaml", MAP % (name, value))

    def set_job(self, value):
        self.write("job/train/train.yaml", TRAIN % (os.path.join(self.dir, "started"), value))

    def push(self, message):
        self.git("add", "-A")
        self.git("commit", "-q", "-m", message)
        self.request("refresh")

    # -- facts --

    def unit_in(self, status, app, env):
        return next((u for u in status["units"] if (u["app"], u["env"]) == (app, env)), {})

    def runs_on(self, status, app, env, subject):
        unit = self.unit_in(status, app, env)
        return (unit.get("subject") == subject and unit.get("health") == "Healthy" and not unit.get("active") and
                not unit.get("waiting") and (unit.get("last") or {}).get("state") == "SUCCEEDED")

    def connected(self, status):
        return len(status["clusters"]) >= 2 and all(c["connected"] for c in status["clusters"])

    def sealed(self, status):
        return all(r["phase"] == "Succeeded" and r["sealed"] for r in status["runs"]) and status["runs"]

    def settle(self, subject):
        """dev runs what was pushed, every run is sealed, everybody is there."""
        def fact():
            status = self.status()
            return self.runs_on(status, "conf", "dev", subject) and self.connected(status) and self.sealed(status)
        self.wait(f"dev runs `{subject}`", fact)

    def waiting(self, env="prod", app="conf"):
        return self.unit_in(self.status(), app, env).get("waiting") or []

    def map_on_disk(self, cluster, name):
        path = os.path.join(self.dir, cluster, "engine/process/config/conf/-", name, "value")
        try:
            with open(path) as file:
                return file.read()
        except OSError:
            return None

    # -- the independent eye: files and git only --

    def new_lines(self, tip):
        """Lines of events between the tip that was seen last and now; the ledger only grows."""
        last = self.seen["tip"]
        if last:
            assert self.run("git", "-C", self.state_git(), "merge-base", "--is-ancestor", last, tip, code=None).returncode == 0, \
                f"the ledger forgot {last}"
        out = self.run("git", "-C", self.state_git(), "log", "--reverse", "-p", "--format=", "--no-renames", "-U0", "--text",
                       (last + ".." if last else "") + tip, "--", ".", ":!maps").stdout
        return [line[1:] for line in out.split("\n") if line.startswith("+{")]

    def check_ledger(self, tip):
        seen = self.seen
        for line in self.new_lines(tip):
            event = json.loads(line)
            assert event["prev"] == seen["hash"] and event["seq"] == seen["seq"] + 1, f"the chain breaks at {line[:200]}"
            seen["hash"], seen["seq"] = hashlib.sha256(line.encode()).hexdigest(), event["seq"]
            if event["type"] == "Committed":
                commit = (event["env"], event["new"])
                assert commit not in seen["committed"], f"{commit} was committed twice"
                seen["committed"][commit] = event["seq"]
            elif event["type"] == "ExternalChange":
                raise AssertionError(f"nobody but us wrote, and it says {line[:300]}")
            elif "eal" in event["type"] and event.get("run"):
                assert event["run"] not in seen["seals"], f"run {event['run']} was sealed twice"
                seen["seals"][event["run"]] = event["seq"]
        seen["tip"] = tip

    def named(self, env):
        return [commit for (name, commit) in self.seen["committed"] if name == env]

    def branches_follow(self, refs):
        return all(not self.named(env) or refs.get("env/" + env) == self.named(env)[-1] for env in ("dev", "prod"))

    def check_branches(self, refs):
        """Every commit of an environment's branch is named by exactly one event, and the tip is the last of them."""
        for env in ("dev", "prod"):
            named = self.named(env)
            if not named:
                continue
            assert refs.get("env/" + env) == named[-1], f"{env}: the branch is at {refs.get('env/' + env)}, committed is {named[-1]}"
            count = int(self.run("git", "-C", self.state_git(), "rev-list", "--count", named[-1]).stdout)
            assert count == len(named), f"{env}: {count} commits, {len(named)} of them committed"

    def check_maps(self, env, refs):
        """What runs is what the branch says."""
        tip = refs.get("env/" + env)
        listed = self.run("git", "-C", self.state_git(), "ls-tree", "-r", "--name-only", tip, "manifests/conf").stdout.split() if tip else []
        for name in "abcd":
            path = next((p for p in listed if p.endswith(f"/ConfigMap_{name}.yaml")), None)
            said = self.run("git", "-C", self.state_git(), "show", f"{tip}:{path}").stdout if path else None
            value = self.map_on_disk(env + "1", name)
            assert (value is None) == (said is None) and (said is None or f'"{value}"' in said), \
                f"{env}: ConfigMap {name} is {value!r} on disk, in the branch {said!r}"

    def check_slots(self, cluster):
        good = 0
        for slot in "ab":
            try:
                with open(os.path.join(self.dir, cluster, "state", slot), "rb") as file:
                    head, content = file.read().split(b"\n", 1)
            except OSError:
                continue
            words = head.split(b" ")
            text = b"%s %s %s\n" % (words[1], words[2], words[3]) + content
            good += hashlib.sha256(text).hexdigest().encode() == words[4]
        assert good > 0, f"{cluster}: no slot can be read"

    def check_runs(self):
        with open(os.path.join(self.dir, "started")) as file:
            starts = file.read().split()
        assert len(starts) == len(set(starts)), f"a run was started twice: {starts[-4:]}"

    def fsck(self):
        """A repack takes packs away while git looks at them: what is found counts only if none did."""
        folder = os.path.join(self.state_git(), "objects/pack")
        for _ in range(5):
            packs = set(os.listdir(folder))
            done = self.run("git", "-C", self.state_git(), "fsck", "--strict", "--no-dangling", code=None)
            if done.returncode == 0:
                return
            if packs <= set(os.listdir(folder)):
                break
        raise AssertionError(f"git fsck: {done.returncode}: {done.stdout[-800:]}{done.stderr[-800:]}")

    def check(self, thorough=False):
        refs = self.refs()
        self.check_ledger(refs["ledger"])
        end = time.monotonic() + PATIENCE
        while not self.branches_follow(refs) and time.monotonic() < end:  # the move comes after COMMITTED
            time.sleep(0.01)
            refs = self.refs()
            self.check_ledger(refs["ledger"])
        self.check_branches(refs)
        self.check_runs()
        for env in ("dev", "prod"):
            self.check_maps(env, refs)
            self.check_slots(env + "1")
        for name, control in self.controls.items():
            assert control["resynced"] == 0, f"{name}: a failed sync was tried again"
        if thorough:
            self.fsck()
