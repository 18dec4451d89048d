"""Bad requests by CLI and HTTP: refused with a code, a sentence and an advice; the coordinator goes on."""
import json
import os
import select
import socket
import unittest

import bad
import fleet


class Requests(bad.BadCase):
    @classmethod
    def configure(cls):
        cls.listen = "127.0.0.1:%d" % (cls.f.port + 6)
        path = cls.f.state + "/coordinator.json"
        with open(path) as file:
            config = json.load(file)
        config["api"]["listen"] = cls.listen
        with open(path, "w") as out:
            json.dump(config, out)

    def token(self, scope):
        return self.f.sluice("token", "create", "alice", "--scope", scope).stdout.split()[0]

    def wants(self, status, code, words, answer):
        self.assertEqual(answer[0], status, answer)
        error = answer[1]["error"]
        self.assertEqual(error["code"], code, error)
        for word in [words] if isinstance(words, str) else words:
            self.assertIn(word, error["message"])
        self.assertTrue(error["advice"], error)

    def post(self, body, verb="promote", kind="application/json", *more):
        return self.curl("-H", "Content-Type: " + kind, "--data-binary", body, *more, "/v1/actions/" + verb)

    # -- the command line --

    def test_promote_of_unknown_things(self):
        self.refused("promote", "nope", "--to", "prod", code="SLU3100", exit=4, words=["no application nope in environment prod"])
        self.refused("promote", "app", "--to", "nope", code="SLU3100", exit=4, words=["no application app in environment nope"])
        self.refused("promote", "app", "--to", "prod", "--release", "R99", code="SLU3101", exit=4, words=["app has no release R99"])
        self.refused("rollback", "app/nope", code="SLU3100", exit=4)
        self.refused("abort", "999", code="SLU3102", exit=4, words=["no attempt 999"])
        self.refused("approve", "999", "--yes", code="SLU3102", exit=4)
        self.refused("logs", "0123456789", code="SLU1002", exit=4, words=["no run `0123456789`"])
        self.refused("cluster", "add", "x", "--env", "nope", code="SLU1002", exit=4, words=["no environment nope"])
        self.refused("cluster", "remove", "nope", code="SLU3104", exit=4)

    def test_join_tokens(self):
        self.refused("cluster", "add", "x", "--env", "dev", "--label", "a=\u00fc", code="SLU2033", exit=3, words=["label `a`"])
        self.refused("cluster", "add", "x", "--env", "dev", "--label", "cluster=y", code="SLU2033", exit=3, words=["built in"])
        self.refused("cluster", "add", "x", "--env", "dev", "--lifetime", "1000d", code="SLU1003", exit=9, words=["at most 30 days"])
        self.refused("token", "create", "alice", "--lifetime", "1000d", code="SLU1003", exit=9, words=["at most 90 days"])

    def test_token_list_and_revoke(self):
        token = self.token("view")
        row = next(each for each in self.f.json("token", "list")["tokens"] if each["id"] == token.split("_")[1])
        self.assertEqual((row["person"], row["scope"]), ("alice", "view"))
        self.assertNotIn(token.split("_")[2], json.dumps(self.f.json("token", "list")))
        self.assertIn(row["id"], self.f.sluice("token", "list").stdout)
        self.f.sluice("token", "revoke", token)
        self.assertNotIn(row["id"], self.f.sluice("token", "list").stdout)
        self.refused("token", "revoke", row["id"], code="SLU1002", exit=4, words=["no API token"])

    def test_daemons_options(self):
        for args, words in (([fleet.BIN + "/sluice-coordinator", "run", "--dir", self.f.state, "--log", "loud"], "--log is debug, info, warning or error"),
                            ([fleet.BIN + "/sluice-agent", "doctor", "--dir", self.f.dir + "/nobody"], "sluice-agent join --dir"),
                            ([fleet.BIN + "/sluice", "--flet", "x", "status"], "may stand before the command")):
            with self.subTest(args[-1]), self.assertRaises(fleet.CommandFailed) as failed:
                self.f.run(*args)
            self.assertIn(words, failed.exception.err)
            self.assertNotIn("`sluice status` lists", failed.exception.err)
        self.assertEqual(self.f.json("--fleet", "e2e", "status")["fleet"], "e2e")

    def test_approve(self):
        self.f.edit("app/serve/code/serve.py", '"one"', '"two"')
        self.f.push("two")
        self.f.wait_healthy("test", "two")
        self.f.sluice("promote", "app", "--to", "prod", "--reason", "two")
        attempt = self.f.wait("prod waits", lambda: [a for a in self.f.unit("prod")["waiting"] if a["state"] == "GATING"])[0]
        n = str(attempt["n"])
        self.assertEqual(self.f.serves("prod"), "one weights 0.95\n")
        # a key that nobody in the root has
        mine = self.f.dir + "/config/sluice/id_ed25519"
        self.f.run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.f.dir + "/stranger")
        self.f.sluice("key", "use", self.f.dir + "/stranger")
        self.refused("approve", "app/prod", "--yes", code="SLU3110", exit=6, words=["belongs to nobody in the root, or was revoked"])
        self.f.sluice("key", "use", mine)
        self.assertEqual(self.f.unit("prod")["waiting"][0]["approvals"]["count"], 0)
        # not a signature, and a signature of something else
        self.wants(400, "SLU2001", "", self.api("approve", {"attempt": int(n), "signature": "hello"}))
        other = self.f.run("ssh-keygen", "-Y", "sign", "-f", mine, "-n", "promotion@sluice.v1", input="other text").stdout
        self.wants(403, "SLU2002", "", self.api("approve", {"attempt": int(n), "signature": other}))
        text = self.curl("/v1/attempts/" + n)[1]["statement"]["text"]
        wrong = self.f.run("ssh-keygen", "-Y", "sign", "-f", mine, "-n", "order@sluice.v1", input=text).stdout
        self.wants(403, "SLU2003", "", self.api("approve", {"attempt": int(n), "signature": wrong}))
        self.alive()
        self.assertEqual(self.f.serves("prod"), "one weights 0.95\n")
        # the right one; then again, and what is too late
        self.f.sluice("approve", n, "--yes", "--wait")
        self.f.wait_healthy("prod", "two")
        self.refused("approve", n, "--yes", code="SLU3108", exit=5, words=[f"attempt {n} is SUCCEEDED"])
        self.refused("approve", "app/prod", "--yes", code="SLU1002", exit=4, words=["no attempt of app/prod waits for a person"])
        self.refused("abort", n, "--reason", "late", code="SLU3108", exit=5, words=["after the commit use rollback"])
        self.refused("reject", n, "--reason", "late", code="SLU3108", exit=5)
        self.before = self.facts()

    # -- HTTP --

    def test_bad_bodies(self):
        self.wants(400, "SLU1102", "body:1:", self.post("{bad"))
        self.wants(400, "SLU1103", "duplicate object key", self.post('{"args":{"app":"app","app":"b"}}'))
        self.wants(400, "SLU4102", '{"args": {...}}', self.post("[]"))
        self.wants(400, "SLU4102", '{"args": {...}}', self.post('{"args":{},"more":1}'))
        self.wants(400, "SLU1105", ["app", "must be a text, but is an integer"], self.post('{"args":{"app":3,"env":"prod"}}'))
        self.wants(400, "SLU1105", ["env", "missing"], self.post('{"args":{"app":"app"}}'))
        self.wants(400, "SLU1101", "", self.post(b'{"args":{"app":"\xff"}}'.decode("latin-1").encode("latin-1")))
        self.wants(415, "SLU4103", "application/json", self.post("{}", "promote", "text/plain"))
        self.wants(400, "SLU1001", "relaese", self.post('{"args":{"app":"app","env":"prod","relaese":"R1"}}'))

    def test_unknown_routes(self):
        self.wants(404, "SLU4100", "/v1/nope", self.curl("/v1/nope"))
        self.wants(404, "SLU4100", "/v1/actions/nope", self.post("{}", "nope"))
        self.wants(405, "SLU4101", "GET", self.curl("-X", "DELETE", "/v1/status"))
        self.wants(400, "SLU4109", "limit", self.curl("/v1/history?limit=x"))
        self.wants(404, "SLU3102", "999", self.curl("/v1/attempts/999"))
        self.wants(404, "SLU3101", "", self.curl("/v1/releases/ffffff"))
        self.assertEqual(self.curl("--path-as-is", "/v1/blobs/../../keys/online")[0], 404)

    def test_too_large_body(self):
        path = self.f.dir + "/large"
        with open(path, "w") as out:
            out.write('{"args":{"app":"%s"}}' % ("x" * (2 << 20)))
        self.wants(413, "SLU4107", "1048576", self.post("@" + path))
        self.wants(413, "SLU4107", "1048576", self.post("@" + path, "promote", "application/json", "-H", "Transfer-Encoding: chunked"))

    def test_tokens(self):
        base = "http://" + self.listen
        get = lambda *how: self.curl(*how, base + "/v1/status", socket=False)
        self.wants(401, "SLU4105", "a token is needed", get())
        self.wants(401, "SLU3137", "not known, was revoked or has expired", get("-H", "Authorization: Bearer slc_aa_bb"))
        self.wants(401, "SLU4105", "", get("-H", "Authorization: Basic YTpi"))
        view, request = self.token("view"), self.token("request")
        bearer = lambda token: ("-H", "Authorization: Bearer " + token)
        self.assertEqual(get(*bearer(view))[0], 200)
        self.wants(401, "SLU3137", "", get(*bearer(view[:-1] + ("0" if view[-1] != "0" else "1"))))
        act = lambda token, verb, args: self.curl("-H", "Content-Type: application/json", *bearer(token), "-d", json.dumps({"args": args}),
                                                  f"{base}/v1/actions/{verb}", socket=False)
        self.wants(403, "SLU4106", ["view", "request"], act(view, "promote", {"app": "app", "env": "prod"}))
        self.wants(403, "SLU4106", ["request", "operate"], act(request, "pin", {"app": "app", "env": "prod", "reason": "x"}))
        name = view.split("_")[1]
        self.wants(403, "SLU4106", "operate", act(view, "token-revoke", {"id": name}))
        self.assertEqual(self.api("token-revoke", {"id": name})[0], 200)
        self.wants(401, "SLU3137", "", get(*bearer(view)))
        self.wants(404, "SLU1002", "", self.api("token-revoke", {"id": "nope"}))

    def test_slow_client(self):
        """Half a request on many connections: others are answered while these are still waited for."""
        host, port = self.listen.split(":")
        slow = []
        for _ in range(20):
            sock = socket.create_connection((host, int(port)))
            sock.sendall(b"POST /v1/actions/promote HTTP/1.1\r\nHost: c\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{")
            slow.append(sock)
        self.assertEqual(self.curl("http://" + self.listen + "/healthz", socket=False)[0], 200)
        self.f.status()
        self.assertEqual(select.select(slow, [], [], 0)[0], [], "none of them was answered or dropped first")
        for sock in slow:
            sock.close()

    def test_garbage_on_the_port(self):
        host, port = self.listen.split(":")
        for bytes_ in (os.urandom(4096), b"GET " + b"a" * 100000 + b" HTTP/1.1\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"\0" * 100):
            with socket.create_connection((host, int(port)), timeout=10) as sock:
                try:
                    sock.sendall(bytes_)
                    sock.shutdown(socket.SHUT_WR)
                    sock.recv(4096)
                except OSError:
                    pass
        self.assertEqual(self.curl("http://" + self.listen + "/healthz", socket=False)[0], 200)

    def test_z_revoked_key(self):
        """What the old key signed runs on; nothing new counts."""
        old, new = self.f.dir + "/config/sluice/id_ed25519", self.f.dir + "/new"
        self.f.run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", new)
        self.f.edit("app/serve/code/serve.py", "VERSION = ", "VERSION = 'z' + ")
        self.f.push("z")
        self.f.wait_healthy("test", "z")
        self.f.sluice("promote", "app", "--to", "prod", "--reason", "z")
        self.f.wait("prod waits", lambda: [a for a in self.f.unit("prod")["waiting"] if a["state"] == "GATING"])
        root = self.f.dir + "/root-2.json"
        half = self.f.sluice("root", "rotate", old + ".pub", new + ".pub", "--revoke", "--yes", "--out", root, code=None)
        self.assertIn("not enough signatures yet", half.stderr + half.stdout)
        self.assertEqual(self.f.status()["rootVersion"], 1)
        self.f.sluice("key", "use", new)
        self.f.sluice("root", "sign", root, "--yes")
        self.f.wait("root 2 is in force", lambda: self.f.status()["rootVersion"] == 2)
        self.f.sluice("key", "use", old)
        self.refused("approve", "app/prod", "--yes", code="SLU3110", exit=6, words=["belongs to nobody in the root, or was revoked"])
        self.alive()
        prod = self.facts()
        self.assertEqual(prod["served"]["prod"], self.before["served"]["prod"])
        self.f.wait("every agent has it", lambda: all(cluster["rootVersion"] == 2 for cluster in self.f.status()["clusters"]))
        self.assertEqual(prod["units"]["app/prod"], self.before["units"]["app/prod"])
        self.f.sluice("key", "use", new)
        self.f.sluice("approve", "app/prod", "--yes", "--wait")
        self.f.wait_healthy("prod", "z")
        self.before = self.facts()


if __name__ == "__main__":
    unittest.main()
