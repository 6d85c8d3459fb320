"""Folding: whatever the order in which readings come, the newest that was said of a metric is what stands."""

from hypothesis import given
from hypothesis import strategies as st

from engine.telemetry.fold import Newest

MARKS = st.sampled_from([None, "uncertain", "bad"])
SAID = st.dictionaries(st.sampled_from(["a", "b"]), MARKS, min_size=1)


@given(st.lists(SAID, min_size=1, max_size=6).flatmap(lambda told: st.permutations(list(enumerate(told)))))
def test_values_and_doubts_are_of_the_newest_that_was_said_in_whatever_order_it_comes(
    told: list[tuple[int, dict[str, str | None]]],
) -> None:
    newest = Newest({})
    for at, said in told:
        values = {metric: at * 10 for metric, mark in said.items() if mark != "bad"}
        newest.learn("d", at, at + 1, values, {metric: mark for metric, mark in said.items() if mark})
    [saved] = newest.changed()
    doubts = saved["quality"] or {}
    for metric in ("a", "b"):
        of = {at: said[metric] for at, said in told if metric in said}
        valued = [at for at, mark in of.items() if mark != "bad"]
        assert newest.of("d").get(metric) == ([max(valued) * 10, max(valued)] if valued else None)
        last = of[max(of)] if of else None
        assert doubts.get(metric) == ([last, max(of)] if last else None)
