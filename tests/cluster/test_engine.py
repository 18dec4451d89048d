"""The engine `kubernetes` in a real agent, at a real API server: apply, drift, prune, health, whose is what, restarts."""
import json
import os
import subprocess
import unittest

from cluster import ApiError, Cluster
import fleet  # cluster.py knows where it is

FLEET = """\
apiVersion: gitops.sluice/v1alpha1
kind: Fleet
metadata: {name: e2e}
---
apiVersion: gitops.sluice/v1alpha1
kind: Environment
metadata: {name: dev}
spec: {promotion: newest, healthTimeout: 30s}
---
apiVersion: gitops.sluice/v1alpha1
kind: Application
metadata: {name: app}
spec:
  source: {path: app}
  environments: {dev: {parts: [{paths: [objects]}]}}
"""
MAP = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: %s, namespace: %s}\ndata: {key: \"%s\", other: \"same\"}\n"
WEB = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: %s}
spec:
  replicas: %d
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers: [{name: web, image: "registry.example/web:1", ports: [{containerPort: 80}], resources: {requests: {cpu: 100m}}}]
"""


class Fleet(fleet.Fleet):
    """One environment with one cluster, whose agent speaks to a real API server."""

    def __init__(self, cluster):
        self.cluster = cluster
        super().__init__()
        self.write("sluice.yaml", FLEET)
        self.start_coordinator()
        self.add_cluster("dev1", "dev", engine="kubernetes", kubeconfig=cluster.kubeconfig)

    def describe(self):
        return super().describe() + "\n" + self.cluster.kubectl("get", "nodes,deployments,pods,configmaps", "-A", "-o", "wide")

    def brings(self, subject):
        self.push(subject)
        self.wait_healthy("dev", subject, 60)


class Case(unittest.TestCase):
    PARTS = {"parts": ()}

    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster.for_test(**cls.PARTS)
        cls.addClassCleanup(cls.cluster.stop)

    def setUp(self):
        self.namespace = "team-" + self._testMethodName.replace("test_", "").replace("_", "-")
        self.f = Fleet(self.cluster)
        self.addCleanup(self.f.stop)
        self.cluster.api("POST", "/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.namespace}})
        self.put("conf", MAP % ("conf", self.namespace, "one"))

    def put(self, name, text):
        self.f.write(f"app/objects/{name}.yaml", text)

    def take(self, name):
        os.unlink(os.path.join(self.f.repo, f"app/objects/{name}.yaml"))

    def path(self, name, kind="configmaps", root="/api/v1"):
        return f"{root}/namespaces/{self.namespace}/{kind}/{name}"

    def get(self, name, kind="configmaps", root="/api/v1"):
        try:
            return self.cluster.api("GET", self.path(name, kind, root))
        except ApiError as error:
            if error.code != 404:
                raise
            return None

    def data(self, name="conf"):
        return (self.get(name) or {}).get("data")

    def says(self, *words):
        """The unit's state, once all of the words are in it."""
        def fact():
            text = self.f.sluice("status", "app", "--env", "dev", "-o", "json", code=None).stdout
            return text if all(word in text for word in words) else None
        return self.f.wait(f"status says {words}", fact)


