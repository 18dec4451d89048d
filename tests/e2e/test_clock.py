"""A clock set wrong (libfaketime), by minutes, hours, years, frozen, stepping while running: of an agent, of the coordinator.
Nothing is activated that should not be, nothing is deleted, it is said, and it is over when the clock is right again."""
import glob
import os
import time
import unittest

import fleet

LIBRARY = "/usr/lib/*/faketime/libfaketimeMT.so.1"
# ./dev check (SLUICE_CHAOS_LONG=1) takes all of them, a plain run the largest of each direction and one that is just too much.
OFFSETS = (["-5m", "+5m", "-1h", "+1h", "-3650d", "+3650d"] if os.environ.get("SLUICE_CHAOS_LONG") else ["-1h", "+3650d"])


def load_tests(_loader, suites, _pattern):
    return fleet.SideBySide.of(suites)


class Clock(unittest.TestCase):
    def setUp(self):
        found = glob.glob(LIBRARY)
        if not found:
            raise unittest.SkipTest("not run: needs the package faketime")
        self.library = found[0]
        self.f = fleet.Fleet()
        self.addCleanup(self.f.stop)
        self.f.start_all()
        self.f.write_app()
        self.f.push("first")
        self.f.wait_healthy("test", "first")
        self.f.promote()
        self.serving, self.version = "one", 0

    def turn(self, name, offset):
        """Sets the clock of a daemon that runs under faketime; the file is read again at every look."""
        path = os.path.join(self.f.dir, f"clock-{name}")
        with open(path + ".new", "w") as out:
            out.write(offset + "\n")
        os.rename(path + ".new", path)

    def under_faketime(self, name, offset="+0"):
        self.f.kill(name)
        self.turn(name, offset)
        honest = dict(self.f.env)
        self.f.env.update(LD_PRELOAD=self.library, FAKETIME_TIMESTAMP_FILE=os.path.join(self.f.dir, f"clock-{name}"),
                          FAKETIME_DONT_FAKE_MONOTONIC="1", FAKETIME_CACHE_DURATION="0")
        try:
            if name == "coordinator":
                self.f.start_coordinator()
            else:
                self.f.start_agent(name)
        finally:
            self.f.env.clear()
            self.f.env.update(honest)
        self.f.wait(f"{name} is back", lambda: all(c["connected"] for c in self.f.status()["clusters"]))

    def serves_on(self):
        for env in ("dev", "test", "prod"):
            self.assertEqual(self.f.serves(env), f"{self.serving} weights 0.95\n", env)

    def next_version(self):
        """What shows that all is well again: a new version goes through all three environments."""
        self.version += 1
        subject = f"v{self.version}"
        self.f.edit("app/serve/code/serve.py", f'"{self.serving}"', f'"{subject}"')
        self.f.push(subject)
        self.f.wait_healthy("test", subject, 60)
        self.f.promote()
        self.serving = subject
        self.f.wait("it serves", lambda: self.f.serves("prod") == f"{subject} weights 0.95\n")

    def head_version(self):
        return next(c["headVersion"] for c in self.f.status()["clusters"] if c["name"] == "prod1")

    def troubles(self):
        """What is said; but not a head of the session before this test's restart (SLU2211), which is no clock's fault."""
        status = self.f.status()
        said = [r for c in status["clusters"] for r in c["refused"]] + status["alarms"]
        return [flag for c in status["clusters"] for flag in c["flags"]] + [r["what"] for r in said if r["code"] != "SLU2211"]

    def test_agent(self):
        self.under_faketime("prod1")
        for offset in OFFSETS:
            with self.subTest(offset=offset):
                self.turn("prod1", offset)
                # What is new must not start on a wrong clock's word; what runs must not care.
                self.f.sluice("pause", "prod", "--reason", "a word from the coordinator", "--yes", code=None)
                self.f.wait(f"{offset} is said", self.troubles, 30)
                self.serves_on()
                self.turn("prod1", "+0")
                self.f.wait("the pause holds", lambda: any(f.startswith("paused") for c in self.f.status()["clusters"] for f in c["flags"]), 60)
                self.f.sluice("resume", "prod", "--reason", "right again", "--yes", code=None)
                self.f.wait("all is well again", lambda: not self.troubles(), 60)
        self.next_version()
        self.serves_on()

    def test_frozen_and_stepping_agent(self):
        self.under_faketime("prod1")
        self.turn("prod1", time.strftime("%Y-%m-%d %H:%M:%S"))  # stands still
        self.serves_on()
        for n, offset in enumerate(["+2m", "-2m", "+4m", "-4m", "+0", "+0"]):  # less than what the root forgives
            self.turn("prod1", offset)
            before = self.head_version()
            self.f.sluice("resume" if n % 2 else "pause", "prod", "--reason", "a head by this clock", "--yes")
            self.f.wait(f"a head is taken at {offset}", lambda: self.head_version() > before)
            self.serves_on()
        self.next_version()

    def own_alarm(self):
        return next((a for a in self.f.status()["alarms"] if a["what"] == "clock" and not a.get("cluster")), None)

    def test_coordinator(self):
        """Set wrong while it runs: agents contradict, so it is said, and time goes on as before: nothing expires."""
        self.under_faketime("coordinator")
        token = self.f.sluice("cluster", "add", "dev2", "--env", "dev", "--token").stdout.strip()
        self.f.canaries.join_token(token)
        for offset in [o for o in OFFSETS if not o.endswith("5m")]:  # 5 minutes are forgiven
            with self.subTest(offset=offset):
                self.turn("coordinator", offset)
                alarm = self.f.wait(f"{offset} is said", self.own_alarm, 30)
                self.assertEqual(alarm["code"], "SLU3014")
                self.assertIn("was set ahead" if offset[0] == "+" else "was set back", alarm["message"])
                self.serves_on()
                self.next_version()  # by the time that agents agree with
                self.assertEqual(len(self.f.json("clusters")["pending"]), 0)
                self.turn("coordinator", "+0")
                self.f.wait("all is well again", lambda: not self.troubles(), 60)
        self.serves_on()
        self.assertEqual(len(self.f.runs()), 1, "nothing was trained again")

    def test_coordinator_starts_wrong(self):
        """Its clock is wrong when it starts: nothing new is rendered to be signed, and it follows the clock that agents confirm."""
        for offset in OFFSETS[-2:] if len(OFFSETS) > 2 else OFFSETS[:1]:
            with self.subTest(offset=offset):
                self.under_faketime("coordinator", offset)
                alarm = self.f.wait(f"{offset} is said", self.own_alarm, 60)
                self.assertIn("3 of 3 clusters", alarm["message"])
                self.version += 1
                subject, old = f"v{self.version}", self.serving
                self.f.edit("app/serve/code/serve.py", f'"{old}"', f'"{subject}"')
                self.f.push(subject)
                self.f.wait("it waits for the clock", lambda: "clock" in str(self.f.unit("dev").get("waiting") or self.f.unit("dev").get("active")), 30)
                self.serves_on()
                self.turn("coordinator", "+0")
                self.f.wait("all is well again", lambda: not self.troubles(), 60)
                self.f.wait_healthy("test", subject, 60)
                self.f.promote()
                self.serving = subject
                self.f.wait("it serves", lambda: self.f.serves("prod") == f"{subject} weights 0.95\n")
        self.assertEqual(len(self.f.runs()), 1, "nothing was trained again")


if __name__ == "__main__":
    unittest.main()
