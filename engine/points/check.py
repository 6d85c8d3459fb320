"""Whether a point table can be used by an edge that takes it from the platform; pure.

A table that was not written beside the machines may name no file but those its owner put there for it: a secret is a
name in the folder `secrets` among the edge's own files, else whoever may change the table could have any file of the
edge sent, as a password, to a server of theirs.
"""

import re
from collections.abc import Iterable, Iterator, Sequence

import yaml

from engine.points import document, grammars, table
from engine.points.document import Misread, Node, Wrong
from engine.points.model import MAX_PROBLEMS, Checked, Problem
from engine.points.table import Grammars, PointTable, TableWrong

SOURCE = "the point table"
SECRETS = "secrets"
_FILES = ("password_file", "user_certificate", "user_key")
_SECRET = re.compile(rf"{SECRETS}/[A-Za-z0-9_-][A-Za-z0-9_.-]{{0,99}}")
_SERIAL = re.compile(r"/dev/(?!.*\.\.)[A-Za-z0-9_./-]{1,100}|COM\d{1,3}")
ELSEWHERE = "a file of the edge"
"""What stands for the name of a file that the platform need not know; nobody can send it as it is."""
_LINE = re.compile(r", line (\d+)(?: \((.*)\))?\Z", re.DOTALL)


def checked(text: str) -> Checked:
    """What the platform can say of a text; the edge knows its protocols better, and has the last word."""
    try:
        return Checked(len(read(text, grammars.get).points))
    except TableWrong as wrong:
        return Checked(0, problems(wrong.problems))


def read(text: str, known: Grammars, misread: Misread | None = None) -> PointTable:
    """The table in a text that came from the platform; `misread` as in `document.read`. Raises TableWrong."""
    try:
        root = document.read(text, SOURCE, misread)
    except Wrong as wrong:
        raise TableWrong([wrong]) from None
    found: list[Wrong] = []
    if isinstance(root.value, dict):
        found += _elsewhere(root)
    try:
        read_table = table.parse(root, known)
    except TableWrong as wrong:
        raise TableWrong([*wrong.problems, *found]) from None
    if not read_table.connections and not found:  # without points one can still look around behind a connection
        found.append(Wrong(root.place, "There is no connection yet; add one below `connections`."))
    if found:
        raise TableWrong(found)
    return read_table


def told(root: Node) -> str:
    """The table of an edge's own file as the platform may see it: no comments, no names of files but secrets/NAME."""
    said = root.plain()
    for connection in (said.get("connections") or {}).values():
        for name in _FILES:
            if name in connection and not _SECRET.fullmatch(str(connection[name])):
                connection[name] = ELSEWHERE
    table = {name: said[name] for name in ("connections", "devices") if said.get(name)}
    return yaml.dump(
        table, Dumper=yaml.CSafeDumper, sort_keys=False, allow_unicode=True, default_flow_style=None, width=120
    )


def problems(found: Iterable[Wrong]) -> Sequence[Problem]:
    """What is wrong, with its lines, the first ones."""
    told = [_problem(each) for each in found]
    told.sort(key=lambda each: each.line or 0)
    return told[:MAX_PROBLEMS]


def _problem(wrong: Wrong) -> Problem:
    match = _LINE.search(wrong.place)
    if match is None:
        return Problem(None, "", wrong.words)
    return Problem(int(match[1]), match[2] or "", wrong.words)


def _elsewhere(root: Node) -> Iterator[Wrong]:
    """Files that a table from the platform may not name."""
    connections = root.value.get("connections")
    members = connections.value if connections is not None and isinstance(connections.value, dict) else {}
    for connection in members.values():
        own = connection.value if isinstance(connection.value, dict) else {}
        for name, node in own.items():
            if not isinstance(node.value, str):
                continue
            if name in _FILES and not _SECRET.fullmatch(node.value):
                words = f"`{name}` names a file of the edge; put it into the folder {SECRETS} there, and write "
                yield Wrong(node.place, f"{words}{SECRETS}/NAME.")
            if name == "device" and not _SERIAL.fullmatch(node.value):
                yield Wrong(node.place, "`device` is a serial line; write one such as /dev/ttyUSB0 or COM3.")
