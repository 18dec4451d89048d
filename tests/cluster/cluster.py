#!/usr/bin/python3
"""A real Kubernetes control plane on this machine, without containers: etcd, API server, controllers, scheduler, and kwok for nodes.

    cluster = Cluster()             # or Cluster(parts=()) for the API alone; Cluster.for_test() also takes a user's own cluster
    cluster.start(); cluster.gpu_node("gpu-0")
    cluster.api("GET", "/api/v1/namespaces"); cluster.kubectl("get", "pods", "-A"); cluster.audit(verb="delete")
    cluster.stop()

Each cluster has its own folder, CA, tokens and ports on 127.0.0.1, and depends on no other. Nothing here sleeps to let something
happen: `wait` polls a fact until a deadline. It never touches a cluster or a process that it did not start, but by `existing`.
"""
import argparse
import atexit
import base64
import glob
import http.client
import json
import os
import shutil
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.parse

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "e2e"))
import binary  # noqa: E402
import fleet  # noqa: E402
import keys  # noqa: E402
import processes  # noqa: E402

PARTS = ("controllers", "scheduler", "kwok")  # beside etcd and apiserver
READY_SECONDS = 90  # until all is up: 3 on a quiet machine
ANSWER_SECONDS = 60
POLL_SECONDS = 0.05
CLUSTERS_MAX = 16  # of `up`: 0.7 GB each
SERVICE = "kubernetes.default.svc"


class ApiError(Exception):
    """An answer of 400 and above: `code`, `reason` (NotFound, Forbidden, Conflict, Invalid, ...) and the server's message."""

    def __init__(self, code, status):
        status = status if isinstance(status, dict) else {"message": status}
        self.code, self.reason, self.status = code, status.get("reason"), status
        super().__init__(f"{code} {self.reason}: {status.get('message')}")


