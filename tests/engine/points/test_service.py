"""Point tables in the database: what is wanted, what the edge says, and who hears of it."""

from base64 import b64encode
from collections.abc import Sequence
from random import Random

import pytest

from engine.devices.model import Device
from engine.points import check, errors
from engine.points import service as points
from engine.points.changes import changes
from engine.points.model import MAX_PACKED_CHARS, MAX_TEXT_BYTES, VERSIONS_KEPT, Kept, PointTableState
from engine.points.packed import pack
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
    noise = b64encode(Random(7).randbytes(MAX_PACKED_CHARS)).decode()
    for much in ("#" * MAX_TEXT_BYTES, "#" + noise):
        with pytest.raises(errors.PointTableTooLarge):
            await want(tenant, device, TEXT + much, 0)
    await want(tenant, device, TEXT, 0)
    with pytest.raises(errors.PointTableStale):
        await want(tenant, device, TEXT, 0)


async def test_the_last_versions_are_kept_and_any_of_them_is_brought_back_as_a_new_one(tenant: Tenant) -> None:
    device, other = await tenant.device("edge-1"), await tenant.device("edge-2")
    await want(tenant, other, TEXT, 0)
    for n in range(VERSIONS_KEPT + 3):
        await want(tenant, device, f"{TEXT}# {n}\n", n)
    async with tenant.store.as_tenant(tenant.principal()) as tx:
        listed = await points.versions(tx, device.id)
        assert [each.version for each in listed] == list(range(VERSIONS_KEPT + 3, 3, -1))
        assert {each.changed_by for each in listed} == {tenant.principal().name}
        former = await points.version(tx, device.id, 5)
        assert former.text.endswith("# 4\n")
        for gone in (3, VERSIONS_KEPT + 4):
            with pytest.raises(errors.PointTableVersionNotFound):
                await points.version(tx, device.id, gone)
        back = await points.want(tx, device.id, former.text, check.checked(former.text), 23, deed="revert")
        assert (back.version, back.text) == (24, former.text)
        assert [each.version for each in await points.versions(tx, other.id)] == [1]


async def test_the_table_of_the_edges_file_is_kept_while_it_runs_it(tenant: Tenant) -> None:
    device = await tenant.device()
    assert (await say(tenant, device, running=0, points=1, file=pack(TEXT))).file_text == TEXT
    assert (await say(tenant, device, running=1, points=1)).file_text is None
    for none in ("no base64", pack("#" * (MAX_TEXT_BYTES + 1)), pack("a\0b"), pack(TEXT)[:40]):
        with pytest.raises(ValueError, match="table"):
            await say(tenant, device, running=0, points=1, file=none)


def test_what_is_different_is_told_point_by_point() -> None:
    changed = TEXT.replace("scale: 0.1", "scale: 0.01, unit: degC").replace("holding: 100", "holding: 101")
    changed = changed.replace("plc: {", "line: {protocol: modbus-tcp, host: 192.0.2.1}\n  plc: {")
    changed = changed.replace(", user: op, password_file: secrets/press", "") + "# a remark\n"
    assert [(each.kind, each.name, each.words) for each in changes(TEXT, changed)] == [
        ("added", "connection line", "protocol: modbus-tcp; host: 192.0.2.1"),
        ("changed", "connection server", "user: op → left out; password_file: secrets/press → left out"),
        ("changed", "freezer/temperature", "address holding: 100 → 101; scale: 0.1 → 0.01; unit: not said → degC"),
    ]
    gone = changes(TEXT, "connections: {}")
    assert [(each.kind, each.name) for each in gone][-1] == ("removed", "freezer/temperature")
    assert changes("", "[") == []


@pytest.mark.parametrize(
    "said",
    [
        {},
        {"running": -1, "points": 0},
        {"running": 1, "points": 1, "refused": 3},
        {"running": 0, "points": 0, "file": 3},
    ],
)
async def test_what_no_edge_says_is_not_noted(tenant: Tenant, said: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"refused|running|file"):
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
        ("[" * 500_000, None, "The values are nested too deep."),
        ("connections: {plc: [\n\n", 1, "This is no YAML"),
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
