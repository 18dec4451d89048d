"""Floods and slow peers. Each attack goes on for a while beside honest agents; then: everybody was served, memory stayed within its
limit and came back, what happened is counted, and the log names no more than it should.

The honest ones are thin agents (tests/swarm) that report five times a second; their round trips are measured before and during each
attack. An attack goes on until what it must cause was seen, however slow the machine is; attackers are niced, since they run on the same
cores as those that they attack, and the machine's own delays are measured beside. FLOOD_SECONDS (default 2, ./dev check 20) says how long one attack lasts, FLOOD_RECONNECT how many agents come back at once.
"""
import json
import os
import re
import socket
import subprocess
import time
import unittest

import swarm

SECONDS = int(os.environ.get("FLOOD_SECONDS", "2"))
REGISTERED, HONEST = 60, 40  # the rest of the registered keys is in bad hands
NOBODY = 999999
ANONYMOUS_MIB, REGISTERED_MIB = 64, 128  # what memory may rise
REQUEST_SECONDS = 2  # how long an HTTP request may take to come
FLOOR_MS = 400  # a round trip below this is no harm: the machine is shared
LATE_FACTOR = 5  # a report, its way through the coordinator and its answer each wait for a core, at both ends
LONG = 120  # seconds of an attack that the test ends
LINES = 400  # of the log, whatever comes
RECONNECT = int(os.environ.get("FLOOD_RECONNECT", "300"))  # agents that come back at once; ./dev check: 10,000
AGENT_KIB = 100  # of the coordinator, for each (bench/agents.py: less than half)


class Peak:
    """Highest RSS from here on: the kernel's own mark; where it can't be set anew, what was seen."""

    def __init__(self, pid):
        self.pid, self.most = pid, 0
        try:
            with open(f"/proc/{pid}/clear_refs", "w") as file:
                file.write("5")
            self.field = "VmHWM"
        except OSError:
            self.field = "VmRSS"
        self.before = swarm.rss_mib(pid)

    def look(self):
        self.most = max(self.most, swarm.rss_mib(self.pid, self.field))
        return self.most - self.before


