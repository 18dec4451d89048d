"""The coordinator is stolen: online key, transport key, ledger, model store. What agents must refuse, and what they must go on doing.

The true coordinator is killed, sluice-evil binds its endpoint with its keys, and every row of the attacks is tried on agents that
run. After each: prod serves the same bytes from the same processes, nothing was removed, the refusal is reported and shown.
"""
import json
import os
import shutil
import unittest

import fleet
import thief
from thief import at, bucket, sha256

NEVER = 1 << 40  # beyond any jump
SERVER = "object/app/prod/gitops.sluice~ModelServer/-/serve"


def read(path):
    with open(path, errors="replace") as file:
        return file.read()


def write(path, text):
    """In the place of whatever is there, whole."""
    with open(path + ".new", "w") as file:
        file.write(text)
    os.replace(path + ".new", path)


class World:
    """A fleet with two promotions in prod, a third that alice signed and took back, and a second root; then it is stolen."""

    def __init__(self):
        self.f = fleet.Fleet()
        self.dir = self.f.dir + "/stolen"
        os.mkdir(self.dir, 0o700)

    def key(self, name):
        path = f"{self.dir}/{name}"
        if not os.path.exists(path):
            self.f.run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", path)
        return path

    def line(self, name):
        return " ".join(read(self.key(name) + ".pub").split()[:2])

    def get(self, path):
        return json.loads(self.text(path))

    def text(self, path):
        return self.f.run("curl", "-sf", "--unix-socket", self.f.state + "/api.sock", "http://c" + path).stdout

    def act(self, verb, **args):
        done = self.f.run("curl", "-s", "--unix-socket", self.f.state + "/api.sock", "-H", "Content-Type: application/json",
                          "--data-binary", json.dumps({"args": args}), "http://c/v1/actions/" + verb)
        answer = json.loads(done.stdout)
        assert "error" not in answer, f"{verb}: {answer}"
        return answer

    def start(self):
        f = self.f
        f.start_all()
        f.write_app()
        f.edit("app/train/train.yaml", "  timeLimit", "  env: [{name: STARTED, value: %s}]\n  timeLimit" % self.dir)
        self.alice, self.online = f.dir + "/config/sluice/id_ed25519", f.state + "/keys/online"
        self.raise_registry()
        self.raise_root()
        f.push("first")
        f.wait_healthy("test", "first")
        f.promote()
        f.edit("app/serve/code/serve.py", '"one"', '"two"')
        f.push("second")
        f.wait_healthy("test", "second")
        f.promote()
        self.take_back_a_third()
        self.answer = f.wait("prod serves two", lambda: (f.serves("prod") or "").startswith("two ") and f.serves("prod"))

    def raise_registry(self):
        """Version 1, and a later one of the same clusters."""
        self.registries = [self.get("/v1/registries/prod")]
        self.f.sluice("cluster", "sign", "prod", "--yes")
        self.registries.append(self.get("/v1/registries/prod"))
        self.dev_registry = self.get("/v1/registries/dev")

    def root_text(self, old, version, *changes):
        text = old.replace(f"\nversion: {version - 1}\n", f"\nversion: {version}\n")
        for before, after in changes:
            assert "\n" + before in text, f"{before!r} starts no line of\n{text}"
            text = text.replace("\n" + before, "\n" + after, 1)
        return text

    def raise_root(self):
        """Roles that need two people or exclude some, a revoked key, and no role for act remove but for `app`."""
        self.roots = [self.get("/v1/roots")["roots"][-1]]
        old = self.roots[0]["text"]
        alice = [line for line in old.split("\n") if line.startswith("key: alice ")][0]
        person = [line for line in old.split("\n") if line.startswith("person: alice ")][0]
        promote = "role: env=prod app=* act=promote threshold=1 alice"
        text = self.root_text(old, 2, (person, person + "\nperson: bob bob@example.test"),
            (alice, f"{alice}\nkey: alice {self.line('alice-2')}\nkey: bob {self.line('bob')}\nkey: bob {self.line('bob-revoked')}\n"
                    f"revoked: {self.line('bob-revoked')}"),
            (promote, promote + "\nrole: env=prod app=two-* act=promote threshold=2 alice bob"
                      "\nrole: env=prod app=strict-* act=promote threshold=1 exclude=author,requester alice bob"),
            ("role: env=prod app=* act=remove", "role: env=prod app=app act=remove"))
        self.roots.append({"text": text, "sigs": self.sign(text, self.alice)})
        self.act("root", **self.roots[-1])
        self.f.wait("every agent has root 2", lambda: all(c["rootVersion"] == 2 for c in self.f.status()["clusters"]))

    def sign(self, text, *keys):
        return thief.Thief.sign(self, text, *keys)

    def take_back_a_third(self):
        """A new model; alice signs the promotion to prod, hands it in to nobody, and aborts it."""
        f = self.f
        f.edit("app/train/code/train.py", "ACCURACY = 0.95", "ACCURACY = 0.96")
        f.push("third")
        f.wait_healthy("test", "third")
        f.sluice("promote", "app", "--to", "prod", "--reason", "third")
        waiting = f.wait("the third waits", lambda: [a for a in f.unit("prod")["waiting"] if a["state"] == "GATING"])[0]
        self.shown = self.get(f"/v1/attempts/{waiting['n']}")
        third = self.shown["statement"]
        self.third = {"text": third["text"], "sigs": self.sign(third["text"], self.alice)}
        f.sluice("abort", str(waiting["n"]), "--reason", "not today")
        f.wait("the third is aborted", lambda: not f.unit("prod")["waiting"])

    def steal(self):
        f = self.f
        done = [a for a in self.get("/v1/history?app=app&env=prod")["attempts"] if a["state"] == "SUCCEEDED"]
        self.second, self.first = [self.get(f"/v1/attempts/{a['n']}")["statement"] for a in done[:2]]
        dev = f.unit("dev")
        self.dev = self.get("/v1/statements/" + dev["promotion"])
        status = f.status()
        self.bundles = {}
        for env in ("dev", "prod"):
            bundle = f.unit(env)["targets"][0]["bundle"]
            self.bundles[env] = (bundle, self.text("/v1/blobs/" + bundle))
        self.processes = self.prod_processes()
        agents = []
        for env in ("dev", "test", "prod"):
            agents += self.agents_of(env)
        self.object = self.text("/v1/blobs/" + self.object_of("prod", "ModelServer"))
        self.job = self.text("/v1/blobs/" + self.object_of("dev", "TrainingJob"))
        f.kill("coordinator")
        fields = {"fleet": status["fleetId"], "ledger-seq": status["ledger"]["seq"], "ledger-hash": status["ledger"]["hash"]}
        self.t = thief.Thief(f, self.online, agents, fields)
        self.t.wait("three agents say hello to the thief", lambda: all(a.nonce for a in agents), 30)
        for s in [self.first, self.second, self.third, self.dev, *self.roots, *self.registries, self.dev_registry]:
            self.t.keep(s["text"], s["sigs"])
        self.promotions = {name: sha256(getattr(self, name)["text"]) for name in ("first", "second", "third", "dev")}
        self.evil_bundle = self.make_bundle()

    def object_of(self, env, kind):
        return [line for line in self.bundles[env][1].split("\n") if line.startswith("object gitops.sluice/" + kind)][0].split(" ")[-1]

    def agents_of(self, env):
        """From the registry's digest map, as an agent would read it."""
        index = self.text("/v1/blobs/" + thief.fields_of(self.get("/v1/registries/" + env)["text"])["clusters"])
        agents = []
        for line in self.text("/v1/blobs/" + index.split("\n")[1]).splitlines():
            name, *words = line.split(" ")
            agents.append(thief.Agent(name, env, dict(word.split("=", 1) for word in words)["curve"]))
        return agents

    def prod_processes(self):
        """(pid, start time) of everything that the agent of prod started."""
        found, mine = set(), self.f.dir + "/prod1"
        for pid, where, argv in fleet.processes():
            if (mine in where or any(mine in word for word in argv)) and "sluice-agent" not in " ".join(argv):
                try:
                    found.add((pid, read(f"/proc/{pid}/stat").rsplit(")", 1)[1].split()[19]))
                except OSError:  # it ended meanwhile
                    continue
        return found

    def make_bundle(self, change=lambda text: text.replace('"serve.py"', '"serve.py","--evil"')):
        """prod's bundle with its one object changed."""
        _, text = self.bundles["prod"]
        changed = change(self.object)
        assert changed != self.object
        line = [line for line in text.split("\n") if line.startswith("object ")][0]
        words = line.split(" ")
        words[4:] = [str(len(changed.encode())), self.t.blob(changed)]
        return self.t.blob(text.replace(line, " ".join(words)))

    def promotion(self, unit, *keys, sigs=None, **changes):
        """The promotion in force in prod, changed, and signed by `keys`."""
        fields = {**thief.fields_of(self.second["text"]), "unit": unit, "seq": 1, "previous": None, "auto-rollback-to": None,
                  "author": None, "targets": self.t.map({"prod1": self.evil_bundle}), "target-count": 1, "not-before": at(-60),
                  "activate-until": at(3600), **{key.replace("_", "-"): value for key, value in changes.items()}}
        text = thief.statement("promotion", thief.PROMOTION, fields)
        return self.t.keep(text, sigs if sigs is not None else self.t.sign(text, *keys))


