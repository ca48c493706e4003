#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""The program behind a `pass_persist` of snmpd: serves the values of a file, lines "NUMBER TYPE VALUE" as in
"50 counter 1234", in ascending order, read anew for every request. snmpd.conf(5).

    pass_counters.py FILE          scalars below .1.3.6.1.4.1.2021.11: NUMBER.0
    pass_counters.py FILE COLUMN   rows of a column: COLUMN.NUMBER
"""
import sys

BASE, END = (sys.argv[2], "") if len(sys.argv) > 2 else (".1.3.6.1.4.1.2021.11", ".0")


def arcs(oid):
    return [int(arc) for arc in oid.split(".") if arc]


def answer(command, wanted):
    with open(sys.argv[1]) as file:
        for number, kind, value in map(str.split, file):
            oid = f"{BASE}.{number}{END}"
            if oid == wanted if command == "get" else arcs(oid) > arcs(wanted):
                return f"{oid}\n{kind}\n{value}"
    return "NONE"


for line in sys.stdin:
    command = line.strip()
    if command == "PING":
        print("PONG", flush=True)
    elif command in ("get", "getnext"):
        print(answer(command, sys.stdin.readline().strip()), flush=True)
