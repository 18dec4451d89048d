"""sluice try: a job of the working tree runs here, without coordinator, commit or seal."""
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
import unittest

import fleet

SLEEPER = """\
apiVersion: gitops.sluice/v1alpha1
kind: TrainingJob
metadata: {name: sleeper}
spec:
  command: [/bin/sh, -c, "trap '' TERM; echo $SLUICE_RUN > %s; sleep 300 & sleep 300"]
  stop: {grace: 5m}
"""

NEEDY = """\
apiVersion: gitops.sluice/v1alpha1
kind: TrainingJob
metadata: {name: needy}
spec:
  command: [/bin/sh, -c, "cat $SLUICE_INPUT_BASE/data && echo token $TOKEN && echo out > $SLUICE_OUTPUT_REPORT/r"]
  inputs: [{name: base, model: "model://base"}]
  outputs: [{name: report}]
  env: [{name: TOKEN, secret: hf-token}]
  resourcesPerNode: {gpu: 64}
"""


class Try(unittest.TestCase):
    def setUp(self):
        self.dir = tempfile.mkdtemp(prefix="sluice-try.")
        self.repo = os.path.join(self.dir, "fleet")
        self.port = 20000  # only written down: nothing listens here
        self.env = {"PATH": os.environ["PATH"], "HOME": self.dir, "XDG_CACHE_HOME": self.dir + "/cache"}
        for key in ("ASAN_OPTIONS", "UBSAN_OPTIONS"):
            if key in os.environ:
                self.env[key] = os.environ[key]
        fleet.Fleet.write_app(self)

    def tearDown(self):
        self.kill_mine()
        shutil.rmtree(self.dir, ignore_errors=True)

    def write(self, path, text):
        path = os.path.join(self.repo, path)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as out:
            out.write(text)
        return path

    def sluice(self, *args, code=0, cwd=None):
        done = subprocess.run([fleet.BIN + "/sluice", *args], env=self.env, cwd=cwd or self.repo, capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        return done

    def mine(self):
        """Processes of this test's scratch folders."""
        return [pid for pid, folder, _ in fleet.processes() if self.dir in folder]

    def kill_mine(self):
        for pid in self.mine():
            try:
                os.kill(pid, signal.SIGKILL)
            except OSError:
                pass

    def wait(self, what, fact, seconds=20):
        end = time.monotonic() + seconds
        while not fact():
            self.assertLess(time.monotonic(), end, what)
            time.sleep(0.02)

    def test_job_of_the_fleet(self):
        done = self.sluice("try", "app/train")
        self.assertIn("app/train (dev) from the working tree: dirty, not sealed, never promotable", done.stdout)
        self.assertIn("step 10/10", done.stdout)
        self.assertIn("accuracy 0.95", done.stdout)
        path = done.stdout.split("output model: ")[1].split(" (")[0]
        with open(path + "/weights") as file:
            self.assertEqual(file.read(), "weights 0.95\n")
        self.assertIn("kept in " + self.dir, done.stderr)
        self.assertFalse(os.path.exists(os.path.join(self.repo, ".git")))

    def test_json_and_rm(self):
        said = json.loads(self.sluice("try", "app/train/train.yaml", "--rm", "-o", "json").stdout)
        self.assertEqual((said["phase"], said["dirty"], said["exit"]), ("Succeeded", True, "0"))
        self.assertEqual(said["metrics"], ["final.accuracy 0.95"])
        self.assertFalse(os.path.exists(said["dir"]))

    def test_failure_shows_the_log(self):
        self.write("app/train/code/train.py", "import sys\nprint('hello')\nsys.exit('row 7 is broken')\n")
        done = self.sluice("try", "app/train", "--rm", code=1)
        self.assertIn("failed: NonZeroExit, exit 1", done.stderr)
        self.assertIn("  hello\n", done.stderr)
        self.assertIn("  row 7 is broken\n", done.stderr)

    def test_program_output(self):
        self.write("app/train/code/train.py", "print('one \\x1b[31m')\nprint('two')\n")
        self.write("app/train/train.yaml", fleet.TRAIN_YAML.replace("  outputs: [{name: model, path: model}]\n", ""))
        self.write("sluice.yaml", fleet.FLEET.replace("  items:\n    - {name: model, kind: model, from: {job: train, output: model}}\n", "")
                   .replace(", {paths: [serve]}", "").replace("paths: [serve], patches: [{path: test.yaml}]", "paths: [train]")
                   .replace("paths: [serve], patches: [{path: prod.yaml}]", "paths: [train]"))
        done = self.sluice("try", "app/train", "--env", "prod", "--log", "--rm")
        self.assertIn("| one \\x1b[31m\n", done.stdout)
        self.assertIn("| two\n", done.stdout)
        self.assertIn("(prod)", done.stdout)

    def test_what_is_missing_is_said_before_the_start(self):
        manifest = self.write("../alone/needy.yaml", NEEDY)
        done = self.sluice("try", manifest, code=3)
        self.assertIn("secret `hf-token` (for TOKEN): give a file of mode 0600 with --secret hf-token=FILE", done.stderr)
        self.assertIn("input `base` (item `base`): give a folder with --input base=DIR", done.stderr)
        self.write("../data/data", "bytes\n")
        token = self.write("../token", "s3cret\n")
        os.chmod(token, 0o600)
        given = ("--input", "base=" + self.dir + "/data", "--secret", "hf-token=" + token)
        done = self.sluice("try", manifest, *given, code=3)
        self.assertIn("the job needs 64 GPUs", done.stderr)
        done = self.sluice("try", manifest, *given, "--gpus", "none", "--log")
        self.assertIn("note: runs without the 64 GPUs", done.stderr)
        self.assertIn("| bytes\n", done.stdout)
        self.assertIn("| token s3cret\n", done.stdout)
        done = self.sluice("try", manifest, *given, "--input", "other=" + self.dir, "--gpus", "none", code=3)
        self.assertIn("--input other: the job has no input of that name", done.stderr)

    def test_unknown_names(self):
        self.assertIn("app has no TrainingJob `nope` in any environment", self.sluice("try", "app/nope", code=4).stderr)
        self.assertIn("no application `nope`", self.sluice("try", "nope/train", code=4).stderr)
        self.assertIn("neither APP/JOB nor a manifest file", self.sluice("try", "nope.yaml", code=3).stderr)
        self.write("app/train/train.yaml", fleet.TRAIN_YAML.replace("timeLimit: 5m", "timeLimt: 5m"))
        self.assertIn("timeLimt", self.sluice("try", "app/train", code=1).stderr)

    def start_sleeper(self):
        started = os.path.join(self.dir, "started")
        manifest = self.write("../alone/sleeper.yaml", SLEEPER % started)
        process = subprocess.Popen([fleet.BIN + "/sluice", "try", manifest, "--rm"], env=self.env, stdout=subprocess.PIPE,
                                   stderr=subprocess.STDOUT, text=True)
        self.wait("the job runs", lambda: os.path.exists(started))
        return process

    def test_ctrl_c_twice_kills_everything(self):
        process = self.start_sleeper()
        process.send_signal(signal.SIGINT)
        line = ""
        while "Stopping" not in line:
            line = process.stdout.readline()
            self.assertTrue(line, "it ended without a word")
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=20)
        self.assertEqual(process.returncode, 1)
        self.assertIn("killed by a person", said)
        self.wait("nothing of it runs any more", lambda: not self.mine())

    def test_agent_killed(self):
        process = self.start_sleeper()
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{pid}/stat") as file:
                    parent = int(file.read().rsplit(")", 1)[1].split()[1])
            except (OSError, IndexError):
                continue
            if parent == process.pid:
                os.kill(int(pid), signal.SIGKILL)
        said, _ = process.communicate(timeout=20)
        self.assertEqual(process.returncode, 1)
        self.assertIn("stopped", said)
        self.wait("nothing of it runs any more", lambda: not self.mine())


if __name__ == "__main__":
    unittest.main()