def people(w, unit, *names, **changes):
    return w.promotion(unit, *[w.alice if name == "alice" else w.online if name == "online" else w.key(name) for name in names], **changes)


def targets(w, unit, *buckets):
    return people(w, unit, "alice", targets=w.t.raw_map(*buckets))


def listing(w, unit, text):
    return people(w, unit, "alice", targets=w.t.map({"prod1": w.t.blob(text)}))


def reversed_list(w, unit):
    lines = w.bundles["prod"][1].strip("\n").split("\n")
    return listing(w, unit, "\n".join(reversed(lines)) + "\n")


def other_name(w, unit):
    return listing(w, unit, w.bundles["prod"][1].replace(" - serve ", " - other "))


def other_size(w, unit):
    size = str(len(w.object.encode()))
    return listing(w, unit, w.bundles["prod"][1].replace(f" {size} ", f" {int(size) + 1} "))


def job_without_key(w, unit):
    job = '{"apiVersion":"gitops.sluice/v1alpha1","kind":"TrainingJob","metadata":{"name":"mine"},"spec":{"command":["/bin/true"]}}'
    return listing(w, unit, f"object gitops.sluice/TrainingJob - mine {len(job)} {w.t.blob(job)}\n")


def privileged(w, unit):
    """A kind that can widen rights, and the promotion does not name it."""
    text = '{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"mine"}}'
    return listing(w, unit, f"object core/Namespace - mine {len(text)} {w.t.blob(text)}\n")


