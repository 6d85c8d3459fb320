"""A table of devices is read as people write it, and each mistake has its line and its words."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.devices import sheet
from engine.devices.errors import SheetMalformed, SheetTooLong


def test_a_line_says_all_there_is_to_say_of_a_device() -> None:
    table = (
        "\ufeffKey,Name,profile,tags,attributes,label.floor,groups\r\n"
        'pump-1,"Pump, big",cold-room,outdoor; critical,site=7|owner=Müller,2,north; south;north\r\n'
        "\r\n"
        "pump-2,,,,,,\r\n"
    )
    first, second = sheet.read(table)
    assert (first.number, first.key, first.name, first.profile) == (2, "pump-1", "Pump, big", "cold-room")
    assert first.labels == {"outdoor": "", "critical": "", "site": "7", "owner": "Müller", "floor": "2"}
    assert first.groups == ("north", "south")
    assert (second.number, second.name, second.profile, second.labels, second.groups) == (4, None, None, {}, ())


def test_a_table_without_label_columns_does_not_speak_of_labels() -> None:
    (row,) = sheet.read("key\npump-1\n")
    assert row.labels is None


def test_semicolons_divide_cells_where_the_heading_uses_them() -> None:
    (row,) = sheet.read('key;name;tags\np1;Pump;"a;b"\n')
    assert (row.name, row.labels) == ("Pump", {"a": "", "b": ""})


@pytest.mark.parametrize(
    ("line", "column", "words"),
    [
        ("a b,,", "key", "letters, digits"),
        (",x,", "key", "letters, digits"),
        (f"p,{'x' * 121},", "name", "1 to 120"),
        ("p,,site", "attributes", "'site' is not"),
        (f"p,,a={'x' * 121}", "attributes", "Labels are"),
        ("p,,a=1,too,many", None, "5 cells"),
    ],
)
def test_a_mistake_is_said_with_its_line_and_column(line: str, column: str | None, words: str) -> None:
    good, bad = sheet.read(f"key,name,attributes\nfine,Fine,a=1\n{line}\n")
    assert good.flaw is None
    assert bad.number == 3
    assert bad.flaw is not None
    assert bad.flaw.column == column
    assert words in bad.flaw.message


def test_a_key_that_comes_twice_is_a_mistake_of_the_later_line() -> None:
    first, _, third = sheet.read("key\np\nq\np\n")
    assert first.flaw is None
    assert third.flaw is not None
    assert "Line 2" in third.flaw.message


def test_a_cell_with_line_breaks_counts_as_the_line_it_begins_at() -> None:
    rows = sheet.read('key,name\na,"two\nlines"\nb,B\n')
    assert [row.number for row in rows] == [2, 4]


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ("", "heading line"),
        ("name\nPump\n", "no column key"),
        ("key,colour\n", "no column 'colour'"),
        ("key,key\n", "twice"),
        ('key\n"open\n', "Line 2 is no CSV"),
        ("key\na\0b\n", "U\\+0000"),
    ],
)
def test_what_is_no_table_is_refused_as_a_whole(table: str, words: str) -> None:
    with pytest.raises(SheetMalformed, match=words):
        sheet.read(table)


def test_a_table_has_an_end() -> None:
    sheet.read("key\n" + "\n".join(f"p{n}" for n in range(sheet.MAX_ROWS)))
    with pytest.raises(SheetTooLong):
        sheet.read("key\n" + "\n".join(f"p{n}" for n in range(sheet.MAX_ROWS + 1)))
    with pytest.raises(SheetTooLong):
        sheet.read("key\n" + "x" * sheet.MAX_CHARS)


@given(st.text(alphabet=st.sampled_from('key,;"\n\r \t=|ab1\0é'), max_size=200))
def test_any_text_is_rows_or_a_refusal(text: str) -> None:
    try:
        rows = sheet.read("key,name,tags,attributes\n" + text)
    except SheetMalformed:
        return
    assert all(row.flaw or row.key for row in rows)
