"""lib/kube at a real API server, by kube-driver: requests and their errors, lists and watches over restarts and lost revisions, tokens, discovery."""
import json
import os
import queue
import subprocess
import threading
import unittest

from cluster import Cluster
import fleet  # cluster.py knows where it is

HERE = os.path.dirname(os.path.abspath(__file__))
DRIVER = os.path.join(os.environ.get("SLUICE_BIN", os.path.join(HERE, "..", "..", "build", "release", "bin")), "kube-driver")
MAPS = "/api/v1/namespaces/default/configmaps"
ANSWER_SECONDS = 45
APPLY = "application/apply-patch+yaml"


def config_map(name, **data):
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "labels": {"of": "test"}}, "data": data}


def read(path):
    with open(path) as file:
        return file.read()


class Driver:
    """One kube-driver; what it says is kept in order."""

    def __init__(self, *argv, **env):
        self.child = subprocess.Popen([DRIVER, *argv], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, **env})
        self.said, self.number = queue.Queue(), 0
        self.reader = threading.Thread(target=lambda: [self.said.put(json.loads(line)) for line in self.child.stdout])
        self.reader.start()

    def close(self):
        self.child.stdin.close()
        code = self.child.wait(ANSWER_SECONDS)
        self.reader.join()
        self.child.stdout.close()
        return code

    def tell(self, **command):
        self.child.stdin.write(json.dumps(command) + "\n")
        self.child.stdin.flush()

    def until(self, fact):
        """Everything said up to and with the line of which `fact` is true."""
        lines = []
        while True:
            try:
                lines.append(self.said.get(timeout=ANSWER_SECONDS))
            except queue.Empty:
                raise AssertionError(f"waited in vain; it said {lines[-20:]}") from None
            if fact(lines[-1]):
                return lines

    def ask(self, do, **command):
        self.number += 1
        self.tell(do=do, id=str(self.number), **command)
        return self.until(lambda line: line["event"] == "done" and line["id"] == str(self.number))[-1]

    def send(self, method, path, body=None, type=None):
        return self.ask("send", method=method, path=path, **({"body": body} if body else {}), **({"type": type} if type else {}))

    def apply(self, body, manager="sluice", force=False):
        return self.send("PATCH", f"{MAPS}/{body['metadata']['name']}?fieldManager={manager}&force={str(force).lower()}", body, APPLY)


