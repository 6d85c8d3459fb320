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


def test_why_a_metric_is_bad_is_kept_as_long_as_it_is_bad() -> None:
    newest = Newest({})
    newest.learn("d", 1, 1, {"b": 1}, {"a": "bad"})
    newest.changed()
    for metric in ("a", "b", "c"):
        newest.explain("d", metric, "a wire is broken" * 100)
    newest.explain("another", "a", "of which nothing is known")
    [saved] = newest.changed()
    assert saved["quality"] == {"a": ["bad", 1, ("a wire is broken" * 100)[:200]]}
    for at, marks, said in ((2, {"a": "bad"}, 3), (3, {"a": "uncertain"}, 2), (4, {"a": "bad"}, 2)):
        newest.learn("d", at, at, {"a": 5} if marks["a"] == "uncertain" else {}, marks)
        [saved] = newest.changed()
        assert len(saved["quality"]["a"]) == said
    newest.learn("d", 5, 5, {"a": 5})
    assert [each["quality"] for each in newest.changed()] == [None]
