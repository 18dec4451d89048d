"""Bad documents and bad Git: each mistake is named with its file and line, nothing that runs changes."""
import os
import shutil
import unittest

import bad
import fleet

CONFIG_MAP = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\ndata: {a: b}\n"
OTHER = """\
---
apiVersion: gitops.sluice/v1alpha1
kind: Application
metadata: {name: other}
spec: {source: {path: other}, environments: {dev: {parts: [{paths: [settings.yaml]}]}}}
"""
LFS_POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:%s\nsize 12345\n" % ("4d" * 32)


class Documents(bad.BadCase):
    @classmethod
    def files(cls):
        cls.f.write("app/serve/settings.yaml", CONFIG_MAP)

    def setUp(self):
        super().setUp()
        self.tip = self.f.git("rev-parse", "HEAD").stdout.strip()

    def tearDown(self):
        self.same()  # broken: nothing changed
        self.undo(self.tip)
        self.same()  # repaired: still nothing to change

    def breaks(self, path, old, new, code, line, *words):
        self.f.edit(path, old, new)
        self.commit(f"breaks {path}")
        found = self.problem(code)
        self.assertEqual((found["file"], found["line"]), (path, line), found)
        for word in words:
            self.assertIn(word, found["message"] + " | " + str(found["hint"]))
        self.validate(code, f"{path}:{line}:", words[0])
        return found

    def test_malformed_yaml(self):
        self.breaks("sluice.yaml", "kind: Fleet\n", "kind: Fleet\n  - : [\n", "SLU1200", 2, "not valid YAML")

    def test_malformed_yaml_in_a_manifest(self):
        self.breaks("app/serve/serve.yaml", "  model: model://model\n", "  model: \"model://model\n", "SLU1200", 7, "not valid YAML")

    def test_malformed_json(self):
        self.f.write("app/serve/more.json", '{\n "apiVersion": "v1",\n "kind": }\n')
        self.commit("malformed JSON")
        found = self.waits_or_problem("SLU1102")
        self.assertIn("app/serve/more.json:3:", found)
        self.assertIn("correct the JSON here", found)
        self.validate("SLU1102", "app/serve/more.json:3:", "not valid JSON: unexpected token near '}'", "correct the JSON")

    def waits_or_problem(self, code):
        """A mistake that only a render sees ends the attempt of dev; its message has the same shape."""
        def there():
            for unit in self.f.status()["units"]:
                for attempt in [unit["last"] or {}, *unit["waiting"]]:
                    message = (attempt.get("error") or {}).get("message", "")
                    if code in message:
                        return message
            for each in self.f.status()["problems"]:
                if each["code"] == code:
                    return f"{each['file']}:{each['line']}:{each['column']}: {code}: {each['message']} ({each['hint']})"
        return self.f.wait(f"{code} is said", there)

    def test_unknown_key_of_an_environment(self):
        self.breaks("sluice.yaml", "promotion: manual", "promotoin: manual", "SLU1222", 18, "unknown key `promotoin`",
                    "did you mean `promotion`?")

    def test_unknown_key_of_a_job(self):
        self.f.edit("app/train/train.yaml", "  timeLimit: 5m", "  timelimit: 5m")
        self.commit("unknown key of a job")
        self.assertIn("app/train/train.yaml", self.waits_or_problem("SLU1308"))
        self.validate("SLU1308", "app/train/train.yaml:", "timelimit", "timeLimit")

    def test_duplicate_key(self):
        self.breaks("sluice.yaml", "promotion: manual", "promotion: manual, promotion: newest", "SLU1202", 18,
                    "key `promotion` is there twice, first in line 18")

    def test_plain_scalars_that_tools_read_differently(self):
        tip = self.tip
        for value, words in (("yes", "`yes` is a boolean for kubectl and text for others"), ("012", "`012` is read as different numbers"),
                             ("1e3", "1e3"), ("2026-11-23", "2026-11-23"), ("190:20:30", "190:20:30"), ("1_000", "1_000")):
            with self.subTest(value):
                self.breaks("app/train/train.yaml", "  timeLimit", "  env: [{name: A, value: %s}]\n  timeLimit" % value, "SLU1203", 8,
                            words, "quotes")
                self.undo(tip)

    def test_environments_in_a_circle(self):
        self.breaks("sluice.yaml", "metadata: {name: dev}\nspec: {", "metadata: {name: dev}\nspec: {after: [prod], ", "SLU1227", 8,
                    "dev -> test -> prod -> dev", "one of them must not wait")

    def test_missing_environment_in_after(self):
        self.breaks("sluice.yaml", "after: [test]", "after: [tset]", "SLU1226", 18, "there is no environment `tset`", "did you mean `test`?")

    def test_missing_environment_of_an_application(self):
        self.breaks("sluice.yaml", "    prod: {parts", "    prud: {parts", "SLU1226", 32, "there is no environment `prud`",
                    "did you mean `prod`?")

    def test_two_applications_with_one_object(self):
        with open(self.f.repo + "/sluice.yaml", "a") as out:
            out.write(OTHER)
        self.f.write("other/settings.yaml", CONFIG_MAP)
        self.commit("two applications, one object")
        self.validate("SLU1312", "other/settings.yaml:1:", "applications app and other both write core/ConfigMap - settings in environment dev",
                      "leave it in one of them")
        last = self.f.wait("other/dev is refused", lambda: self.f.unit("dev", "other")["last"]["error"])
        self.assertIn("SLU1312", last["code"] + last["message"])
        self.assertIn("settings", last["message"])
        self.before["units"].update({name: unit for name, unit in self.facts()["units"].items() if name.startswith("other/")})
        self.assertIsNone(self.before["units"]["other/dev"][0], "nothing of the second application is current")
        self.tip_without_other()

    def tip_without_other(self):
        """The unit is gone again with its document."""
        self.same()
        self.undo(self.tip)
        self.before["units"] = {name: unit for name, unit in self.before["units"].items() if not name.startswith("other/")}

    def test_empty_render_prunes_nothing(self):
        shutil.rmtree(self.f.repo + "/app/serve")
        self.f.write("app/serve/empty.yaml", "# nothing is here any more\n")
        self.commit("empty")
        message = self.waits_or_problem("SLU1301")
        for words in ("application app has no object for environment dev in serve", "nothing is changed or pruned", "sluice remove"):
            self.assertIn(words, message)
        self.assertEqual(self.f.unit("dev")["last"]["state"], "FAILED")
        self.assertIn("SLU1301", self.f.sluice("status").stdout)

    def test_removed_path(self):
        shutil.rmtree(self.f.repo + "/app/serve")
        self.commit("gone")
        found = self.problem("SLU1305")
        self.assertEqual(found["file"], "app/serve")
        self.assertIn("there is no such file or folder", found["message"])
        self.validate("SLU1305", "app/serve")

    def test_symbolic_link(self):
        os.symlink("/etc/passwd", self.f.repo + "/app/serve/code/link")
        self.commit("symlink")
        found = self.problem("SLU1400")
        self.assertIn("app/serve/code/link is a symbolic link; put the file itself there", found["message"])
        self.assertIsNone(found["hint"])
        self.validate("SLU1400", "app/serve/code/link is a symbolic link")

    def test_dot_dot_and_git_as_names_in_a_tree(self):
        blob = self.f.git("hash-object", "-w", "--stdin", input="outside").stdout.strip()
        taken = "some file systems take this name for .git; it is not allowed in a tree"
        for name, words in ((b"..", "this name is not allowed in a tree"), (b".git", taken), (b".GIT", taken),
                            (b"a/b", "this name is not allowed in a tree")):
            with self.subTest(name):
                base = self.f.git("rev-parse", "HEAD").stdout.strip()
                tree = bad.git_with(self.f.repo, base + "^{tree}", ["app", "serve", "code"], (b"100644", name, blob))
                evil = self.f.git("commit-tree", tree, "-p", base, "-m", "evil").stdout.strip()
                self.f.git("update-ref", "refs/heads/main", evil)
                self.f.sluice("refresh")
                found = self.problem("SLU1427")
                self.assertIn(f"app/serve/code/{name.decode()}: {words}", found["message"])
                self.same()
                self.undo(self.tip)
        self.assertFalse(os.path.exists(self.f.dir + "/dev1/outside"))

    def test_lfs_pointer(self):
        self.f.write("app/serve/code/weights.bin", LFS_POINTER)
        self.commit("LFS")
        found = self.problem("SLU1401")
        self.assertIn("app/serve/code/weights.bin is a Git LFS pointer, not the file itself", found["message"])
        self.assertIn("model store", found["message"])
        self.validate("SLU1401", "app/serve/code/weights.bin is a Git LFS pointer")

    def test_too_large_file(self):
        with open(self.f.repo + "/app/serve/code/large.bin", "wb") as out:
            out.truncate(17 << 20)
        self.commit("too large")
        message = self.waits_or_problem("SLU1309")
        for words in ("app/serve/serve.yaml:6:", "16 MiB", "large files belong into an image, or into the model store"):
            self.assertIn(words, message)
        self.validate("SLU1309", "app/serve/serve.yaml:6:", "16 MiB")

    def test_file_larger_than_a_source_may_have(self):
        with open(self.f.repo + "/app/serve/code/huge.bin", "wb") as out:
            out.truncate(40 << 20)
        self.commit("huge")
        found = self.problem("SLU1003")
        self.assertIn("app/serve/code/huge.bin: 41943040 bytes, more than 33554432", found["message"])


