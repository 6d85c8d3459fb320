"""Setting up the second factor: what is shown once goes away again, and the picture says what the app needs."""

import random
import string
from typing import Any

import pytest
import segno

from tests.support import qr as reader
from tests.ui.support import Gateway, Visit
from ui import qr
from ui.components.second_factor import SecondFactor

URI = "otpauth://totp/Tidegate:owner%40demo.example?digits=6&secret=ABCDEFGHIJKLMNOPQRSTUVWXYZ234567&issuer=Tidegate"


async def run(handler: Any) -> None:
    """Let a handler that shows its steps run to its end."""
    async for _ in handler:
        pass


@pytest.fixture
async def factor(gateway: Gateway, visit: Visit) -> SecondFactor:
    gateway.answers["SecondFactor"] = {"me": {"hasSecondFactor": False, "recoveryCodesLeft": 0}}
    gateway.answers["SecondFactorEnrol"] = {"secondFactorEnrol": {"secret": "ABCDEFGHIJ", "uri": URI}}
    state = visit(SecondFactor, "/account")
    await run(state.load())
    return state


async def test_the_picture_holds_the_address_that_the_app_needs(factor: SecondFactor, gateway: Gateway) -> None:
    assert factor.step == "off"
    factor.begin()
    await factor.enrol({"password": "four plain words"})
    assert gateway.variables("SecondFactorEnrol") == {"input": {"password": "four plain words"}}
    assert (factor.step, factor.secret) == ("scan", "ABCD EFGH IJ")
    assert reader.read(reader.modules(factor.picture, int(factor.side.split()[-1]))) == URI


async def test_a_wrong_password_leaves_the_form_and_says_so(factor: SecondFactor, gateway: Gateway) -> None:
    gateway.refuses("SecondFactorEnrol", "That is not your present password.", "PASSWORD_WRONG")
    factor.begin()
    form = factor.form_number
    await factor.enrol({"password": "x"})
    assert (factor.step, factor.problem) == ("prove", "That is not your present password.")
    assert factor.form_number > form  # what was typed is not kept on the screen


async def test_recovery_codes_are_shown_until_one_comes_back(factor: SecondFactor, gateway: Gateway) -> None:
    gateway.answers["SecondFactorConfirm"] = {
        "secondFactorConfirm": {"recoveryCodes": ["aaaa-bbbb", "cccc-dddd"], "endedSessions": 1}
    }
    await factor.enrol({"password": "x"})
    await factor.confirm({"code": "123 456"})
    assert gateway.variables("SecondFactorConfirm") == {"input": {"code": "123456"}}
    assert (factor.step, factor.recovery) == ("keep", "aaaa-bbbb\ncccc-dddd")
    assert (factor.secret, factor.picture) == ("", "")
    assert factor.said == "Signing in takes a code from now on. 1 other session ended."
    gateway.answers["SecondFactor"] = {"me": {"hasSecondFactor": True, "recoveryCodesLeft": 2}}
    await run(factor.load())
    assert (factor.step, factor.codes, factor.left) == ("on", [], 2)


async def test_it_is_turned_off_with_password_and_code(factor: SecondFactor, gateway: Gateway) -> None:
    gateway.answers["SecondFactorRemove"] = {"secondFactorRemove": {"isOn": False}}
    factor.doubt()
    await factor.turn_off({"password": "x", "code": " aaaa-bbbb "})
    assert gateway.variables("SecondFactorRemove") == {"input": {"password": "x", "code": "aaaa-bbbb"}}
    assert (factor.step, "is off" in factor.said) == ("off", True)


@pytest.mark.parametrize("length", [1, 14, 15, 62, 107, 131, 180, 181, 252, 450, 666])
def test_a_code_of_each_size_reads_back_without_a_single_error(length: int) -> None:
    text = "".join(random.Random(length).choices(string.ascii_letters + string.digits + ":/?&=%", k=length))
    assert reader.read(reader.modules(*qr.svg_path(text))) == text


@pytest.mark.parametrize(("x", "y"), [(20, 20), (0, 0), (10, 6), (8, 13), (8, 0), (12, 8)])
def test_a_reader_notices_one_wrong_module(x: int, y: int) -> None:
    """Of the text, a corner, the timing line, the one that is always dark, and both copies of the format."""
    wrong = reader.modules(*qr.svg_path("otpauth:a%both"))
    wrong[y][x] = not wrong[y][x]
    with pytest.raises(reader.Unreadable):
        reader.read(wrong)


def test_a_code_looks_as_two_programs_draw_it() -> None:
    """As drawn by an encoder of our own, which this one replaced, for the same text, version, level and mask."""
    rows = reader.modules(*qr.svg_path("otpauth:a%both"))
    assert "\n".join("".join("#" if is_dark else "." for is_dark in row) for row in rows) == DRAWN


def test_what_does_not_fit_is_said() -> None:
    with pytest.raises(segno.DataOverflowError):
        qr.svg_path("x" * 2332)


DRAWN = """\
#######..#..#.#######
#.....#..##.#.#.....#
#.###.#.....#.#.###.#
#.###.#..#....#.###.#
#.###.#..#..#.#.###.#
#.....#.#.....#.....#
#######.#.#.#.#######
.........###.........
#..#.##.#..#.#.#.....
..#.#..###.####.#...#
#..####...####....#.#
.##.#..####...##.#...
#..#..##..###....#.#.
........#.#.#..#.#..#
#######..#..##.#####.
#.....#.#...##.#...##
#.###.#..###.#.#.....
#.###.#.###.#.#.#..##
#.###.#...#########.#
#.....#....###..#....
#######.#####.###..#."""