def misplaced(entries):
    """Two buckets, and every entry in the one where it does not belong."""
    halves = ["", ""]
    for key, value in sorted(entries.items()):
        halves[1 - (int(sha256(key)[0], 16) >> 3)] += f"{key} {value}\n"
    return halves


# unit, kind, code, what the thief lists there. All of these pass through one desired list.
PROMOTIONS = [
    ("online-only", "unapproved", 2218, lambda w, u: people(w, u, "online")),
    ("nobody", "unsigned", 2206, lambda w, u: people(w, u)),
    ("stranger", "unsigned", 2206, lambda w, u: people(w, u, "mallory")),
    ("borrowed", "unsigned", 2206, lambda w, u: w.promotion(u, sigs=w.second["sigs"])),
    ("other-kind", "unsigned", 2206, lambda w, u: w.promotion(u, sigs=w.t.sign("x\nkind: order\n", w.alice))),
    ("two-one", "unapproved", 2218, lambda w, u: people(w, u, "alice")),
    ("two-twice", "unapproved", 2218, lambda w, u: people(w, u, "alice", "alice")),
    ("two-keys", "unapproved", 2218, lambda w, u: people(w, u, "alice", "alice-2")),
    ("two-revoked", "unapproved", 2218, lambda w, u: people(w, u, "alice", "bob-revoked")),
    ("two-online", "unapproved", 2218, lambda w, u: people(w, u, "alice", "online")),
    ("strict-requester", "unapproved", 2218, lambda w, u: people(w, u, "alice", requester="alice")),
    ("strict-author", "unapproved", 2218, lambda w, u: people(w, u, "alice", requester=None, author="alice@example.test")),
    ("roll", "unapproved", 2218, lambda w, u: people(w, u, "online", act="rollback")),
    ("redeploy", "unapproved", 2218, lambda w, u: people(w, u, "online", act="redeploy")),
    ("glass", "unapproved", 2218, lambda w, u: people(w, u, "online", act="break-glass")),
    ("no-role", "unapproved", 2218, lambda w, u: people(w, u, "alice", act="remove")),
    ("no-act", "malformed", 2010, lambda w, u: people(w, u, "alice", act="registry")),
    ("fleet", "other-fleet", 2207, lambda w, u: people(w, u, "alice", fleet="0" * 64)),
    ("env", "other-environment", 2208, lambda w, u: people(w, "env/dev", "online", environment="dev")),
    ("unit", "other-unit", 2210, lambda w, u: w.promotions["second"]),
    ("epoch", "epoch", 2212, lambda w, u: people(w, u, "alice", epoch=2)),
    ("untargeted", "not-target", 2219, lambda w, u: people(w, u, "alice", targets=w.t.map({"prod9": w.evil_bundle}))),
    ("back", "never-healthy", 2220, lambda w, u: people(w, u, "alice", act="rollback")),
    ("broken-glass", "never-healthy", 2220, lambda w, u: people(w, u, "alice", act="break-glass")),
    ("auto-other", "never-healthy", 2210, lambda w, u: people(w, u, "alice", **{"auto_rollback_to": w.promotions["dev"]})),
    ("leap", "jump", 2214, lambda w, u: people(w, u, "alice", seq=NEVER)),
    ("last", "jump", 2214, lambda w, u: people(w, u, "alice", seq=(1 << 63) - 1)),
    ("late", "window", 2222, lambda w, u: people(w, u, "alice", activate_until=at(-30))),
    ("no-map", "wrong-bytes", 2030, lambda w, u: people(w, u, "alice", targets=w.t.blob("not a map\n"))),
    ("unsorted", "wrong-bytes", 2030, lambda w, u: targets(w, u, f"prod9 {w.evil_bundle}\nprod1 {w.evil_bundle}\n")),
    ("duplicate", "wrong-bytes", 2030, lambda w, u: targets(w, u, f"prod1 {w.bundles['prod'][0]}\nprod1 {w.evil_bundle}\n")),
    ("misplaced", "wrong-bytes", 2030, lambda w, u: targets(w, u, *[bucket(each) for each in [{"prod1": w.evil_bundle, "prod2": w.evil_bundle,
                                                                                               "prod4": w.evil_bundle}] * 2])),
    ("no-digest", "wrong-bytes", 2223, lambda w, u: targets(w, u, "prod1 yes\n")),
    ("list-order", "wrong-bytes", 2223, reversed_list),
    ("list-name", "wrong-bytes", 2223, other_name),
    ("list-size", "wrong-bytes", 2223, other_size),
    ("no-run-key", "object-policy", 2224, job_without_key),
    ("privileged", "object-policy", 2224, privileged),
]


def hidden_statement(w, u):
    digest = people(w, u, "alice")
    w.t.hide(digest)
    return digest


def other_statement(w, u):
    digest = people(w, u, "alice")
    w.t.keep(w.second["text"], w.second["sigs"], under=digest)
    return digest


def other_bucket(w, u):
    honest = bucket({"prod1": sha256(u)})
    root, texts = thief.map_texts(honest)
    w.t.blob(texts[0])
    w.t.blob(bucket({"prod1": w.evil_bundle}), under=sha256(honest))
    return people(w, u, "alice", targets=root)


def other_list(w, u):
    w.t.blob(w.bundles["dev"][1], under=sha256(u))
    return people(w, u, "alice", targets=w.t.map({"prod1": sha256(u)}))


