"""Secrets of a job, of a Git server and of a person's API token, in good times and in every error that names them.

Every other end-to-end test looks for its keys and join tokens too, when its fleet stops (canaries.py).
"""
import base64
import http.server
import json
import os
import resource
import signal
import subprocess
import threading
import unittest
import uuid

import fleet

CODE = """\
import hashlib, json, os
with open(os.environ["SLUICE_PROGRESS_FILE"], "a") as out:
    out.write(json.dumps({"sluice": 1, "t": 0, "ev": "final", "ok": True, "metrics": {"accuracy": 0.95}}) + "\\n")
os.makedirs(os.environ["SLUICE_OUTPUT_MODEL"], exist_ok=True)
with open(os.path.join(os.environ["SLUICE_OUTPUT_MODEL"], "weights"), "w") as out:
    for name in ("FROM_FILE", "FROM_COMMAND"):
        out.write(hashlib.sha256(os.environ[name].encode()).hexdigest() + "\\n")
"""


def canary(kind):
    return f"canary-{kind}-{uuid.uuid4()}/+%"


class Secrets(unittest.TestCase):
    def setUp(self):
        self.f = fleet.Fleet()
        self.addCleanup(self.f.stop)

    def secret_file(self, name, value, mode=0o600):
        path = os.path.join(self.f.dir, name)
        with open(path, "w") as out:
            out.write(value)
        os.chmod(path, mode)
        self.f.canaries.plant(name, value, path)
        return path

    def agent_secrets(self, **secrets):
        path = os.path.join(self.f.dir, "dev1", "agent.json")
        with open(path) as file:
            config = json.load(file)
        config["secrets"] = secrets
        with open(path, "w") as out:
            json.dump(config, out)

    def restart_agent(self):
        self.f.kill("dev1", signal.SIGTERM)
        self.f.start_agent("dev1")

    def test_1_of_a_job(self):
        self.f.start_coordinator()
        self.f.add_cluster("dev1", "dev")
        first = self.secret_file("first", canary("file"))
        second = self.secret_file("second", canary("command"))
        open_to_all = self.secret_file("third", canary("mode"), 0o644)
        said = canary("stderr")
        fails = self.secret_file("fails", f"#!/bin/sh\necho {said} >&2\nexit 3\n", 0o700)
        self.f.canaries.plant("what the failing command said", said)
        self.agent_secrets(first={"file": open_to_all}, second={"command": [fails]})
        self.restart_agent()
        self.f.write_app()
        self.f.edit("app/train/train.yaml", "  timeLimit: 5m\n",
                    "  timeLimit: 5m\n  env: [{name: FROM_FILE, secret: first}, {name: FROM_COMMAND, secret: second}]\n")
        self.f.write("app/train/code/train.py", CODE)
        self.f.push("first")
        said = lambda word: self.f.wait(f"status says {word}", lambda: word in json.dumps(self.f.status()) + json.dumps(self.f.runs()))
        said("secret `first`")
        self.agent_secrets(first={"file": first}, second={"command": [fails]})
        self.restart_agent()
        said("secret `second`")
        self.f.run(fleet.BIN + "/sluice-agent", "doctor", "--dir", self.f.dir + "/dev1", code=None)
        self.agent_secrets(first={"file": first}, second={"command": ["/bin/cat", second]})
        self.restart_agent()
        self.f.wait("the job ran with both", lambda: [run["phase"] for run in self.f.runs()] == ["Succeeded"])
        run = self.f.runs()[0]["id"]
        self.f.sluice("logs", run, code=None)
        self.f.sluice("why", run, code=None)

    def test_2_of_a_git_server(self):
        password = canary("password").replace("/", "")
        source = self.secret_file("credentials", "someone:" + password + "\n")
        self.f.canaries.plant("password", password, source)
        self.f.canaries.plant("basic", "someone:" + password)
        asked = []

        class Refuses(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                asked.append(self.headers.get("Authorization"))
                self.send_response(401)
                self.send_header("WWW-Authenticate", 'Basic realm="fleet"')
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *args):
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", self.f.port + 7), Refuses)
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.f.configure(repository=f"http://127.0.0.1:{self.f.port + 7}/fleet.git", credentialFile=source)
        self.f.start_coordinator()
        self.f.wait("the server refused", lambda: "refused the configured credentials" in self.f.sluice("status").stdout)
        self.assertIn("Basic " + base64.b64encode(("someone:" + password).encode()).decode(), asked)

    def test_3_of_the_api(self):
        self.f.start_coordinator()
        token = self.f.json("token", "create", "alice", "--scope", "view")["token"]
        self.f.canaries.printed.pop()  # the one answer that shows it
        self.f.canaries.plant("API token", token)
        self.f.get("/v1/tokens")

    def test_4_no_core_file(self):
        self.f.start_coordinator()
        self.f.add_cluster("dev1", "dev")
        for name, up, args in (("coordinator", "event=ready", ["/sluice-coordinator", "run", "--dir", self.f.state]),
                               ("dev1", "event=agent-start", ["/sluice-agent", "run", "--dir", self.f.dir + "/dev1"])):
            self.f.kill(name, signal.SIGTERM)
            starts = self.f.log(name).count(up)
            folder = os.path.join(self.f.dir, "cores-" + name)
            os.mkdir(folder)
            with open(os.path.join(self.f.dir, name + ".log"), "ab") as log:
                limit = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
                process = subprocess.Popen([fleet.BIN + args[0], *args[1:]], env=self.f.env, stdout=log, stderr=log, cwd=folder,
                                           preexec_fn=lambda limit=limit: resource.setrlimit(resource.RLIMIT_CORE, limit))
            self.f.wait(name + " is up", lambda name=name, up=up, starts=starts: self.f.log(name).count(up) > starts)
            process.send_signal(signal.SIGSEGV)
            pid, status = os.waitpid(process.pid, 0)
            process.returncode = -os.WTERMSIG(status)
            self.assertEqual(os.WTERMSIG(status), signal.SIGSEGV)
            self.assertFalse(os.WCOREDUMP(status), f"{name} left a core")
            self.assertEqual(os.listdir(folder), [])
            if name == "coordinator":
                self.f.start_coordinator()


if __name__ == "__main__":
    unittest.main()