class Engine(Case):
    PARTS = {}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.cluster.gpu_node("node-0")

    def test_contract(self):
        done = subprocess.run([os.path.join(fleet.BIN, "contract_engine"), "-p", "/engine/kubernetes"], capture_output=True, text=True,
                              env={**os.environ, "SLUICE_TEST_KUBECONFIG": self.cluster.kubeconfig})
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertIn("ok 1 /engine/kubernetes", done.stdout)

    def test_applies_and_is_healthy(self):
        self.put("web", WEB % (self.namespace, 2))
        self.f.brings("first")
        there = self.get("conf")
        self.assertEqual(there["data"], {"key": "one", "other": "same"})
        self.assertEqual(there["metadata"]["labels"]["gitops.sluice/application"], "app")
        self.assertEqual(there["metadata"]["annotations"]["gitops.sluice/owner"], f"dev1/app core/ConfigMap {self.namespace}/conf")
        self.assertEqual([(m["manager"], m["operation"]) for m in there["metadata"]["managedFields"]], [("sluice", "Apply")])
        web = self.get("web", "deployments", "/apis/apps/v1")
        self.assertEqual(web["status"]["readyReplicas"], 2)
        before = self.calls()
        self.f.write("app/objects/README.md", "nothing that is applied\n")
        self.f.brings("words only")
        self.assertEqual(self.calls(), before, "nothing changed, and the API server was asked")
        self.put("conf", MAP % ("conf", self.namespace, "two"))
        self.f.brings("one changed")
        self.assertEqual(self.calls(), before + 1)  # one PATCH
        self.assertEqual(self.data()["key"], "two")

    def calls(self):
        """Requests about objects of this test's namespace, but for those of controllers and of this test."""
        return sum(1 for each in self.cluster.audit() if each["plain"]["namespace"] == self.namespace and each["verb"] in ("get", "patch", "delete") and
                   each.get("userAgent", "").startswith("sluice"))

    def test_drift_is_corrected_and_what_is_others_stays(self):
        self.f.brings("first")
        self.cluster.kubectl("annotate", "-n", self.namespace, "configmap", "conf", "somebody/note=mine")
        self.cluster.kubectl("patch", "-n", self.namespace, "configmap", "conf", "-p", '{"data": {"key": "by hand", "third": "mine"}}')
        self.f.wait("the field is as in Git", lambda: (self.data() or {}).get("key") == "one")
        self.assertEqual(self.data(), {"key": "one", "other": "same", "third": "mine"})
        self.assertEqual(self.get("conf")["metadata"]["annotations"]["somebody/note"], "mine")
        self.cluster.kubectl("annotate", "-n", self.namespace, "configmap", "conf", "gitops.sluice/owner-")
        self.f.wait("it is marked again", lambda: "gitops.sluice/owner" in self.get("conf")["metadata"]["annotations"])
        self.cluster.kubectl("label", "-n", self.namespace, "configmap", "conf", "gitops.sluice/application-")
        self.f.wait("it has its label again", lambda: "gitops.sluice/application" in self.get("conf")["metadata"].get("labels", {}))
        self.cluster.kubectl("delete", "-n", self.namespace, "configmap", "conf")
        self.f.wait("it is there again", lambda: self.data() == {"key": "one", "other": "same"})
        self.f.wait_healthy("dev", "first")

    def test_a_fight_is_said_and_not_fought(self):
        self.f.brings("first")
        def quarrel():
            self.cluster.kubectl("patch", "-n", self.namespace, "configmap", "conf", "--field-manager", "quarreller", "-p", '{"data": {"key": "mine"}}')
            return "Fight" in self.f.sluice("status", "app", "--env", "dev", "-o", "json", code=None).stdout
        self.f.wait("the fight is said", quarrel, 90)
        self.says("Fight", "quarreller", ".data.key")

    def test_what_somebody_else_made_is_left_alone(self):
        self.f.brings("first")
        self.cluster.kubectl("create", "-n", self.namespace, "configmap", "theirs", "--from-literal=key=theirs")
        uid = self.get("theirs")["metadata"]["uid"]
        self.put("theirs", MAP % ("theirs", self.namespace, "ours"))
        self.f.push("takes theirs")
        self.says("SLU5215", "theirs is there already")
        self.assertEqual((self.data("theirs"), self.get("theirs")["metadata"]["uid"]), ({"key": "theirs"}, uid))
        self.f.sluice("promote", "app", "--to", "dev", "--reason", "ours now", "--force-fields")
        self.f.wait_healthy("dev", "takes theirs", 60)
        self.assertEqual((self.data("theirs")["key"], self.get("theirs")["metadata"]["uid"]), ("ours", uid))

    def test_what_was_never_ours_is_not_removed(self):
        for name in ("a", "b", "c"):
            self.put(name, MAP % (name, self.namespace, name))
        self.f.brings("first")
        self.cluster.kubectl("create", "-n", self.namespace, "configmap", "theirs", "--from-literal=key=theirs")
        uid = self.get("theirs")["metadata"]["uid"]
        self.put("theirs", MAP % ("theirs", self.namespace, "ours"))
        self.f.push("takes theirs")
        self.says("SLU5215", "theirs is there already")
        self.take("theirs")
        self.f.push("leaves theirs")
        self.f.wait_healthy("dev", "leaves theirs", 60)
        self.assertEqual(self.get("theirs")["metadata"]["uid"], uid)

    def test_prune(self):
        for name in ("a", "b", "c", "d"):
            self.put(name, MAP % (name, self.namespace, name))
        self.f.brings("first")
        held = {"metadata": {"finalizers": ["example.test/hold"]}}
        self.cluster.api("PATCH", self.path("a"), held, ctype="application/merge-patch+json")
        copy = {**self.get("b"), "metadata": {**self.get("b")["metadata"], "name": "copy", "resourceVersion": None, "uid": None, "managedFields": None}}
        self.cluster.api("POST", self.path("").rstrip("/"), copy)
        self.take("a")
        self.f.push("without a")
        self.f.wait("a is being deleted", lambda: self.get("a")["metadata"].get("deletionTimestamp"))
        self.cluster.api("PATCH", self.path("a"), {"metadata": {"finalizers": None}}, ctype="application/merge-patch+json")
        self.f.wait("a is gone", lambda: self.get("a") is None)
        self.f.wait_healthy("dev", "without a")
        self.assertIsNotNone(self.get("copy"), "a copy with our label is not ours")
        self.assertEqual(self.data("b")["key"], "b")

    def test_agent_comes_back(self):
        self.put("d", MAP % ("d", self.namespace, "d"))
        self.f.brings("first")
        uid = self.get("conf")["metadata"]["uid"]
        self.f.kill("dev1")
        self.cluster.kubectl("patch", "-n", self.namespace, "configmap", "conf", "-p", '{"data": {"key": "by hand"}}')
        self.cluster.kubectl("delete", "-n", self.namespace, "configmap", "d")
        self.f.start_agent("dev1")
        self.f.wait("both are as in Git", lambda: self.data()["key"] == "one" and (self.data("d") or {}).get("key") == "d")
        self.assertEqual(self.get("conf")["metadata"]["uid"], uid)
        self.f.wait_healthy("dev", "first")

    def test_bad_objects_are_said(self):
        self.f.brings("first")
        self.put("frozen", MAP % ("frozen", self.namespace, "a") + "immutable: true\n")
        self.f.brings("frozen")
        self.put("frozen", MAP % ("frozen", self.namespace, "b") + "immutable: true\n")
        self.f.push("thawed")
        self.says("SLU5217", "immutable")
        self.put("frozen", MAP % ("frozen", self.namespace, "a") + "immutable: true\n")
        self.put("strange", "apiVersion: example.test/v1\nkind: Strange\nmetadata: {name: strange}\n")
        self.f.push("strange")
        self.says("SLU5213", "does not serve this kind")


