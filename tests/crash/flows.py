"""The flows that are killed at every step. A flow is repeated on one fleet, so its `n` makes values that were never there before.

prepare: brings the fleet to where the flow begins, undisturbed. act and done are disturbed: act asks again only for what
nobody acknowledged, done waits for the facts that must come true by themselves. after: makes room for the next round,
undisturbed."""
import os
import shutil
import subprocess

from shimmed import Refused, fleet


class Flow:
    victims = ("coordinator", "dev1")

    def prepare(self, f, n):
        pass

    def act(self, f, n):
        raise NotImplementedError

    def done(self, f, n):
        raise NotImplementedError

    def after(self, f, n):
        pass


def push_map(f, name, value):
    f.set_map(name, value)
    f.push(f"{name} is {value}")


class Push(Flow):
    def act(self, f, n):
        push_map(f, "a", f"push {n}")

    def done(self, f, n):
        f.settle(f"a is push {n}")


class Seal(Flow):
    """A new run: started, ended, its output stored, sealed; the seal fills the item and mints a release."""

    def act(self, f, n):
        f.set_job(f"w{n}")
        push_map(f, "a", f"job {n}")

    def done(self, f, n):
        f.settle(f"a is job {n}")
        with open(os.path.join(f.dir, "started")) as file:
            started = set(file.read().split())
        f.wait(f"each of {len(started)} runs has its seal",
               lambda: {r["id"] for r in f.api("/v1/runs?app=job")["runs"] if r["sealed"]} == started)


class Prune(Flow):
    """One object of four goes, and comes back in the next round."""

    def act(self, f, n):
        path = os.path.join(f.repo, "conf/maps/d.yaml")
        if os.path.exists(path):
            os.unlink(path)
        else:
            f.set_map("d", f"again {n}")
        push_map(f, "a", f"prune {n}")

    def done(self, f, n):
        f.settle(f"a is prune {n}")
        there = os.path.exists(os.path.join(f.repo, "conf/maps/d.yaml"))
        f.wait("object d is (not) there", lambda: (f.map_on_disk("dev1", "d") is not None) == there)


def ask_promotion(f, n):
    release = f.unit_in(f.again("status", f.status), "conf", "dev")["release"]
    asked = []

    def ask():
        try:
            asked.append(f.request("promote", app="conf", env="prod", release=release, reason=f"promote {n}")["attempt"])
        except Refused as error:  # the success in dev that was shown was not on the disk yet: it comes again
            if "SLU3105" not in str(error):
                raise
        return asked
    f.wait("the release may be promoted", ask)
    return asked[0]


def wait_gating(f, attempt):
    f.wait(f"attempt {attempt} waits for a signature", lambda: any(a["n"] == attempt and a["state"] == "GATING" for a in f.waiting()))


def state_of(f, attempt):
    return f.api(f"/v1/attempts/{attempt}")["state"]


def sign(f, attempt):
    """Signed already is as good; asked again only after a death. What is shown may be ahead of the disk by one append, so
    that an attempt may have to come to its gate again."""
    def signed():
        return f.try_done(lambda: state_of(f, attempt) not in ("REQUESTED", "QUEUED", "RENDERING", "GATING"))
    def at_gate():
        f.wait(f"attempt {attempt} can be signed", lambda: signed() or state_of(f, attempt) == "GATING")
        return signed()
    f.command("approve", str(attempt), "--yes", "--no-verify", done=at_gate)


def wait_success(f, attempt, cluster="prod1"):
    def fact():
        status = f.status()
        return state_of(f, attempt) == "SUCCEEDED" and f.connected(status)
    f.wait(f"attempt {attempt} succeeds", fact)


class Promote(Flow):
    """The request, until it waits for a person."""
    victims = ("coordinator",)

    def prepare(self, f, n):
        push_map(f, "a", f"promote {n}")
        f.settle(f"a is promote {n}")

    def act(self, f, n):
        self.attempt = ask_promotion(f, n)

    def done(self, f, n):
        wait_gating(f, self.attempt)

    def after(self, f, n):
        sign(f, self.attempt)
        wait_success(f, self.attempt)
        f.wait("prod has it", lambda: f.map_on_disk("prod1", "a") == f"promote {n}")


class Approve(Promote):
    victims = ("coordinator", "prod1")

    def prepare(self, f, n):
        super().prepare(f, n)
        super().act(f, n)
        super().done(f, n)

    def act(self, f, n):
        sign(f, self.attempt)

    def done(self, f, n):
        wait_success(f, self.attempt)
        f.wait("prod has it", lambda: f.map_on_disk("prod1", "a") == f"promote {n}")

    def after(self, f, n):
        pass


def deploy(f, n):
    first = Approve()
    first.prepare(f, n)
    first.act(f, n)
    first.done(f, n)


class Rollback(Flow):
    victims = ("coordinator", "prod1")

    def prepare(self, f, n):
        if f.map_on_disk("prod1", "a") is None:
            deploy(f, f"{n}a")
        self.before = f.map_on_disk("prod1", "a")
        deploy(f, f"{n}b")

    def act(self, f, n):
        self.attempt = f.request("rollback", app="conf", env="prod", reason="roll back")["attempt"]
        wait_gating(f, self.attempt)
        sign(f, self.attempt)

    def done(self, f, n):
        wait_success(f, self.attempt)
        f.wait("prod is back", lambda: f.map_on_disk("prod1", "a") == self.before)

    def after(self, f, n):
        unit = f.unit_in(f.status(), "conf", "prod")
        assert unit["pinned"] and unit["vetoes"], "a rollback pins the unit and vetoes the release"
        f.request("unpin", app="conf", env="prod", reason="go on")


