"""kill -9 of the coordinator and of each agent, in the middle of the story; nothing is lost, nothing runs twice."""
import os
import unittest

import fleet


class Kill(unittest.TestCase):
    def setUp(self):
        self.f = fleet.Fleet()
        self.f.start_all()
        self.f.write_app()
        self.started = os.path.join(self.f.dir, "started")
        self.f.edit("app/train/train.yaml", "  timeLimit", "  env: [{name: STARTED, value: %s}]\n  timeLimit" % self.f.dir)
        self.f.edit("app/train/code/train.py", "SECONDS = 0.2", "SECONDS = 3")

    def tearDown(self):
        self.f.stop()

    def starts(self):
        return open(self.started).read().split() if os.path.exists(self.started) else []

    def test_every_daemon_dies_once(self):
        self.f.push("first")
        self.f.wait("training began", lambda: self.starts())
        self.f.kill("dev1")
        self.f.start_agent("dev1")
        self.f.wait("the run is seen again", lambda: self.f.runs()[0]["phase"] == "Running")
        self.f.kill("coordinator")
        self.f.start_coordinator()
        self.f.wait_healthy("dev", "first")
        self.assertEqual(len(self.starts()), 1, "the run was started once only")
        self.f.wait_healthy("test", "first")

        self.f.sluice("promote", "app", "--to", "prod", "--reason", "kill")
        self.f.kill("coordinator")
        self.f.start_coordinator()
        self.f.wait("prod waits for a signature", lambda: self.f.unit("prod")["waiting"][0]["state"] == "GATING")
        self.f.kill("prod1")
        self.f.sluice("approve", "app/prod", "--yes")
        self.f.start_agent("prod1")
        self.f.wait_healthy("prod", "first")

        answer = self.f.serves("prod")
        self.f.kill("prod1")
        self.assertEqual(self.f.serves("prod"), answer, "serving goes on without the agent")
        self.f.start_agent("prod1")
        self.f.wait("prod1 is back", lambda: all(c["connected"] for c in self.f.status()["clusters"]))
        self.assertEqual(self.f.serves("prod"), answer)
        self.assertEqual(len(self.starts()), 1)


if __name__ == "__main__":
    unittest.main()
