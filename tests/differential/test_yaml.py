#!/usr/bin/python3
"""Scalars as kubectl reads them: golden answers of sigs.k8s.io/yaml (kubectl's reader) in scalars.golden, and kubectl itself where the
test cluster's program is built; texts over many lines, quoted and not, as PyYAML reads them. test_yaml.py --write PROGRAM makes the golden file anew: PROGRAM is kubectl_scalars built with Go."""
import json
import os
import random
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "cluster"))
import binary  # noqa: E402
from judging import Report, ask, refused  # noqa: E402

try:
    import yaml
except ImportError:
    yaml = None

GOLDEN = os.path.join(os.path.dirname(os.path.abspath(__file__)), "scalars.golden")
WORDS = ["y", "Y", "n", "N", "yes", "Yes", "YES", "yEs", "no", "No", "NO", "on", "On", "ON", "off", "Off", "OFF", "true", "True", "TRUE", "tRue",
         "false", "False", "FALSE", "null", "Null", "NULL", "nUll", "~", "", "=", "<<", ".inf", ".Inf", ".INF", "-.inf", "+.inf", ".nan", ".NaN", ".NAN",
         "0", "-0", "+0", "00", "0777", "-0777", "0o17", "0O17", "0x1F", "0X1f", "-0x1", "+0x1", "0b101", "0b2", "-0b1", "1_000", "_1", "1_", "0x_1",
         "1e3", "1E3", "1e+3", "1.e3", ".5", "5.", "-.5", "+.5", "1.5e-7", "1e400", "1e-400", "0.1", "0.10", "1.0", "100000000000000000000",
         "9223372036854775807", "9223372036854775808", "-9223372036854775808", "18446744073709551615", "18446744073709551616", "9007199254740993",
         "2026-11-23", "2026-11-23T12:00:00Z", "2026-11-23 12:00:00", "12:30", "12:30:45", "1:2", "190:20:30.15", "+12", "--1", "1-2", "1.2.3", "v1.2",
         "!!str 1", "!!int 1", "!!int x", "!!bool yes", "!!null x", "!!float 1", "!!binary aGk=", "!x 1", "'it''s'", '"a\\tb"', '"\\x41\\u00e9"', '"\\q"',
         "'0777'", '"no"', "&a 1", "*a", "|", "@a", "`a`", "%a", "a#b", "a:b", "a,b", "-", "- ", "?", "a\u00a0b", "\u00e9", "\u2028", "{}", "[]", "[1, 2]"]


def generated():
    rng, texts = random.Random(1), list(WORDS)
    alphabets = ["0123456789", "0123456789abcdefx_", "01234567890.eE+-", "01b_", "0o17_", "0123456789:_.", "yesnoYESNOtrufalTRUFAL", ".infaNINFA-+",
                 "abcxyz019._-/@+~=", "0123456789-T:Z "]
    for alphabet in alphabets:
        for _ in range(300):
            texts.append("".join(rng.choice(alphabet) for _ in range(rng.randrange(1, 9))).strip())
    return sorted(set(texts))


# Kubernetes would take these; we make people say what they mean.
STRICTER = ["kubectl", "tag", "is not supported", "anchor", "not finite", "out of range", "too large", "must not", "is no ", "duplicate", "alias", "SLU12"]


def numbers(value):
    """Beyond 64 bits kubectl has doubles, like us; its reader alone prints some of them as integers."""
    if isinstance(value, dict):
        return {key: numbers(item) for key, item in value.items()}
    return float(value) if isinstance(value, int) and not -2**63 <= value < 2**63 else value


def compare(report, text, ours, theirs):
    if theirs == "error":
        if not refused(ours):
            report.wrong.append(f"{text!r}: kubectl's reader refuses it, we read {ours}")
        report.checked += 1
    elif refused(ours):
        report.stricter_by(repr(text), ours, STRICTER)
    else:
        report.same(repr(text), numbers(json.loads(ours)), numbers(json.loads(theirs)))


