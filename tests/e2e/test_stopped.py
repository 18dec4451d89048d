"""A daemon or host that is stopped (SIGSTOP), a wire that is cut: the others go on unharmed, and it catches up afterwards.

Minutes are short here: what the others do meanwhile is waited for, not the clock. SLUICE_CHAOS_LONG=1 (./dev check) stays
stopped past every time-out besides.
"""
import json
import os
import signal
import time
import unittest

import fleet
import githost
import wire

LONG = 75 if os.environ.get("SLUICE_CHAOS_LONG") else 0  # seconds: the longest time-out of a fetch or session is 60


class Stopped(unittest.TestCase):
    def setUp(self):
        self.f = fleet.Fleet()
        self.addCleanup(self.f.stop)
        self.version = "one"

    def begin(self):
        self.f.start_all()
        self.f.write_app()
        self.f.push("first")
        self.f.wait_healthy("test", "first")

    def change(self, version):
        self.f.edit("app/serve/code/serve.py", f'"{self.version}"', f'"{version}"')
        self.version = version
        self.f.push(version)

    def signal(self, name, what):
        self.f.processes[name].send_signal(what)

    def cluster(self, name):
        return next(c for c in self.f.status()["clusters"] if c["name"] == name)

    def stay(self):
        end = time.monotonic() + LONG
        while time.monotonic() < end:
            self.assertEqual(self.f.serves("dev"), f"{self.version} weights 0.95\n")
            time.sleep(1)

    def test_coordinator(self):
        self.begin()
        self.signal("coordinator", signal.SIGSTOP)
        # Its agents keep what runs as it is: a server that dies is started again by its agent alone.
        pid = next(pid for pid, argv in self.f.processes_below("serve.py", "test1"))
        os.kill(pid, signal.SIGKILL)
        self.f.wait("the server is back", lambda: self.f.serves("test") == "one weights 0.95\n")
        self.f.write("app/serve/README.md", "while it is stopped\n")
        self.f.git("add", "-A")
        self.f.git("commit", "-q", "-m", "meanwhile")
        self.stay()
        self.signal("coordinator", signal.SIGCONT)
        self.f.wait_healthy("test", "meanwhile")
        # The longer no handshake ended, the later an agent tries again (lib/link/client.c): at most a minute.
        self.f.wait("all are connected", lambda: all(c["connected"] for c in self.f.status()["clusters"]), 90)

    def test_one_agent_of_three(self):
        self.begin()
        self.signal("test1", signal.SIGSTOP)
        self.change("two")
        self.f.wait("dev serves the next version", lambda: self.f.serves("dev") == "two weights 0.95\n")
        self.f.wait_healthy("dev", "two")
        self.assertEqual(self.f.serves("test"), "one weights 0.95\n")
        self.f.wait("test waits for its agent", lambda: "waits for test1: has not taken" in self.f.sluice("status").stdout)
        self.stay()
        self.signal("test1", signal.SIGCONT)
        self.f.wait_healthy("test", "two")

    def test_git_host(self):
        port = fleet.free_ports(1)
        self.f.configure(repository=f"http://127.0.0.1:{port}/fleet/.git", poll="1s")
        self.f.start("githost", "/usr/bin/python3", githost.__file__, self.f.dir, str(port))
        self.begin()
        self.signal("githost", signal.SIGSTOP)
        self.change("two")
        self.f.promote()  # what is known already goes on, and every read does
        self.assertEqual(self.f.serves("prod"), "one weights 0.95\n")
        if LONG:
            self.f.wait("the host's silence is said", lambda: any(s.get("error") for s in self.f.status()["sources"]), LONG)
        self.signal("githost", signal.SIGCONT)
        self.f.sluice("refresh", code=None)
        self.f.wait_healthy("test", "two")

    def cut(self, name):
        """The agent of this name talks to its coordinator by a wire of ours from now on."""
        path = os.path.join(self.f.dir, name, "agent.json")
        with open(path) as file:
            config = json.load(file)
        port = fleet.free_ports(1)
        made = wire.Wire(port, int(config["coordinator"].rsplit(":", 1)[1]))
        made.start()
        self.addCleanup(made.stop)
        config["coordinator"] = f"tcp://127.0.0.1:{port}"
        with open(path, "w") as file:
            json.dump(config, file)
        self.f.kill(name)
        self.f.start_agent(name)
        self.f.wait(f"{name} is connected again", lambda: self.cluster(name)["connected"])
        return made

    def test_partition(self):
        self.begin()
        between = self.cut("test1")
        for n, (up, down) in enumerate([(False, False), (True, False), (False, True)]):
            with self.subTest(agent_is_heard=up, coordinator_is_heard=down):
                between.set(up, down)
                version = f"cut{n}"
                self.change(version)
                self.f.wait_healthy("dev", version)
                self.assertEqual(self.f.serves("dev"), f"{version} weights 0.95\n")
                self.assertNotEqual(self.f.serves("test"), None)
                self.stay()
                between.set(True, True)
                begun = time.monotonic()
                self.f.wait_healthy("test", version, 60)
                print(f"partition {up, down}: caught up {time.monotonic() - begun:.1f} s after it was joined", flush=True)
                self.assertEqual(self.f.serves("test"), f"{version} weights 0.95\n")

    def test_flapping(self):
        self.begin()
        between = self.cut("test1")
        self.change("flap")
        for n in range(20):
            between.set(bool(n & 1), bool(n & 2))
            self.assertIsNotNone(self.f.serves("test"))
        between.set(True, True)
        self.f.wait_healthy("test", "flap", 60)
        self.assertEqual(len(self.f.runs()), 1, "a partition starts nothing twice")


if __name__ == "__main__":
    unittest.main()
