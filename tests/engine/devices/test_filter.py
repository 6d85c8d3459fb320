"""A filter says what it wants, or what is wrong with it."""

import pytest

from engine.devices.errors import FilterMalformed
from engine.devices.filter import Filter, labels_asked, parse


def test_one_text_is_a_list_of_one_and_the_order_does_not_matter() -> None:
    found = parse({"labels": {"site": "7"}, "profile": ["b", "a", "a"], "status": "active", "keyPrefix": "pump-"})
    assert found == Filter((("site", ("7",)),), ("a", "b"), ("active",), ("pump-",))
    assert parse(found.document()) == found


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ([], "A filter is an object"),
        (None, "A filter is an object"),
        ({}, "asks for nothing"),
        ({"status": []}, "asks for nothing"),
        ({"lables": {}}, "'lables' is none of them"),
        ({"labels": "site"}, "labels is an object"),
        ({"labels": {"site": 7}}, "labels.site is a text"),
        ({"labels": {"site": []}}, "labels.site names no value"),
        ({"labels": {"": "x"}}, "1 to 40 characters"),
        ({"labels": {"site": "a\0"}}, "labels.site cannot be"),
        ({"labels": {str(n): "x" for n in range(11)}}, "at most 10 labels"),
        ({"status": "decommissioned"}, "one of provisioned, active, suspended"),
        ({"profile": ["x"] * 21}, "at most 20 texts"),
        ({"keyPrefix": "a%"}, "keyPrefix cannot be"),
        ({"keyPrefix": ["a", None]}, "keyPrefix is a text"),
    ],
)
def test_what_is_wrong_is_said(document: object, words: str) -> None:
    with pytest.raises(FilterMalformed, match=words):
        parse(document)


def test_labels_of_a_list_are_asked_for_by_name_or_by_value() -> None:
    asked = labels_asked(["site=8", "floor", "site=7", "room=a=b", "empty="])
    assert asked == (("empty", ("",)), ("floor", ()), ("room", ("a=b",)), ("site", ("7", "8")))
    assert labels_asked(["site=7", "site"]) == (("site", ()),), "any value is more than that one"


@pytest.mark.parametrize(
    ("text", "name", "values"),
    [
        (r"a\=b=c=d", "a=b", ("c=d",)),
        (r"a\=b", "a=b", ()),
        (r"a\\=b", "a\\", ("b",)),
        (r"a\b=c\=d", r"a\b", (r"c\=d",)),
        ("a\nb=c", "a\nb", ("c",)),
        ("a\\", "a\\", ()),
    ],
)
def test_an_equals_sign_may_belong_to_the_name_of_a_label(text: str, name: str, values: tuple[str, ...]) -> None:
    assert labels_asked([text]) == ((name, values),)


@pytest.mark.parametrize("text", ["=7", "", "x" * 41, "site=" + "x" * 121, "site=\0", "si\0te"])
def test_labels_that_no_device_can_have_are_refused(text: str) -> None:
    with pytest.raises(FilterMalformed):
        labels_asked([text])