def other_object(w, u):
    changed = w.object.replace('"serve.py"', f'"{u}"')
    text = w.bundles["prod"][1].replace(sha256(w.object), sha256(changed)).replace(f" {len(w.object.encode())} ", f" {len(changed.encode())} ")
    w.t.blob(w.object.replace('"serve.py"', '"evil.py"'), under=sha256(changed))
    return listing(w, u, text)


# unit, what its flag says while it waits for what never comes right, how.
WAITING = [
    ("future", "not before", lambda w, u: people(w, u, "alice", not_before=at(7200), activate_until=at(9000))),
    ("no-statement", "fetches the statement", hidden_statement),
    ("wrong-statement", "fetches the statement", other_statement),
    ("wrong-bucket", "fetches what its checks need", other_bucket),
    ("wrong-list", "fetches the bundle's list", other_list),
    ("wrong-object", "more blobs", other_object),
]

RUN = "run-key app/prod train " + "5" * 64 + " 1"
# name, kind, code, the order.
ORDERS = [
    ("pause", "unapproved", 2218, lambda w: w.t.order(w.online, act="pause", scope="unit app/prod")),
    ("pause-env", "unapproved", 2218, lambda w: w.t.order(w.online, act="pause", scope="env prod")),
    ("resume", "unapproved", 2218, lambda w: w.t.order(w.online, act="resume", scope="unit app/prod", number=2)),
    ("renew", "unapproved", 2218, lambda w: w.t.order(w.online, act="renew", scope="promotion " + w.promotions["third"])),
    ("start-run", "unapproved", 2218, lambda w: w.t.order(w.online, act="start-run", scope=RUN)),
    ("stop-run", "unapproved", 2218, lambda w: w.t.order(w.online, act="stop-run", scope="run app/prod " + "6" * 64)),
    ("stranger", "unsigned", 2206, lambda w: w.t.order(w.key("mallory"), act="pause", scope="env prod", number=2)),
    ("fleet", "other-fleet", 2207, lambda w: w.t.order(w.alice, act="pause", scope="env prod", fleet="0" * 64)),
    ("env", "other-environment", 2208, lambda w: w.t.order(w.online, act="pause", scope="env dev", environment="dev")),
    ("epoch", "epoch", 2212, lambda w: w.t.order(w.alice, act="pause", scope="env prod", epoch=2)),
    ("leap", "jump", 2214, lambda w: w.t.order(w.alice, act="pause", scope="env prod", number=NEVER)),
    ("over", "expired", 2215, lambda w: w.t.order(w.alice, act="pause", scope="env prod", expires=at(-30))),
    ("lost-other", "other-cluster", 2209, lambda w: w.t.order(w.alice, act="resume", scope="unit app/prod", number=3,
                                                              cluster="prod9", nonce="0" * 32)),
    ("lost-old", "old-session", 2211, lambda w: w.t.order(w.alice, act="resume", scope="unit app/prod", number=4,
                                                          cluster="prod1", nonce="0" * 32)),
]

# name, kind, code, what is changed in an honest head. Texts of two refusals in a row differ.
HEADS = [
    ("of a person", "unsigned", 2206, lambda w, a: {"keys": [w.alice]}),
    ("for another fleet", "other-fleet", 2207, lambda w, a: {"fleet": "0" * 64}),
    ("for another environment", "other-environment", 2208, lambda w, a: {"environment": "dev"}),
    ("for another cluster", "other-cluster", 2209, lambda w, a: {"cluster": "dev1"}),
    ("of no session", "old-session", 2211, lambda w, a: {"nonce": "0" * 32}),
    ("of another epoch", "epoch", 2212, lambda w, a: {"epoch": 2}),
    ("older version", "replay", 2213, lambda w, a: {"version": a.at[1]}),
    ("older term", "replay", 2213, lambda w, a: {"term": a.at[0] - 1, "version": a.version + 1000}),
    ("version leaps", "jump", 2214, lambda w, a: {"version": (1 << 63) - 1}),
    ("term leaps", "jump", 2214, lambda w, a: {"term": (1 << 63) - 1}),
    ("from the future", "future", 2216, lambda w, a: {"issued": at(3600), "expires": at(3700)}),
    ("expired", "expired", 2215, lambda w, a: {"issued": at(-3600), "expires": at(-3000)}),
    ("lives too long", "expired", 2215, lambda w, a: {"issued": at(-7200), "expires": at(86400)}),
    ("older root", "old-trust", 2217, lambda w, a: {"root": 1}),
    ("older registry", "old-trust", 2217, lambda w, a: {"registry": 1}),
]