PIECES = {
    "'": ["''", "''''", "\\", '"'],
    '"': ['\\"', '\\"\\"', "\\\\", "\\n", "\\t", "\\u00e9", "\\x41", "\\U0001F600", "\\/", "\\e", "\\_", "\\\n   ", "'", "''"],
    "": ["'", '"', "-", "b:c"],
    "|": ["'", "''''", '"', "- a", "x: y"],
}
EVERYWHERE = ["x", "\u00e9", " y", " ", "\t", "#", "\n  z", "\n\n  z", "\n  "]


def long_text(rng, style):
    """A scalar over several lines: in one of the quotes, plain, or as a block."""
    if style == "|":
        pieces = PIECES[style] + ["x", " y", "\u00e9", ""]
        lines = "".join(" " + "".join(rng.choice(pieces) for _ in range(rng.randrange(4))) + "\n" for _ in range(rng.randrange(1, 10)))
        return rng.choice(["|", "|-", "|+", ">", ">-", ">+"]) + "\n x\n" + lines
    return style + ("" if style else "a") + "".join(rng.choice(PIECES[style] + EVERYWHERE) for _ in range(rng.randrange(30))) + style


def second_reading(report):
    """Where both read a text they read the same one; who accepts more is another test's question."""
    if yaml is None:
        print("python3-yaml is not installed: no second reading of long texts")
        return
    rng = random.Random(2)
    texts = [long_text(rng, style) for style in PIECES for _ in range(1000)]
    for text, ours in zip(texts, ask("yaml", texts)):
        try:
            theirs = yaml.load(f"v: {text}\n", Loader=yaml.BaseLoader)["v"]
        except yaml.YAMLError:
            continue
        if not refused(ours) and isinstance(theirs, str) and isinstance(json.loads(ours)["v"], str):
            report.same(repr(text), json.loads(ours)["v"], theirs)


def write(program):
    texts = generated()
    lines = "".join(json.dumps(text) + "\n" for text in texts)
    answers = subprocess.run([program], input=lines, capture_output=True, text=True, check=True).stdout.split("\n")[:-1]
    with open(GOLDEN, "w", encoding="utf-8") as file:
        file.writelines(json.dumps(text) + "\t" + answer + "\n" for text, answer in zip(texts, answers))


def live(report):
    """kubectl itself over the texts that it and we accept: as data of one ConfigMap per text would be slow, so as labels of one."""
    program = binary.ready()
    if program is None:
        print("the test cluster's program is not built: scalars.golden alone says what kubectl reads")
        return
    rows = [(t, a) for t, a in golden() if a != "error" and not t.startswith(("&", "*", "|", "!"))]
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "x.yaml")
        with open(path, "w", encoding="utf-8") as file:
            file.write("apiVersion: example.org/v1\nkind: X\nmetadata: {name: x}\nspec:\n")
            file.writelines(f"  k{i}: {text}\n" for i, (text, _) in enumerate(rows))
        done = subprocess.run([program, "kubectl", "label", "--local", "-o", "json", "-f", path, "a=b"], capture_output=True, text=True, check=False,
                              env={"HOME": folder, "PATH": "/usr/bin:/bin"})
    if done.returncode != 0:
        print(f"kubectl is not asked: {done.stderr.strip()[:200]}")
        return
    spec = json.loads(done.stdout)["spec"]
    for i, (text, answer) in enumerate(rows):
        report.same(f"golden {text!r} against kubectl itself", numbers(json.loads(answer))["v"], numbers(spec.get(f"k{i}")))


def golden():
    with open(GOLDEN, encoding="utf-8") as file:
        return [(json.loads(text), answer) for text, answer in (line.rstrip("\n").split("\t") for line in file)]


def main():
    if sys.argv[1] == "--write":
        write(sys.argv[2])
        return 0
    report, rows = Report(), golden()
    assert [text for text, _ in rows] == generated(), "scalars.golden is of another list: write it anew"
    for (text, theirs), ours in zip(rows, ask("yaml", [text for text, _ in rows])):
        compare(report, text, ours, theirs)
    live(report)
    second_reading(report)
    return report.end(2000)


if __name__ == "__main__":
    sys.exit(main())
