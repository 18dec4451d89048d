"""The remote of the state repository away, slow, refusing, talking garbage, lost to somebody else: required and not."""
import http.server
import json
import os
import shutil
import socket
import subprocess
import threading
import unittest

import fleet

RESUME_MAX = 30  # seconds from a remote that is back to work: it is asked again every 8 (append.c), the machine may be busy


class Remote(unittest.TestCase):
    def setUp(self):
        self.f = fleet.Fleet()
        self.addCleanup(self.f.stop)
        self.remote = os.path.join(self.f.dir, "remote.git")
        self.f.run("git", "init", "-q", "--bare", self.remote)

    def begin(self, required, url=None):
        self.f.configure(stateRemote={"url": url or self.remote, "required": required})
        self.f.start_all()
        self.f.write_app()

    def away(self):
        os.rename(self.remote, self.remote + ".away")

    def back(self):
        shutil.rmtree(self.remote, ignore_errors=True)  # a push that was under way may have made it again
        os.rename(self.remote + ".away", self.remote)

    def events(self, repo):
        """Every event of the ledger in `repo`, read with git alone."""
        names = self.f.run("git", "-C", repo, "ls-tree", "-r", "--name-only", "sluice/ledger").stdout.split()
        for name in names:
            if not name.startswith("maps/"):
                for line in self.f.run("git", "-C", repo, "show", f"sluice/ledger:{name}").stdout.splitlines():
                    yield json.loads(line)

    def wait_equal(self):
        self.f.wait("the remote has everything", lambda: self.f.refs(self.remote) == self.f.refs())

    def wait_quiet(self):
        """Nothing is written any more and the remote has all of it: the next who writes is the test."""
        seqs = []
        self.f.wait("the ledger is quiet", lambda: seqs.append(self.f.status()["ledger"]["seq"]) or seqs[-10:] == seqs[-1:] * 10)
        self.wait_equal()

    def test_required_and_away(self):
        self.begin(True)
        self.f.push("first")
        self.f.wait_healthy("test", "first")
        self.wait_quiet()
        self.away()
        # One request may be under way when the remote goes: it is not answered before the remote has it.
        late = subprocess.Popen([fleet.BIN + "/sluice", "pin", "app/test", "--reason", "late"], env=self.f.env,
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        alarm = self.f.wait("it is said", lambda: self.f.alarm("state-remote"))
        self.assertEqual(alarm["code"], "SLU3013")
        self.assertIsNone(late.poll(), "it is neither acknowledged, for the remote does not have it, nor refused, for it may yet")
        status, answer = self.f.act("promote", app="app", env="prod", reason="away")
        self.assertEqual((status, answer["error"]["code"]), (503, "SLU3013"))
        self.assertEqual(self.f.serves("test"), "one weights 0.95\n")
        self.back()
        self.f.wait("it goes on", lambda: not self.f.alarm("state-remote"), RESUME_MAX)
        self.assertEqual(late.wait(20), 0, late.stdout.read())
        late.stdout.close()
        self.assertTrue(self.f.unit("test")["pinned"])
        self.f.promote()
        self.wait_equal()

    def test_required_and_killed_while_away(self):
        """A coordinator that starts while its remote is away serves reads, and goes on when it is back."""
        self.begin(True)
        self.f.push("first")
        self.f.wait_healthy("test", "first")
        self.away()
        self.f.kill("coordinator")
        self.f.start_coordinator()
        self.f.wait("it is said", lambda: self.f.alarm("state-remote"))
        self.assertTrue(self.f.unit("test"))
        self.f.kill("coordinator", 15)  # within its 20 s: a stop does not wait for the remote, nor for a push (60 s)
        self.f.start_coordinator()
        self.f.wait("it is said again", lambda: self.f.alarm("state-remote"))
        self.back()
        self.f.wait("it goes on", lambda: not self.f.alarm("state-remote"), RESUME_MAX)
        self.f.wait_healthy("test", "first")
        self.f.promote()
        self.wait_equal()

    def test_optional_and_away(self):
        self.begin(False)
        self.away()
        self.f.push("first")
        self.f.wait_healthy("test", "first")
        self.f.promote()
        alarm = self.f.alarm("state-remote")
        self.assertEqual(alarm["code"], "SLU3009")
        self.assertRegex(alarm["message"], r"^[1-9]\d* commits of the ledger wait for it")
        self.assertIn("SLU3009", self.f.sluice("status").stdout)
        self.back()
        self.f.kill("coordinator", 15)  # a new start does not wait for the back-off
        self.f.start_coordinator()
        self.wait_equal()
        self.assertIsNone(self.f.alarm("state-remote"))

    def test_commits_are_there_before_the_ledger_names_them(self):
        """At every moment the remote's ledger names only commits that the remote has."""
        self.begin(True)
        missing, stopping = [], threading.Event()

        def look():
            known = 0
            while not stopping.wait(0.02):
                tip = subprocess.run(["git", "-C", self.remote, "rev-parse", "-q", "--verify", "sluice/ledger"], capture_output=True, text=True).stdout.strip()
                if not tip or tip == known:
                    continue
                known = tip
                shown = subprocess.run(["git", "-C", self.remote, "show", "--format=", tip], capture_output=True, text=True).stdout
                for line in shown.splitlines():
                    event = json.loads(line[1:]) if line.startswith("+{") and '"type":"Committed"' in line else None
                    if event and subprocess.run(["git", "-C", self.remote, "cat-file", "-e", event["new"]], capture_output=True).returncode:
                        missing.append(event["new"])

        watcher = threading.Thread(target=look)
        watcher.start()
        try:
            self.f.push("first")
            self.f.wait_healthy("test", "first")
            self.f.promote()
        finally:
            stopping.set()
            watcher.join()
        self.assertEqual(missing, [])
        self.assertTrue(any(e["type"] == "Committed" for e in self.events(self.remote)))

    def test_silent_server(self):
        """A server that takes the connection and says nothing: a stop does not wait for it."""
        listener = socket.socket()
        self.addCleanup(listener.close)
        listener.bind(("127.0.0.1", fleet.free_ports(1)))
        listener.listen(8)
        self.begin(False, f"http://127.0.0.1:{listener.getsockname()[1]}/state.git")
        self.f.push("first")
        self.f.wait_healthy("test", "first")
        listener.settimeout(20)
        held, _ = listener.accept()  # a push is under way
        self.addCleanup(held.close)
        self.f.kill("coordinator", 15)  # within its 20 s, where the push has 60

    def test_refusing_and_garbage(self):
        answers = [(403, b"no"), (500, b"broken"), (200, b"\x00\xff" * 5000), (200, b"001e# service=git-receive-pack\n0000ffff" + b"A" * 100)]
        asked = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(handler):
                code, body = answers[len(asked) % len(answers)]
                asked.append(handler.path)
                handler.send_response(code)
                handler.send_header("Content-Type", "application/x-git-receive-pack-advertisement")
                handler.send_header("Content-Length", str(len(body)))
                handler.end_headers()
                handler.wfile.write(body)

            def log_message(handler, *args):
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", fleet.free_ports(1)), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        self.f.configure(stateRemote={"url": f"http://127.0.0.1:{server.server_address[1]}/state.git", "required": True})
        self.f.start_coordinator(wait=False)
        self.f.wait("every answer was given twice", lambda: len(asked) >= 2 * len(answers))
        self.assertIsNone(self.f.processes["coordinator"].poll())
        self.assertEqual(self.f.alarm("state-remote")["code"], "SLU3013")
        self.assertEqual(self.f.act("pin", app="app", env="test", reason="x")[0], 503)

    def test_remote_of_somebody_else(self):
        """A push race lost: the other one's commits stay, and this coordinator ends instead of going on without proof."""
        self.begin(True)
        self.f.push("first")
        self.f.wait_healthy("test", "first")
        self.wait_equal()
        tree = self.f.run("git", "-C", self.remote, "rev-parse", "sluice/ledger^{tree}").stdout.strip()
        other = self.f.run("git", "-C", self.remote, "commit-tree", "-p", "sluice/ledger", "-m", "somebody else", tree).stdout.strip()
        self.f.run("git", "-C", self.remote, "update-ref", "refs/heads/sluice/ledger", other)
        self.f.sluice("pin", "app/test", "--reason", "race", code=None, timeout=90)
        self.f.wait("the coordinator ends", lambda: self.f.processes["coordinator"].poll() is not None)
        self.assertEqual(self.f.processes["coordinator"].poll(), 74)
        self.assertIn("SLU3010", self.f.log("coordinator"))
        self.assertEqual(self.f.run("git", "-C", self.remote, "rev-parse", "sluice/ledger").stdout.strip(), other)
        self.assertEqual(self.f.serves("test"), "one weights 0.95\n")


if __name__ == "__main__":
    unittest.main()
