#!/usr/bin/python3
"""Do the checks in tools/ see what they are for?  Plants one mistake at a time in a copy of a tiny tree and wants it named."""
import os
import shutil
import subprocess
import sys
import tempfile

ROOT = os.path.realpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
HEAD = "/* x.h - for the test. */\n#pragma once\n"
SOURCE = "/* x.c - for the test. */\n"
ERRORS = "include/sluice/errors.def"
DRIVERS = ("agent/engines/engines.def", "coordinator/sources/sources.def", "lib/core/gates/gates.def",
           "lib/core/jobkinds/jobkinds.def", "lib/render/renderers/renderers.def", "cli/cmd/cmds.def")
ROW = 'SL_ERR(A, 1000, INVALID, "a", "Do this.")\n'

PARSERS, TARGETS = "docs/rooms/tests.md", "tests/fuzz/CMakeLists.txt"
FUZZ = {PARSERS: "| `sl_a_parse` | `a` |\n", "lib/core/a.h": HEAD + "int sl_a_parse(void);\n", "tests/fuzz/fuzz_a.c": SOURCE,
        TARGETS: "sluice_fuzz(a)\n", "tests/fuzz/dict/a.dict": "", **{f"tests/fuzz/corpora/a/{n}": "" for n in "123"}}
PAGE, SCENARIOS = "docs/attacks.md", "tests/sim/evil/a.c"
ATTACKS = {PAGE: "| attack | must happen | simulation | real agent |\n|---|---|---|---|\n| one | refused | `g/one` | `test_one` |\n",
           SCENARIOS: 'static const Attack rows[] = {\n    ROW("one", f),\n};\nconst AttackTable table = {"g", rows, 1};\n',
           "tests/e2e/test_attacks.py": "def test_one():\n"}