class Cluster:
    """One control plane. `folder`: kept in place of one that goes with the process. `users`: names without any right, for RBAC.
    `apiserver`: more flags of it. `tied`: the parts die with the thread that starts them; False: they stay until `down`."""

    def __init__(self, folder=None, parts=PARTS, users=("agent", "reader"), apiserver=(), tied=True):
        self.parts, self.users, self.flags, self.tied, self.own = parts, users, list(apiserver), tied, True
        self.folder = folder
        self.children = {}

    @classmethod
    def for_test(cls, **options):
        """The user's own cluster where SLUICE_TEST_KUBECONFIG names it, else a new one; started."""
        path = os.environ.get("SLUICE_TEST_KUBECONFIG")
        return cls.existing(path) if path else cls(**options).start()

    @classmethod
    def existing(cls, path):
        """Somebody's own cluster, by a kubeconfig: never stopped, no audit log, no nodes of ours."""
        self = cls(parts=(), users=())
        self.own, self.folder = False, tempfile.mkdtemp(prefix="sluice-kubeconfig.")
        atexit.register(self.stop)
        done = subprocess.run([binary.ensure(), "kubectl", "config", "view", "--raw", "--minify", "--flatten", "-o", "json", "--kubeconfig", path],
                              capture_output=True, text=True)
        if done.returncode:
            raise ValueError(f"{path}: {done.stderr.strip()}")
        config = json.loads(done.stdout)
        target, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        self.kubeconfig, self.url, self.tokens = path, target["server"].rstrip("/"), {"admin": user.get("token")}
        files = {name: keys.write(self.folder, name, base64.b64decode(holder[name + "-data"]).decode())
                 for holder, name in ((target, "certificate-authority"), (user, "client-certificate"), (user, "client-key")) if name + "-data" in holder}
        if not user.get("token") and "client-key" not in files:
            raise ValueError(f"{path}: its user has neither a token nor a client certificate, and other ways to log in are not known here")
        self.ca = files.get("certificate-authority")
        self.context = ssl.create_default_context(cafile=self.ca)
        if "client-key" in files:
            self.context.load_cert_chain(files["client-certificate"], files["client-key"])
        self.api("GET", "/version")
        return self

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()

    @property
    def token(self):
        return self.tokens["admin"]

    # life

    def start(self):
        """Ready when it returns. Several at a time: start_all."""
        start_all([self])
        return self

    def begin(self):
        """Starts etcd and the API server, and waits for nothing."""
        self.program = binary.ready()
        if not self.program:
            raise RuntimeError("the test cluster's program is not built yet: ./dev cluster binary")
        self.folder = self.folder or processes.temporary()
        os.makedirs(self.folder, mode=0o700, exist_ok=True)
        if self.tied:
            atexit.register(self.stop)
        self.port = fleet.free_ports(3)
        self.url = f"https://127.0.0.1:{self.port}"
        self.etcd_url = f"http://127.0.0.1:{self.port + 1}"
        self.tokens = keys.make(self.folder, self.url, self.users)
        self.ca = os.path.join(self.folder, "ca.crt")
        self.kubeconfig = self.kubeconfig_of("admin")
        self.context = ssl.create_default_context(cafile=self.ca)
        self.spawn("etcd", *self.etcd_flags())
        self.spawn("apiserver", *self.apiserver_flags())

    def finish(self):
        """Waits for the API server and starts the parts that need it."""
        self.wait_ready()
        for part in self.parts:
            self.spawn(part, *self.part_flags(part))
        self.wait("the namespace default", lambda: self.api("GET", "/api/v1/namespaces/default"), READY_SECONDS)

    def stop(self):
        """Ends what this cluster started, and removes its folder. May be called again."""
        atexit.unregister(self.stop)
        if not self.own:
            shutil.rmtree(self.folder, ignore_errors=True)
        elif self.folder and os.path.isdir(self.folder):
            processes.remove(self.folder)
            for child in self.children.values():
                child.wait()

    def kill_apiserver(self):
        """kill -9; its clients see a connection that is refused or reset, etcd keeps everything."""
        processes.kill(self.folder, "apiserver")
        self.children.pop("apiserver").wait()

    def start_apiserver(self, *flags):
        """Again, on the same port, with the cluster's flags and these; ready when it returns."""
        self.spawn("apiserver", *self.apiserver_flags(), *flags)
        self.wait_ready()

    def spawn(self, part, *flags):
        self.children[part] = processes.spawn(self.folder, part, [self.program, part, *flags], self.tied)

    def etcd_flags(self):
        peer = f"http://127.0.0.1:{self.port + 2}"
        return ("--data-dir", "etcd", "--listen-client-urls", self.etcd_url, "--advertise-client-urls", self.etcd_url,
                "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster", "default=" + peer,
                "--unsafe-no-fsync", "--log-level", "error")

    def apiserver_flags(self):
        return ("--etcd-servers", self.etcd_url, "--secure-port", str(self.port), "--bind-address", "127.0.0.1", "--external-hostname", "127.0.0.1",
                "--tls-cert-file", "server.crt", "--tls-private-key-file", "server.key", "--client-ca-file", "ca.crt",
                "--token-auth-file", "tokens.csv", "--authorization-mode", "RBAC", "--service-account-key-file", "sa.pub",
                "--service-account-signing-key-file", "sa.key", "--service-account-issuer", "https://" + SERVICE,
                "--service-cluster-ip-range", "10.0.0.0/16", "--endpoint-reconciler-type", "none",
                "--disable-admission-plugins", "ServiceAccount",  # Pods need not wait for the controllers
                "--audit-log-path", "audit.log", "--audit-policy-file", "audit-policy.yaml", *self.flags)

    def part_flags(self, part):
        config = self.kubeconfig_of(part)
        if part == "kwok":
            return ("--kubeconfig", config, "--manage-all-nodes", "--config", os.path.join(HERE, "stages.yaml"))
        flags = ("--kubeconfig", config, "--leader-elect=false", "--secure-port", "0")
        return (*flags, "--service-account-private-key-file", "sa.key", "--root-ca-file", "ca.crt") if part == "controllers" else flags

    def kubeconfig_of(self, user):
        """Of "admin", "certificate" (admin by a client certificate) or one of `users`, who log in by token."""
        return os.path.join(self.folder, "kubeconfig-" + user)

    # asking

    def api(self, method, path, body=None, ctype="application/json", user="admin"):
        """The answer's JSON, or its text where it is none; ApiError for 400 and above. Server-side apply is PATCH with
        ctype="application/apply-patch+yaml"."""
        target = urllib.parse.urlsplit(self.url)
        kind = http.client.HTTPSConnection if target.scheme == "https" else http.client.HTTPConnection
        connection = kind(target.hostname, target.port, timeout=ANSWER_SECONDS, **({"context": self.context} if target.scheme == "https" else {}))
        headers = {"Accept": "application/json", "Content-Type": ctype}
        if self.tokens[user]:
            headers["Authorization"] = "Bearer " + self.tokens[user]
        try:
            connection.request(method, target.path + path, json.dumps(body) if isinstance(body, (dict, list)) else body, headers)
            answer = connection.getresponse()
            text = answer.read().decode()
        finally:
            connection.close()
        found = json.loads(text) if answer.headers.get_content_type() == "application/json" else text
        if answer.status >= 400:
            raise ApiError(answer.status, found)
        return found

    def kubectl(self, *args, text=None, user="admin"):
        """What kubectl says; `text` is its standard input. CalledProcessError with .stderr where it fails."""
        config = self.kubeconfig_of(user) if self.own else self.kubeconfig
        return subprocess.run([binary.ensure(), "kubectl", "--kubeconfig", config, *args], input=text, capture_output=True, text=True, check=True,
                              env={**os.environ, "HOME": self.folder}, timeout=ANSWER_SECONDS).stdout

    def gpu_node(self, name, gpus=8, cpu="64", memory="512Gi"):
        """A Node that the scheduler places Pods on once kwok says it is ready; returns then."""
        self.only_own("a Node of ours")
        room = {"cpu": cpu, "memory": memory, "pods": "110", **({"nvidia.com/gpu": str(gpus)} if gpus else {})}
        self.api("POST", "/api/v1/nodes", {
            "apiVersion": "v1", "kind": "Node",
            "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64",
                                                  **({"nvidia.com/gpu.present": "true"} if gpus else {})}},
            "status": {"capacity": room, "allocatable": room}})
        self.wait(f"{name} takes Pods", lambda: not self.api("GET", "/api/v1/nodes/" + name)["spec"].get("taints"))

    def audit(self, **wanted):
        """Events of the audit log so far, oldest first, whose fields are as wanted: verb, user, resource, namespace, name, code."""
        self.only_own("the audit log")
        with open(os.path.join(self.folder, "audit.log"), "rb") as file:
            lines = [line for line in file if line.endswith(b"\n")]  # the last one may be half there
        for event in map(json.loads, lines):
            about = event.get("objectRef") or {}
            event["plain"] = {"verb": event["verb"], "user": event["user"]["username"], "code": (event.get("responseStatus") or {}).get("code"),
                              **{field: about.get(field) for field in ("resource", "namespace", "name", "subresource")}}
            if wanted.items() <= event["plain"].items():
                yield event

    def compact(self):
        """Makes etcd forget every older revision: what asks for one later is told 410 Gone, once the API server was restarted."""
        self.only_own("etcd")
        key = base64.b64encode(b"/").decode()
        revision = self.etcd("range", {"key": key, "limit": "1"})["header"]["revision"]
        self.etcd("compaction", {"revision": revision, "physical": True})

    def etcd(self, verb, body):
        target = urllib.parse.urlsplit(self.etcd_url)
        connection = http.client.HTTPConnection(target.hostname, target.port, timeout=ANSWER_SECONDS)
        try:
            connection.request("POST", "/v3/kv/" + verb, json.dumps(body), {"Content-Type": "application/json"})
            answer = connection.getresponse()
            text = answer.read().decode()
        finally:
            connection.close()
        if answer.status != 200:
            raise RuntimeError(f"etcd {verb}: {answer.status} {text}")
        return json.loads(text)

    def only_own(self, what):
        if not self.own:
            raise RuntimeError(f"{what} is there only in a cluster of ours, not in that of SLUICE_TEST_KUBECONFIG")

    # waiting

    def wait(self, what, fact, seconds=45):
        """What `fact` says once it is true; an ApiError or a field that is missing is not yet."""
        end, last = time.monotonic() + seconds, ""
        while True:
            try:
                value = fact()
                if value:
                    return value
            except (ApiError, OSError, http.client.HTTPException, LookupError, TypeError) as error:
                last = repr(error)
            dead = self.own and [part for part, child in self.children.items() if child.poll() is not None]
            if dead or time.monotonic() > end:
                raise AssertionError(f"waited in vain: {what}; {'ended: ' + ', '.join(dead) if dead else ''} {last}\n{self.logs()}")
            time.sleep(POLL_SECONDS)

    def wait_ready(self):
        self.wait("the API server is ready", lambda: self.api("GET", "/readyz") == "ok", READY_SECONDS)

    def logs(self):
        said = ""
        for path in sorted(glob.glob(os.path.join(self.folder, "*.log"))):
            if os.path.basename(path) != "audit.log":
                with open(path, errors="replace") as file:
                    said += f"--- {os.path.basename(path)}\n" + "".join(file.readlines()[-15:])
        return said


