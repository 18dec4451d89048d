"""What the render makes of the portable kinds is what a real API server takes: every golden of tests/unit/render/native, by server-side
apply without effect (dryRun=All)."""
import glob
import json
import os
import unittest

from cluster import ApiError, Cluster

GOLDENS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "unit", "render", "native", "*.json")
PATHS = {"ConfigMap": ("/api/v1", "configmaps"), "Service": ("/api/v1", "services"), "Deployment": ("/apis/apps/v1", "deployments"), "Job": ("/apis/batch/v1", "jobs")}


def natives():
    """(case, object) of every object that is applied, those of runs as the engine fills them."""
    for path in sorted(glob.glob(GOLDENS)):
        with open(path, encoding="utf-8") as file:
            golden = json.load(file)
        for each in golden["objects"] + golden["runs"]:
            if each["kind"] != "TrainingJob":
                yield os.path.basename(path), each


class Native(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster.for_test(parts=())
        cls.addClassCleanup(cls.cluster.stop)
        for name in sorted({each["metadata"].get("namespace", "default") for _, each in natives()} - {"default"}):
            try:
                cls.cluster.api("POST", "/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
            except ApiError as error:
                if error.reason != "AlreadyExists":
                    raise
                continue
            cls.addClassCleanup(cls.cluster.api, "DELETE", f"/api/v1/namespaces/{name}")

    def apply(self, each):
        root, plural = PATHS[each["kind"]]
        namespace, name = each["metadata"].get("namespace", "default"), each["metadata"]["name"]
        return self.cluster.api("PATCH", f"{root}/namespaces/{namespace}/{plural}/{name}?dryRun=All&fieldManager=sluice&fieldValidation=Strict", each,
                                ctype="application/apply-patch+yaml")

    def holds(self, wanted, there, where):
        """Is everything of @wanted there? Defaults of the server may stand beside it."""
        if isinstance(wanted, dict):
            for key, value in wanted.items():
                self.assertIn(key, there, where)
                self.holds(value, there[key], f"{where}.{key}")
        elif isinstance(wanted, list):
            self.assertEqual(len(wanted), len(there), where)
            for index, value in enumerate(wanted):
                self.holds(value, there[index], f"{where}.{index}")
        else:
            self.assertEqual(wanted, there, where)

    def test_every_golden_is_taken_as_it_is(self):
        kinds = []
        for case, each in natives():
            with self.subTest(case=case, kind=each["kind"]):
                self.holds(each, self.apply(each), f"{case} {each['kind']}")
                kinds.append(each["kind"])
        self.assertEqual(set(kinds), set(PATHS))
        self.assertGreaterEqual(kinds.count("Job"), 4)

    def test_what_is_wrong_is_said(self):
        """The server looks: a field that does not exist, and a name that no Pod can have, are refused."""
        job = next(each for _, each in natives() if each["kind"] == "Job")
        for change, word in ({"spec": {**job["spec"], "numNodes": 1}}, "numNodes"), ({"spec": {**job["spec"], "backoffLimit": -1}}, "backoffLimit"):
            with self.assertRaises(ApiError) as caught:
                self.apply({**job, **change})
            self.assertIn(word, str(caught.exception))


if __name__ == "__main__":
    unittest.main()