class Remove(Flow):
    """The whole unit goes: every object is pruned."""
    victims = ("coordinator", "prod1")

    def prepare(self, f, n):
        deploy(f, n)

    def act(self, f, n):
        self.attempt = f.request("remove", app="conf", env="prod", reason="no more")["attempt"]
        wait_gating(f, self.attempt)
        sign(f, self.attempt)

    def done(self, f, n):
        wait_success(f, self.attempt)
        f.wait("prod has nothing", lambda: all(f.map_on_disk("prod1", name) is None for name in "abcd"))


class Pause(Flow):
    """Paused and resumed; what was acknowledged holds at once and after every restart."""
    victims = ("coordinator", "dev1")

    def paused(self, f):
        return bool(f.unit_in(f.status(), "conf", "dev").get("paused"))

    def act(self, f, n):
        f.command("pause", "conf/dev", "--yes", "--reason", f"pause {n}", done=lambda: f.try_done(lambda: self.paused(f)))
        f.wait("it is paused", lambda: self.paused(f))
        f.command("resume", "conf/dev", "--yes", "--reason", f"resume {n}", done=lambda: f.try_done(lambda: not self.paused(f)))

    def done(self, f, n):
        f.wait("it is resumed", lambda: not self.paused(f) and f.connected(f.status()))


class Root(Flow):
    """alice's key gives way to a new one, signed by both; every agent follows."""

    def prepare(self, f, n):
        with open(os.path.join(f.dir, "config/sluice/config.json")) as file:
            self.old = file.read().split('"key"')[1].split('"')[1]
        self.version = f.status()["rootVersion"]
        self.new, self.draft = os.path.join(f.dir, f"key{n}"), os.path.join(f.dir, f"root{n}.json")
        f.sluice("key", "create", self.new)
        f.sluice("root", "rotate", self.old + ".pub", self.new + ".pub", "--yes", "--out", self.draft, code=23)
        f.sluice("key", "use", self.new)

    def act(self, f, n):
        f.command("root", "sign", self.draft, "--yes", done=lambda: f.try_done(lambda: f.status()["rootVersion"] == self.version + 1))

    def done(self, f, n):
        def fact():
            status = f.status()
            return status["rootVersion"] == self.version + 1 and all(
                c["connected"] and c["rootVersion"] == self.version + 1 for c in status["clusters"])
        f.wait("every agent has the next root", fact)


class Enrol(Flow):
    """A machine joins with its token. A token that was used by a join that died is asked for again."""
    victims = ("coordinator", "join")

    def act(self, f, n):
        name = f"x{n}"
        folder = self.folder = os.path.join(f.dir, name)

        def add():
            return f.sluice("cluster", "add", name, "--env", "dev", "--token", code=None)

        def token():
            done = add()
            if "SLU3115" in done.stderr:  # made, and its token was shown to nobody: taken back, as the error advises
                f.sluice("cluster", "remove", name)
                done = add()
            if done.returncode != 0:
                raise fleet.CommandFailed(["cluster add"], done.returncode, done.stdout, done.stderr)
            return done.stdout.strip()

        def join():
            env = f.shim_env("join")
            env["SHIM_ROOTS"] = folder
            begun = subprocess.Popen([fleet.BIN + "/sluice-agent", "join", "--dir", folder, "--timeout", "20s"], env=env, text=True,
                                     stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            begun.stdin.write(self.token + "\n")
            begun.stdin.close()
            f.wait("join ends", lambda: begun.poll() is not None)
            said = begun.stdout.read()
            begun.stdout.close()
            if f.controls["join"].acted() and "join" not in f.deaths:
                f.deaths.append("join")
                if begun.returncode != 0:  # not every call that fails is needed
                    f.judge_end("join", begun.returncode, said)
                f.controls["join"].disarm()
            if "SLU" in said and "joined already" in said:
                return  # it was done when it died
            if begun.returncode != 0:
                raise fleet.CommandFailed(["join"], begun.returncode, said, "")

        self.token = f.again("cluster add", token)
        f.again("join", join)

    def done(self, f, n):
        name = f"x{n}"
        if name not in f.processes:  # asked again after a death, it may run already
            f.start_agent(name)
        f.wait(f"{name} is there", lambda: any(c["name"] == name and c["connected"] for c in f.status()["clusters"]))

    def after(self, f, n):
        name = f"x{n}"
        f.kill(name)
        f.command("cluster", "remove", name, done=lambda: f.try_done(lambda: all(c["name"] != name for c in f.status()["clusters"])))
        shutil.rmtree(self.folder)


class Start(Flow):
    """Start and recovery: dies again while it gets up, after a push that it had no time for."""

    def prepare(self, f, n):
        f.kill(self.victim)
        f.set_map("a", f"start {n}")
        f.git("add", "-A")
        f.git("commit", "-q", "-m", f"a is start {n}")

    def act(self, f, n):
        if self.victim == "coordinator":
            f.start_coordinator(wait=False)
        else:
            f.start_agent(self.victim)
        f.wait("the coordinator answers", lambda: f.api("/readyz", raw=True))
        f.request("refresh")

    def done(self, f, n):
        f.settle(f"a is start {n}")


FLOWS = {"push": Push, "seal": Seal, "prune": Prune, "promote": Promote, "approve": Approve, "rollback": Rollback,
         "remove": Remove, "pause": Pause, "root": Root, "enrol": Enrol, "start": Start}
