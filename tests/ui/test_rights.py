"""The rights in words: each that exists has some, and none that does not."""

from engine.tenancy import SCOPES
from ui.rights import NOUNS, OTHERS, right_words

SCOPES_THERE_ARE = frozenset[str]().union(*SCOPES.values())


def test_each_right_has_words_and_no_words_are_of_a_right_that_is_none() -> None:
    in_words = {
        f"{noun}:{verb}"
        for noun, said in NOUNS.items()
        for verb, is_said in zip(("read", "write"), said[1:], strict=True)
        if is_said
    }
    assert in_words | OTHERS.keys() == SCOPES_THERE_ARE
    assert all(right_words(scope) != scope for scope in SCOPES_THERE_ARE)
    assert right_words("inbox:write") == "inbox:write"
