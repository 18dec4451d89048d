"""What every test of bad input asks: the message, a daemon that lives, and the last good state untouched.

A class has one fleet that serves in dev, test and prod. Each test breaks something and looks at what is said; `tearDown` then
demands that the same releases are served by the same bundles from the same environment branches as before.
"""
import json
import os
import subprocess
import unittest

import fleet


class BadCase(unittest.TestCase):
    maxDiff = None
    profile = "solo"

    @classmethod
    def setUpClass(cls):
        cls.f = fleet.Fleet(cls.profile)
        cls.addClassCleanup(cls.f.stop)
        cls.configure()
        cls.f.start_all()
        cls.f.write_app()
        cls.files()
        cls.f.push("first")
        cls.f.wait_healthy("test", "first")
        cls.f.promote()
        cls.f.wait_healthy("prod", "first")

    @classmethod
    def configure(cls):
        """Before the coordinator starts."""

    @classmethod
    def files(cls):
        """More files of the first commit."""

    def setUp(self):
        self.before = self.facts()
        self.daemons = dict(self.f.processes)

    def tearDown(self):
        self.same()

    def facts(self):
        """What runs, by which bytes, and what Git says should run."""
        units = {}
        for unit in self.f.status()["units"]:
            bundles = {target["cluster"]: target["bundle"] for target in unit["targets"]}
            units[unit["app"] + "/" + unit["env"]] = (unit["release"], bundles)
        served = {env: self.f.serves(env) for env in ("dev", "test", "prod")}
        return {"units": units, "served": served, "branches": self.branches()}

    def branches(self):
        out = self.f.run("git", "-C", self.f.state + "/state.git", "for-each-ref", "--format=%(refname)", "refs/heads/sluice/env").stdout
        tree = lambda ref: self.f.run("git", "-C", self.f.state + "/state.git", "rev-parse", ref + ":manifests").stdout.strip()
        return {ref: tree(ref) for ref in out.split()}

    def alive(self):
        for name, process in self.daemons.items():
            self.assertIsNone(process.poll(), f"{name} ended:\n{self.f.log(name)[-2000:]}")

    def same(self):
        self.alive()
        self.assertEqual(self.facts(), self.before)

    # -- asking --

    def curl(self, *args, socket=True):
        """(HTTP status, parsed body) of one request; the last argument is a path or a URL."""
        how = ["--unix-socket", self.f.state + "/api.sock"] if socket else []
        url = "http://c" + args[-1] if socket else args[-1]
        done = self.f.run("curl", "-s", "-m", "20", "-w", "\n%{http_code}", *how, *args[:-1], url)
        body, code = done.stdout.rsplit("\n", 1)
        try:
            return int(code), json.loads(body)
        except ValueError:
            return int(code), body

    def refused(self, *args, code, exit=None, words=()):
        """A command of the CLI that must fail with one error code, words and an advice."""
        done = self.f.sluice(*args, code=None)
        self.assertNotEqual(done.returncode, 0, done.stdout)
        if exit is not None:
            self.assertEqual(done.returncode, exit, done.stderr)
        self.said(done.stderr, code, *words)
        return done.stderr

    def said(self, text, code, *words):
        self.assertIn(code + ":", text)
        for word in words:
            self.assertIn(word, text)
        after = text[text.index(code + ":"):].splitlines()
        self.assertTrue(len(after) > 1 and after[1].startswith("  "), f"no line says what to do: {text}")

    def logged(self, name, *words):
        def there():
            return [line for line in self.f.log(name).splitlines() if all(word in line for word in words)]
        return self.f.wait(f"{name} logs {words}", there)[-1]

    # -- the fleet repository --

    def commit(self, message):
        self.f.git("add", "-A")
        self.f.git("commit", "-q", "-m", message)
        return self.read()

    def read(self):
        """The coordinator has looked at the branch's tip."""
        tip = self.f.git("rev-parse", "HEAD").stdout.strip()
        self.f.sluice("refresh")
        self.f.wait("the source is read", lambda: self.f.status()["sources"][0]["commit"] == tip)
        return tip

    def undo(self, tip):
        """One commit on top that has the files of @tip again; everything is as quiet as before."""
        self.f.git("read-tree", "-u", "--reset", tip)
        self.f.git("clean", "-qfdx")
        self.f.git("commit", "-q", "--allow-empty", "-m", "undo")
        self.read()
        self.f.wait("problems are gone", lambda: not self.f.status()["problems"])
        self.f.wait("attempts are over", lambda: all(not unit["waiting"] and not unit["active"] for unit in self.f.status()["units"]))

    def problem(self, code):
        """The one problem with this code, as the API has it and as both commands show it."""
        found = self.f.wait(f"problem {code}", lambda: [each for each in self.f.status()["problems"] if each["code"] == code])
        self.assertEqual(len(found), 1, found)
        shown = self.f.sluice("status").stdout
        place = found[0]["file"] + (":%d" % found[0]["line"] if found[0]["line"] else "")
        self.assertIn(f"  {place}: {code}: {found[0]['message']}", shown)
        return found[0]

    def validate(self, code, *words):
        done = self.f.sluice("validate", "--repository", self.f.repo, code=None)
        self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
        lines = [line for line in (done.stdout + done.stderr).splitlines() if code + ":" in line]
        self.assertTrue(lines, done.stdout + done.stderr)
        for word in words:
            self.assertIn(word, lines[0])

    def api(self, verb, args, *more):
        return self.curl("-H", "Content-Type: application/json", "-d", json.dumps({"args": args}), *more, f"/v1/actions/{verb}")


def git_tree(repo, entries):
    """A tree with any names: [(mode, name, object)], written as it is."""
    raw = b"".join(b"%s %s\0%s" % (mode, name, bytes.fromhex(sha)) for mode, name, sha in entries)
    done = subprocess.run(["git", "-C", repo, "hash-object", "-t", "tree", "-w", "--literally", "--stdin"], input=raw,
                          stdout=subprocess.PIPE, check=True)
    return done.stdout.decode().strip()


def git_with(repo, tree, path, entry):
    """@tree with one more entry in the folder @path (a list of names)."""
    out = subprocess.run(["git", "-C", repo, "ls-tree", "-z", tree], stdout=subprocess.PIPE, check=True).stdout
    entries = []
    for line in filter(None, out.split(b"\0")):
        meta, name = line.split(b"\t")
        mode, _, sha = meta.split()
        here = path and name == path[0].encode()
        entries.append((mode.lstrip(b"0"), name, git_with(repo, sha.decode(), path[1:], entry) if here else sha.decode()))
    return git_tree(repo, entries if path else sorted(entries + [entry], key=lambda each: each[1]))
