"""The card itself; the last file of the folder, so that it can be shown once everything was asked."""

from collections.abc import Callable

import pytest

from tests.ingest.adapters.conformance.conftest import CARD
from tests.ingest.adapters.conformance.rows import ROWS
from tests.ingest.adapters.conformance.scorecard import Scorecard


@pytest.mark.usefixtures("scorecard")
def test_the_scorecard_has_a_line_for_every_adapter_and_shows_what_failed(
    request: pytest.FixtureRequest, figure: Callable[[str], None]
) -> None:
    first, test = ROWS[0].name, "test_many_are_heard"
    card = Scorecard(shown={test: ("load", frozenset({first}))})
    assert all(f"\n| {row} |" in card.text() for row in ROWS)
    card.note(first, test, True)
    assert f"| {first} |" + " ✗ |" * 7 + " ✓ |" in card.table
    card.note(first, test, False)
    assert not card.is_whole
    assert "✓" not in "".join(card.table)
    seen = request.session.stash[CARD]
    if seen.is_whole:
        figure("\n".join(seen.table))
