"""What a loss of power takes from the caches is made again: what was applied is seen again, what waits is committed."""
import os
import shutil
import unittest

import fleet


class Power(unittest.TestCase):
    def setUp(self):
        self.f = fleet.Fleet()
        self.addCleanup(self.f.stop)
        self.f.start_all()
        self.f.write_app()
        self.f.push("first")
        self.f.wait_healthy("test", "first")

    def test_an_agent_without_its_blobs(self):
        answer = self.f.serves("dev")
        self.f.kill("dev1")
        shutil.rmtree(os.path.join(self.f.dir, "dev1/blobs"))
        seen = {c["name"]: c["lastSeen"] for c in self.f.status()["clusters"]}["dev1"]
        self.f.start_agent("dev1")
        self.f.wait("dev1 reports again", lambda: {c["name"]: c["lastSeen"] for c in self.f.status()["clusters"]}["dev1"] > seen)
        self.f.wait("dev is seen again", lambda: self.f.unit("dev")["targets"][0]["health"] == "Healthy" and self.f.healthy("dev", "first"))
        self.assertEqual(self.f.serves("dev"), answer)
        self.assertEqual(len(self.f.runs()), 1, "the run that was done is not done again")

    def test_a_coordinator_without_its_cache(self):
        self.f.sluice("promote", "app", "--to", "prod", "--reason", "power")
        self.f.wait("prod waits for a signature", lambda: self.f.unit("prod")["waiting"][0]["state"] == "GATING")
        self.f.kill("coordinator")
        shutil.rmtree(os.path.join(self.f.state, "cache/blobs"))
        self.f.start_coordinator()
        self.f.wait("prod still waits", lambda: self.f.unit("prod")["waiting"][0]["state"] == "GATING")
        self.f.sluice("approve", "app/prod", "--yes", "--no-verify")
        self.f.wait_healthy("prod", "first")


if __name__ == "__main__":
    unittest.main()
