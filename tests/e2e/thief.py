"""What a thief of the coordinator holds, and the program that speaks for him (evil/evil.c).

Statements, maps and bundles are written here by hand, from docs/formats.md alone, and signed with ssh-keygen: so these tests
also say that the formats are what the documents say.
"""
import datetime
import hashlib
import json
import os
import queue
import subprocess
import threading
import time

import fleet

PROMOTION = ("fleet environment epoch unit seq act release targets target-count previous auto-rollback-to allow-prune disrupt "
             "force-fields privileged author not-before activate-until policy requester reason").split()
ORDER = "fleet environment epoch act scope number expires cluster nonce unit-floor requester reason".split()
HEAD = "fleet environment epoch cluster nonce term version root registry ledger-seq ledger-hash issued expires desired".split()
REGISTRY = "fleet environment version count clusters".split()


def sha256(text):
    return hashlib.sha256(text.encode()).hexdigest()


def at(seconds):
    """A time so many seconds from now, as statements write it."""
    when = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=seconds)
    return when.strftime("%Y-%m-%dT%H:%M:%SZ")


def statement(kind, order, fields):
    lines = ["format: 1", "kind: " + kind]
    for key in order:
        value = fields.get(key)
        for each in value if isinstance(value, list) else [value]:
            if each is not None:
                lines.append(f"{key}: {each}")
    return "\n".join(lines) + "\n"


def fields_of(text):
    """Repeated keys become lists."""
    fields = {}
    for line in text.splitlines():
        key, value = line.split(": ", 1)
        if key in fields:
            value = (fields[key] if isinstance(fields[key], list) else [fields[key]]) + [value]
        fields[key] = value
    return fields


def map_texts(*buckets):
    """Root and all texts of a digest map whose buckets are given as text; honest maps of up to 64 entries have one."""
    index = f"k: {len(buckets).bit_length() - 1}\n" + "".join(sha256(bucket) + "\n" for bucket in buckets)
    return sha256(index), [index, *buckets]


def bucket(entries):
    return "".join(f"{key} {value}\n" for key, value in sorted(entries.items()))


class Agent:
    """What one agent said: its session and its applied map."""

    def __init__(self, name, env, curve):
        self.name, self.env, self.curve = name, env, curve
        self.nonce, self.hellos, self.reports = None, 0, 0
        self.root = self.registry = self.term = self.version = 0
        self.at, self.entries = (0, 0), {}

    def hear(self, event):
        if event["ev"] == "hello":
            self.hellos += 1
            self.nonce = event["nonce"]
            self.root, self.registry = event["root"], event["registry"]
            self.term, self.version = max((self.term, self.version), (event["term"], event["version"]))
        elif event["ev"] == "report":
            fields = fields_of(event["text"])
            self.reports += 1
            self.at = (int(fields["term"]), int(fields["version"]))
            self.root, self.registry = int(fields["root"]), int(fields["registry"])
            changes = fields.get("change", [])
            for change in changes if isinstance(changes, list) else [changes]:
                key, value = change.split(" ", 1)
                if key == "-":
                    self.entries.pop(value, None)
                else:
                    self.entries[key] = json.loads(value)

    def refused(self, what):
        return self.entries.get("refused/" + what)

    def flag(self, name):
        return self.entries.get("flag/" + name)


