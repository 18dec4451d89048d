"""The test cluster does what tests of others rely on: real controllers, GPU nodes, Pods that go as they are told, an audit log."""
import json
import os
import signal
import ssl
import subprocess
import sys
import unittest
import unittest.mock

import cluster as clusters
import processes
from cluster import ApiError, Cluster

PODS = "/api/v1/namespaces/default/pods"
JOBS = "/apis/batch/v1/namespaces/default/jobs"
DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"
MAPS = "/api/v1/namespaces/default/configmaps"
NAMESPACES = "/api/v1/namespaces"


def template(name, gpus=0, restart="Never", **annotations):
    room = {"limits": {"nvidia.com/gpu": str(gpus)}} if gpus else {}
    return {"metadata": {"labels": {"app": name}, "annotations": {"sluice.test/" + key.replace("_", "-"): value for key, value in annotations.items()}},
            "spec": {"restartPolicy": restart, "containers": [{"name": "main", "image": "registry.example/train:1", "resources": room}]}}


def config_map(name):
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"key": "value"}}


class Full(unittest.TestCase):
    """A cluster with everything, and a second one with the API alone, started at once."""

    @classmethod
    def setUpClass(cls):
        cls.one, cls.two = Cluster(), Cluster(parts=())
        cls.addClassCleanup(cls.two.stop)
        cls.addClassCleanup(cls.one.stop)
        clusters.start_all([cls.one, cls.two])
        cls.one.gpu_node("gpu-0")

    def pod(self, name, **options):
        pod = {"apiVersion": "v1", "kind": "Pod", **template(name, **options)}
        pod["metadata"]["name"] = name
        self.one.api("POST", PODS, pod)

    def job(self, name, **options):
        self.one.api("POST", JOBS, {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name},
                                    "spec": {"backoffLimit": 0, "template": template(name, **options)}})

    def job_is(self, name, condition):
        def fact():
            found = self.one.api("GET", f"{JOBS}/{name}")["status"].get("conditions", [])
            return any(c["type"] == condition and c["status"] == "True" for c in found)
        self.one.wait(f"{name} is {condition}", fact)
        return self.one.api("GET", f"{PODS}?labelSelector=job-name={name}")["items"][0]["status"]

    def pod_is(self, name, fact):
        return self.one.wait(f"{name} is as it was told", lambda: fact(self.one.api("GET", f"{PODS}/{name}")["status"]))

    def test_deployment(self):
        self.one.api("POST", DEPLOYMENTS, {
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"},
            "spec": {"replicas": 2, "selector": {"matchLabels": {"app": "web"}}, "template": template("web", restart="Always")}})
        self.one.wait("2 are available", lambda: self.one.api("GET", DEPLOYMENTS + "/web")["status"].get("availableReplicas") == 2)
        self.one.api("DELETE", DEPLOYMENTS + "/web")
        self.one.wait("its Pods are gone", lambda: not self.one.api("GET", PODS + "?labelSelector=app=web")["items"])

    def test_jobs(self):
        self.job("train", gpus=8)
        self.job_is("train", "Complete")
        self.job("oom", stage="oom", gpus=8)
        ended = self.job_is("oom", "Failed")["containerStatuses"][0]["state"]["terminated"]
        self.assertEqual((ended["exitCode"], ended["reason"]), (137, "OOMKilled"))
        self.job("fail", stage="fail")
        self.assertEqual(self.job_is("fail", "Failed")["containerStatuses"][0]["state"]["terminated"]["exitCode"], 1)
        self.job("evict", stage="evict", end_after="200ms")
        status = self.job_is("evict", "Failed")
        self.assertEqual(status["reason"], "Evicted")
        self.assertIn(("DisruptionTarget", "True"), [(c["type"], c["status"]) for c in status["conditions"]])

    def test_a_job_that_is_deleted_goes(self):
        self.job("long", stage="run")
        self.one.wait("it runs", lambda: self.one.api("GET", JOBS + "/long")["status"].get("ready") == 1)
        self.one.api("DELETE", JOBS + "/long?propagationPolicy=Foreground")
        self.one.wait("it is gone", lambda: "long" not in [job["metadata"]["name"] for job in self.one.api("GET", JOBS)["items"]])
        self.assertEqual(self.one.api("GET", PODS + "?labelSelector=job-name=long")["items"], [])

    def test_pods_that_do_not_run(self):
        self.pod("greedy", gpus=16)
        self.pod_is("greedy", lambda status: status["conditions"][0]["reason"] == "Unschedulable")
        self.pod("crash", stage="crash")
        self.pod_is("crash", lambda status: status["containerStatuses"][0]["state"]["waiting"]["reason"] == "CrashLoopBackOff")
        self.pod("pull", stage="pull")
        self.pod_is("pull", lambda status: status["phase"] == "Pending" and
                    status["containerStatuses"][0]["state"]["waiting"]["reason"] == "ImagePullBackOff")
        self.pod("slow", ready_after="1h")
        self.pod("quick", ready_after="10ms")
        self.pod_is("quick", lambda status: ("Ready", "True") in [(c["type"], c["status"]) for c in status["conditions"]])
        self.assertEqual(self.one.api("GET", PODS + "/slow")["status"]["phase"], "Pending")

    def test_rights_and_the_audit_log(self):
        with self.assertRaises(ApiError) as refused:
            self.one.api("POST", MAPS, config_map("mine"), user="agent")
        self.assertEqual((refused.exception.code, refused.exception.reason), (403, "Forbidden"))
        rights = "/apis/rbac.authorization.k8s.io/v1/namespaces/default/"
        self.one.api("POST", rights + "roles", {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": "maps"},
                                                "rules": [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["create", "delete"]}]})
        self.one.api("POST", rights + "rolebindings", {
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": "maps"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "maps"}, "subjects": [{"kind": "User", "name": "agent"}]})
        self.one.wait("the right is there", lambda: self.one.api("POST", MAPS, config_map("mine"), user="agent"))
        self.assertEqual(list(self.one.audit(verb="delete", resource="configmaps", name="mine")), [])
        self.one.api("DELETE", MAPS + "/mine", user="agent")
        seen = [event["plain"] for event in self.one.audit(verb="delete", resource="configmaps", name="mine")]
        self.assertEqual([(event["user"], event["code"]) for event in seen], [("agent", 200)])

    def test_who_one_is(self):
        for user, name in (("admin", "admin"), ("certificate", "admin"), ("reader", "reader")):
            self.assertEqual(json.loads(self.one.kubectl("auth", "whoami", "-o", "json", user=user))["status"]["userInfo"]["username"], name)
        text = json.dumps(config_map("by-kubectl"))
        self.assertIn("serverside-applied", self.one.kubectl("apply", "--server-side", "-f", "-", text=text))
        with self.assertRaises(subprocess.CalledProcessError) as refused:
            self.one.kubectl("get", "secrets", user="reader")
        self.assertIn("Forbidden", refused.exception.stderr)

    def test_a_cluster_of_somebody(self):
        with unittest.mock.patch.dict(os.environ, SLUICE_TEST_KUBECONFIG=self.one.kubeconfig_of("certificate")):
            theirs = Cluster.for_test()
        self.addCleanup(theirs.stop)
        self.assertEqual(theirs.api("GET", "/api/v1/nodes/gpu-0")["metadata"]["name"], "gpu-0")
        with self.assertRaisesRegex(RuntimeError, "SLUICE_TEST_KUBECONFIG"):
            theirs.gpu_node("gpu-1")
        theirs.stop()
        self.assertEqual(self.one.api("GET", "/readyz"), "ok")
        nameless = os.path.join(self.one.folder, "nameless")
        with open(self.one.kubeconfig) as file, open(nameless, "w") as out:
            out.write(file.read().replace('"token"', '"username"'))
        with self.assertRaisesRegex(ValueError, "neither a token nor a client certificate"):
            Cluster.existing(nameless)

    def test_two_are_independent(self):
        self.two.api("POST", NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "second"}})
        self.assertNotIn("second", [item["metadata"]["name"] for item in self.one.api("GET", NAMESPACES)["items"]])
        self.one.tokens["other"] = self.two.token
        with self.assertRaises(ApiError) as refused:
            self.one.api("GET", NAMESPACES, user="other")
        self.assertEqual(refused.exception.code, 401)
        mine, self.two.context = self.two.context, ssl.create_default_context(cafile=self.one.ca)
        self.addCleanup(setattr, self.two, "context", mine)
        with self.assertRaises(ssl.SSLCertVerificationError):
            self.two.api("GET", "/readyz")


