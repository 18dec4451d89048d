"""From a push to a promoted, served model, and back, with the real programs."""
import json
import os
import shutil
import subprocess
import unittest

import fleet


class Story(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.f = fleet.Fleet()
        cls.addClassCleanup(cls.f.stop)
        cls.f.start_all()
        cls.f.write_app()
        cls.f.push("first")

    def test_1_dev_trains_and_serves(self):
        self.f.wait_healthy("dev", "first")
        runs = self.f.runs()
        self.assertEqual([run["phase"] for run in runs], ["Succeeded"])
        self.assertEqual(runs[0]["final"]["metrics"]["accuracy"], 0.95)
        self.assertEqual(self.f.serves("dev"), "one weights 0.95\n")

    def test_2_gate_lets_it_into_test(self):
        self.f.wait_healthy("test", "first")
        self.assertEqual(self.f.serves("test"), "one weights 0.95\n")

    def test_3_prod_waits_for_a_person(self):
        self.f.sluice("promote", "app", "--to", "prod", "--reason", "first time")
        attempt = self.f.wait("prod waits", lambda: self.f.unit("prod")["waiting"][0])
        self.f.wait("prod waits for a signature", lambda: self.f.unit("prod")["waiting"][0]["state"] == "GATING")
        self.assertIsNone(self.f.serves("prod"))
        shown = self.f.sluice("status", "app/prod").stdout
        self.assertIn("who can act: alice", shown)
        self.f.sluice("approve", "app/prod", "--yes", "--wait")
        self.f.wait_healthy("prod", "first")
        self.assertEqual(self.f.serves("prod"), "one weights 0.95\n")
        self.assertEqual(attempt["requester"], "alice")

    def test_4_readme_retrains_nothing(self):
        self.f.write("app/serve/README.md", "hello\n")
        self.f.push("readme")
        self.f.wait_healthy("test", "readme")
        self.assertEqual(len(self.f.runs()), 1)

    def test_5_new_server_reaches_prod(self):
        self.f.edit("app/serve/code/serve.py", '"one"', '"two"')
        self.f.push("server two")
        self.f.wait_healthy("test", "server two")
        self.f.promote()
        self.f.wait("prod serves two", lambda: self.f.serves("prod") == "two weights 0.95\n")

    def test_6_worse_model_is_stopped(self):
        self.f.edit("app/train/code/train.py", "ACCURACY = 0.95", "ACCURACY = 0.5")
        self.f.push("worse")
        self.f.wait("test rejects it", lambda: self.f.unit("test")["last"]["state"] == "REJECTED")
        self.assertEqual(self.f.serves("test"), "two weights 0.95\n")
        shown = self.f.sluice("status").stdout
        self.assertIn("final.accuracy", shown)

    def test_7_rollback_brings_back_the_exact_folder(self):
        self.f.sluice("rollback", "app/prod", "--reason", "two is bad", "--yes", "--wait")
        self.f.wait("prod serves one again", lambda: self.f.serves("prod") == "one weights 0.95\n")
        unit = self.f.unit("prod")
        self.assertTrue(unit["pinned"])
        git = ["git", "-C", os.path.join(self.f.state, "state.git")]
        commits = subprocess.check_output(git + ["log", "--format=%H", "sluice/env/prod"], text=True).split()
        folder = lambda commit: subprocess.check_output(git + ["rev-parse", commit + ":manifests/app"], text=True)
        self.assertEqual(folder(commits[0]), folder(commits[2]))

    def test_8_signatures_check_with_ssh_keygen(self):
        attempt = [a for a in self.f.json("history", "app/prod")["attempts"] if a["state"] == "SUCCEEDED"][0]
        statement = json.loads(self.f.get(f"/v1/attempts/{attempt['n']}"))["statement"]
        signature, allowed = self.f.dir + "/sig", self.f.dir + "/allowed"
        with open(self.f.dir + "/config/sluice/id_ed25519.pub") as file:
            key = file.read()
        with open(signature, "w") as out:
            out.write(statement["sigs"][0])
        with open(allowed, "w") as out:
            out.write("alice " + key)
        done = self.f.run("ssh-keygen", "-Y", "verify", "-f", allowed, "-I", "alice", "-n", "promotion@sluice.v1", "-s", signature, input=statement["text"])
        self.assertIn("Good", done.stdout)

    def test_9_restart_from_the_ledger_alone(self):
        before = self.f.json("history", "app/prod")["attempts"]
        self.f.kill("coordinator")
        for name in os.listdir(self.f.state):
            if name.startswith("cache") or name == "blobs":
                shutil.rmtree(os.path.join(self.f.state, name))
        self.f.start_coordinator()
        self.assertEqual([(a["n"], a["state"]) for a in self.f.json("history", "app/prod")["attempts"]], [(a["n"], a["state"]) for a in before])
        self.f.wait_healthy("prod")
        self.assertEqual(self.f.serves("prod"), "one weights 0.95\n")


if __name__ == "__main__":
    unittest.main()
