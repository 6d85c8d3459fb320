"""Server-side request forgery (OWASP API7:2023): the platform opens connections to nobody a tenant names."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import engine

ROOT = Path(engine.__file__).parent.parent
CLIENTS = {
    "httpx", "httpcore", "requests", "aiohttp", "urllib.request", "urllib3", "http.client", "smtplib", "aiosmtplib",
    "ftplib", "websockets", "xmlrpc.client", "apprise", "paramiko", "telnetlib", "webbrowser",
}  # fmt: skip
CALLS = {"open_connection", "create_connection", "create_datagram_endpoint", "sock_connect"}

WORDS = {name.partition(".")[0] for name in CLIENTS} | CALLS

ALLOWED = {
    "engine.outbound.fetch": "the guard itself: public addresses only, each pinned, no redirects",
    "engine.notifications.mail": "the operator's own mail server, which the settings name",
    "engine.notifications.chat": "addresses of ours, built from typed fields; no URL of a tenant's reaches apprise",
    "ingest.introductions": "the operator's own web process, which the settings name",
    "ingest.adapters.coap.endpoint": "a bound socket that answers whoever asked, and says little to strangers",
    "ingest.adapters.mqtt.websocket": "the server's side of the protocol alone: others carry what it says",
}
"""Module → why it may speak to others, and what bounds whom. Who adds one names the guard that it goes through."""


def _imports(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _calls(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            yield node.func.attr


@cache
def _speakers(folder: Path, rooms: tuple[str, ...]) -> set[str]:
    """Modules below these folders that could open a connection of their own."""
    found = set()
    for room in rooms:
        for path in (folder / room).rglob("*.py"):
            text = path.read_text()
            if not any(word in text for word in WORDS):  # most modules need not be parsed
                continue
            tree = ast.parse(text)
            clients = {name for name in _imports(tree) if name in CLIENTS or name.partition(".")[0] in CLIENTS}
            if clients or CALLS & set(_calls(tree)):
                found.add(".".join(path.relative_to(folder).with_suffix("").parts))
    return found


def test_no_module_that_handles_what_tenants_say_can_open_a_connection() -> None:
    assert _speakers(ROOT, ("schema", "resolvers", "engine", "ingest")) - ALLOWED.keys() == set()


def test_every_exception_still_is_one() -> None:
    there = {module for module in ALLOWED if (ROOT / (module.replace(".", "/") + ".py")).exists()}
    assert there <= _speakers(ROOT, ("schema", "resolvers", "engine", "ingest"))


def test_a_planted_client_is_found(tmp_path: Path) -> None:
    (tmp_path / "engine").mkdir()
    for name, text in [("a", "import httpx"), ("b", "from urllib import request"), ("c", "x.open_connection('h', 1)")]:
        (tmp_path / "engine" / f"{name}.py").write_text(text)
    (tmp_path / "engine" / "d.py").write_text("from urllib.parse import urlsplit")
    assert _speakers(tmp_path, ("engine",)) == {"engine.a", "engine.b", "engine.c"}
