"""A full disk under the coordinator, under an agent, under the models: what runs goes on, nothing is broken, and it
goes on by itself when there is room again."""
import os
import time
import unittest

import fleet

BALLAST = 2 << 20
RESUME_MAX = 30  # seconds from room to work: it is looked for every 2 (space.c), the machine may be busy


def fill(folder):
    """Takes every byte that the disk of `folder` has left."""
    path = os.path.join(folder, "fill")
    with open(path, "ab", buffering=0) as out:
        for size in (1 << 20, 4096, 1):
            try:
                while True:
                    out.write(b"\0" * size)
            except OSError:
                pass
    return path


class Disk(unittest.TestCase):
    def setUp(self):
        self.f = fleet.Fleet()
        self.addCleanup(self.f.stop)

    def begin(self):
        self.f.start_all()
        self.f.write_app()
        self.f.push("first")
        self.f.wait_healthy("test", "first")

    def head_version(self, cluster):
        return next(c["headVersion"] for c in self.f.status()["clusters"] if c["name"] == cluster)

    def assert_sound(self):
        self.f.kill("coordinator", 15)
        self.f.run(fleet.BIN + "/sluice-coordinator", "check", "--dir", self.f.state)
        self.f.run("git", "-C", self.f.state_git(), "fsck", "--strict", "--no-dangling")

    def test_coordinator_without_room(self):
        self.f.small_disk(self.f.state, 24)
        self.f.configure(ballastBytes=BALLAST)
        self.begin()
        full = fill(self.f.state)
        alarm = self.f.wait("the full disk is seen", lambda: self.f.alarm("storage"), RESUME_MAX)
        self.assertEqual(alarm["code"], "SLU3012")
        self.assertFalse(os.path.exists(self.f.state + "/ballast"), "the ballast is given back")

        status, answer = self.f.act("promote", app="app", env="prod", reason="full")
        self.assertEqual((status, answer["error"]["code"]), (507, "SLU3012"))
        refused = self.f.sluice("promote", "app", "--to", "prod", "--reason", "full", code=None)
        self.assertNotEqual(refused.returncode, 0)
        self.assertIn("SLU3012", refused.stderr)
        self.assertIn("SLU3012", self.f.sluice("status").stdout)
        self.assertIn("1 alarms", self.f.sluice("doctor", code=1).stdout)

        self.f.edit("app/serve/code/serve.py", '"one"', '"two"')
        self.f.push("second")
        before = self.head_version("test1")
        self.f.kill("test1")
        self.f.start_agent("test1")
        self.f.wait("heads go on", lambda: self.head_version("test1") > before)
        self.assertEqual(self.f.serves("test"), "one weights 0.95\n")

        # Now the ballast's room is taken too, and the coordinator starts where it can write nothing at all.
        fill(self.f.state)
        self.f.kill("coordinator")
        self.f.start_coordinator()
        self.f.wait("it serves reads", lambda: self.f.alarm("storage"))
        self.assertEqual(self.f.act("promote", app="app", env="prod", reason="full")[0], 507)
        self.assertEqual(self.f.serves("test"), "one weights 0.95\n")

        os.unlink(full)
        self.f.wait("it goes on", lambda: not self.f.alarm("storage"), RESUME_MAX)
        self.assertEqual(os.stat(self.f.state + "/ballast").st_size, BALLAST)
        self.f.wait_healthy("test", "second")
        self.f.promote()
        self.assertEqual(self.f.serves("prod"), "two weights 0.95\n")
        self.assertIsNone(self.f.processes["coordinator"].poll())
        self.assert_sound()

    def test_big_commit_on_a_small_disk(self):
        """A fetch that does not fit is an error of the source, not the end of the coordinator."""
        self.f.small_disk(self.f.state, 24)
        self.f.configure(ballastBytes=BALLAST)
        self.begin()
        with open(self.f.repo + "/big", "wb") as out:
            out.write(os.urandom(40 << 20))
        self.f.push("big")
        self.f.wait("it is said", lambda: any(s.get("error") for s in self.f.status()["sources"]) or self.f.alarm("storage"))
        self.assertIsNone(self.f.processes["coordinator"].poll())
        self.assertEqual(self.f.serves("test"), "one weights 0.95\n")
        self.f.git("reset", "-q", "--hard", "HEAD~1")
        self.f.edit("app/serve/code/serve.py", '"one"', '"two"')
        self.f.push("small")
        self.f.wait_healthy("test", "small")
        self.assert_sound()

    def test_agent_without_room(self):
        self.f.start_all()
        self.f.kill("test1")
        self.f.small_disk(os.path.join(self.f.dir, "test1"), 8)
        self.f.start_agent("test1")
        self.f.write_app()
        self.f.push("first")
        self.f.wait_healthy("test", "first")
        full = fill(os.path.join(self.f.dir, "test1"))
        self.f.edit("app/serve/code/serve.py", '"one"', '"two"')
        self.f.push("second")
        self.f.wait_healthy("dev", "second")
        cluster = self.f.wait("it says that it has no room", lambda: next(
            (c for c in self.f.status()["clusters"] if c["name"] == "test1" and c["flags"]), None))
        self.assertIn("storage", cluster["flags"])
        self.assertEqual(self.f.serves("test"), "one weights 0.95\n")
        self.assertIsNone(self.f.processes["test1"].poll())
        os.unlink(full)
        begun = time.monotonic()
        self.f.wait_healthy("test", "second", 60)
        print(f"agent: healthy {time.monotonic() - begun:.1f} s after there was room")
        self.f.wait("the flag is gone", lambda: not next(c for c in self.f.status()["clusters"] if c["name"] == "test1")["flags"])
        self.assertEqual(self.f.serves("test"), "two weights 0.95\n")

    def test_models_without_room(self):
        """The folder of models is full: a run keeps its output until there is room, and is not run again."""
        models = os.path.join(self.f.state, "models")
        self.f.small_disk(models, 1)
        self.f.start_all()
        full = fill(models)
        self.f.write_app()
        self.f.push("first")
        run = self.f.wait("the run waits with its output", lambda: next(
            (r for r in self.f.runs() if r["phase"] == "Running" and r.get("reason") == "OutputWaits"), None))
        os.unlink(full)
        self.f.wait_healthy("test", "first")
        self.assertEqual([(r["id"], r["phase"]) for r in self.f.runs()], [(run["id"], "Succeeded")])


if __name__ == "__main__":
    unittest.main()
