"""The model store away, emptied, with wrong bytes; an agent's own copies deleted; the fleet repository away, rewound, its branch deleted."""
import os
import shutil
import signal
import unittest

import fleet


class Away(unittest.TestCase):
    def setUp(self):
        self.f = fleet.Fleet()
        self.addCleanup(self.f.stop)
        self.store = os.path.join(self.f.state, "models")
        self.f.start_all()
        self.f.write_app()
        self.f.push("first")
        self.f.wait_healthy("test", "first")

    def change(self, old, new):
        self.f.edit("app/serve/code/serve.py", f'"{old}"', f'"{new}"')
        self.f.push(new)

    def said(self, word):
        return word in self.f.sluice("status").stdout

    def read(self, path):
        with open(path, "rb") as file:
            return file.read()

    def test_models(self):
        copies = os.path.join(self.f.dir, "test1", "models")
        os.rename(self.store, self.store + ".away")
        self.change("one", "two")
        # dev and test have copies that they checked: the store is asked for nothing.
        self.f.wait_healthy("test", "two")
        self.assertEqual(self.f.serves("test"), "two weights 0.95\n")

        # What serves is killed without its model: nothing starts before that was verified again, and nobody goes back.
        shutil.rmtree(copies)  # under the running agent
        seq = self.f.unit("test")["seq"]
        servers = lambda: [pid for pid, _ in self.f.processes_below("serve.py", "test1/engine")]
        self.f.wait("the version before is gone", lambda: len(servers()) == 1)
        os.kill(servers()[0], signal.SIGKILL)
        self.f.wait("a restart without its model is Unknown", lambda: self.verdict("test") == ("Unknown", "ModelUnavailable"))
        os.rename(self.store + ".away", self.store)
        self.f.wait_healthy("test", "two")
        self.assertEqual(self.f.serves("test"), "two weights 0.95\n")
        self.assertEqual((self.f.unit("test")["seq"], self.f.unit("test")["latched"]), (seq, False))

        os.rename(self.store, self.store + ".away")
        shutil.rmtree(copies)
        self.change("two", "three")
        self.f.wait_healthy("dev", "three")
        self.f.wait("what is missing is said", lambda: self.said("ModelUnavailable"))
        self.assertEqual(self.f.serves("test"), "two weights 0.95\n", "what serves goes on")

        os.rename(self.store + ".away", self.store)
        chunks = [os.path.join(folder, name) for folder, _, names in os.walk(self.store) for name in names
                  if self.read(os.path.join(folder, name)).startswith(b"weights 0")]
        self.assertEqual(len(chunks), 1)
        right = self.read(chunks[0])
        self.overwrite(chunks[0], b"wrong" + right[5:])
        self.f.wait("the wrong bytes are said", lambda: self.said("ModelCorrupt"))
        self.assertEqual(self.f.serves("test"), "two weights 0.95\n", "wrong bytes are never served")
        self.overwrite(chunks[0], right)
        self.f.wait_healthy("test", "three", 90)
        self.assertEqual(self.f.serves("test"), "three weights 0.95\n")
        self.assertEqual(len(self.f.runs()), 1, "nothing was trained again")

    def verdict(self, env):
        return self.f.unit(env)["health"], self.f.unit(env)["reason"]

    def overwrite(self, path, data):
        os.chmod(path, 0o644)
        with open(path, "wb") as out:
            out.write(data)

    def source_error(self):
        return next((s["error"] for s in self.f.status()["sources"] if s.get("error")), None)

    def test_source(self):
        units = lambda: [(u["app"], u["env"], u["release"], u["health"]) for u in self.f.status()["units"]]
        before = units()
        os.rename(self.f.repo, self.f.repo + ".away")
        self.f.sluice("refresh", code=None)
        self.f.wait("the missing repository is said", self.source_error)
        self.assertEqual(units(), before)
        os.rename(self.f.repo + ".away", self.f.repo)
        self.f.sluice("refresh", code=None)
        self.f.wait("it is read again", lambda: not self.source_error())

        self.f.git("checkout", "-q", "-b", "aside")
        self.f.git("branch", "-D", "main")
        self.f.sluice("refresh", code=None)
        self.f.wait("the deleted branch is said", lambda: "main" in (self.source_error() or ""))
        self.assertEqual(units(), before, "a deleted branch prunes nothing")
        self.f.git("checkout", "-q", "-b", "main")
        self.f.sluice("refresh", code=None)
        self.f.wait("it is read again", lambda: not self.source_error())

        self.f.git("commit", "-q", "--amend", "-m", "rewritten")
        self.f.sluice("refresh", code=None)
        self.f.wait("the force-push is said", lambda: "SLU3123" in str(self.f.status()))
        self.assertEqual([u[:3] for u in units()], [u[:3] for u in before], "a rewound branch changes nothing by itself")
        self.f.sluice("refresh", "--accept", self.f.git("rev-parse", "HEAD").stdout.strip())
        self.f.wait("it goes on", lambda: "SLU3123" not in str(self.f.status()))
        self.change("one", "two")
        self.f.wait_healthy("test", "two")


if __name__ == "__main__":
    unittest.main()
