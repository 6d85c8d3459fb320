"""What the contract keeps to those who see all devices, the console offers to nobody who sees those of some groups."""

import inspect
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.ui.test_pages import _pages
from ui.client import OPERATIONS

CONTRACT = Path(__file__).parents[2] / "schema" / "schema.graphql"


def whole() -> set[str]:
    """The console's operations that change something and need `whole: true`, by the names of their files."""
    contract = CONTRACT.read_text()
    mutations = contract[contract.index("type Mutation {") :]
    mutations = mutations[: mutations.index("\n}")]
    found = re.findall(r"^  (\w+)(?:\([^()]*(?:\([^()]*\)[^()]*)*\))?: [^\n]*@needs\([^)]*whole: true", mutations, re.M)
    named = {name: re.search(r"\{\s*(\w+)", text) for name, text in OPERATIONS.items() if "mutation " in text}
    return {name for name, field in named.items() if field and field[1] in found}


def handlers(part: Any, is_kept: bool = False) -> Iterator[tuple[str, bool]]:
    """The source of whatever a page's controls set off, and whether the control is there only for who sees all."""
    for trigger in getattr(part, "event_triggers", {}).values():
        for event in getattr(trigger, "events", ()):
            if (handler := getattr(event, "handler", None)) is not None:
                yield _source(handler.fn), is_kept
    if type(part).__name__ == "Cond":
        asked = str(part.cond)
        keeps = "is_limited_to_groups" in asked and "is_new" not in asked  # the latter is about new things only
        yield from handlers(part.children[0], is_kept or keeps)
        for other in part.children[1:]:
            yield from handlers(other, is_kept)
        return
    cases = [*(case[-1] for case in part.match_cases), part.default] if type(part).__name__ == "Match" else []
    for child in (*getattr(part, "children", ()), *cases):
        yield from handlers(child, is_kept)


@cache
def _source(handler: Any) -> str:
    """What a handler does, with the methods of its page that it calls."""
    source = inspect.getsource(handler)
    page = handler.__globals__.get(handler.__qualname__.partition(".")[0])
    called = [getattr(page, name, None) for name in re.findall(r"self\.(_\w+)\(", source)]
    return "\n".join([source, *(inspect.getsource(each) for each in called if inspect.isfunction(each))])


@cache
def _everywhere() -> list[tuple[str, bool]]:
    return [each for page in _pages().values() for each in handlers(page())]


def test_there_are_such_operations() -> None:
    assert {"device_group_update", "device_transfer_accept", "silence_end", "authority_renew"} <= whole()


@pytest.mark.parametrize("operation", sorted(whole()))
def test_what_is_about_all_devices_is_offered_only_to_who_sees_all(operation: str) -> None:
    found = [is_kept for source, is_kept in _everywhere() if f'"{operation}"' in source]
    assert found, f"no control asks for {operation} by its own handler"
    assert all(found)
