"""What has changed between two versions of a rule, in words: "The threshold went from 8 °C to 9 °C"."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

from engine.rules.logic import canonical
from engine.rules.model import (
    All,
    AnyOf,
    Clearing,
    Condition,
    Duration,
    Example,
    Leaf,
    Limits,
    Not,
    Op,
    Operand,
    RuleDocument,
    Schedule,
    Scope,
    Then,
    TimeOfDay,
)
from engine.rules.phrases import action_phrase, compared, phrase, spelled, subject, time_phrase, zone
from engine.rules.resolve import resolved
from engine.rules.vocabulary import Vocabulary

__all__ = ["difference"]


def difference(before: RuleDocument, after: RuleDocument, vocabulary: Vocabulary) -> list[str]:
    """Each change as one sentence, in the order of the document; empty where the two mean the same."""
    return [f"{said[0].upper()}{said[1:]}." for said in _changes(before, after, vocabulary)]


def _changes(before: RuleDocument, after: RuleDocument, vocabulary: Vocabulary) -> Iterator[str]:
    if before.name != after.name:
        yield f"it is now called “{after.name}”, no longer “{before.name}”"
    if before.description != after.description:
        yield _came("its description", before.description, after.description)
    if before.severity is not after.severity:
        yield f"its severity went from {before.severity} to {after.severity}"
    yield from _scope(before.scope, after.scope, vocabulary)
    yield from _schedule(before.schedule, after.schedule)
    yield from _condition(before.when, after.when, "the condition", vocabulary)
    yield from _wait(before.held_for, after.held_for, "it")
    yield from _clearing(before.clear, after.clear, vocabulary)
    yield from _missing(before, after)
    yield from _limits(before.limits or Limits(), after.limits or Limits())
    yield from _actions(before.then, after.then, before, after, "on firing", vocabulary)
    yield from _actions(before.on_clear or (), after.on_clear or (), before, after, "on clearing", vocabulary)
    yield from _examples(before.examples or (), after.examples or ())


def _came(what: str, before: object, after: object) -> str:
    if before is None:
        return f"{what} was added"
    return f"{what} was taken out" if after is None else f"{what} was changed"


def _scope(before: Scope, after: Scope, vocabulary: Vocabulary) -> Iterator[str]:
    if before.profile != after.profile:
        yield f"it watches {_profile(after, vocabulary)} instead of {_profile(before, vocabulary)}"
    lists: Mapping[str, tuple[Sequence[object] | None, Sequence[object] | None]] = {
        "device": (before.devices, after.devices),
        "group": (before.groups, after.groups),
        "tag": (before.tags, after.tags),
        "further fact": (before.where, after.where),
    }
    for noun, (old, new) in lists.items():
        yield from _list(noun, old, new)


def _list(noun: str, old: Sequence[object] | None, new: Sequence[object] | None) -> Iterator[str]:
    if old is None and new is not None:
        of = "" if noun == "device" else "devices of "
        yield f"it watches only {of}{_many(len(new), noun)}"
    elif new is None and old is not None:
        yield f"it is no longer narrowed to {_many(len(old), noun)}"
    elif old is not None and new is not None and set(old) != set(new):
        more, fewer = len(set(new) - set(old)), len(set(old) - set(new))
        parts = [f"{_many(more, noun)} more"] if more else []
        parts += [f"{_many(fewer, noun)} fewer"] if fewer else []
        yield f"it is narrowed to {' and '.join(parts)}"


def _many(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _profile(scope: Scope, vocabulary: Vocabulary) -> str:
    key = scope.profile
    return "all profiles" if key is None else f"the profile “{vocabulary.profile_names.get(key, key)}”"


def _schedule(before: Schedule | None, after: Schedule | None) -> Iterator[str]:
    if before == after:
        return
    if after is None:
        yield "it is looked at whenever something it reads changes, no longer on a schedule"
    else:
        was = "" if before is None else f", no longer “{before.cron}” ({zone(before.tz)})"
        yield f"it is looked at on the schedule “{after.cron}” ({zone(after.tz)}){was}"


def _condition(before: Condition, after: Condition, what: str, vocabulary: Vocabulary) -> Iterator[str]:
    """Changes of a condition: leaf by leaf where its form stayed, part by part in one list, else as a whole."""
    if _means_the_same(before, after, vocabulary):
        return
    match before, after:
        case (All(of=old), All(of=new)) | (AnyOf(of=old), AnyOf(of=new)):
            yield from _parts(old, new, what, vocabulary)
        case Not(of=one), Not(of=other):
            yield from _condition(one, other, what, vocabulary)
        case Leaf(), Leaf() if _asks_the_same(before, after):
            yield from _comparison(before, after, vocabulary)
        case _:
            said = [_quoted(each, vocabulary) for each in (before, after)]
            yield f"{what} is now {said[1]}, no longer {said[0]}"


def _means_the_same(one: Condition, other: Condition, vocabulary: Vocabulary) -> bool:
    return _form(one, vocabulary) == _form(other, vocabulary)


def _form(condition: Condition, vocabulary: Vocabulary) -> str:
    """A text that is equal for conditions that mean the same by their form."""
    return json.dumps(canonical(resolved(condition, vocabulary)))


def _asks_the_same(one: Condition, other: Condition) -> bool:
    return isinstance(one, Leaf) and isinstance(other, Leaf) and (one.metric, one.how) == (other.metric, other.how)


def _comparison(before: Leaf, after: Leaf, vocabulary: Vocabulary) -> Iterator[str]:
    asked = subject(after, vocabulary)
    is_threshold = not isinstance(before.value, Operand) and not isinstance(after.value, Operand)
    if before.op is after.op and is_threshold and not isinstance(before.value, tuple | bool):
        values = [_value(each, vocabulary) for each in (before, after)]
        yield f"the threshold of {asked} went from {values[0]} to {values[1]}"
    else:
        yield f"{asked} has to be {compared(after, vocabulary)}, no longer {compared(before, vocabulary)}"


def _value(leaf: Leaf, vocabulary: Vocabulary) -> str:
    """The right side of a comparison alone: an equality says nothing but that."""
    return compared(replace(leaf, op=Op.EQ), vocabulary)


def _parts(old: tuple[Condition, ...], new: tuple[Condition, ...], what: str, vocabulary: Vocabulary) -> Iterator[str]:
    """Parts that stayed are left out, those that ask the same or are of one form paired; the rest came or went."""
    forms = [{_form(part, vocabulary): part for part in parts} for parts in (old, new)]
    lost = [part for form, part in forms[0].items() if form not in forms[1]]
    came = [part for form, part in forms[1].items() if form not in forms[0]]
    pairings: tuple[Callable[[Condition, Condition], bool], ...] = (_asks_the_same, _is_alike)
    for is_pair in pairings:
        for one in list(lost):
            other = next((each for each in came if is_pair(one, each)), None)
            if other is not None:
                lost.remove(one)
                came.remove(other)
                yield from _condition(one, other, what, vocabulary)
    yield from (f"{_quoted(one, vocabulary)} was taken out of {what}" for one in lost)
    yield from (f"{_quoted(one, vocabulary)} was added to {what}" for one in came)


def _is_alike(one: Condition, other: Condition) -> bool:
    return type(one) is type(other) and not isinstance(one, Leaf)


def _quoted(condition: Condition, vocabulary: Vocabulary) -> str:
    return f"“{phrase(condition, vocabulary)}”"


def _wait(before: Duration | None, after: Duration | None, who: str) -> Iterator[str]:
    old, new = (0 if each is None else each.ms for each in (before, after))
    if old == new:
        return
    if after is None:
        yield f"{who} no longer waits"
    elif before is None:
        yield f"{who} now waits {spelled(after)}"
    else:
        yield f"{who} now waits {spelled(after)}, no longer {spelled(before)}"


def _clearing(before: Clearing | None, after: Clearing | None, vocabulary: Vocabulary) -> Iterator[str]:
    if before is None and after is not None:
        wait = "" if after.held_for is None else f" for {spelled(after.held_for)}"
        yield f"it now clears when {phrase(after.when, vocabulary)}{wait}"
    elif after is None and before is not None:
        yield f"it now clears as soon as it is no longer so, not when {phrase(before.when, vocabulary)}"
    elif before is not None and after is not None:
        yield from _condition(before.when, after.when, "the condition to clear", vocabulary)
        yield from _wait(before.held_for, after.held_for, "clearing")


def _missing(before: RuleDocument, after: RuleDocument) -> Iterator[str]:
    old, new = before.missing, after.missing
    if old == new:
        return
    if new is None:
        yield "missing values are no longer treated in any way of their own"
        return
    said = {"hold": "change nothing", "fire": "fire", "clear": "clear", "ignore": "are left out"}[new.do]
    yield f"values missing for {spelled(new.after)} now {said}"


def _limits(before: Limits, after: Limits) -> Iterator[str]:
    lengths = {
        "the quiet time after an alert": (before.cooldown, after.cooldown),
        "the greatest lateness": (before.max_lateness, after.max_lateness),
    }
    for what, (old, new) in lengths.items():
        if (old and old.ms) != (new and new.ms):
            yield _went(what, old and spelled(old), new and spelled(new))
    if before.max_per_hour != after.max_per_hour:
        yield _went("the most alerts an hour", before.max_per_hour, after.max_per_hour)
    if before.quiet != after.quiet:
        yield _went("the silent time", _time(before.quiet), _time(after.quiet))


def _time(time: TimeOfDay | None) -> str | None:
    return None if time is None else time_phrase(time)


def _went(what: str, old: object, new: object) -> str:
    if old is None:
        return f"{what} is now {new}"
    return f"{what} is no longer limited (it was {old})" if new is None else f"{what} went from {old} to {new}"


def _actions(
    old: Sequence[Then], new: Sequence[Then], before: RuleDocument, after: RuleDocument, when: str, words: Vocabulary
) -> Iterator[str]:
    names = [set(map(repr, each)) for each in (old, new)]  # to Python, True equals 1
    lost, came = (
        [each for each in old if repr(each) not in names[1]],
        [each for each in new if repr(each) not in names[0]],
    )
    for one in list(lost):
        other = next((each for each in came if type(each) is type(one)), None)
        if other is not None:
            lost.remove(one)
            came.remove(other)
            was, is_ = action_phrase(one, before.severity, words), action_phrase(other, after.severity, words)
            yield f"{when}, it will {is_}, not {was}" if was != is_ else f"{when}, the text of “{is_}” was changed"
    yield from (f"{when}, it will no longer {action_phrase(each, before.severity, words)}" for each in lost)
    yield from (f"{when}, it will also {action_phrase(each, after.severity, words)}" for each in came)
    if names[0] == names[1] and list(map(repr, old)) != list(map(repr, new)):
        yield f"{when}, the order of what it does was changed"


def _examples(old: Sequence[Example], new: Sequence[Example]) -> Iterator[str]:
    names = [{each.name: each for each in examples} for examples in (old, new)]
    for name in sorted(names[0].keys() | names[1].keys()):
        if names[0].get(name) != names[1].get(name):
            yield _came(f"its test “{name}”", names[0].get(name), names[1].get(name))