# (check, {path: text}, what must be said or None for no complaint)
CASES = [
    ("layers", {"lib/core/a.c": SOURCE + '#include "base/x.h"\n'}, None),
    ("layers", {"lib/core/a.c": SOURCE + '#include "runtime/x.h"\n'}, "room core includes \"runtime/x.h\" of room runtime"),
    ("layers", {"agent/a.c": SOURCE + '#include "coordinator/x.h"\n'}, "room agent includes"),
    ("layers", {"lib/core/a.c": SOURCE + '#include "base/nowhere.h"\n'}, "which is nowhere"),
    ("layers", {"lib/new/a.c": SOURCE}, "lies in no room"),
    ("layers", {"agent/engines/engines.def": "SL_ENGINE(one)\n"}, "row one has no file one.c"),
    ("layers", {"agent/engines/engines.def": "SL_ENGINE(one)\nSL_ENGINE(two)\n", "agent/engines/one.h": HEAD,
                "agent/engines/one.c": SOURCE, "agent/engines/two.c": SOURCE + '#include "agent/engines/one.h"\n'},
     "driver two includes its sibling one"),
    ("size", {"lib/core/a.c": SOURCE + "int f(void)\n{\n" + "    f();\n" * 77 + "}\n"}, None),
    ("size", {"lib/core/a.c": SOURCE + "int f(void)\n{\n" + "    f();\n" * 90 + "}\n"}, "f has 93 lines"),
    ("size", {"lib/core/a.c": SOURCE * 801}, "801 lines"),
    ("banned", {"lib/core/a.c": SOURCE + "// strcpy(a, b)\nconst char *s = \"system(x)\"; int my_system(int);\n"}, None),
    ("banned", {"lib/core/a.c": SOURCE + "void f(void) { strcpy (a, b); }\n"}, "lib/core/a.c:2: strcpy() is banned"),
    ("banned", {"agent/a.c": SOURCE + "void f(void) { usleep(1); }\n"}, "usleep() is banned"),
    ("banned", {"cli/a.c": SOURCE + "void f(void) { usleep(1); }\n"}, None),
    ("banned", {"agent/a.c": SOURCE + "void f(void) { goto out; }\n"}, "goto"),
    ("banned", {"agent/a.c": "int x;\n"}, "no comment at its head"),
    ("banned", {"agent/a.h": "/* a */\n"}, "no #pragma once"),
    ("errors", {}, None),
    ("errors", {ERRORS: ROW + ROW.replace("(A", "(B").replace('"a"', '"b"')}, "number 1000 is used twice"),
    ("errors", {ERRORS: ROW + ROW.replace("(A, 1000", "(B, 1001")}, "slug a is used twice"),
    ("errors", {ERRORS: ROW.replace("1000", "1002") + ROW.replace("(A", "(B").replace('"a"', '"b"')}, "keep number order"),
    ("errors", {ERRORS: ROW.replace("INVALID", "WRONG")}, "unknown class WRONG"),
    ("errors", {ERRORS: ROW.replace("Do this", "Do that")}, "run tools/errors-doc"),
    ("errors", {ERRORS: ROW + "SL_ERR(broken)\n"}, "not a row"),
    ("fuzz", FUZZ, None),
    ("fuzz", {**FUZZ, "lib/core/b.h": HEAD + "int sl_b_read(void);\n"}, "sl_b_read is in no row"),
    ("fuzz", {**FUZZ, PARSERS: "| `sl_a_parse` | `b` |\n"}, "there is no target b"),
    ("fuzz", {**FUZZ, TARGETS: ""}, "does not build a"),
    ("fuzz", {**FUZZ, "tests/fuzz/fuzz_b.c": SOURCE}, "corpora/b: 0 inputs"),
    ("attacks", ATTACKS, None),
    ("attacks", {**ATTACKS, SCENARIOS: ATTACKS[SCENARIOS].replace("f),", 'f), ROW("two", f),')}, "attack g/two of the simulation is in no row"),
    ("attacks", {**ATTACKS, PAGE: ATTACKS[PAGE].replace("g/one", "g/two")}, "the simulation has no attack g/two"),
    ("attacks", {**ATTACKS, PAGE: ATTACKS[PAGE].replace("test_one", "test_two")}, "no test test_two"),
]


def write(tree, path, text):
    path = os.path.join(tree, path)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def make_tree(tree, extra):
    shutil.copytree(os.path.join(ROOT, "tools"), os.path.join(tree, "tools"),
                    ignore=lambda folder, names: [n for n in names if os.path.isdir(os.path.join(folder, n))])
    for path in ("lib/base/x.h", "lib/runtime/x.h", "coordinator/x.h"):
        write(tree, path, HEAD)
    for path in DRIVERS:
        write(tree, path, "")
    shutil.copyfile(os.path.join(ROOT, "include/sluice/error.h"), os.path.join(tree, "error.h"))
    with open(os.path.join(tree, "error.h"), encoding="utf-8") as file:
        write(tree, "include/sluice/error.h", file.read())
    write(tree, ERRORS, ROW)
    write(tree, "docs/errors.md", "")
    subprocess.run([sys.executable, os.path.join(tree, "tools/errors-doc")], check=True)
    for path, text in extra.items():
        write(tree, path, text)


def run(check, extra, says):
    with tempfile.TemporaryDirectory() as tree:
        make_tree(tree, extra)
        done = subprocess.run([sys.executable, os.path.join(tree, "tools", f"check-{check}")], capture_output=True, text=True)
    if says is None:
        return done.returncode == 0, done
    return done.returncode == 1 and says in done.stdout, done


def main():
    failed = 0
    for number, (check, extra, says) in enumerate(CASES, 1):
        good, done = run(check, extra, says)
        print(f"{'ok' if good else 'not ok'} {number} {check}: {says or 'no complaint'}")
        if not good:
            failed += 1
            print(done.stdout + done.stderr)
    print(f"1..{len(CASES)}")
    sys.exit(1 if failed else 0)


main()
