#!/usr/bin/python3
"""Signatures against ssh-keygen -Y: what it signs we verify, what it refuses we refuse; where we are stricter the reason is listed."""
import base64
import os
import random
import subprocess
import sys
import tempfile

from judging import Report, ask, encoded, refused

NAMESPACE = "promotion@sluice.v1"
# OpenSSH takes any line width of base64 and text around the armour, and ignores `reserved`; one signature has one text here.
STRICTER = ["not armoured as ssh-keygen writes it", "the reserved field is not empty"]


def keygen(*arguments, data=b""):
    return subprocess.run(["ssh-keygen", *arguments], input=data, capture_output=True, check=False)


class Keys:
    def __init__(self, folder):
        self.folder, self.key = folder, os.path.join(folder, "key")
        keygen("-q", "-t", "ed25519", "-N", "", "-C", "test", "-f", self.key)
        with open(self.key + ".pub", encoding="ascii") as file:
            line = file.read()
        self.signers = os.path.join(folder, "signers")
        with open(self.signers, "w", encoding="ascii") as file:
            file.write("test@example.org " + line)
        self.print = keygen("-lf", self.key + ".pub").stdout.decode().split()[1]

    def sign(self, message, namespace=NAMESPACE, digest="sha512"):
        return keygen("-Y", "sign", "-q", "-f", self.key, "-n", namespace, "-O", "hashalg=" + digest, data=message).stdout

    def verify(self, signature, message):
        path = os.path.join(self.folder, "sig")
        with open(path, "wb") as file:
            file.write(signature)
        done = keygen("-Y", "verify", "-f", self.signers, "-I", "test@example.org", "-n", NAMESPACE, "-s", path, data=message)
        return done.returncode == 0


def rearmoured(blob, width=70):
    text = base64.b64encode(blob).decode()
    lines = "\n".join(text[i:i + width] for i in range(0, len(text), width))
    return f"-----BEGIN SSH SIGNATURE-----\n{lines}\n-----END SSH SIGNATURE-----\n".encode()


def cases(keys, rng):
    """(what, signature, message)"""
    for n in range(6):
        message = rng.randbytes(rng.randrange(200))
        good = keys.sign(message)
        blob = base64.b64decode(b"".join(good.split(b"\n")[1:-2]))
        yield "good", good, message
        yield "sha256", keys.sign(message, digest="sha256"), message
        yield "another namespace", keys.sign(message, namespace="file"), message
        yield "another message", good, message + b"x"
        yield "wider lines", rearmoured(blob, 76), message
        yield "no last LF", good[:-1], message
        yield "text in front", b"hello\n" + good, message
        yield "bytes behind", rearmoured(blob + b"x"), message
        yield "CRLF", good.replace(b"\n", b"\r\n"), message
        for _ in range(25):
            at = rng.randrange(len(blob))
            yield f"bit of byte {at}", rearmoured(blob[:at] + bytes([blob[at] ^ 1 << rng.randrange(8)]) + blob[at + 1:]), message
        yield "cut", rearmoured(blob[:rng.randrange(len(blob))]), message


def main():
    rng, report = random.Random(7), Report()
    with tempfile.TemporaryDirectory() as folder:
        keys = Keys(folder)
        rows = list(cases(keys, rng))
        answers = ask("sshsig", [encoded(signature) + " " + encoded(message) for _, signature, message in rows], NAMESPACE)
        for (what, signature, message), answer in zip(rows, answers):
            theirs = keys.verify(signature, message)
            if theirs and refused(answer):
                report.stricter_by(what, answer, STRICTER)
            else:
                report.same(what, answer if refused(answer) and theirs else not refused(answer), theirs)
            if theirs and not refused(answer):
                report.same("signer of " + what, answer, f'"{keys.print}"')
    return report.end(200)


if __name__ == "__main__":
    sys.exit(main())