class Attacks(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.w = World()
        try:
            cls.w.start()
            cls.w.steal()
        except BaseException:
            cls.w.f.stop()
            raise
        cls.t, cls.prod = cls.w.t, cls.w.t.agents["prod1"]
        cls.good = {"unit/app/prod": cls.w.promotions["second"]}

    @classmethod
    def tearDownClass(cls):
        if cls.t.program.poll() is None:
            cls.t.stop()
        cls.w.f.stop()

    def tearDown(self):
        """What runs is what ran, and nothing was taken away."""
        if self.t.program.poll() is not None:
            return
        self.assertEqual(self.w.f.serves("prod"), self.w.answer)
        self.assertEqual(self.w.prod_processes(), self.w.processes)
        self.w.f.wait("sluice-agent status shows the second promotion", self.shows_second)

    def shows_second(self):
        """The status file is written a moment after the agent changed."""
        view = self.agent_status("prod1")["view"]["units"]["app"]
        return view["promotion"] == self.w.promotions["second"] and len(view["objects"]) == 1

    def agent_status(self, name):
        return json.loads(self.w.f.run(fleet.BIN + "/sluice-agent", "status", "--dir", f"{self.w.f.dir}/{name}", "--json").stdout)

    def shows(self, name, what, kind, code):
        """`sluice-agent status` shows the same refusal as the report."""
        def shown():
            refused = self.agent_status(name)["view"]["applied"]["refused/" + what]
            return (refused["kind"], refused["code"]) == (kind, f"SLU{code}") and refused["message"] and refused["since"]
        self.w.f.wait(f"sluice-agent status shows {what} as {kind}", shown)

    def expect_refused(self, name, what, kind, code, like=""):
        agent = self.t.agents[name]
        self.t.wait(f"{name} refuses {what}: {kind}",
                    lambda: agent.refused(what) and like in agent.refused(what)["message"] and agent.refused(what)["kind"] == kind)
        self.assertEqual(agent.refused(what)["code"], f"SLU{code}", agent.refused(what)["message"])

    def good_again(self, name="prod1"):
        self.t.desire(name, self.good)

    def test_00_who_vouches(self):
        """A cluster that the online key registered may seal what it likes; who is asked to sign for prod sees who vouches for it."""
        self.assertRegex("\n".join(self.w.shown["evidence"]), r"item model sha256:\S+ by run \S+ of job train in dev on dev1: Succeeded, accuracy 0.96")
        registries = {line.split()[2].rstrip(","): line for line in self.w.shown["registrySigners"]}
        self.assertRegex(registries["dev"], r"the clusters that made the evidence\): signed by the coordinator's online key SHA256:")
        self.assertRegex(registries["prod"], r"the clusters that it goes to\): signed by alice SHA256:")

    def test_01_unchanged_heads_change_nothing(self):
        self.good_again()
        self.assertEqual(self.prod.entries["unit/app/prod"]["promotion"], self.w.promotions["second"])

    def test_02_promotions(self):
        entries = {f"unit/{name}/prod": make(self.w, name + "/prod") for name, _, _, make in PROMOTIONS}
        self.t.desire("prod1", {**self.good, **entries})
        for name, kind, code, _ in PROMOTIONS:
            with self.subTest(name):
                self.expect_refused("prod1", f"unit/{name}/prod", kind, code, entries[f"unit/{name}/prod"][:12])
        for name, kind, code, _ in PROMOTIONS[:3]:
            self.shows("prod1", f"unit/{name}/prod", kind, code)

    def test_03_bytes_that_do_not_come(self):
        entries = {f"unit/{name}/prod": make(self.w, name + "/prod") for name, _, make in WAITING}
        self.t.desire("prod1", {**self.good, **entries})
        for name, text, _ in WAITING:
            with self.subTest(name):
                flag = f"waits/{name}/prod"
                self.t.wait(f"{name} waits: {text}", lambda: self.prod.flag(flag) and text in self.prod.flag(flag)["message"])
        self.good_again()

    def test_04_numbers_of_the_unit_itself(self):
        w, unit = self.w, "app/prod"
        seq = int(thief.fields_of(w.second["text"])["seq"])
        for name, kind, code, digest in [
                ("other bytes under the same seq", "seq-reused", 2221, people(w, unit, "alice", seq=seq)),
                ("older seq", "replay", 2213, w.promotions["first"]),
                ("next seq by the online key", "unapproved", 2218, people(w, unit, "online", seq=seq + 1)),
                ("dev's promotion names prod1", "other-environment", 2208, people(w, "app/dev", "online", environment="dev", seq=seq + 1)),
                ("leap", "jump", 2214, people(w, unit, "alice", seq=seq + NEVER)),
                ("back to what never was", "never-healthy", 2220, people(w, unit, "alice", seq=seq + 1, act="rollback")),
                ("old break-glass", "replay", 2213, people(w, unit, "alice", seq=seq - 1, act="break-glass",
                                                           targets=w.t.map({"prod1": w.bundles["prod"][0]}))),
                ("takes everything away", "prune-share", 2225, people(w, unit, "alice", seq=seq + 1, targets=w.t.map({"prod1": w.t.blob("")}))),
                ("removes to something", "wrong-bytes", 2223, people(w, unit, "alice", seq=seq + 1, act="remove"))]:
            with self.subTest(name):
                self.t.desire("prod1", {"unit/app/prod": digest})
                self.expect_refused("prod1", "unit/app/prod", kind, code, digest[:12])
        self.shows("prod1", "unit/app/prod", "wrong-bytes", 2223)
        self.good_again()
        self.t.wait("the refusal is over", lambda: self.prod.refused("unit/app/prod") is None)

    def test_05_left_out(self):
        for name, entries in [("empty", {}), ("another unit only", {"unit/other/prod": "0" * 64})]:
            with self.subTest(name):
                self.t.desire("prod1", entries)
                self.t.wait("reported as unlisted", lambda: self.prod.flag("unlisted/app/prod"))
                self.assertIn("kept as it is", self.prod.flag("unlisted/app/prod")["message"])
                self.good_again()
                self.t.wait("listed again", lambda: not self.prod.flag("unlisted/app/prod"))

    def test_06_lists(self):
        second, evil = self.w.promotions["second"], people(self.w, "app/prod", "online", seq=9)
        two = {f"unit/{name}/prod": second for name in ("app", "a", "b", "c")}
        for name, code, root in [
                ("unsorted", 2030, self.t.raw_map(f"unit/b/prod {second}\nunit/app/prod {second}\n")),
                ("twice", 2030, self.t.raw_map(f"unit/app/prod {second}\nunit/app/prod {evil}\n")),
                ("wrong bucket", 2030, self.t.raw_map(*misplaced(two))),
                ("too many buckets", 2030, self.t.raw_map(*reversed(misplaced(two)))),
                ("no map", 2030, self.t.blob("unit/app/prod " + evil + "\n"))]:
            with self.subTest(name):
                self.t.head("prod1", root)
                self.expect_refused("prod1", "desired", "wrong-bytes", code, root[:12])
        self.t.desire("prod1", {**self.good, "unit/app/dev": evil, "run/app/dev/train/0": "7" * 64, "run/app/prod/train/0": "7" * 64})
        for what, kind, code in [("unit/app/dev", "other-environment", 2208), ("run/app/dev/train/0", "other-environment", 2208),
                                 ("run/app/prod/train/0", "run-not-in-bundle", 2226)]:
            self.expect_refused("prod1", what, kind, code)
        self.good_again()

    def test_07_orders(self):
        orders = {name: make(self.w) for name, _, _, make in ORDERS}
        self.t.desire("prod1", {**self.good, **{f"order/{digest}": "pause" for digest in orders.values()}})
        for name, kind, code, _ in ORDERS:
            with self.subTest(name):
                self.expect_refused("prod1", f"order/{orders[name][:16]}", kind, code)
        self.good_again()

    def test_08_pause_holds(self):
        w, bob = self.w, self.w.key("bob")
        pause = self.t.order(w.alice, act="pause", scope="env prod", number=7)
        self.t.desire("prod1", {**self.good, f"order/{pause}": "pause"})
        self.t.wait("prod is paused", lambda: self.prod.flag("paused"))
        self.good_again()
        for kind, code, order in [("replay", 2213, self.t.order(w.alice, bob, act="resume", scope="env prod", number=5)),
                                  ("unapproved", 2218, self.t.order(w.online, act="resume", scope="env prod", number=8))]:
            self.t.desire("prod1", {**self.good, f"order/{order}": "resume"})
            self.expect_refused("prod1", f"order/{order[:16]}", kind, code)
            self.assertTrue(self.prod.flag("paused"), "left out of the list, it holds")
        resume = self.t.order(w.alice, bob, act="resume", scope="env prod", number=8, reason="by people")
        self.t.desire("prod1", {**self.good, f"order/{resume}": "resume"})
        self.t.wait("prod goes on", lambda: not self.prod.flag("paused"))
        self.t.desire("prod1", {**self.good, f"order/{pause}": "pause"})
        self.expect_refused("prod1", f"order/{pause[:16]}", "replay", 2213)
        self.assertFalse(self.prod.flag("paused"), "an old pause is over")
        self.good_again()

    def test_09_heads(self):
        root = self.t.map({"unit/app/prod": people(self.w, "app/prod", "online", seq=9)})
        for name, kind, code, change in HEADS:
            with self.subTest(name):
                before = self.prod.refused("head")
                self.t.head("prod1", root, **change(self.w, self.prod))
                self.t.wait(f"a head {name} is refused", lambda: self.prod.refused("head") not in (None, before))
                self.expect_refused("prod1", "head", kind, code)
        self.shows("prod1", "head", *HEADS[-1][1:3])
        old = self.prod.nonce
        self.t.reset("prod1")
        self.t.head("prod1", root, nonce=old)
        self.expect_refused("prod1", "head", "old-session", 2211, old[:8])
        self.good_again()
        self.assertEqual(self.prod.entries["unit/app/prod"]["promotion"], self.w.promotions["second"])

    def test_10_withheld_steps(self):
        before, order = self.prod.hellos, self.prod.at
        self.t.head("prod1", self.t.desired({}), root=self.prod.root + 1)
        self.t.head("prod1", self.t.desired({}), registry=self.prod.registry + 1)
        self.t.wait("prod1 asks for the steps again", lambda: self.prod.hellos > before)
        self.assertEqual(self.prod.at, order)
        self.good_again()

    def test_10_no_more_heads(self):
        """People signed it, but the head that names it is over before its bytes come: nothing new starts."""
        w, t = self.w, self.t
        digest = people(w, "app/prod", "alice", seq=int(thief.fields_of(w.second["text"])["seq"]) + 1,
                        targets=t.map({"prod1": w.bundles["prod"][0]}))
        t.hide(digest)
        order = t.head("prod1", t.desired({"unit/app/prod": digest}), expires=at(3))
        t.wait("the head is taken", lambda: self.prod.at == order)
        t.wait("it is over", lambda: "nothing new starts" in (self.prod.flag("stale-head") or {"message": ""})["message"])
        t.hide(digest, False)
        t.wait("it waits for a head", lambda: "the head has expired" in (self.prod.flag("waits/app/prod") or {"message": ""})["message"], 30)
        t.hide(digest)
        self.good_again()

    def test_11_roots_and_registries(self):
        w, t = self.w, self.t
        two = w.roots[1]["text"]
        mallory = [line for line in two.split("\n") if line.startswith("root-key: ")][0]
        three = w.root_text(two, 3)
        mine = w.root_text(two, 3, (mallory, "root-key: alice " + w.line("mallory")))
        for name, kind, code, text, keys in [
                ("by the online key", "root-step", 2202, three, [w.online]),
                ("under the old threshold only", "root-step", 2202, mine, [w.alice]),
                ("a version left out", "root-step", 2202, three.replace("version: 3", "version: 4"), [w.alice]),
                ("under the new threshold only", "root-step", 2202, mine, [w.key("mallory")]),
                ("other bytes of the same version", "root-step", 2202, two.replace("threshold=2 alice bob", "threshold=1 alice bob"), [w.alice]),
                ("the last version", "root-step", 2202, three.replace("version: 3", f"version: {(1 << 63) - 1}"), [w.alice])]:
            with self.subTest(name):
                before = self.prod.refused("root")
                t.steps("prod1", roots=[t.signed(text, *keys)])
                t.wait(f"root {name} is refused", lambda: self.prod.refused("root") not in (None, before))
                self.expect_refused("prod1", "root", kind, code)
        t.steps("prod1", roots=[sha256(w.roots[0]["text"])])
        self.expect_refused("prod1", "root", "replay", 2213)
        self.assertEqual(self.prod.root, 2)

        now = thief.fields_of(w.registries[1]["text"])
        for name, kind, code, text, keys in [
                ("dev's with prod1 in it", "other-environment", 2208, {"environment": "dev", "version": 9}, [w.online]),
                ("by the online key", "unapproved", 2204, {"version": int(now["version"]) + 1}, [w.online]),
                ("by a stranger", "unsigned", 2206, {"version": int(now["version"]) + 1}, [w.key("mallory")]),
                ("of another fleet", "other-fleet", 2207, {"fleet": "0" * 64}, [w.alice]),
                ("other bytes of the same version", "seq-reused", 2221, {"count": 7}, [w.alice]),
                ("leap", "jump", 2214, {"version": NEVER}, [w.alice])]:
            with self.subTest(name):
                t.steps("prod1", registries=[t.signed(thief.statement("registry", thief.REGISTRY, {**now, **text}), *keys)])
                self.expect_refused("prod1", "registry", kind, code)
        t.steps("prod1", registries=[sha256(w.registries[0]["text"])])
        self.expect_refused("prod1", "registry", "replay", 2213)
        self.assertEqual(self.prod.registry, int(now["version"]))
        self.good_again()

    def test_12_runs(self):
        """In dev the online key is enough for a promotion; for more runs of its jobs it is not."""
        w, dev = self.w, self.w.promotions["dev"]
        key = thief.fields_of(w.dev["text"])
        started = read(w.dir + "/started")
        job = json.loads(w.job)
        run_key = job["metadata"]["annotations"]["gitops.sluice/run-key"]
        run_id = lambda generation: sha256(f"{key['fleet']}\napp/dev\ntrain\n{run_key}\n{generation}\n")
        self.t.desire("dev1", {"unit/app/dev": dev, "run/app/dev/train/1": run_id(1), "run/app/dev/train/2": run_id(1),
                               "run/app/dev/train/3": "8" * 64, "run/app/dev/other/0": "9" * 64})
        for generation, kind in [(1, "run-not-ordered"), (2, "run-id"), (3, "run-id")]:
            self.expect_refused("dev1", f"run/app/dev/train/{generation}", kind, 2226)
        self.expect_refused("dev1", "run/app/dev/other/0", "run-not-in-bundle", 2226)
        self.t.desire("dev1", {"unit/app/dev": dev, "run/app/dev/train/0": run_id(0)})
        self.assertEqual(read(w.dir + "/started"), started, "what is finished is not run again, more generations neither")

    def test_13_state_lost(self):
        """Both slots are gone: an old promotion and an old resume are no way around the floors that people name."""
        w, f, t = self.w, self.w.f, self.t
        hellos = self.prod.hellos
        f.kill("prod1")
        for slot in ("a", "b"):
            os.remove(f"{f.dir}/prod1/state/{slot}")
        self.prod.entries.clear()
        self.prod.term = self.prod.version = 0
        f.start_agent("prod1")
        t.wait("prod1 says hello", lambda: self.prod.hellos > hellos)
        nonce = self.prod.nonce
        t.steps("prod1", roots=[sha256(root["text"]) for root in w.roots], registries=[sha256(w.registries[1]["text"])])
        t.wait("prod1 walked from the pinned root", lambda: (self.prod.root, self.prod.registry) == (2, 2))
        floor = f"app/prod {thief.fields_of(w.second['text'])['seq']} {w.promotions['second']}"
        bound = dict(act="resume", scope="env prod", cluster="prod1", nonce=nonce, unit_floor=floor)
        old = {"unit/app/prod": w.promotions["first"]}
        t.desire("prod1", old)
        t.wait("it waits for people", lambda: "state was lost" in (self.prod.flag("waits/app/prod") or {"message": ""})["message"])
        self.assertIn(nonce, self.prod.flag("state-lost")["message"])
        for kind, code, order in [("unapproved", 2218, t.order(w.online, **bound)),
                                  ("old-session", 2211, t.order(w.alice, w.key("bob"), **{**bound, "nonce": "0" * 32}))]:
            t.desire("prod1", {**old, f"order/{order}": "resume"})
            self.expect_refused("prod1", f"order/{order[:16]}", kind, code)
            self.assertTrue(self.prod.flag("state-lost"))
        self.assertEqual(w.f.serves("prod"), w.answer)
        t.desire("prod1", {**old, f"order/{t.order(w.alice, w.key('bob'), **bound)}": "resume"})
        t.wait("people ended it", lambda: not self.prod.flag("state-lost"))
        self.expect_refused("prod1", "unit/app/prod", "replay", 2213, w.promotions["first"][:12])
        self.good_again()
        t.wait("prod is itself again", lambda: self.prod.entries["unit/app/prod"]["health"] == "Healthy")

    def test_14_root_expires(self):
        w, t = self.w, self.t
        expires = [line for line in w.roots[1]["text"].split("\n") if line.startswith("expires: ")][0]
        three = w.root_text(w.roots[1]["text"], 3, (expires, "expires: " + at(2)))
        four = w.root_text(three, 4, ("expires: " + thief.fields_of(three)["expires"], expires))
        w.later = [{"text": text, "sigs": t.sign(text, w.alice)} for text in (three, four)]
        three, four = [t.keep(s["text"], s["sigs"]) for s in w.later]
        t.steps("prod1", roots=[three])
        t.wait("root 3 is in force", lambda: self.prod.root == 3)

        def refused():
            order = t.head("prod1", t.desired(self.good))
            t.wait("the head is taken or refused", lambda: self.prod.at == order or is_over())
            return is_over()

        def is_over():
            return (self.prod.refused("head") or {}).get("kind") == "root-expired"
        w.f.wait("heads are refused under an expired root", refused, 20)
        self.assertEqual(self.prod.refused("head")["code"], "SLU2203")
        t.steps("prod1", roots=[four])
        t.wait("root 4 is in force", lambda: self.prod.root == 4)
        self.good_again()

    def test_15_models(self):
        """The model store is emptied, then poisoned: the signed promotion waits, the old server goes on."""
        w, t = self.w, self.t
        store = w.f.state + "/models"
        os.rename(store, store + ".away")
        os.mkdir(store)
        t.desire("prod1", {"unit/app/prod": w.promotions["third"]})
        t.wait("it is withheld or Unknown", lambda: self.prod.entries["unit/app/prod"]["promotion"] == w.promotions["third"] and
               self.prod.entries["unit/app/prod"]["health"] in ("Unknown", "Progressing"))
        self.assertEqual(w.f.serves("prod"), w.answer)
        self.assertLessEqual(w.processes, w.prod_processes(), "running servers go on")
        self.assertFalse(self.prod.entries["unit/app/prod"]["latched"], "no automatic rollback")
        shutil.rmtree(store)
        os.rename(store + ".away", store)
        chunk = sha256("weights 0.96\n")
        path = f"{store}/chunks/{chunk[:2]}/{chunk}"
        right = read(path)
        write(path, right.replace("0.96", "0.66"))
        t.wait("the poison is seen", lambda: chunk[:12] in self.prod.entries[SERVER]["message"], 30)
        self.assertEqual(w.f.serves("prod"), w.answer)
        write(path, right)
        w.answer = w.f.wait("what alice signed and aborted runs: its signature was out", lambda: self.third_runs(), 40)
        w.processes = w.prod_processes()
        w.promotions["second"] = w.promotions["third"]

    def third_runs(self):
        answer = self.w.f.serves("prod")
        return answer if answer and "0.96" in answer else None

    def test_16_the_true_coordinator_comes_back(self):
        w, f = self.w, self.w.f
        self.t.desire("prod1", {"unit/app/prod": people(w, "app/prod", "online", seq=9)})
        self.expect_refused("prod1", "unit/app/prod", "unapproved", 2218)
        ahead = {**thief.fields_of(w.dev_registry["text"]), "version": 9}
        self.t.steps("dev1", registries=[self.t.signed(thief.statement("registry", thief.REGISTRY, ahead), w.online)])
        self.t.wait("dev1 takes it: the online key is enough there", lambda: self.t.agents["dev1"].registry == 9)
        self.prod.term += 1000
        order = self.t.head("prod1", self.t.desired({"unit/app/prod": people(w, "app/prod", "online", seq=9)}), issued=at(240))
        self.t.wait("the thief's term and time are far ahead", lambda: self.prod.at == order)
        self.t.stop()
        f.start_coordinator()
        for root in w.later:
            w.act("root", **root)
        f.wait("every agent is back", lambda: all(c["connected"] and c["rootVersion"] == 4 for c in f.status()["clusters"] if c["connected"])
               and sum(c["connected"] for c in f.status()["clusters"]) == 3, 60)
        alarm = f.wait("status shows the attack", lambda: [a for a in f.status()["alarms"] if a["cluster"] == "prod1"])
        self.assertTrue(alarm[0]["code"].startswith("SLU22"))
        self.assertIn("prod1", f.sluice("status").stdout)
        f.wait("status says why dev1 takes no head",
               lambda: [a for a in f.status()["alarms"] if a["cluster"] == "dev1" and a["code"] == "SLU2217"])
        f.sluice("cluster", "sign", "dev", "--yes")
        f.edit("app/serve/code/serve.py", '"two"', '"four"')
        f.push("fourth")
        f.wait_healthy("test", "fourth")
        f.promote()
        f.wait("prod serves four", lambda: (f.serves("prod") or "").startswith("four "))


if __name__ == "__main__":
    unittest.main()
