"""Point tables in the database: what is wanted, what the edge says, and who hears of it."""

from collections.abc import Sequence

import pytest

from engine.devices.model import Device
from engine.points import check, errors
from engine.points import service as points
from engine.points.model import MAX_TEXT_BYTES, Kept, PointTableState
from tests.support.tenant import Tenant

TEXT = """\
connections:
  plc: {protocol: modbus-tcp, host: 192.168.10.20}
  server: {protocol: opcua, url: "opc.tcp://192.168.10.30:4840", user: op, password_file: secrets/press}
devices:
  freezer:
    connection: plc
    points:
      - {metric: temperature, address: {holding: 100}, type: int16, scale: 0.1}
"""


async def want(tenant: Tenant, device: Device, text: str, version: int) -> Kept:
    async with tenant.store.as_tenant(tenant.principal()) as tx:
        return await points.want(tx, device.id, text, check.checked(text), version)


async def say(tenant: Tenant, device: Device, **said: object) -> Kept:
    async with tenant.store.as_tenant(tenant.principal()) as tx:
        await points.follow(tx, {"device": str(device.id), "at": 1_769_860_800_000, **said})
        return await points.get(tx, device.id)


async def test_a_table_waits_until_its_edge_says_that_it_runs_it_or_will_not(tenant: Tenant) -> None:
    device = await tenant.device()
    assert (await say(tenant, device, running=0, points=7)).state is PointTableState.NONE
    kept = await want(tenant, device, TEXT, 0)
    assert (kept.state, kept.version, kept.points) == (PointTableState.WAITING, 1, 1)
    assert (await say(tenant, device, running=1, points=1)).state is PointTableState.RUNNING
    assert (await want(tenant, device, TEXT + "\n", 1)).state is PointTableState.WAITING
    problems = [{"line": 3, "place": "", "words": "No."}]
    refused = await say(tenant, device, running=1, points=1, refused={"version": 2, "problems": problems})
    assert (refused.state, refused.problems[0].words) == (PointTableState.REFUSED, "No.")
    # an edge whose disk was lost runs its file's again: it is to be sent what is wanted
    assert (await say(tenant, device, running=0, points=7)).state is PointTableState.WAITING
    assert (await say(tenant, device, running=0, points=7, local=True)).state is PointTableState.REFUSED


async def test_a_table_that_is_wrong_too_large_or_made_from_an_older_one_is_not_taken(tenant: Tenant) -> None:
    device = await tenant.device()
    with pytest.raises(errors.PointTableInvalid, match="Line 8: `type` is 'int17'"):
        await want(tenant, device, TEXT.replace("int16", "int17"), 0)
    with pytest.raises(errors.PointTableTooLarge):
        await want(tenant, device, TEXT + "#" * MAX_TEXT_BYTES, 0)
    await want(tenant, device, TEXT, 0)
    with pytest.raises(errors.PointTableStale):
        await want(tenant, device, TEXT, 0)


@pytest.mark.parametrize("said", [{}, {"running": -1, "points": 0}, {"running": 1, "points": 1, "refused": 3}])
async def test_what_no_edge_says_is_not_noted(tenant: Tenant, said: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"refused|running"):
        await say(tenant, await tenant.device(), **said)


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("", None, "The file is empty."),
        (TEXT.replace("secrets/press", "opcua/key.pem"), 3, "write secrets/NAME"),
        (TEXT.replace("secrets/press", "secrets/../token"), 3, "write secrets/NAME"),
        (TEXT.replace("modbus-tcp, host: 192.168.10.20", "modbus-rtu, device: /etc/shadow"), 2, "is a serial line"),
        (TEXT.replace("modbus-tcp, host: 192.168.10.20", "modbus-rtu, device: /dev/../etc/x"), 2, "is a serial line"),
        (TEXT.replace("holding: 100", "holding: 100, bit: 99"), 8, "write a whole number from 0 to 15"),
        (TEXT.replace("metric: temperature, ", ""), 8, "`metric` is missing"),
        ("connections: {}", 1, "There is no connection yet"),
    ],
)
def test_what_is_wrong_is_told_with_its_line_and_the_remedy(text: str, line: int | None, words: str) -> None:
    found: Sequence[tuple[int | None, str]] = [(each.line, each.words) for each in check.checked(text).problems]
    assert len(found) == 1
    assert found[0][0] == line
    assert words in found[0][1]


def test_the_words_of_protocols_are_known_without_their_libraries() -> None:
    text = """\
connections:
  net: {protocol: bacnet, interface: 192.168.10.5/24}
  press: {protocol: opcua, url: "opc.tcp://192.168.10.30:4840"}
devices:
  ahu:
    connection: net
    address: {device: 1201}
    points: [{metric: supply, address: {object: "analog-input,3"}}]
  press-1:
    connection: press
    points:
      - {metric: oil, address: {node: "nsu=urn:maker:press;s=Oil.Temperature"}}
      - {metric: start, address: {node: "ns=2;s=Press.Start", object: "ns=2;s=Press"}, access: command}
"""
    assert (check.checked(text).points, check.checked(text).problems) == (3, ())
    assert check.checked(text.replace("nsu=urn:maker:press;s=", "")).problems[0].line == 12
