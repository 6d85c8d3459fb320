"""Those who judge what stands beside a platform find what is wrong, and excuse only what a death explains."""

import asyncio
import json

from infra.bench.beside import judged_edge
from infra.bench.unruly import Unruly, read


def publish(packet_id: int, n: int) -> bytes:
    """A PUBLISH with QoS 1 in MQTT 5."""
    body = b"\x00\x03t/x" + packet_id.to_bytes(2, "big") + b"\x00" + json.dumps({"n": n}).encode()
    return bytes((0x32, len(body))) + body


def test_an_edges_readings_may_be_missing_only_right_before_its_death() -> None:
    served = [n / 10 for n in range(200)]  # number n at (n - 1) / 10 s
    everything = list(range(1, 201))
    assert judged_edge(served, [5.0], everything, 0).wrong == []
    before_death = [n for n in everything if n not in (49, 50, 51)]
    fine = judged_edge(served, [5.0], before_death, 0)
    assert (fine.wrong, fine.gone, fine.lost) == ([], 3, 0)
    assert judged_edge(served, [5.0], [n for n in everything if n != 49], 0).lost == 1, "those after it came"
    assert judged_edge(served, [5.05], [n for n in everything if n != 52], 0).lost == 0, "nobody was there to hear it"
    assert judged_edge(served, [5.05], [n for n in everything if n not in (54, 55)], 0).lost == 2, "somebody was"
    assert judged_edge(served, [19.9], [n for n in everything if n < 50], 0).lost == 50, "that is longer than a write"
    assert judged_edge(served, [], [n for n in everything if n != 49], 1).wrong == [], "it was dropped, and counted"
    twice = judged_edge(served, [], [*everything, 7, 201], 0)
    assert twice.twice == 1
    assert [words.partition(",")[0] for words in twice.wrong] == [
        "edge: 1 readings are stored twice",
        "edge: 1 stored readings were never the machine's",
    ]


async def test_the_unruly_road_repeats_and_swaps_and_notes_each_acknowledgement_once() -> None:
    acknowledged: list[bytes] = []

    async def broker(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for n in range(1, 31):
            writer.write(publish(n, n))
        while packet := await reader.read(4):
            acknowledged.append(packet)

    server = await asyncio.start_server(broker, "127.0.0.1", 0)
    heard: list[tuple[int, bool]] = []
    with Unruly(server.sockets[0].getsockname()[1], lambda _, payload: json.loads(payload)["n"]) as road:
        reader, writer = await asyncio.open_connection("127.0.0.1", road.port)
        while len({n for n, _ in heard}) < 30 or len(heard) < 30 + road.repeated:
            first = await asyncio.wait_for(reader.readexactly(2), 30)
            published = read(first + await reader.readexactly(first[1]))
            heard.append((published.packet_id, bool(first[0] & 8)))
            writer.write(b"\x40\x02" + published.packet_id.to_bytes(2, "big"))
        writer.close()
        while len(road.acknowledged) < 30:
            await asyncio.sleep(0.01)
    server.close()
    assert road.acknowledged == set(range(1, 31))
    assert sum(is_repeat for _, is_repeat in heard) == road.repeated == 8
    first_time = [n for n, is_repeat in heard if not is_repeat]
    assert sorted(first_time) == list(range(1, 31)) != first_time
    assert road.swapped == 5