class Kube(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster(parts=()).start()
        cls.addClassCleanup(cls.cluster.stop)

    def driver(self, *argv, **env):
        driver = Driver(*(argv or (self.cluster.kubeconfig,)), **env)
        self.addCleanup(driver.close)
        return driver

    def watch(self, driver, **how):
        """Names that the first list had."""
        driver.tell(do="watch", id="w", path=MAPS, **how)
        lines = driver.until(lambda line: line["event"] == "synced")
        return [line["name"] for line in lines if line["event"] == "seen"]

    def seen(self, driver, name):
        return driver.until(lambda line: line["event"] == "seen" and line["name"] == name)

    def remove_all(self):
        for item in self.cluster.api("GET", MAPS + "?labelSelector=of%3Dtest")["items"]:
            self.cluster.api("DELETE", f"{MAPS}/{item['metadata']['name']}")

    def test_requests_and_errors(self):
        driver = self.driver()
        self.assertEqual(driver.apply(config_map("one", key="a"))["status"], 201)
        self.assertEqual(driver.apply(config_map("one", key="b"))["json"]["data"], {"key": "b"})
        found = driver.apply(config_map("one", key="c"), manager="other")
        self.assertEqual((found["code"], found["field"], found["manager"]), ("kube-conflict", ".data.key", "sluice"), found)
        self.assertEqual(driver.apply(config_map("one", key="c"), manager="other", force=True)["status"], 200)
        uid = driver.send("GET", MAPS + "/one")["json"]["metadata"]["uid"]
        wrong = driver.send("DELETE", MAPS + "/one", {"preconditions": {"uid": "00000000-0000-0000-0000-000000000000"}})
        self.assertEqual(wrong["code"], "kube-conflict", wrong)
        self.assertEqual(driver.send("DELETE", MAPS + "/one", {"preconditions": {"uid": uid}})["status"], 200)
        for code, answer in (("kube-not-found", driver.send("GET", MAPS + "/one")),
                             ("kube-no-kind", driver.send("GET", "/apis/nowhere.example/v1/things")),
                             ("kube-no-kind", driver.send("GET", "/api/v1/nothings")),
                             ("kube-invalid", driver.send("POST", MAPS, config_map("Not_A_Name"))),
                             ("kube-refused", driver.send("POST", MAPS, {"apiVersion": "v1", "kind": "Secret"})),
                             ("kube-path", driver.send("GET", "/api/../version")),
                             ("kube-too-large", driver.send("POST", MAPS, config_map("big", key="x" * 3500000)))):
            self.assertEqual(answer.get("code"), code, answer)
        driver.send("POST", MAPS, config_map("two"))
        self.assertEqual(driver.send("POST", MAPS, config_map("two"))["code"], "kube-exists")
        frozen = {**config_map("frozen", key="a"), "immutable": True}
        driver.send("POST", MAPS, frozen)
        self.assertEqual(driver.apply(config_map("frozen", key="b"), force=True)["code"], "kube-immutable")
        self.remove_all()
        self.assertEqual(driver.close(), 0)

    def test_who(self):
        reader = self.driver(self.cluster.kubeconfig_of("reader"))
        self.assertEqual(reader.send("GET", MAPS)["code"], "kube-forbidden")
        certificate = self.driver(self.cluster.kubeconfig_of("certificate"))
        self.assertEqual(certificate.send("GET", MAPS)["status"], 200)
        config = json.loads(read(self.cluster.kubeconfig))
        config["users"][0]["user"] = {"token": "no-such-token"}
        self.assertEqual(self.driver(self.write("bad-token", config)).send("GET", MAPS)["code"], "kube-unauthorized")
        config["clusters"][0]["cluster"]["certificate-authority"] = os.path.join(self.cluster.folder, "client.crt")
        self.assertEqual(self.driver(self.write("bad-ca", config)).send("GET", MAPS)["code"], "tls-peer")
        yaml = self.driver(self.write("yaml", "apiVersion: v1\nkind: Config\n")).until(lambda line: line["event"] == "config")[-1]
        self.assertEqual(yaml["code"], "kube-config-yaml")
        self.assertIn("kubectl config view --raw --minify --flatten -o json", yaml["message"])

    def write(self, name, value):
        path = os.path.join(self.cluster.folder, name)
        with open(path + ".new", "w") as out:
            out.write(value if isinstance(value, str) else json.dumps(value))
        os.rename(path + ".new", path)
        return path

    def test_flattened_by_kubectl(self):
        text = self.cluster.kubectl("config", "view", "--raw", "--minify", "--flatten", "-o", "json")
        self.assertEqual(self.driver(self.write("flat", text)).send("GET", MAPS)["status"], 200)

    def test_token_of_a_pod_is_rotated(self):
        folder = os.path.join(self.cluster.folder, "account")
        os.makedirs(os.path.join(folder, "..old"))
        for name, text in (("ca.crt", read(self.cluster.ca)), ("namespace", "team-a"), ("token", self.cluster.token + "\n")):
            self.write("account/..old/" + name, text)
            os.symlink("..data/" + name, os.path.join(folder, name))
        os.symlink("..old", os.path.join(folder, "..data"))
        host, port = self.cluster.url.removeprefix("https://").split(":")
        driver = self.driver("--pod", folder, KUBERNETES_SERVICE_HOST=host, KUBERNETES_SERVICE_PORT=port)
        self.assertEqual(driver.send("GET", MAPS)["status"], 200)
        self.rotate(folder, "..new", self.cluster.tokens["reader"])
        self.assertEqual(driver.send("GET", MAPS)["code"], "kube-forbidden")  # the new token is in force
        self.rotate(folder, "..bad", "")  # half written: the last one stays
        self.assertEqual(driver.send("GET", MAPS)["code"], "kube-forbidden")
        self.rotate(folder, "..again", self.cluster.token)
        self.assertEqual(driver.send("GET", MAPS)["status"], 200)

    def rotate(self, folder, name, token):
        """As a kubelet does: a new folder, and the link to it is replaced."""
        os.makedirs(os.path.join(folder, name))
        with open(os.path.join(folder, name, "token"), "w") as out:
            out.write(token)
        os.symlink(name, os.path.join(folder, "..tmp"))
        os.rename(os.path.join(folder, "..tmp"), os.path.join(folder, "..data"))

    def test_watch(self):
        for i in range(7):
            self.cluster.api("POST", MAPS, config_map(f"map-{i}"))
        driver = self.driver()
        self.assertEqual(sorted(self.watch(driver, selector="of=test", page=3)), [f"map-{i}" for i in range(7)])  # three pages
        self.cluster.api("POST", MAPS, config_map("later"))
        line = self.seen(driver, "later")[-1]
        self.assertEqual(line["kind"], "ConfigMap")
        self.cluster.api("DELETE", MAPS + "/later")
        gone = driver.until(lambda line: line["event"] == "gone")[-1]
        self.assertEqual((gone["namespace"], gone["name"], gone["uid"]), ("default", "later", line["uid"]))
        self.remove_all()
        driver.until(lambda line: line["event"] == "gone" and line["name"] == "map-6")

    def test_watch_over_restarts(self):
        self.cluster.api("POST", MAPS, config_map("stays"))
        self.cluster.api("POST", MAPS, config_map("goes"))
        driver = self.driver()
        self.watch(driver, selector="of=test")
        self.cluster.kill_apiserver()
        driver.until(lambda line: line["event"] == "problem")
        self.cluster.start_apiserver()
        self.cluster.api("POST", MAPS, config_map("after-restart"))
        lines = self.seen(driver, "after-restart")
        self.assertEqual([line for line in lines if line["event"] == "gone"], [])
        self.assertEqual([line["name"] for line in lines if line["event"] == "seen"], ["after-restart"])  # nothing is said twice

        # While nobody could watch, one goes, one comes back as another, and the revisions in between are forgotten.
        before = self.cluster.api("GET", MAPS + "/stays")["metadata"]["uid"]
        self.cluster.kill_apiserver()
        driver.until(lambda line: line["event"] == "problem")
        self.behind_its_back()
        lines = driver.until(lambda line: line["event"] == "synced")
        told = [(line["event"], line["name"]) for line in lines if line["event"] in ("seen", "gone")]
        self.assertIn(("gone", "goes"), told)
        self.assertEqual([what for what in told if what[1] == "stays"], [("gone", "stays"), ("seen", "stays")])
        self.assertIn(before, [line.get("uid") for line in lines if line["event"] == "gone"])
        self.remove_all()

    def behind_its_back(self):
        """Changes by an API server at another address, so that the driver sees only the result."""
        url, other = self.cluster.url, fleet.free_ports(1)
        self.cluster.url = f"https://127.0.0.1:{other}"
        self.cluster.start_apiserver("--secure-port", str(other))
        self.cluster.api("DELETE", MAPS + "/goes")
        self.cluster.api("DELETE", MAPS + "/stays")
        self.cluster.api("POST", MAPS, config_map("stays"))
        self.cluster.compact()
        self.cluster.kill_apiserver()
        self.cluster.url = url
        self.cluster.start_apiserver()

    def test_discovery(self):
        driver = self.driver()
        found = driver.ask("find", group="apps", version="v1", kind="Deployment")
        self.assertEqual(found.get("found"), "present", found)
        self.assertEqual((found["found"], found["path"], found["verbs"], found["status"]),
                         ("present", "/apis/apps/v1/namespaces/default/deployments/one", 127, True))
        self.assertEqual(driver.ask("find", group="", version="v1", kind="Namespace")["path"], "/api/v1/namespaces/one")
        self.assertEqual(driver.ask("find", group="sluice.test", version="v1", kind="Toy")["found"], "absent")
        self.cluster.api("POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", {
            "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": "toys.sluice.test"},
            "spec": {"group": "sluice.test", "scope": "Namespaced", "names": {"plural": "toys", "kind": "Toy"},
                     "versions": [{"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": {"type": "object"}}}]}})
        self.cluster.wait("the new kind is found", lambda: driver.ask("find", group="sluice.test", version="v1", kind="Toy")["found"] == "present")
        # An aggregated server that is away: what it serves is unknown, not absent.
        self.cluster.api("POST", "/apis/apiregistration.k8s.io/v1/apiservices", {
            "apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService", "metadata": {"name": "v1.away.test"},
            "spec": {"group": "away.test", "version": "v1", "groupPriorityMinimum": 100, "versionPriority": 10, "insecureSkipTLSVerify": True,
                     "service": {"namespace": "default", "name": "nobody"}}})
        self.cluster.wait("its kinds are unknown", lambda: driver.ask("find", group="away.test", version="v1", kind="Thing")["found"] == "unknown")
        self.assertEqual(driver.ask("find", group="apps", version="v1", kind="Deployment")["found"], "present")


if __name__ == "__main__":
    unittest.main()
