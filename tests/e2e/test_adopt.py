"""Somebody changes an environment's branch by hand: it is halted and says so, nothing runs it; `sluice adopt` goes on from there."""
import json
import unittest

import fleet


class Adopt(unittest.TestCase):
    def setUp(self):
        self.f = fleet.Fleet()
        self.addCleanup(self.f.stop)
        self.f.start_all()
        self.f.write_app()
        self.f.push("first")
        self.f.wait_healthy("test", "first")
        self.f.promote()
        self.f.wait_healthy("prod", "first")

    def tip(self):
        return self.f.run("git", "-C", self.f.state + "/state.git", "rev-parse", "sluice/env/prod").stdout.strip()

    def change_by_hand(self):
        """Appends to a bundle list what no list may hold, and pushes it."""
        clone = self.f.dir + "/clone"
        self.f.run("git", "clone", "-q", "-b", "sluice/env/prod", self.f.state + "/state.git", clone)
        with open(clone + "/.sluice/bundles/app/all", "a") as out:
            out.write("# by hand\n")
        self.f.run("git", "-C", clone, "commit", "-qam", "by hand")
        self.f.run("git", "-C", clone, "push", "-q", "origin", "sluice/env/prod")
        return self.tip()

    def halted(self):
        return next(each.get("halted") for each in self.f.status()["environments"] if each["name"] == "prod")

    def refused(self, *args, words):
        with self.assertRaises(fleet.CommandFailed) as failed:
            self.f.sluice("adopt", *args)
        self.assertIn(words, failed.exception.err)

    def test_adopt(self):
        self.refused("prod", "--reason", "mine", "--yes", words="environment prod is not halted")
        by_hand = self.change_by_hand()
        self.f.sluice("redeploy", "app/prod", "--ask-only")
        self.f.wait("prod is halted", lambda: self.halted() == by_hand)
        changes = [each for each in json.loads(self.f.get("/v1/events?limit=1000"))["events"] if each["type"] == "ExternalChange"]
        self.assertEqual([each["descends"] for each in changes], [True], "from what was committed since the start")
        said = self.f.sluice("status").stdout
        self.assertIn("HALTED", said)
        self.assertIn(f"prod: its branch was changed by hand and stands at {by_hand[:12]}", said)
        self.assertIn("halted", self.f.sluice("doctor", code=1).stdout)
        self.assertEqual((self.f.serves("prod"), self.tip()), ("one weights 0.95\n", by_hand))
        self.refused("prod", "--yes", words="--reason")
        self.refused("prod", "--commit", "0123456789", "--reason", "mine", "--yes", words="SLU")
        self.f.sluice("adopt", "prod", "--reason", "mine", "--yes")
        self.f.wait("prod goes on", lambda: self.halted() is None)
        self.assertNotIn("HALTED", self.f.sluice("status").stdout)
        self.f.edit("app/serve/code/serve.py", '"one"', '"two"')
        self.f.push("two")
        self.f.wait_healthy("test", "two")
        self.f.promote()
        self.f.wait_healthy("prod", "two")
        self.assertEqual(self.f.serves("prod"), "two weights 0.95\n")
        log = self.f.run("git", "-C", self.f.state + "/state.git", "log", "--format=%H", "sluice/env/prod").stdout.split()
        self.assertIn(by_hand, log[1:], "the foreign commit stays below")
        bundles = self.f.run("git", "-C", self.f.state + "/state.git", "show", "sluice/env/prod:.sluice/bundles/app/all").stdout
        self.assertNotIn("by hand", bundles)


if __name__ == "__main__":
    unittest.main()
