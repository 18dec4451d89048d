#!/usr/bin/python3
"""Commits and trees against git: what we read is what git log, ls-tree and verify-commit say; what we refuse and git takes is listed."""
import json
import os
import random
import subprocess
import sys
import tempfile

from judging import Report, ask, encoded, refused

STRICTER_COMMIT = ["stands twice or too late", "NUL byte", "is not `Name <e-mail>", "no header line", "continuation line", "carriage return",
                   "does not belong into a SHA-1", "stands twice", "here must stand one", "is not UTF-8", "not plain UTF-8", "not 40 lower-case"]
STRICTER_TREE = ["takes this name for .git", "is not plain UTF-8 text", "not allowed in a tree", "twice", "not in Git's order", "malformed"]


class Git:
    def __init__(self, folder):
        self.folder = folder
        self.env = {"PATH": "/usr/bin:/bin", "HOME": folder, "GIT_CONFIG_NOSYSTEM": "1", "GIT_AUTHOR_NAME": "Ada L", "GIT_AUTHOR_EMAIL": "ada@example.org",
                    "GIT_COMMITTER_NAME": "Bob", "GIT_COMMITTER_EMAIL": "bob@example.org"}
        self.run("init", "-q", "-b", "main", ".")
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "x", "-f", os.path.join(folder, "key")], check=True)
        with open(os.path.join(folder, "key.pub"), encoding="ascii") as file:
            line = file.read()
        with open(os.path.join(folder, "signers"), "w", encoding="ascii") as file:
            file.write("ada@example.org " + line)
        for name, value in (("gpg.format", "ssh"), ("user.signingkey", os.path.join(folder, "key")),
                            ("gpg.ssh.allowedSignersFile", os.path.join(folder, "signers"))):
            self.run("config", name, value)
        self.print = subprocess.run(["ssh-keygen", "-lf", os.path.join(folder, "key.pub")], capture_output=True, check=True).stdout.decode().split()[1]

    def run(self, *arguments, data=None, check=True):
        return subprocess.run(["git", *arguments], cwd=self.folder, env=self.env, input=data, capture_output=True, check=check)

    def write(self, kind, data):
        return self.run("hash-object", "-t", kind, "-w", "--stdin", "--literally", data=data).stdout.decode().strip()

    def verifies(self, commit):
        return self.run("verify-commit", commit, check=False).returncode == 0

    def log(self, commit):
        """tree, parents, author, e-mail, time, committer's e-mail, subject as git shows them; None if it shows none."""
        done = self.run("log", "-1", "--format=%T%x00%P%x00%an%x00%ae%x00%at%x00%ce", commit, check=False)
        parts = done.stdout.decode("utf-8", "replace").rstrip("\n").split("\0")
        return parts if done.returncode == 0 and len(parts) == 6 else None


def good_commits(git, rng):
    for n in range(12):
        options = ["-S"] if n % 2 else []
        message = "".join(rng.choice("ab \n\u00e4-:") for _ in range(rng.randrange(1, 60))) + "x"
        git.run("commit", "-q", "--allow-empty", *options, "-m", message)
        yield git.run("rev-parse", "HEAD").stdout.decode().strip()
    git.run("branch", "side", "HEAD~3")
    git.run("checkout", "-q", "side")
    git.run("commit", "-q", "--allow-empty", "-m", "side")
    git.run("tag", "-s", "v1", "-m", "signed tag")
    git.run("checkout", "-q", "main")
    git.run("merge", "-q", "-S", "--no-ff", "-m", "merge", "v1") # has a mergetag
    yield git.run("rev-parse", "HEAD").stdout.decode().strip()


