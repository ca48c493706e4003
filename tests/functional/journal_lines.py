"""Lines of nova_scale's journal as a test writes them: sealed when the lines before them are."""

import hashlib
import json

SEAL = ',"chain":"'


def chain_of(text):
    """The chain value of the last sealed line, "" when there is none."""
    sealed = [line for line in text.splitlines() if SEAL in line and line.endswith('"}')]
    return sealed[-1].rsplit(SEAL, 1)[1].removesuffix('"}') if sealed else ""


def seal(line, chain):
    body = json.dumps(line).removesuffix("}")
    return f'{body}{SEAL}{hashlib.sha256((chain + body).encode()).hexdigest()[:32]}"}}\n'


def append(path, line):
    chain = chain_of(path.read_text()) if path.exists() else ""
    with open(path, "a") as file:
        file.write(seal(line, chain) if chain else json.dumps(line) + "\n")


def rewrite(path, change):
    """Every line as `change` makes it, sealed anew."""
    chain, text = "", ""
    for line in path.read_text().splitlines():
        line = change({key: value for key, value in json.loads(line).items() if key != "chain"})
        text += seal(line, chain)
        chain = chain_of(text)
    path.write_text(text)
