#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""The program behind snmpd's `pass_persist .1.3.6.1.4.1.2021.11`: serves the counters of a file,
lines "NUMBER TYPE VALUE" as in "50 counter 1234", read anew for every request. snmpd.conf(5)."""
import sys

BASE = ".1.3.6.1.4.1.2021.11"


def answer(oid):
    with open(sys.argv[1]) as file:
        for number, kind, value in map(str.split, file):
            if oid == f"{BASE}.{number}.0":
                return f"{oid}\n{kind}\n{value}"
    return "NONE"


for line in sys.stdin:
    command = line.strip()
    if command == "PING":
        print("PONG", flush=True)
    elif command in ("get", "getnext"):
        oid = sys.stdin.readline().strip()
        print(answer(oid) if command == "get" else "NONE", flush=True)