class Kinds(Case):
    """A cluster of its own: controllers of the other one are slow to come back from a new kind."""

    def test_a_kind_and_its_object_in_one_commit(self):
        group = self.namespace + ".test"
        self.put("kind", json.dumps({
            "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": {"name": f"widgets.{group}", "annotations": {"gitops.sluice/wave": "-1"}},
            "spec": {"group": group, "scope": "Namespaced", "names": {"plural": "widgets", "singular": "widget", "kind": "Widget", "listKind": "WidgetList"},
                     "versions": [{"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": {
                         "type": "object", "x-kubernetes-preserve-unknown-fields": True}}}]}}))
        self.put("widget", f"apiVersion: {group}/v1\nkind: Widget\nmetadata: {{name: one, namespace: {self.namespace}}}\nspec: {{size: 3}}\n")
        self.f.push("widgets")
        self.says("SLU2224", "apiextensions.k8s.io/CustomResourceDefinition")  # dev's own promotion may not bring it
        self.f.sluice("promote", "app", "--to", "dev", "--reason", "a kind", "--privileged", "apiextensions.k8s.io/CustomResourceDefinition")
        there = self.f.wait("the widget is there", lambda: self.get("one", "widgets", f"/apis/{group}/v1"), 90)
        self.assertEqual(there["spec"], {"size": 3})
        ready = {"status": {"conditions": [{"type": "Ready", "status": "True"}]}}  # as its controller would say
        self.cluster.api("PATCH", self.path("one", "widgets", f"/apis/{group}/v1"), ready, ctype="application/merge-patch+json")
        self.f.wait_healthy("dev", "widgets", 60)


if __name__ == "__main__":
    unittest.main()