class Sources(bad.BadCase):
    def error(self):
        return self.f.status()["sources"][0]["error"] or ""

    def test_1_deleted_branch(self):
        self.f.git("branch", "-m", "main", "gone")
        self.f.sluice("refresh")
        self.f.wait("the branch is missed", lambda: "there is no branch or tag main" in self.error())
        self.assertIn("SLU1421", self.error())
        shown = self.f.sluice("status").stdout
        self.assertIn("SOURCES that can't be read (the last good commit stays in force)", shown)
        self.assertIn("SLU1421: ", shown)
        self.same()
        self.f.git("branch", "-m", "gone", "main")
        self.read()
        self.f.wait("all is well again", lambda: not self.error())

    def test_2_force_push(self):
        good = self.f.git("rev-parse", "HEAD").stdout.strip()
        self.f.edit("app/serve/code/serve.py", '"one"', '"forced"')
        self.f.git("commit", "-q", "--amend", "-am", "rewritten")
        self.f.sluice("refresh")
        self.f.wait("the rewind is seen", lambda: "SLU3123" in self.error())
        self.assertIn(f"branch main was rewound: {self.f.git('rev-parse', 'HEAD').stdout[:12]} is not a descendant of {good[:12]}", self.error())
        self.assertIn("SLU3123", self.f.sluice("status").stdout)
        self.same()
        # the person's way out, as the code's advice names it
        self.refused("refresh", "--accept", "0123456789", code="SLU1007", words=["the branch was not rewound to 0123456789"])
        self.f.sluice("refresh", "--accept", self.f.git("rev-parse", "HEAD").stdout[:12])
        self.f.wait("the rewind is accepted", lambda: not self.error() and self.f.serves("dev") == "forced weights 0.95\n")
        self.f.wait_healthy("test", "rewritten")
        self.before = self.facts()

    def test_3_unreadable_repository(self):
        os.rename(self.f.repo, self.f.repo + ".away")
        try:
            self.f.sluice("refresh", code=None)
            self.f.wait("the repository is missed", lambda: "SLU1420" in self.error())
            self.same()
        finally:
            os.rename(self.f.repo + ".away", self.f.repo)
        self.read()
        self.f.wait("all is well again", lambda: not self.error())


if __name__ == "__main__":
    unittest.main()