class Life(unittest.TestCase):
    def test_killed_and_started_again(self):
        with Cluster(parts=()) as cluster:
            before = cluster.api("POST", MAPS, config_map("kept"))["metadata"]["resourceVersion"]
            cluster.kill_apiserver()
            with self.assertRaises(ConnectionRefusedError):
                cluster.api("GET", MAPS)
            cluster.start_apiserver()
            cluster.api("DELETE", MAPS + "/kept")
            cluster.compact()
            cluster.kill_apiserver()
            cluster.start_apiserver("--goaway-chance=0.02")
            with self.assertRaises(ApiError) as gone:
                cluster.api("GET", f"{MAPS}?resourceVersionMatch=Exact&resourceVersion={before}")
            self.assertEqual((gone.exception.code, gone.exception.reason), (410, "Expired"))
            folder, pids = cluster.folder, [child.pid for child in cluster.children.values()]
        self.assertFalse(os.path.exists(folder))
        self.assertEqual([processes.start_time(pid) for pid in pids], [None, None])

    def test_a_killed_parent_leaves_nothing(self):
        parent = subprocess.Popen([sys.executable, "-c", "import cluster, sys\nc = cluster.Cluster(parts=())\nc.begin()\n"
                                   "print(c.folder, *[child.pid for child in c.children.values()], flush=True)\nsys.stdin.read()"],
                                  stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        folder, *pids = parent.stdout.readline().split()
        began = {int(pid): processes.start_time(int(pid)) for pid in pids}
        self.assertNotIn(None, began.values())
        parent.send_signal(signal.SIGKILL)
        parent.communicate()
        Cluster().wait("its parts are gone", lambda: all(processes.start_time(pid) != start for pid, start in began.items()))
        self.assertTrue(os.path.isdir(folder))
        os.rmdir(processes.temporary())
        self.assertFalse(os.path.exists(folder))

    def test_only_what_was_started_is_killed(self):
        folder = processes.temporary()
        other = subprocess.Popen(["sleep", "300"])
        try:
            with open(os.path.join(folder, "etcd.pid"), "w") as out:
                out.write(f"{other.pid} {processes.start_time(other.pid) - 1}\n")
            processes.remove(folder)
            self.assertIsNone(other.poll())
        finally:
            other.kill()
            other.wait()
        self.assertFalse(os.path.exists(folder))


if __name__ == "__main__":
    unittest.main()