def start_all(clusters):
    """All at once, by one thread."""
    try:
        for cluster in clusters:
            cluster.begin()
        for cluster in clusters:
            cluster.finish()
    except BaseException:
        for cluster in clusters:
            cluster.stop()
        raise


# the command line: clusters 1 to N of this user, which stay until `down`


def standing():
    """The folders of those clusters, by number."""
    names = [name for name in os.listdir(processes.base()) if name.isdigit()]
    return {int(name): os.path.join(processes.base(), name) for name in sorted(names, key=int)}


def up(count, parts):
    binary.ensure()
    found = standing()
    broken = [n for n, folder in found.items() if not processes.find(folder, "apiserver")]
    for number in broken:
        processes.remove(found.pop(number))
    fresh = {n: Cluster(os.path.join(processes.base(), str(n)), parts, tied=False) for n in range(1, count + 1) if n not in found}
    start_all(list(fresh.values()))
    for number in range(1, count + 1):
        if number in fresh and set(PARTS) <= set(parts):
            fresh[number].gpu_node("gpu-0")
        print(f"{number}: export KUBECONFIG={processes.base()}/{number}/kubeconfig-admin")


def main():
    parser = argparse.ArgumentParser(prog="./dev cluster", description="Kubernetes control planes on this machine, for tests and for trying things out.")
    words = parser.add_subparsers(dest="word", required=True)
    word = words.add_parser("up", help="starts clusters 1 to N, where they do not run yet")
    word.add_argument("count", metavar="N", nargs="?", type=int, default=1, choices=range(1, CLUSTERS_MAX + 1))
    word.add_argument("--api-only", action="store_true", help="etcd and API server, no controllers, scheduler and nodes")
    words.add_parser("down", help="ends them all and removes what they wrote")
    word = words.add_parser("kubeconfig", help="prints the path of one's kubeconfig")
    word.add_argument("number", metavar="n", nargs="?", type=int, default=1)
    word = words.add_parser("kubectl", help="the kubectl of the cluster's version, at cluster 1 unless KUBECONFIG says otherwise")
    word.add_argument("arguments", nargs=argparse.REMAINDER)
    words.add_parser("binary", help="builds the program if it is not there, and prints its path")
    args = parser.parse_args()
    try:
        perform(args)
    except (AssertionError, OSError, RuntimeError, subprocess.CalledProcessError) as error:
        sys.exit(f"cluster: {error}")


def perform(args):
    if args.word == "up":
        up(args.count, () if args.api_only else PARTS)
    elif args.word == "down":
        for folder in standing().values():
            processes.remove(folder)
    elif args.word == "binary":
        print(binary.ensure())
    else:
        number = getattr(args, "number", 1)
        path = os.path.join(processes.base(), str(number), "kubeconfig-admin")
        if args.word == "kubeconfig" or "KUBECONFIG" not in os.environ:
            if not os.path.exists(path):
                sys.exit(f"cluster {number} does not run: ./dev cluster up {number}")
        if args.word == "kubeconfig":
            print(path)
        else:
            os.environ.setdefault("KUBECONFIG", path)
            os.execv(binary.ensure(), ["kubectl", "kubectl", *args.arguments])


if __name__ == "__main__":
    main()
