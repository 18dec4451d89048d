"""Shared by the checks in tools/: where files are, what a comment is, how a failure is said."""
import os
import re
import sys

ROOT = os.path.realpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
CODE = ("include", "lib", "proto", "coordinator", "agent", "cli")
SKIPPED = ("build", ".git", ".cache", "__pycache__")


def files(tops, endings):
    """Paths relative to the root, sorted, of files under @tops that end with one of @endings."""
    found = []
    for top in tops:
        for folder, names, leaves in os.walk(os.path.join(ROOT, top)):
            names[:] = [n for n in names if n not in SKIPPED]
            found += [os.path.relpath(os.path.join(folder, leaf), ROOT) for leaf in leaves if leaf.endswith(endings)]
    return sorted(found)


def read(path):
    with open(os.path.join(ROOT, path), encoding="utf-8") as file:
        return file.read()


def rows(path):
    """Lines of a table in tools/ without comments and empty lines."""
    return [line.split("#")[0].strip() for line in read(path).splitlines() if line.split("#")[0].strip()]


_NOISE = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)


def code_only(text):
    """C text with comments and literals blanked; line numbers stay."""
    def blank(match):
        return re.sub(r"[^\n]", " ", match.group(0))
    return _NOISE.sub(blank, text)


def finish(name, problems, checked):
    """Says every problem and ends the program."""
    for problem in problems:
        print(problem)
    if checked == 0:
        problems = ["nothing was checked"]
        print(f"{name}: nothing was checked")
    print(f"{name}: {checked} checked, {len(problems)} problem(s)")
    sys.exit(1 if problems else 0)