def hostile(raw, rng):
    """One mutation of a raw commit."""
    lines = raw.split(b"\n")
    at = rng.randrange(min(len(lines), 8))
    what = rng.randrange(8)
    if what == 0:
        lines.insert(at, lines[rng.randrange(len(lines))])
    elif what == 1:
        del lines[at]
    elif what == 2:
        lines[at] += rng.choice([b"\0", b"\r", b" ", b"<x@y>", b"\xff", b"> 1 +0000"])
    elif what == 3:
        lines[at] = b" " + lines[at]
    elif what == 4:
        lines.insert(at, rng.choice([b"gpgsig x", b"gpgsig-sha256 y", b"encoding latin1", b"x", b"", b"parent " + b"0" * 40]))
    elif what == 5:
        other = rng.randrange(min(len(lines), 8))
        lines[at], lines[other] = lines[other], lines[at]
    elif what == 6:
        return raw[:rng.randrange(len(raw))]
    else:
        place = rng.randrange(len(raw))
        return raw[:place] + bytes([raw[place] ^ 1 << rng.randrange(8)]) + raw[place + 1:]
    return b"\n".join(lines)


def compare_commit(report, git, commit, answer):
    theirs, signed = git.log(commit), git.verifies(commit)
    if refused(answer):
        if theirs is not None:
            report.stricter_by(commit, answer, STRICTER_COMMIT + ["no empty line", "no end", "first header is not tree"])
        return
    ours = json.loads(answer)
    if theirs is None and any(git.run("cat-file", "-e", parent, check=False).returncode for parent in ours["parents"]):
        return # git log wants to see the parents too
    if theirs is None:
        report.wrong.append(f"{commit}: git cannot read what we read as {answer}")
        return
    mine = [ours["tree"], " ".join(ours["parents"]), ours["author"], ours["email"], str(ours["time"]), ours["committer"]]
    if "\ufffd" not in theirs[2] + ours["author"]:
        report.same("commit " + commit, mine, theirs)
    if signed and not ours["signer"]: # OpenSSH's armour may be spelled in many ways
        report.stricter_by("signature of " + commit, ours["why"], ["not armoured as ssh-keygen writes it"])
        return
    report.same("signature of " + commit, ours["signer"] != "", signed)
    if signed:
        report.same("signer of " + commit, ours["signer"], git.print)


def commits(report, git, rng):
    names = list(good_commits(git, rng))
    raws = [git.run("cat-file", "commit", name).stdout for name in names]
    for name, answer in zip(names, ask("commit", [encoded(raw) for raw in raws])):
        assert not refused(answer), f"{name}: {answer}"
        compare_commit(report, git, name, answer)
    bad = [hostile(rng.choice(raws), rng) for _ in range(90)]
    for raw, answer in zip(bad, ask("commit", [encoded(raw) for raw in bad])):
        compare_commit(report, git, git.write("commit", raw), answer)


def trees(report, git, rng):
    names = ["a", "a.b", "a0", "b", ".git", ".GIT", "..", "z z", "git~1", "\u00e4", ".gitignore", "x\ny", "a/b", "C:", "nul"]
    for _ in range(50):
        chosen = [(rng.choice(["100644", "100755", "40000", "120000", "160000", "100664", "0100644"]), name)
                  for name in rng.sample(names, rng.randrange(1, 6))]
        if rng.random() < 0.8:
            chosen.sort(key=lambda e: e[1].encode() + (b"/" if e[0] == "40000" else b""))
        raw = b"".join(f"{mode} {name}\0".encode() + rng.randbytes(20) for mode, name in chosen)
        answer = ask("tree", [encoded(raw)])[0]
        done = git.run("ls-tree", "-z", git.write("tree", raw), check=False)
        theirs = [entry.split("\t", 1) for entry in done.stdout.decode().split("\0")[:-1]]
        if refused(answer):
            report.stricter_by(repr(chosen), answer, STRICTER_TREE)
        else:
            report.same(repr(chosen), [[line.split(" ", 2)[1], line.split(" ", 2)[2]] for line in json.loads(answer)],
                        [[meta.split(" ")[2], name] for meta, name in theirs])


def main():
    rng, report = random.Random(11), Report()
    with tempfile.TemporaryDirectory() as folder:
        git = Git(folder)
        commits(report, git, rng)
        trees(report, git, rng)
    return report.end(100)


if __name__ == "__main__":
    sys.exit(main())
