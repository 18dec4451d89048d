#!/usr/bin/python3
"""Digest maps and bundle lists against a second reading of docs/formats.md in Python."""
import hashlib
import json
import random
import sys

from judging import Report, ask, encoded, refused

HEX = "0123456789abcdef"


def sha(data):
    return hashlib.sha256(data).hexdigest()


def map_root(entries):
    """2^k buckets by the first k bits of SHA-256(key), smallest k with count <= 64 * 2^k."""
    k = 0
    while len(entries) > 64 << k:
        k += 1
    buckets = [[] for _ in range(1 << k)]
    for key, values in sorted(entries.items(), key=lambda e: e[0].encode()):
        first = int.from_bytes(hashlib.sha256(key.encode()).digest()[:4], "big")
        buckets[first >> (32 - k) if k else 0].append(f"{key} {values}\n")
    return sha((f"k: {k}\n" + "".join(sha("".join(bucket).encode()) + "\n" for bucket in buckets)).encode())


def digest(rng):
    return "".join(rng.choice(HEX) for _ in range(64))


def bundle_line(rng):
    name = "n" + str(rng.randrange(50))
    return rng.choice([lambda: f"object core/ConfigMap {rng.choice(['-', 'ns'])} {name} {rng.randrange(9999)} {digest(rng)}",
                       lambda: f"blob {digest(rng)} {rng.randrange(9999)}",
                       lambda: f"withheld gitops.sluice/ModelServer - {name} model {rng.choice(['-', digest(rng)])}"])()


def main():
    rng, report = random.Random(5), Report()
    maps = [{f"c{rng.randrange(10**9)}": f"v{n} w" for n in range(count)} for count in (0, 1, 64, 65, 128, 129, 700, 5000)]
    texts = [encoded("".join(f"{k} {v}\n" for k, v in each.items()).encode()) for each in maps]
    for each, answer in zip(maps, ask("map", texts)):
        report.same(f"map of {len(each)}", answer, json.dumps(map_root(each)))
    lists = []
    for _ in range(200):
        lines = {tuple(line.split(" ")[:4]) if not line.startswith("blob") else tuple(line.split(" ")[:2]): line
                 for line in (bundle_line(rng) for _ in range(rng.randrange(8)))}
        names = [key[1:4] for key in lines if key[0] != "blob"]
        lists.append((sorted(lines.values(), key=str.encode), len(names) == len(set(names))))
    for (lines, distinct), answer in zip(lists, ask("bundle", [encoded("".join(line + "\n" for line in lines).encode()) for lines, _ in lists])):
        count = [sum(line.startswith(word) for line in lines) for word in ("object ", "blob ", "withheld ")]
        report.same("\n".join(lines), answer if not refused(answer) else refused(answer), json.dumps(count, separators=(",", ":")) if distinct else True)
    swapped = [encoded("".join(line + "\n" for line in reversed(lines)).encode()) for lines, _ in lists if len(lines) > 1]
    for answer in ask("bundle", swapped):
        report.same("out of order", refused(answer), True)
    return report.end(300)


if __name__ == "__main__":
    sys.exit(main())
