"""A real fleet in a temporary folder for end-to-end tests: coordinator, agents, Git repository, CLI.

Nothing here sleeps for a fixed time to let something happen: `wait` polls a fact until a deadline.
"""
import atexit
import concurrent.futures
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import unittest
import urllib.request

import canaries

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BIN = os.path.abspath(os.environ.get("SLUICE_BIN") or os.path.join(ROOT, "build", "release", "bin"))
SERVERS = {"dev": 2, "test": 3, "prod": 4}  # the port of each environment's server, counted from the fleet's first
PORTS, PORTS_STEP = range(30000, 32700, 10), 10  # above those that agents give to their back ends by default

FLEET = """\
apiVersion: gitops.sluice/v1alpha1
kind: Fleet
metadata: {name: e2e}
---
apiVersion: gitops.sluice/v1alpha1
kind: Environment
metadata: {name: dev}
spec: {promotion: newest}
---
apiVersion: gitops.sluice/v1alpha1
kind: Environment
metadata: {name: test}
spec: {after: [dev], promotion: newest}
---
apiVersion: gitops.sluice/v1alpha1
kind: Environment
metadata: {name: prod}
spec: {after: [test], promotion: manual}
---
apiVersion: gitops.sluice/v1alpha1
kind: Application
metadata: {name: app}
spec:
  source: {path: app}
  items:
    - {name: model, kind: model, from: {job: train, output: model}}
  environments:
    dev: {parts: [{paths: [train]}, {paths: [serve]}]}
    test:
      parts: [{paths: [serve], patches: [{path: test.yaml}]}]
      gates: [{run: {job: train, in: dev, require: ["final.accuracy >= 0.9"], noBaseline: pass}}]
    prod: {parts: [{paths: [serve], patches: [{path: prod.yaml}]}]}
"""

TRAIN_YAML = """\
apiVersion: gitops.sluice/v1alpha1
kind: TrainingJob
metadata: {name: train}
spec:
  command: [/usr/bin/python3, train.py]
  files: {from: train/code}
  outputs: [{name: model, path: model}]
  timeLimit: 5m
"""

SERVE_YAML = """\
apiVersion: gitops.sluice/v1alpha1
kind: ModelServer
metadata: {name: serve}
spec:
  command: [/usr/bin/python3, serve.py]
  files: {from: serve/code}
  model: model://model
  port: %d
  probe: {httpGet: {path: /}}
"""

PATCH = """\
apiVersion: gitops.sluice/v1alpha1
kind: ModelServer
metadata: {name: serve}
spec: {port: %d}
"""

TRAIN_PY = """\
import json, os, time
ACCURACY = 0.95
SECONDS = 0.2
def report(**fields):
    with open(os.environ["SLUICE_PROGRESS_FILE"], "a") as out:
        out.write(json.dumps({"sluice": 1, "t": time.time(), **fields}) + "\\n")
with open(os.path.join(os.environ["STARTED"], "started"), "a") if "STARTED" in os.environ else open(os.devnull, "w") as out:
    out.write(os.environ["SLUICE_RUN"] + "\\n")
for step in range(1, 11):
    time.sleep(SECONDS / 10)
    report(ev="progress", step=step, total=10, metrics={"loss": 1.0 / step})
os.makedirs(os.environ["SLUICE_OUTPUT_MODEL"], exist_ok=True)
with open(os.path.join(os.environ["SLUICE_OUTPUT_MODEL"], "weights"), "w") as out:
    out.write("weights %s\\n" % ACCURACY)
report(ev="final", ok=True, metrics={"accuracy": ACCURACY})
"""

SERVE_PY = """\
import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
VERSION = "one"
MODEL = open(os.path.join(os.environ["SLUICE_MODEL"], "weights")).read()
class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        body = (VERSION + " " + MODEL).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *args):
        pass
ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""


def free_ports(count):
    """The first of `count` free ports in a row, below 32768. Nobody else who asks gets them while this process lives: a
    name in Linux's abstract namespace of sockets, which no file stands for, is held for each row of ten."""
    assert count <= PORTS_STEP
    begin = os.getpid() % len(PORTS)
    for first in [*PORTS[begin:], *PORTS[:begin]]:
        guard, held = socket.socket(socket.AF_UNIX), []
        try:
            guard.bind(f"\0sluice-test-ports-{first}")
            for port in range(first, first + count):
                held.append(socket.socket())
                held[-1].bind(("127.0.0.1", port))
            atexit.register(guard.close)
            return first
        except OSError:
            guard.close()
        finally:
            for sock in held:
                sock.close()
    raise AssertionError(f"no {count} ports in a row are free between {PORTS[0]} and {PORTS[-1]}")