class Floods(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        def configure(config):
            config["agents"]["max"] = REGISTERED
            config["api"].update(listen=f"127.0.0.1:{cls.api_port()}", requestTimeout=f"{REQUEST_SECONDS}s")
        cls.f = swarm.prepared_fleet(REGISTERED, configure)
        cls.addClassCleanup(cls.f.stop)
        cls.f.start_coordinator()
        cls.pid = cls.f.processes["coordinator"].pid
        with open(cls.f.state + "/keys/curve") as file:
            cls.key = next(line.split()[1] for line in file if line.startswith("public: "))
        cls.agents = swarm.Swarm(cls.f, HONEST, 200)
        cls.addClassCleanup(cls.agents.stop, cls.f)
        assert cls.agents.wait_sessions(30), cls.agents.stat()

    @staticmethod
    def api_port():
        if not hasattr(Floods, "port"):
            Floods.port = swarm.fleet.free_ports(1)
        return Floods.port

    # -- attacks --

    def raw(self, what, index=NOBODY, port=None, seconds=LONG):
        process = subprocess.Popen([swarm.PROCESS, "raw", f"tcp://127.0.0.1:{port or self.f.port}", self.key, what, swarm.SEED,
                                 str(index), str(seconds)], stdout=subprocess.PIPE, text=True, preexec_fn=lambda: os.nice(10))
        self.assertEqual(process.stdout.readline(), "{}\n", "it has begun")
        return process

    def metrics(self):
        text = self.f.run("curl", "-sf", "--unix-socket", self.f.state + "/api.sock", "http://x/metrics").stdout
        return {name: float(value) for name, value in re.findall(r"^(sluice_\S+) (\S+)$", text, re.M)}

    def cuts(self, port, before):
        """By reason, since `before`."""
        now = self.metrics()
        names = {reason: f'sluice_connections_cut_total{{port="{port}",reason="{reason}"}}'
                 for reason in ("crowd", "pace", "mute", "endless", "flood", "asked")}
        return {reason: now[name] - before[name] for reason, name in names.items()}

    def suspended(self, *numbers):
        alarms = self.alarms()
        return all((f"sw{number:05}", "suspended", "SLU4007") in alarms for number in numbers)

    def alarms(self):
        return [(alarm["cluster"], alarm["what"], alarm["code"]) for alarm in self.f.status()["alarms"]]

    def honest_rtt(self, seconds, peak=None):
        """Round trips of reports; `per_s` of them; `late_ms`: by how much this process, which wants nothing but to wake up, woke too late."""
        self.agents.rtt()
        began, late = time.monotonic(), 0
        while time.monotonic() < began + seconds:
            asleep = time.monotonic()
            time.sleep(0.02)
            late = max(late, time.monotonic() - asleep - 0.02)
            if peak:
                peak.look()
        rtt = self.agents.rtt()
        return {**rtt, "late_ms": late * 1000, "per_s": rtt["count"] / (time.monotonic() - began)}

    def assert_served(self, during, calm):
        """Reports were answered all the time; on a machine that starves the swarm itself, as many as afterwards."""
        if during["per_s"] <= calm["per_s"] / 2:
            again = self.honest_rtt(SECONDS)
            self.assertGreater(during["per_s"], min(calm["per_s"], again["per_s"]) / 4, f"calm {calm}, during {during}, afterwards {again}")

    def assert_quick(self, during, calm):
        """At most twice as long as when nothing goes on; a machine that something else keeps busy shows it elsewhere too."""
        allowed = lambda quiet: max(2 * quiet["p99_us"] / 1000, FLOOR_MS) + LATE_FACTOR * during["late_ms"]
        if during["p99_us"] / 1000 >= allowed(calm):
            again = self.honest_rtt(SECONDS)
            self.assertLess(during["p99_us"] / 1000, allowed(again), f"calm {calm}, during {during}, afterwards {again}")

    def withstand(self, limit_mib, attack, until=lambda: True):
        """`attack` starts it and returns its processes; `until` says that it did what it must. What the attackers said of themselves."""
        calm = self.honest_rtt(1)
        lines = self.f.log("coordinator").count("\n")
        reports = self.agents.stat()
        peak = Peak(self.pid)
        started = attack()
        try:
            during = self.honest_rtt(SECONDS, peak)
            self.f.wait("the attack did what it must", until, 60)
        finally:
            for each in started:
                each.terminate()
            said = [json.loads(each.communicate(timeout=60)[0]) for each in started]
        after = self.agents.stat()
        self.assertEqual(after["sessions"], HONEST, "everybody still has a session")
        self.assertEqual(after["hellos"], reports["hellos"], "nobody had to come back")
        self.assert_served(during, calm)
        self.assert_quick(during, calm)
        self.assertLess(peak.look(), limit_mib, "memory while it went on")
        self.f.wait("memory comes back", lambda: swarm.rss_mib(self.pid) - peak.before < limit_mib / 2, 30)
        self.assertLess(self.f.log("coordinator").count("\n") - lines, LINES + SECONDS * 10, "lines of the log")
        return said

    # -- anonymous --

    def test_silent_connections(self):
        """Far more than the door holds: the oldest that say nothing go, no descriptor is missing."""
        before, held = self.metrics(), []

        def attack():
            for _ in range(1500):
                held.append(socket.create_connection(("127.0.0.1", self.f.port), timeout=10))
            return [self.raw("silent")]
        try:
            self.withstand(ANONYMOUS_MIB, attack)
            cut = self.cuts("agents", before)
            self.assertGreater(cut["crowd"] + cut["pace"], 1000)
            now = self.metrics()
            self.assertLess(now['sluice_connections{port="agents"}'], REGISTERED + 256 + 50)
            self.assertLess(len(os.listdir(f"/proc/{self.pid}/fd")), 600)
        finally:
            for sock in held:
                sock.close()

    def test_half_handshakes_and_garbage(self):
        greeting = b"\xff\0\0\0\0\0\0\0\1\x7f\3\1CURVE" + b"\0" * 48
        huge = greeting + b"\6\xff\xff\xff\xff\xff\xff\xff\xff" + b"x" * 65536

        def attack():
            for port in (self.f.port, self.f.port + 1):
                for bytes_ in (os.urandom(70000), greeting, huge, b"\0") * 20:
                    with socket.create_connection(("127.0.0.1", port), timeout=10) as sock:
                        try:
                            sock.sendall(bytes_)
                        except OSError:
                            pass
            return [self.raw("half") for _ in range(8)]
        self.withstand(ANONYMOUS_MIB, attack)

    def test_unknown_keys_at_full_speed(self):
        name = 'sluice_connections_accepted_total{port="agents"}'
        before = self.metrics()[name]
        said = self.withstand(ANONYMOUS_MIB, lambda: [self.raw("knock") for _ in range(2)], until=lambda: self.metrics()[name] > before + 100)
        self.assertEqual(sum(each["handshakes"] for each in said), 0, "nobody unknown is let in")
        self.assertNotIn("knock", str(self.alarms()))

    def test_message_without_end_by_a_stranger(self):
        """Parts of one message, for ever: libzmq keeps them all, the doorman ends it."""
        before = self.metrics()
        said = self.withstand(ANONYMOUS_MIB, lambda: [self.raw("endless", port=self.f.port + 1) for _ in range(4)],
                              until=lambda: self.cuts("enrol", before)["endless"] > 3)
        self.assertGreater(sum(each["handshakes"] for each in said), 3, "anybody gets as far as that there")

    def test_message_begun_by_a_stranger(self):
        """Too little to be seen in memory: it is looked at because bytes came, and cut at once, again and again."""
        before = self.metrics()
        said = self.withstand(ANONYMOUS_MIB, lambda: [self.raw("begun", port=self.f.port + 1)], until=lambda: self.cuts("enrol", before)["endless"] > 3)
        self.assertGreater(said[0]["connects"], 3, "it came back each time")

    def test_bad_join_tokens(self):
        """Nobody can tell them from an agent's before the token is looked up: limited, counted, and somebody who has one gets in."""
        before, joined = self.metrics(), []
        more = lambda name: self.metrics()[name] - before[name]

        def until():
            if more("sluice_enrolments_refused_total") > 5 and not joined:
                joined.append(self.f.add_cluster("late", "dev"))
            return joined and more("sluice_agent_messages_dropped_total") > 100 and self.cuts("enrol", before)["flood"] > 1
        self.withstand(ANONYMOUS_MIB, lambda: [self.raw("joins", port=self.f.port + 1) for _ in range(3)], until)

    # -- with a registered key --

    def test_message_without_end(self):
        before = self.metrics()
        self.withstand(REGISTERED_MIB, lambda: [self.raw("endless", HONEST), self.raw("pings", HONEST + 1)],
                       until=lambda: self.cuts("agents", before)["endless"] > 0)

    def test_malformed_messages(self):
        """Ten within a minute: cut off for a minute, and said in status."""
        self.withstand(REGISTERED_MIB, lambda: [self.raw("garbage", HONEST + 2)], until=lambda: self.suspended(HONEST + 2))
        self.assertIn("SLU4007", self.f.sluice("status").stdout)
        self.assertIn("ten malformed messages within a minute", self.f.log("coordinator"))
        dropped = self.f.log("coordinator").count("message-dropped")
        again = self.raw("garbage", HONEST + 2, seconds=1)
        self.assertEqual(json.loads(again.communicate(timeout=20)[0])["handshakes"], 0, "not for a minute")
        self.assertEqual(self.f.log("coordinator").count("message-dropped"), dropped)

    def test_flood_of_messages(self):
        self.withstand(REGISTERED_MIB, lambda: [self.raw("hellos", HONEST + 3), self.raw("fetches", HONEST + 4)],
                       until=lambda: self.suspended(HONEST + 3))  # the other one too, if the machine is quick enough to go above its share
        self.assertIn("unsaid=", self.f.log("coordinator"))

    def test_asks_for_what_is_nowhere(self):
        """Each costs a search, none is above its share: nobody else waits for it, and the log is not full of it."""
        calm, asked = self.metrics()["sluice_agent_messages_total"], HONEST + 8
        self.withstand(REGISTERED_MIB, lambda: [self.raw("asks", asked)], until=lambda: self.metrics()["sluice_agent_messages_total"] > calm + 1500)
        self.assertFalse(self.suspended(asked))

    def test_peer_that_never_reads(self):
        """Each HELLO asks for a head; none of them is read."""
        self.withstand(REGISTERED_MIB, lambda: [self.raw("unread", HONEST + 5), self.raw("unread", HONEST + 6)])

    def test_slow_agent(self):
        """1 KiB a second each way, and no harm meant: it gets its heads, and nobody waits for it."""
        slow = []

        def attack():
            slow.append(self.raw("slow", HONEST + 7))
            return slow
        said = self.withstand(REGISTERED_MIB, attack, until=lambda: slow[0].poll() is not None)
        self.assertEqual((said[0]["connects"], said[0]["handshakes"], said[0]["heads"]), (1, 1, 1), "nobody cuts it off")
        self.assertNotIn(f"sw{HONEST + 7:05}", str(self.alarms()))

    # -- the HTTP port --

    def test_http_clients(self):
        """Idle ones, slow ones, too many of one address, too large, too much asked for."""
        held = []

        def attack():
            for i in range(400):
                sock = socket.create_connection(("127.0.0.1", self.api_port()), timeout=10)
                held.append(sock)
                try:
                    sock.sendall((b"GET /v1/status HTTP/1.1\r\n", b"P", b"GET / HTTP/1.1\r\nX: " + b"x" * 70000, b"")[i % 4])
                except OSError:
                    pass
            return []
        try:
            self.withstand(ANONYMOUS_MIB, attack)
            for path in ("/v1/events?limit=1000000", "/v1/history?limit=1000000"):
                answer = json.loads(self.f.run("curl", "-s", "--unix-socket", self.f.state + "/api.sock", "http://x" + path).stdout)
                self.assertLessEqual(max(len(rows) for rows in answer.values()), 1000, path)
        finally:
            for sock in held:
                sock.close()


    def test_http_byte_by_byte(self):
        """Never silent, never done: a request has a time to come in, whoever sends it."""
        held, name = [], "sluice_api_slow_total"
        before = self.metrics()[name]

        def dribble():
            for sock in held:
                try:
                    sock.send(b"G")
                except OSError:
                    pass
            return self.metrics()[name] - before
        try:
            for _ in range(50):
                held.append(socket.create_connection(("127.0.0.1", self.api_port()), timeout=10))
            began = time.monotonic()
            self.f.wait("all of them are cut", lambda: dribble() >= len(held), 60)
            self.assertGreaterEqual(time.monotonic() - began, REQUEST_SECONDS * 0.9, "not before their time")
        finally:
            for sock in held:
                sock.close()

    def test_http_followers(self):
        """More than may wait for the next event: told so at once, and everybody else is served."""
        held, answers = [], []

        def attack():
            since = int(self.metrics()["sluice_ledger_seq"]) + 1000
            for _ in range(150):
                sock = socket.socket(socket.AF_UNIX)
                sock.settimeout(10)
                sock.connect(self.f.state + "/api.sock")
                sock.sendall(f"GET /v1/events?follow=1&since={since} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
                held.append(sock)
            return []
        try:
            self.withstand(ANONYMOUS_MIB, attack)
            for sock in held:
                sock.setblocking(False)
                try:
                    answers.append(sock.recv(4096))
                except BlockingIOError:
                    pass
            self.assertEqual(len(answers), 100, "fifty of one person may wait")
            for answer in answers:
                self.assertTrue(answer.startswith(b"HTTP/1.1 429 ") and b"SLU4111" in answer and b"Retry-After: 25" in answer, answer)
            self.assertEqual(self.f.sluice("status").returncode, 0)
        finally:
            for sock in held:
                sock.close()


class Storm(unittest.TestCase):
    """The coordinator dies, and all agents come back at once."""

    def test_everybody_comes_back(self):
        count = swarm.most_agents(RECONNECT)
        f = swarm.prepared_fleet(count)
        self.addCleanup(f.stop)
        f.start_coordinator()
        agents = swarm.Swarm(f, count)
        self.addCleanup(agents.stop, f)
        self.assertIsNotNone(agents.wait_sessions(120), agents.stat())
        f.kill("coordinator")
        f.start_coordinator()
        pid = f.processes["coordinator"].pid
        before = swarm.rss_mib(pid)
        hellos = agents.stat()["hellos"]
        self.assertIsNotNone(agents.wait_sessions(120), agents.stat())
        self.assertLess(swarm.rss_mib(pid, "VmHWM") - before, ANONYMOUS_MIB + count * AGENT_KIB / 1024)
        self.assertLess(agents.stat()["hellos"] - hellos, 3 * count, "nobody knocks again and again")
        self.assertLess(f.log("coordinator").count("\n"), LINES)


if __name__ == "__main__":
    unittest.main()
