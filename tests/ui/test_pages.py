"""Every page of the console can be composed, and says where it stands in the navigation."""

import inspect
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

import ui.pages
from ui.components.frame import ACCESS, FURTHER, PLACES, only

FOLDER = Path(ui.pages.__file__).parent


def _pages() -> dict[str, Callable[[], Any]]:
    """The function of each module that bears its name; rules.py has one for the editor as well."""
    modules = [import_module(f"ui.pages.{path.stem}") for path in sorted(FOLDER.glob("[a-z]*"))]
    found = {}
    for module in modules:
        name = module.__name__.rpartition(".")[2]
        found[name] = getattr(module, name)
    return {**found, "rule": import_module("ui.pages.rules").rule}


@pytest.mark.parametrize("name", sorted(_pages()))
def test_a_page_can_be_composed(name: str) -> None:
    page = _pages()[name]
    assert list(inspect.signature(page).parameters) == []
    assert page().render()


def test_every_place_of_the_navigation_is_a_page() -> None:
    app = (FOLDER.parent / "app.py").read_text()
    places = [path for _, path, *_ in (*PLACES, *FURTHER, *ACCESS)]
    assert [path for path in places if f', "{path}", ' not in app] == []


def test_identity_providers_are_open_to_who_may_read_them_and_changed_by_who_may_change_them() -> None:
    shown = str(_pages()["identity_providers"]().render())
    assert "Change the organisation" not in shown  # the right that it takes to change them is not asked for at the door
    assert 'includes("tenant:write")' in shown
    assert [needs for name, _, _, needs in ACCESS if name == "Identity providers"] == ["tenant:read"]


@pytest.mark.parametrize(
    ("right", "who"),
    [
        ("tenant:write", "An owner of your organisation"),
        ("users:read", "An administrator of your organisation"),
        ("platform:read", "Only whoever operates the platform"),
    ],
)
def test_who_lacks_a_right_is_told_who_can_give_it(right: str, who: str) -> None:
    assert f"{who} " in str(only(right).render())