def processes():
    """(pid, folder that it works in, argv) of every process that may be looked at, but this one."""
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            folder = os.readlink(f"/proc/{pid}/cwd")
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                argv = file.read().decode(errors="replace").split("\0")[:-1]
        except OSError:  # it ended meanwhile
            continue
        if argv and int(pid) != os.getpid():
            yield int(pid), folder, argv


class Api(http.client.HTTPConnection):
    """To a coordinator's own socket."""

    def __init__(self, path, timeout=60):
        super().__init__("coordinator", timeout=timeout)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


def sanitizer_reports():
    """Files with what sanitizers found in programs (cmake/sanitized.c), None in a build without them."""
    folder = os.path.join(os.path.dirname(BIN), "reports")
    return {os.path.join(folder, name) for name in os.listdir(folder)} if os.path.isdir(folder) else None


class Later(unittest.TestResult):
    """What happened to a test, to be told to another result."""

    def __init__(self):
        super().__init__()
        self.calls = []
        for name in ("startTest", "stopTest", "addSuccess", "addError", "addFailure", "addSkip", "addSubTest"):
            setattr(self, name, lambda *args, name=name: self.calls.append((name, args)))

    def tell(self, result):
        for name, args in self.calls:
            getattr(result, name)(*args)


class SideBySide(unittest.TestSuite):
    """Tests that mostly wait for time to pass, each with a fleet of its own: all at once, told in order. For load_tests."""

    @classmethod
    def of(cls, suites):
        return cls(test for suite in suites for test in suite)

    def run(self, result, debug=False):
        tests = list(self)
        heard = [Later() for _ in tests]
        with concurrent.futures.ThreadPoolExecutor(max(len(tests), 1)) as pool:
            for future, each in [(pool.submit(test.run, later), later) for test, later in zip(tests, heard)]:
                future.result()
                each.tell(result)
        return result


class CommandFailed(AssertionError):
    def __init__(self, args, code, out, err):
        super().__init__(f"{' '.join(args)}: exit code {code}\n{out}{err}")
        self.code, self.out, self.err = code, out, err


def change_config(state, change):
    """`change` gets coordinator.json of a state folder; holds from its next start on."""
    path = os.path.join(state, "coordinator.json")
    with open(path) as file:
        config = json.load(file)
    change(config)
    with open(path, "w") as file:
        json.dump(config, file)


