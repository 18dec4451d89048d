"""Bad models and bad metrics: a wrong byte is never served, and what is not a number passes no gate."""
import glob
import unittest

import bad


class Models(bad.BadCase):
    def flip(self, path):
        with open(path, "r+b") as file:
            file.seek(3)
            byte = file.read(1)[0]
            file.seek(3)
            file.write(bytes([byte ^ 1]))

    def test_1_model_with_a_wrong_byte(self):
        """The byte is changed in the store after dev trained; test must not serve it."""
        self.f.sluice("pin", "app/test", "--reason", "hold it back until the store is broken")
        self.f.edit("app/train/code/train.py", "ACCURACY = 0.95", "ACCURACY = 0.97")
        tip = self.f.push("better")
        self.f.wait("dev serves it", lambda: self.f.serves("dev") == "one weights 0.97\n")
        for chunk in glob.glob(self.f.state + "/models/chunks/*/*"):
            with open(chunk, "rb") as file:
                better = b"0.97" in file.read()
            if better:
                self.flip(chunk)
                wrong = chunk.rsplit("/", 1)[1]
        self.f.sluice("unpin", "app/test", "--reason", "go")
        self.f.sluice("promote", "app", "--to", "test", "--reason", "with a wrong byte", code=None)
        self.f.wait("test says so", lambda: "SLU5101" in str(self.f.unit("test")) or self.f.unit("test")["reason"] == "ModelCorrupt")
        shown = self.f.sluice("status").stdout
        self.assertIn(wrong[:12], shown)
        self.alive()
        self.assertEqual(self.f.serves("test"), "one weights 0.95\n", "the last good model is served")
        self.assertEqual(self.f.serves("prod"), "one weights 0.95\n")
        last = self.f.unit("test")["last"] or {}  # by itself and by hand: one of the two attempts may have given way to the other
        self.assertFalse(last.get("release") == self.f.unit("dev")["release"] and last["state"] == "SUCCEEDED", last)
        self.flip([chunk for chunk in glob.glob(self.f.state + "/models/chunks/*/*") if chunk.endswith(wrong)][0])
        self.f.wait("test serves it once the store is well", lambda: self.f.serves("test") == "one weights 0.97\n", 60)
        self.f.wait_healthy("test", "better")
        self.before = self.facts()
        self.assertTrue(tip)

    def worse(self, name, old, new):
        """A run whose metrics are no ground to go on: dev runs it, test keeps what it has and says why."""
        before = self.facts()
        self.f.edit("app/train/code/train.py", old, new)
        self.f.push(name)
        self.f.wait("dev has it", lambda: self.f.unit("dev")["subject"] == name and not self.f.unit("dev")["active"])
        try:
            def judged():
                unit = self.f.unit("test")
                return [a for a in [unit["last"] or {}, *unit["waiting"]] if a.get("subject") == name and a["gates"]]
            attempt = self.f.wait("test judges it", judged)[0]
            self.assertIn(attempt["state"], ("GATING", "REJECTED"))
            gate = attempt["gates"][0]
            self.assertIn(gate["verdict"], ("wait", "shut"))
            self.assertEqual(self.f.serves("test"), before["served"]["test"])
            self.assertEqual(self.facts()["units"]["app/test"], before["units"]["app/test"])
            self.assertIn(gate["reason"], self.f.sluice("status").stdout)
            return gate["reason"]
        finally:
            self.f.edit("app/train/code/train.py", new, old)
            self.f.push("undo " + name)
            self.f.wait_healthy("dev", "undo " + name)
            self.f.wait("test is quiet", lambda: not self.f.unit("test")["waiting"] and not self.f.unit("test")["active"])

    def test_2_metric_is_nan(self):
        reason = self.worse("nan", 'metrics={"accuracy": ACCURACY}', 'metrics={"accuracy": float("nan")}')
        self.assertIn("final.accuracy", reason)

    def test_3_metric_is_infinite(self):
        reason = self.worse("infinite", 'metrics={"accuracy": ACCURACY}', 'metrics={"accuracy": float("inf")}')
        self.assertIn("final.accuracy", reason)

    def test_4_metric_is_missing(self):
        reason = self.worse("missing", 'metrics={"accuracy": ACCURACY}', 'metrics={"other": 1.0}')
        self.assertIn("final.accuracy", reason)

    def test_5_metric_is_a_text(self):
        reason = self.worse("text", 'metrics={"accuracy": ACCURACY}', 'metrics={"accuracy": "0.99"}')
        self.assertIn("final.accuracy", reason)

    def test_6_output_is_missing(self):
        self.f.edit("app/train/code/train.py", 'os.makedirs(os.environ["SLUICE_OUTPUT_MODEL"], exist_ok=True)', "raise SystemExit(0)")
        self.f.push("no output")
        shown = lambda: self.f.sluice("jobs").stdout + self.f.sluice("status").stdout
        self.f.wait("the run failed", lambda: any(run["phase"] == "Failed" for run in self.f.runs()))
        self.assertIn("output", shown())
        self.assertEqual(self.f.serves("dev"), "one weights %s\n" % self.before["served"]["dev"].split()[-1])
        self.f.edit("app/train/code/train.py", "raise SystemExit(0)", 'os.makedirs(os.environ["SLUICE_OUTPUT_MODEL"], exist_ok=True)')
        self.f.push("output again")
        self.f.wait_healthy("dev", "output again")
        self.f.wait("test is quiet", lambda: not self.f.unit("test")["waiting"] and not self.f.unit("test")["active"])


if __name__ == "__main__":
    unittest.main()
