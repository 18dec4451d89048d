#!/usr/bin/python3
"""Canonical JSON against Python's json: sorted keys, no spaces, repr(float), escapes only where they must be."""
import json
import math
import random
import struct
import sys

from judging import Report, ask, refused

INT_MIN, INT_MAX = -2**63, 2**63 - 1


def text(rng):
    kinds = [lambda: chr(rng.randrange(0x20, 0x7f)), lambda: chr(rng.randrange(0, 0x20)), lambda: rng.choice('"\\/\x7f\u2028\ufeff'),
             lambda: chr(rng.randrange(0x80, 0xd800)), lambda: chr(rng.randrange(0x10000, 0x110000))]
    return "".join(c for c in (rng.choice(kinds)() for _ in range(rng.randrange(8))) if c != "\0")


def number(rng):
    return rng.choice([lambda: rng.randrange(-1000, 1000), lambda: rng.choice([INT_MIN, INT_MAX, 2**53, -2**53 - 1]),
                       lambda: rng.randrange(INT_MIN, INT_MAX), lambda: rng.uniform(-1, 1), lambda: rng.uniform(-1, 1) * 10 ** rng.randrange(-300, 300),
                       lambda: float(rng.randrange(-10**18, 10**18)), lambda: struct.unpack("<d", rng.randbytes(8))[0]])()


def tree(rng, depth):
    kind = rng.randrange(7 if depth > 0 else 4)
    if kind == 0:
        return rng.choice([None, True, False])
    if kind == 1:
        return text(rng)
    if kind < 4:
        value = number(rng)
        return value if not isinstance(value, float) or math.isfinite(value) else 0
    if kind < 6:
        return {text(rng) or "k": tree(rng, depth - 1) for _ in range(rng.randrange(6))}
    return [tree(rng, depth - 1) for _ in range(rng.randrange(6))]


def key_order(value):
    """Python sorts by code point; UTF-8 bytes sort the same."""
    if isinstance(value, dict):
        return {key: key_order(value[key]) for key in sorted(value, key=lambda k: k.encode())}
    return [key_order(item) for item in value] if isinstance(value, list) else value




def main():
    rng, report = random.Random(20261123), Report()
    trees = [tree(rng, 4) for _ in range(4000)]
    spellings = [json.dumps(t, ensure_ascii=rng.random() < 0.5, indent=rng.choice([None, 1])) for t in trees]
    for value, answer in zip(trees, ask("json", spellings)):
        report.same(repr(value), answer, json.dumps(key_order(value), ensure_ascii=False, separators=(",", ":")))
    odd = ["NaN", "[Infinity]", "-Infinity", '{"a":1,"a":2}', "01", "+1", "1.", ".5", "[1,]", "'a'", '"\\x41"', '"\\ud800"', "\ufeff1", "tru", "",
           "9223372036854775808", "-9223372036854775809", "1e999", "[" * 200 + "]" * 200, '"\t"', "1 2", "/**/1", '{"a" 1}', '"\\u0000"']
    for bad, answer in zip(odd, ask("json", odd)):
        report.checked += 1
        if not refused(answer):
            report.wrong.append(f"{bad[:40]!r} is accepted: {answer}")
    return report.end(4000)


if __name__ == "__main__":
    sys.exit(main())