class Thief:
    def __init__(self, f, online, agents, fields):
        """`fields`: fleet, ledger-seq, ledger-hash, as in heads. `agents`: of Agent."""
        self.f, self.online, self.fields = f, online, fields
        self.agents = {agent.name: agent for agent in agents}
        self.curves = {agent.curve: agent for agent in agents}
        self.log = open(f.dir + "/evil.log", "ab")
        with open(f.state + "/coordinator.json") as config:
            endpoint = json.load(config)["agents"]["listen"]
        self.program = subprocess.Popen([fleet.BIN + "/sluice-evil", endpoint, f.state + "/keys/curve",
                                         f.state + "/cache/blobs", *self.curves], env=f.env, stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=self.log, text=True)
        self.lists, self.lines = 0, queue.Queue()
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        for line in self.program.stdout:
            self.lines.put(json.loads(line))

    def stop(self):
        self.program.stdin.close()
        self.program.wait(timeout=20)
        self.program.stdout.close()
        self.log.close()

    # -- talking to the program --

    def next(self, timeout):
        """One line: an event is told to its agent; a reply is returned."""
        line = self.lines.get(timeout=timeout)
        if "re" in line:
            return line
        if line.get("curve") in self.curves:
            self.curves[line["curve"]].hear(line)
        return None

    def ask(self, **command):
        self.program.stdin.write(json.dumps(command) + "\n")
        self.program.stdin.flush()
        while True:
            reply = self.next(10)
            if reply is not None:
                assert "error" not in reply, f"{command}: {reply['error']}"
                return reply

    def wait(self, what, fact, seconds=15):
        end = time.monotonic() + seconds
        while not fact():
            left = end - time.monotonic()
            try:
                self.next(max(left, 0.001))
            except queue.Empty:
                said = {name: agent.entries for name, agent in self.agents.items()}
                raise AssertionError(f"waited in vain: {what}\n{json.dumps(said, indent=1)}\n{self.f.describe()}") from None
        return fact()

    # -- bytes --

    def blob(self, text, under=None):
        return self.ask(do="blob", text=text, **({"as": under} if under else {}))["digest"]

    def hide(self, digest, hidden=True):
        self.ask(do="hide", digest=digest, **({} if hidden else {"not": True}))

    def map(self, entries):
        return self.raw_map(bucket(entries))

    def raw_map(self, *buckets):
        root, texts = map_texts(*buckets)
        for text in texts:
            self.blob(text)
        return root

    def sign(self, text, *keys, kind=None):
        kind = kind or text.split("\n")[1][len("kind: "):]
        sigs = []
        for key in keys:
            sigs.append(subprocess.run(["ssh-keygen", "-q", "-Y", "sign", "-n", kind + "@sluice.v1", "-f", key], input=text,
                                       env=self.f.env, capture_output=True, text=True, check=True).stdout)
        return sigs

    def keep(self, text, sigs, under=None):
        return self.ask(do="statement", text=text, sigs=sigs, **({"as": under} if under else {}))["digest"]

    def signed(self, text, *keys):
        return self.keep(text, self.sign(text, *keys))

    def order(self, *keys, **fields):
        all_fields = {"fleet": self.fields["fleet"], "environment": "prod", "epoch": 1, "number": 1, "expires": at(3600),
                      "reason": "stolen", **{key.replace("_", "-"): value for key, value in fields.items()}}
        return self.signed(statement("order", ORDER, all_fields), *keys)

    # -- heads --

    def head(self, name, desired, keys=None, **changes):
        """Raises the version unless `changes` say otherwise. Answers (term, version)."""
        agent = self.agents[name]
        agent.version += 1
        fields = {**self.fields, "environment": agent.env, "epoch": 1, "cluster": name, "nonce": agent.nonce, "term": agent.term,
                  "version": agent.version, "root": agent.root, "registry": agent.registry, "issued": at(0),
                  "expires": at(600), "desired": desired, **{key.replace("_", "-"): value for key, value in changes.items()}}
        digest = self.signed(statement("head", HEAD, fields), *(keys if keys is not None else [self.online]))
        self.ask(do="head", to=agent.curve, digest=digest)
        return int(fields["term"]), int(fields["version"])

    def desired(self, entries):
        """Root of a list that was never sent before: an agent says at once that it took a head with another list."""
        self.lists += 1
        return self.map({**entries, f"note/{self.lists}": "thief"})

    def desire(self, name, entries):
        """Lists `entries` and waits until that head is in force."""
        order = self.head(name, self.desired(entries))
        self.wait(f"{name} takes head {order}", lambda: self.agents[name].at == order)

    def steps(self, name, roots=(), registries=()):
        self.ask(do="steps", to=self.agents[name].curve, roots=list(roots), registries=list(registries))

    def reset(self, name):
        agent = self.agents[name]
        before = agent.hellos
        self.ask(do="reset", to=agent.curve)
        self.wait(f"{name} says hello again", lambda: agent.hellos > before)