class Fleet:
    """init, start, push; then ask with status(), and break things with kill()."""

    def __init__(self, profile="solo"):
        self.dir = tempfile.mkdtemp(prefix="sluice-e2e.")
        self.repo = os.path.join(self.dir, "fleet")
        self.port = free_ports(8)
        self.env = {key: value for key, value in os.environ.items() if key in ("PATH", "LANG", "ASAN_OPTIONS", "UBSAN_OPTIONS")}
        self.env.update(HOME=self.dir, USER="alice", XDG_CONFIG_HOME=self.dir + "/config", XDG_STATE_HOME=self.dir + "/state",
                        GIT_AUTHOR_NAME="alice", GIT_AUTHOR_EMAIL="alice@example.test",
                        GIT_COMMITTER_NAME="alice", GIT_COMMITTER_EMAIL="alice@example.test")
        self.state = os.path.join(self.dir, "state", "sluice", "e2e")
        self.processes, self.mounts = {}, []
        self.reported = sanitizer_reports()
        if self.reported is not None:  # GLib's own allocator hides what is freed, and its locks, from them
            self.env["G_SLICE"] = "always-malloc"
        self.canaries = canaries.Canaries(self.dir)
        try:
            self.init(profile)
        except BaseException:
            self.end()
            raise

    def init(self, profile):
        self.sluice("init", self.repo, "--name", "e2e", "--person", "alice", "--email", "alice@example.test",
                    "--profile", profile, "--port", str(self.port))

    # -- programs --

    def run(self, *args, code=0, input=None, timeout=60):
        done = subprocess.run(args, env=self.env, cwd=self.dir, input=input, capture_output=True, text=True, timeout=timeout)
        if "--token" not in args:  # asked to print one
            self.canaries.output(args, done.stdout + done.stderr)
        if code is not None and done.returncode != code:
            raise CommandFailed(args, done.returncode, done.stdout, done.stderr)
        return done

    def sluice(self, *args, **how):
        return self.run(BIN + "/sluice", *args, **how)

    def json(self, *args, **how):
        return json.loads(self.sluice(*args, "-o", "json", **how).stdout)

    def start(self, name, *args):
        with open(os.path.join(self.dir, name + ".log"), "ab") as log:
            self.processes[name] = subprocess.Popen(args, env=self.env, cwd=self.dir, stdout=log, stderr=log, stdin=subprocess.DEVNULL)

    def configure(self, **keys):
        """Changes coordinator.json; holds from its next start on."""
        change_config(self.state, lambda config: config.update(keys))

    def state_git(self):
        return os.path.join(self.state, "state.git")

    def refs(self, repo=None):
        """What a repository (that of the state) says: its ledger and environment branches, `ledger` or `env/NAME` to commit."""
        out = self.run("git", "-C", repo or self.state_git(), "for-each-ref", "--format=%(objectname) %(refname)",
                       "refs/heads/sluice/ledger", "refs/heads/sluice/env").stdout
        return {name.split("sluice/", 1)[1]: tip for tip, name in (line.split(" ") for line in out.splitlines())}

    def start_coordinator(self, wait=True):
        self.start("coordinator", BIN + "/sluice-coordinator", "run", "--dir", self.state)
        if wait:
            self.wait("the coordinator answers", lambda: self.sluice("status", code=None).returncode == 0)

    def start_agent(self, name):
        self.start(name, BIN + "/sluice-agent", "run", "--dir", os.path.join(self.dir, name))

    def add_cluster(self, name, env, sign=False, engine="process", **options):
        token = self.sluice("cluster", "add", name, "--env", env, "--token").stdout.strip()
        options.setdefault("modelStore", os.path.join(self.state, "models"))
        join = subprocess.Popen([BIN + "/sluice-agent", "join", "--dir", os.path.join(self.dir, name), "--engine", engine,
                                 *(word for option in options.items() for word in ("--option", "=".join(option)))],
                                env=self.env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        join.stdin.write(token + "\n")
        join.stdin.flush()
        if sign:  # where the root asks for people, joining waits until a person signed the registry
            self.wait(f"{name} asked to join", lambda: self.json("clusters")["pending"])
            self.sluice("cluster", "sign", env, "--yes")
        said, _ = join.communicate(timeout=90)
        self.canaries.join_token(token)
        self.canaries.output(("sluice-agent", "join"), said)
        assert join.returncode == 0, said
        self.start_agent(name)
        return token

    def start_all(self):
        self.start_coordinator()
        for env in ("dev", "test", "prod"):
            self.add_cluster(env + "1", env, sign=env == "prod")
        self.wait("three agents are connected",
                  lambda: sum(1 for c in self.status()["clusters"] if c["connected"]) == 3)

    # -- its surroundings --

    def small_disk(self, path, megabytes):
        """What is at `path` lies on a small disk of its own from now on (a tmpfs: that needs root)."""
        aside = path + ".aside"
        os.makedirs(path, exist_ok=True)
        os.rename(path, aside)
        os.makedirs(path)
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=700", "none", path],
                                 capture_output=True, text=True)
        if mounted.returncode != 0:
            os.rmdir(path)
            os.rename(aside, path)
            raise unittest.SkipTest("not run: needs mount: " + mounted.stderr.strip())
        self.mounts.append(path)
        subprocess.check_call(["cp", "-a", aside + "/.", path])
        shutil.rmtree(aside)

    def processes_below(self, word, folder=""):
        """(pid, argv) of every process of this fleet with `word` on its command line, working below its folder `folder`."""
        below = os.path.join(self.dir, folder)
        for pid, cwd, argv in processes():
            if (cwd + "/").startswith(below) and any(word in each for each in argv):
                yield pid, argv

    def alarm(self, what):
        """The alarm of the coordinator of this kind, or None."""
        return next((a for a in self.status()["alarms"] if a["what"] == what), None)

    def act(self, verb, **args):
        """(HTTP status, answer) of a request at the coordinator's own socket."""
        done = self.run("curl", "-s", "-w", "\n%{http_code}", "--unix-socket", self.state + "/api.sock", "-H", "Content-Type: application/json",
                        "-d", json.dumps({"args": args}), f"http://c/v1/actions/{verb}")
        body, status = done.stdout.rsplit("\n", 1)
        return int(status), json.loads(body or "null")

    def kill(self, name, sig=signal.SIGKILL):
        process = self.processes.pop(name)
        process.send_signal(sig)
        process.wait(timeout=20)

    def log(self, name):
        with open(os.path.join(self.dir, name + ".log"), errors="replace") as log:
            return log.read()

    def get(self, path):
        """Body of an answer of the API as bytes; none if nobody answers."""
        return subprocess.run(["curl", "-s", "--max-time", "5", "--unix-socket", self.state + "/api.sock", "http://c" + path],
                              capture_output=True, check=False).stdout

    def stop(self):
        """Ends everything, and looks whether a secret is where it must not be, and what sanitizers found."""
        try:
            self.canaries.check(self.get)
            if self.reported is not None:
                self.end_gently()
                self.check_reports()
        finally:
            self.end()

    def end_gently(self):
        """Leaks are looked for where a program ends by itself."""
        for process in self.processes.values():
            process.send_signal(signal.SIGTERM)
            process.send_signal(signal.SIGCONT)
        for name, process in self.processes.items():
            assert process.wait(timeout=60) in (0, -signal.SIGKILL), f"{name} ended with {process.returncode}: {self.log(name)[-2000:]}"

    def check_reports(self):
        for path in sorted(sanitizer_reports() - self.reported):
            with open(path, errors="replace") as file:
                raise AssertionError(f"{path}:\n{file.read()[:6000]}")

    def end(self):
        for process in self.processes.values():
            process.kill()
            process.wait()
        for pid, cwd, argv in processes():
            if self.dir in cwd or any(self.dir in word for word in argv):
                try:
                    os.kill(pid, signal.SIGKILL)
                except OSError:
                    pass
        for path in self.mounts:
            subprocess.run(["umount", "-l", path], check=False)
        shutil.rmtree(self.dir, ignore_errors=True)

    # -- the fleet repository --

    def git(self, *args, **how):
        return self.run("git", "-C", self.repo, *args, **how)

    def write(self, path, text):
        path = os.path.join(self.repo, path)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as out:
            out.write(text)

    def edit(self, path, old, new):
        with open(os.path.join(self.repo, path)) as file:
            text = file.read()
        assert old in text, f"{old!r} is not in {path}"
        self.write(path, text.replace(old, new))

    def write_app(self):
        self.write("sluice.yaml", FLEET)
        self.write("app/train/train.yaml", TRAIN_YAML)
        self.write("app/train/code/train.py", TRAIN_PY)
        self.write("app/serve/serve.yaml", SERVE_YAML % (self.port + SERVERS["dev"]))
        self.write("app/serve/code/serve.py", SERVE_PY)
        self.write("app/test.yaml", PATCH % (self.port + SERVERS["test"]))
        self.write("app/prod.yaml", PATCH % (self.port + SERVERS["prod"]))

    def push(self, message):
        self.git("add", "-A")
        self.git("commit", "-q", "-m", message)
        self.sluice("refresh", code=None)
        return self.git("rev-parse", "HEAD").stdout.strip()

    # -- facts --

    def status(self):
        return self.json("status")

    def unit(self, env, app="app"):
        for unit in self.status()["units"]:
            if (unit["app"], unit["env"]) == (app, env):
                return unit
        return {}

    def runs(self):
        return self.json("jobs")["runs"]

    def serves(self, env):
        port = self.port + SERVERS[env]
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=2) as answer:
                return answer.read().decode()
        except OSError:
            return None

    def wait(self, what, fact, seconds=45):
        end = time.monotonic() + seconds
        while True:
            try:
                value = fact()
            except (CommandFailed, KeyError, IndexError, TypeError, json.JSONDecodeError) as error:
                value, last = None, error
            else:
                last = None
            if value:
                return value
            if time.monotonic() > end:
                raise AssertionError(f"waited in vain: {what}\n{last or ''}\n{self.describe()}")
            time.sleep(0.05)

    def describe(self):
        shown = self.sluice("status", code=None)
        logs = "\n".join(f"--- {name}\n" + "\n".join(self.log(name).splitlines()[-15:]) for name in self.logs())
        return shown.stdout + shown.stderr + logs

    def logs(self):
        return [name[:-4] for name in sorted(os.listdir(self.dir)) if name.endswith(".log")]

    def healthy(self, env, subject=None):
        unit = self.unit(env)
        return (unit.get("health") == "Healthy" and not unit.get("withheld") and
                (unit.get("last") or {}).get("state") == "SUCCEEDED" and (subject is None or unit.get("subject") == subject))

    def wait_healthy(self, env, subject=None, seconds=45):
        self.wait(f"{env} is healthy on {subject or 'something'}", lambda: self.healthy(env, subject), seconds)

    def promote(self, env="prod"):
        self.sluice("promote", "app", "--to", env, "--reason", "end to end", "--sign", "--yes", "--wait", "--timeout", "60s", timeout=90)
