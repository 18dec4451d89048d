"""Bad peers and bad machines: tokens, keys, copies of an agent, garbage on the ports, what a daemon needs to start."""
import json
import os
import shutil
import signal
import socket
import subprocess
import time
import unittest

import bad
import fleet


def no_sockets(folder, names):
    return [name for name in names if name.endswith(".sock")]


class Peers(bad.BadCase):
    def token(self, name, *more):
        return self.f.sluice("cluster", "add", name, "--env", "dev", "--token", *more).stdout.strip()

    def join(self, folder, token):
        return self.f.run(fleet.BIN + "/sluice-agent", "join", "--dir", self.f.dir + "/" + folder, "--option",
                          "modelStore=" + self.f.state + "/models", input=token + "\n", code=None)

    def refused_join(self, folder, token, code, words):
        done = self.join(folder, token)
        self.assertNotEqual(done.returncode, 0)
        self.said(done.stderr, code, words)
        self.assertNotIn(token.split(".", 1)[-1][:40], done.stderr, "a token is a secret")

    def server_pid(self, folder):
        """Of the model server that this agent started."""
        return next((pid for pid, argv in self.f.processes_below("serve.py", folder + "/") if "serve.py" in argv), None)

    def test_1_join_tokens(self):
        token = self.token("extra")
        self.assertEqual(self.join("x1", token).returncode, 0)
        self.refused_join("x2", token, "SLU5061", "SLU3117: join token")
        self.assertIn("used by another agent already", self.join("x2", token).stderr)
        self.refused_join("x3", token[:-3] + "abc", "SLU5060", "cut off or has a wrong character")
        self.refused_join("x3", "slj2." + token[5:], "SLU5060", "must start with slj1.")
        short = self.token("short", "--lifetime", "1s")
        time.sleep(1.1)  # the lifetime is what is tested
        self.refused_join("x4", short, "SLU5061", "SLU3118: join token")
        self.assertIn("has expired", self.join("x4", short).stderr)
        self.refused("cluster", "add", "extra", "--env", "dev", "--token", code="SLU3115", exit=5, words=["extra exists"])
        names = [cluster["name"] for cluster in self.f.json("clusters")["clusters"]]
        self.assertEqual(sorted(names), ["dev1", "extra", "prod1", "test1"])
        self.f.sluice("cluster", "remove", "extra")
        self.f.sluice("cluster", "sign", "dev", "--yes")

    def test_2_garbage_on_the_ports(self):
        greeting = b"\xff\0\0\0\0\0\0\0\1\x7f\3\1CURVE" + b"\0" * 48
        null = b"\xff\0\0\0\0\0\0\0\1\x7f\3\1NULL" + b"\0" * 48
        huge = greeting + b"\6\xff\xff\xff\xff\xff\xff\xff\xff" + b"x" * 4096
        for port in (self.f.port, self.f.port + 1):
            for bytes_ in (os.urandom(70000), b"GET / HTTP/1.1\r\n\r\n", greeting, null + b"\4\x26\5READY", huge, b"\0"):
                with socket.create_connection(("127.0.0.1", port), timeout=10) as sock:
                    try:
                        sock.sendall(bytes_)
                        sock.shutdown(socket.SHUT_WR)
                        sock.recv(4096)
                    except OSError:
                        pass
        held = [socket.create_connection(("127.0.0.1", self.f.port)) for _ in range(100)]
        self.alive()
        self.assertTrue(all(cluster["connected"] for cluster in self.f.status()["clusters"]))
        token = self.token("late")
        self.assertEqual(self.join("late", token).returncode, 0, "an honest agent still gets in")
        self.f.sluice("cluster", "remove", "late")
        self.f.sluice("cluster", "sign", "dev", "--yes")
        for sock in held:
            sock.close()

    def test_3_second_agent_with_the_same_identity(self):
        refused = self.f.run(fleet.BIN + "/sluice-agent", "run", "--dir", self.f.dir + "/test1", code=None)
        self.said(refused.stderr, "SLU5064", "another agent runs on " + self.f.dir + "/test1")
        shutil.copytree(self.f.dir + "/test1", self.f.dir + "/copy", ignore=no_sockets)
        self.f.start_agent("copy")
        self.logged("copy", "event=connected")
        os.kill(self.server_pid("test1"), signal.SIGKILL)  # the first one has something to report
        line = self.logged("coordinator", "message-dropped", "second connection of the same key")
        self.assertIn("SLU1007", line)
        twin = lambda: [alarm for alarm in self.f.status()["alarms"] if (alarm["cluster"], alarm["what"]) == ("test1", "twin")]
        self.assertEqual(self.f.wait("status says so", twin)[0]["code"], "SLU4008")
        self.assertIn("two machines use this cluster's key", self.f.sluice("status").stdout)
        self.alive()
        self.f.kill("copy")
        pid = self.server_pid("copy")  # which it may have started beside the other one's
        if pid:
            os.kill(pid, signal.SIGKILL)
        self.f.kill("test1")
        self.f.start_agent("test1")
        self.daemons.update(self.f.processes)
        calm = [self.before]
        self.f.wait("test serves as before, and stays", lambda: calm.append(self.facts()) or calm[-10:] == [self.before] * 10)

    def test_4_agent_that_was_removed(self):
        self.f.sluice("cluster", "remove", "dev1")
        self.f.sluice("cluster", "sign", "dev", "--yes")
        self.assertNotIn("dev1", [cluster["name"] for cluster in self.f.status()["clusters"]])
        said = self.logged("dev1", "event=disconnected", "SLU4004")  # at once, not at its next message
        self.assertIn("is not registered there", said)
        self.f.kill("dev1")
        self.f.start_agent("dev1")
        self.daemons.update(self.f.processes)
        said = self.logged("dev1", "event=disconnected", "SLU4004")
        self.assertIn("is not registered there", said)
        doctor = lambda: self.f.run(fleet.BIN + "/sluice-agent", "doctor", "--dir", self.f.dir + "/dev1", code=None).stdout
        self.f.wait("doctor says so", lambda: "is not registered there" in doctor())
        self.f.wait("what ran there goes on", lambda: self.f.serves("dev") == self.before["served"]["dev"])
        self.before["units"]["app/dev"] = self.facts()["units"]["app/dev"]  # it has no cluster any more


