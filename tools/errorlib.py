"""The rows of include/sluice/errors.def, for tools/check-errors and tools/errors-doc."""
import re

from lintlib import read

TABLE = "include/sluice/errors.def"
ROW = re.compile(r'^SL_ERR\((\w+), (\d+), (\w+), "([^"]+)", "((?:\\.|[^"\\])*)"\)$')


def load():
    """([(name, number, class, slug, advice)], [problems])"""
    found, problems = [], []
    for number, line in enumerate(read(TABLE).splitlines(), 1):
        if not line.startswith("SL_ERR"):
            continue
        match = ROW.match(line)
        if match:
            name, code, kind, slug, advice = match.groups()
            found.append((name, int(code), kind, slug, advice.replace('\\"', '"')))
        else:
            problems.append(f"{TABLE}:{number}: not a row: {line[:80]}")
    return found, problems
