"""Looks for the secrets of a fleet everywhere but where they live.

Keys and tokens are random, so each is its own canary; a test may `plant` more. `check` reads every file below the
fleet's folder (Git objects unpacked, the database as its bytes), what the programs printed, every answer of the API,
and the command lines that were seen while it ran, and demands that no secret is in them: not as it is, nor as hex,
base64 or percent-encoded text.
"""
import base64
import glob
import json
import os
import re
import subprocess
import threading
import urllib.parse

KEYS = ("config/sluice/id_*", "state/sluice/*/keys/*", "*/keys/*")
GETS = ("status", "history", "clusters", "runs", "events", "environments", "roots", "releases", "problems", "tokens", "logs?limit=1000")


def openssh_secret(text):
    """Seed of an ed25519 key in OpenSSH's private format."""
    body = base64.b64decode("".join(line for line in text.decode().splitlines() if "--" not in line))
    at = body.index(b"\0\0\0\x40") + 4
    return body[at:at + 32]


def forms(secret):
    """How bytes get into texts."""
    hexed = secret.hex().encode()
    encoded = {secret, hexed, hexed.upper(), base64.b64encode(secret).rstrip(b"="), base64.urlsafe_b64encode(secret).rstrip(b"=")}
    for shift in (1, 2):  # inside a longer base64 text; the characters at both edges depend on the neighbours
        encoded.add(base64.b64encode(b"\0" * shift + secret)[4:-4])
    try:
        encoded.add(urllib.parse.quote(secret.decode(), safe="").encode())
    except UnicodeDecodeError:
        pass
    return encoded


class Canaries:
    def __init__(self, folder):
        self.folder = folder
        self.planted = {}   # name -> bytes
        self.homes = set()  # files that may hold them
        self.printed = []   # (where, text) of programs
        self.lines = set()  # command lines
        self.stopped = threading.Event()
        self.watch = threading.Thread(target=self.read_command_lines, daemon=True)
        self.watch.start()

    def plant(self, name, secret, *homes):
        self.planted[name] = secret if isinstance(secret, bytes) else secret.encode()
        self.homes.update(homes)

    def join_token(self, token):
        """`slj1.<base64url of a JSON object>`: its secret is what must stay."""
        part = token.split(".")[1]
        self.plant("join token", token)
        self.plant("join secret", bytes.fromhex(json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))["secret"]))

    def output(self, args, text):
        self.printed.append(("output of " + " ".join(map(str, args)), text.encode()))

    def read_command_lines(self):
        while not self.stopped.wait(0.1):
            for path in glob.glob("/proc/[0-9]*/cmdline"):
                try:
                    with open(path, "rb") as file:
                        self.lines.add(file.read())
                except OSError:
                    pass

    # -- what is looked for, and where --

    def keys(self):
        for path in {path for pattern in KEYS for path in glob.glob(os.path.join(self.folder, pattern))}:
            if path.endswith(".pub") or not os.path.isfile(path):
                continue
            self.homes.add(path)
            with open(path, "rb") as file:
                text = file.read()
            name = os.path.relpath(path, self.folder)
            found = re.search(rb"^secret: ([0-9a-f]{64})$", text, re.M)
            if found:
                yield name, bytes.fromhex(found.group(1).decode())
            elif b"OPENSSH PRIVATE KEY" in text:
                yield name, openssh_secret(text)
            elif text:  # a test broke it on purpose
                yield name, text

    def places(self, get):
        yield from self.printed
        yield from (("command line", line) for line in self.lines)
        for where in GETS:
            yield "GET /v1/" + where, get("/v1/" + where)
        yield "GET /metrics", get("/metrics")
        for folder, names, files in os.walk(self.folder):
            if "HEAD" in files and "objects" in names:
                yield folder + " (objects)", subprocess.run(["git", "-C", folder, "cat-file", "--batch-all-objects", "--batch"],
                                                            capture_output=True, check=False).stdout
            for name in files:
                path = os.path.join(folder, name)
                if path in self.homes or not os.path.isfile(path):
                    continue
                try:
                    with open(path, "rb") as file:
                        yield path, file.read()
                except OSError:
                    pass

    def found(self, get):
        """[(name of the secret, where it was)], never the secret itself."""
        wanted = [(name, form) for name, secret in [*self.planted.items(), *self.keys()] for form in forms(secret)]
        return sorted({(name, where) for where, text in self.places(get) for name, form in wanted if form in text})

    def check(self, get):
        """@get: path -> body of the API, b"" if nobody answers. Called once, at the end."""
        self.stopped.set()
        self.watch.join()
        found = self.found(get)
        assert not found, "secrets where they must not be:\n" + "\n".join(f"  {name}: {where}" for name, where in found)