class Machines(bad.BadCase):
    """What a daemon needs to start; each is said before anything is changed."""

    def daemon(self, name, *args, bin=fleet.BIN, prefix=(), code=None):
        return self.f.run(*prefix, f"{bin}/sluice-{name}", *args, code=code, timeout=20)

    def coordinator(self, folder, **how):
        return self.daemon("coordinator", "run", "--dir", folder, **how)

    def copy_of_state(self, name):
        folder = self.f.dir + "/" + name
        shutil.copytree(self.f.state, folder, ignore=no_sockets)
        return folder

    def on_config(self, folder, change):
        fleet.change_config(folder, change)

    def move(self, folder, **more):
        """To ports of its own."""
        def change(config):
            config["agents"]["listen"] = f"tcp://127.0.0.1:{self.f.port + 5}"
            config["enrol"]["listen"] = f"tcp://127.0.0.1:{self.f.port + 6}"
            config["api"] = {"socket": folder + "/api.sock"}
            config.update(more)
        self.on_config(folder, change)

    def fails(self, done, code, *words, exit=None):
        self.assertNotIn(done.returncode, (0, -signal.SIGSEGV, -signal.SIGABRT), done.stderr)
        if exit is not None:
            self.assertEqual(done.returncode, exit, done.stderr)
        self.said(done.stderr, code, *words)

    def test_port_in_use(self):
        folder = self.copy_of_state("twin")
        self.fails(self.coordinator(folder), "SLU4002", f"tcp://127.0.0.1:{self.f.port}: another program listens there already")
        self.fails(self.coordinator(self.f.state), "SLU7052", "uses this folder", exit=78)
        with socket.socket() as held:
            held.bind(("127.0.0.1", self.f.port + 7))
            held.listen()

            self.move(folder, api={"socket": folder + "/api.sock", "listen": f"127.0.0.1:{self.f.port + 7}"})
            self.fails(self.coordinator(folder), "SLU7055", f"127.0.0.1:{self.f.port + 7}", "Address already in use")

    def test_port_of_a_server_in_use(self):
        """The new version can't have its port: it says so, and the old one goes on."""
        port = self.f.port + 5
        with socket.socket() as held:
            held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            held.bind(("127.0.0.1", port))
            held.listen()
            self.f.edit("app/serve/serve.yaml", "port: %d" % (self.f.port + 2), "port: %d" % port)
            self.f.push("port in use")
            self.f.wait("dev says so", lambda: "Address already in use" in str(self.f.unit("dev")["message"]) + str(self.f.unit("dev")["targets"]))
            shown = self.f.sluice("status").stdout
            self.assertIn(f"127.0.0.1:{port}", shown)
            self.assertIn("the version before goes on serving", shown)
            self.assertEqual(self.f.serves("dev"), self.before["served"]["dev"], "the last good version serves")
        self.f.edit("app/serve/serve.yaml", "port: %d" % port, "port: %d" % (self.f.port + 2))
        self.f.push("port as before")
        self.f.wait_healthy("dev", "port as before")
        self.f.wait_healthy("test", "port as before")
        self.before["units"] = self.facts()["units"]

    def test_world_readable_keys(self):
        folder = self.copy_of_state("loose")
        for key in ("online", "curve"):
            os.chmod(f"{folder}/keys/{key}", 0o644)
            self.fails(self.coordinator(folder), "SLU7002", f"keys/{key}: mode 0644 lets others read or change a secret", "chmod 600", exit=78)
            os.chmod(f"{folder}/keys/{key}", 0o600)
        agent = self.f.dir + "/loose-agent"
        shutil.copytree(self.f.dir + "/dev1", agent, ignore=no_sockets)
        for key in ("agent", "curve"):
            os.chmod(f"{agent}/keys/{key}", 0o640)
            self.fails(self.daemon("agent", "run", "--dir", agent), "SLU7002", f"keys/{key}: mode 0640", "chmod 600")
            os.chmod(f"{agent}/keys/{key}", 0o600)
        self.f.run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.f.dir + "/loose-key")
        os.chmod(self.f.dir + "/loose-key", 0o644)
        mine = self.f.dir + "/config/sluice/id_ed25519"
        self.f.sluice("key", "use", self.f.dir + "/loose-key")
        try:
            self.refused("pause", "app/prod", "--reason", "x", "--yes", code="SLU7002", words=["loose-key: mode 0644"])
        finally:
            self.f.sluice("key", "use", mine)

    def test_read_only_state(self):
        """Root may write everywhere but on a read-only mount."""
        folder = self.copy_of_state("frozen")
        agent = self.f.dir + "/frozen-agent"
        shutil.copytree(self.f.dir + "/dev1", agent, ignore=no_sockets)
        frozen = lambda path: ("unshare", "-m", "sh", "-c", 'mount --bind "$0" "$0" && mount -o remount,ro,bind "$0" && exec "$@"', path)
        if subprocess.run(frozen(folder) + ("true",), capture_output=True).returncode != 0:
            self.skipTest("no mount namespaces here")
        self.fails(self.coordinator(folder, prefix=frozen(folder)), "SLU3008", folder, "Read-only file system")
        self.fails(self.daemon("agent", "run", "--dir", agent, prefix=frozen(agent)), "SLU5063", agent, "Read-only file system")

    def test_missing_programs(self):
        folder = self.f.dir + "/bin"
        shutil.copytree(fleet.BIN, folder, ignore=lambda at, names: [n for n in names if not n.startswith("sluice-") or n == "sluice-evil"])
        os.rename(folder + "/sluice-exec", folder + "/was-exec")
        os.rename(folder + "/sluice-git", folder + "/was-git")
        agent = self.f.dir + "/lame-agent"
        shutil.copytree(self.f.dir + "/dev1", agent, ignore=no_sockets)
        self.fails(self.daemon("agent", "run", "--dir", agent, bin=folder), "SLU5065", folder + "/sluice-exec can't be run")
        twin = self.copy_of_state("lame")
        self.move(twin, repository="http://127.0.0.1:1/fleet.git")
        self.f.start("lame", folder + "/sluice-coordinator", "run", "--dir", twin)
        try:
            line = self.logged("lame", "event=source-failed", "SLU7000")
            self.assertIn(folder + "/sluice-git", line)
            self.assertIsNone(self.f.processes["lame"].poll(), "it goes on with what it has")
        finally:
            self.f.kill("lame")

    def test_job_with_a_missing_program(self):
        self.f.edit("app/train/train.yaml", "/usr/bin/python3", "/usr/bin/no-such-python")
        self.f.push("no such python")
        run = self.f.wait("the run failed", lambda: [run for run in self.f.runs() if run["phase"] == "Failed"])[0]
        self.assertIn("no-such-python", json.dumps(run) + self.f.sluice("status").stdout)
        self.assertEqual(self.f.serves("dev"), self.before["served"]["dev"])
        self.f.edit("app/train/train.yaml", "/usr/bin/no-such-python", "/usr/bin/python3")
        self.f.push("python again")
        self.f.wait_healthy("dev", "python again")
        self.f.wait_healthy("test", "python again")

    def test_broken_configuration(self):
        folder = self.copy_of_state("broken")
        self.on_config(folder, lambda config: config.update(polll="1s", poll="never"))
        done = self.coordinator(folder)
        self.fails(done, "SLU7051", "polll", "poll", exit=78)
        with open(folder + "/coordinator.json", "w") as out:
            out.write("{")
        self.fails(self.coordinator(folder), "SLU7051", "coordinator.json:1:", exit=78)
        os.unlink(folder + "/coordinator.json")
        self.fails(self.coordinator(folder), "SLU7050", folder, exit=78)
        self.fails(self.coordinator(self.f.dir + "/nowhere"), "SLU7050", "nowhere", exit=78)
        agent = self.f.dir + "/broken-agent"
        shutil.copytree(self.f.dir + "/dev1", agent, ignore=no_sockets)
        with open(agent + "/agent.json") as file:
            config = json.load(file)
        with open(agent + "/agent.json", "w") as out:
            json.dump({**config, "coordinatr": "x"}, out)
        self.fails(self.daemon("agent", "run", "--dir", agent), "SLU5062", "coordinatr")


if __name__ == "__main__":
    unittest.main()
