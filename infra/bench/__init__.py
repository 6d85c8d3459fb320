"""`tidegate bench`: measures a platform of its own, started in a temporary folder and thrown away afterwards."""

import argparse
import dataclasses
import json
import secrets
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from engine.settings import Settings
from infra.local.errors import SetupProblem


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of each `tidegate bench …`."""
    benches = parser.add_subparsers(dest="bench", required=True, metavar="BENCH")
    ingest = benches.add_parser("ingest", help="what a message costs and how long it takes")
    ingest.add_argument("--scenario", choices=("honest", "bursts", "both"), default="both")
    ingest.add_argument("--connections", type=int, help="MQTT connections, one device each")
    ingest.add_argument("--in-flight", type=int, help="QoS 1 messages of a connection without PUBACK")
    ingest.add_argument("--rate", type=float, help="messages a second in all")
    ingest.add_argument("--seconds", type=float, help="how long is measured")
    ingest.add_argument("--values", type=int, help="values in a message (1 to 20)")
    ingest.add_argument("--rules", choices=("on", "off"), help="100 rules of which 3 match, or none")
    ingest.add_argument("--workers", type=int, help="worker processes")
    ingest.add_argument("--no-floor", action="store_true", help="do not measure the bare path beside it")
    ingest.add_argument("--json", type=Path, metavar="FILE", help="also write the figures there")
    coap = benches.add_parser("coap", help="what a device's datagram costs")
    coap.add_argument("--devices", type=int, default=50, help="devices, a socket each")
    coap.add_argument("--seconds", type=float, default=10, help="how long each format is measured")
    coap.add_argument("--json", type=Path, metavar="FILE", help="also write the figures there")
    http = benches.add_parser("http", help="what a device's request costs")
    http.add_argument("--connections", type=int, default=50, help="connections kept open, one device each")
    http.add_argument("--seconds", type=float, default=10, help="how long each way to send is measured")
    http.add_argument("--json", type=Path, metavar="FILE", help="also write the figures there")
    overload = benches.add_parser(
        "overload", help="what three times too much does to a platform (a quarter of an hour in all)"
    )
    overload.add_argument("--seconds", type=float, help="how long it lasts (600)")
    overload.add_argument("--times", type=float, help="how many times what it can take is offered (3)")
    overload.add_argument("--connections", type=int, help="MQTT connections, one device each")
    overload.add_argument("--json", type=Path, metavar="FILE", help="also write the figures there")
    connections = benches.add_parser(
        "connections", help="what a connected device holds, and fleets of growing size cost"
    )
    connections.add_argument("--held", type=int, help="connections that are weighed (10,000)")
    connections.add_argument("--sizes", type=int, nargs="+", help="how many devices the fleets have")
    connections.add_argument("--rate", type=float, help="messages a second in all")
    connections.add_argument("--seconds", type=float, help="how long each fleet, and each shift of one, sends")
    connections.add_argument("--json", type=Path, metavar="FILE", help="also write the figures there")
    kills = benches.add_parser("kills", help="kill every process under load, then judge what was stored")
    kills.add_argument("--kills", type=int, help="of each kind")
    kills.add_argument("--events", type=int, help="go on until so many are acknowledged")
    kills.add_argument(
        "--kinds", nargs="+", metavar="KIND", help="which kinds (of processes and their memory, if left out)"
    )
    kills.add_argument("--devices", type=int, help="devices that send")
    kills.add_argument("--rate", type=float, help="messages a second in all")
    kills.add_argument("--pause-s", type=float, help="the longest pause between two kills")
    kills.add_argument("--seed", type=int, help="repeat the order of an earlier campaign")
    kills.add_argument("--json", type=Path, metavar="FILE", help="also write the figures there")
    faults = benches.add_parser("faults", help="all of that and worse: every campaign in a row, and one table")
    faults.add_argument("--kills", type=int, default=20, help="of each process; of everything else fewer (20)")
    faults.add_argument("--rate", type=float, default=2_000, help="messages a second in all (2,000)")
    faults.add_argument("--seed", type=int, help="repeat the order of an earlier run")
    faults.add_argument("--only", nargs="+", metavar="CAMPAIGN", help="only these: processes, trouble, herd, clock")
    faults.add_argument("--json", type=Path, metavar="FILE", help="also write the figures there")
    neighbours = benches.add_parser("neighbours", help="what a tenant above its quota does to the one beside it")
    neighbours.add_argument("--quota", type=int, help="messages a second of each tenant")
    neighbours.add_argument("--times", type=float, help="how many times its quota the noisy one sends")
    neighbours.add_argument("--pairs", type=int, help="pairs of a quiet and a noisy phase")
    neighbours.add_argument("--seconds", type=float, help="how long a phase lasts")
    neighbours.add_argument("--connections", type=int, help="MQTT connections of each tenant")
    neighbours.add_argument("--json", type=Path, metavar="FILE", help="also write the figures there")
    rules = benches.add_parser("rules", help="what the way from the journal to an action costs")
    rules.add_argument("--events", type=int, default=60_000, help="events of a course")
    rules.add_argument("--timers", type=int, default=10_000, help="waits that are over in the same second")
    rules.add_argument("--json", type=Path, metavar="FILE", help="also write the figures there")
    api = benches.add_parser("api", help="what a query costs the web process and Postgres")
    api.add_argument("--times", type=int, default=1_000, help="how often each question is asked")
    api.add_argument("--json", type=Path, metavar="FILE", help="also write the figures there")
    fanout = benches.add_parser("fanout", help="what many live subscribers cost, and how soon they hear")
    fanout.add_argument("--subscribers", type=int, default=2_000, help="who listen, each to 1 message/s (2,000)")
    fanout.add_argument("--seconds", type=float, default=15, help="how long each crowd is measured (15)")
    fanout.add_argument("--json", type=Path, metavar="FILE", help="also write the figures there")
    cut = benches.add_parser("cut", help="how soon a revocation ends what is connected, and the way in by certificate")
    cut.add_argument("--times", type=int, default=5, help="how often each kind of connection is cut")
    cut.add_argument("--json", type=Path, metavar="FILE", help="also write the figures there")
    registry = benches.add_parser("registry", help="what lists of devices cost in a large fleet")
    registry.add_argument("--devices", type=int, default=100_000, help="devices of the fleet")
    registry.add_argument("--json", type=Path, metavar="FILE", help="also write the figures there")
    storage = benches.add_parser("storage", help="what a month of readings takes, and questions about it cost")
    storage.add_argument("--values", type=int, default=20_000_000, help="how many values lie there")
    storage.add_argument("--json", type=Path, metavar="FILE", help="also write the figures there")


def run(arguments: argparse.Namespace, settings: Settings) -> int:
    """Measure, print, and return 1 when something was not as promised. The platform under `settings` is not touched."""
    benches = {
        "ingest": _ingest,
        "coap": _coap,
        "http": _http,
        "overload": _overload,
        "connections": _connections,
        "kills": _kills,
        "faults": _faults,
        "cut": _cut,
        "registry": _registry,
        "storage": _storage,
        "neighbours": _neighbours,
        "rules": _rules,
        "api": _api,
        "fanout": _fanout,
    }
    return benches[arguments.bench](arguments)


def _coap(arguments: argparse.Namespace) -> int:
    from infra.bench import coap, http

    measured = coap.measure(arguments.devices, arguments.seconds)
    print(http.shown(measured, "devices over CoAP", "2.04"))
    if arguments.json:
        arguments.json.write_text(json.dumps(measured.as_json(), indent=1) + "\n")
    return 0 if measured.stored == measured.sent else 1


def _http(arguments: argparse.Namespace) -> int:
    from infra.bench import http

    measured = http.measure(arguments.connections, arguments.seconds)
    print(http.shown(measured))
    if arguments.json:
        arguments.json.write_text(json.dumps(measured.as_json(), indent=1) + "\n")
    return 0 if measured.stored == measured.sent else 1


def _overload(arguments: argparse.Namespace) -> int:
    from infra.bench import overload

    flood = overload.Flood(**_given(arguments, ("seconds", "times", "connections")))
    weathered = overload.measure(flood, lambda sentence: print(f"  {sentence}", flush=True))
    print(overload.shown(weathered))
    if arguments.json:
        arguments.json.write_text(json.dumps(weathered.as_json(), indent=1) + "\n")
    return 1 if weathered.wrong or weathered.verdict.wrong else 0


def _connections(arguments: argparse.Namespace) -> int:
    from infra.bench import connections

    crowd = connections.Crowd(**_given(arguments, ("held", "sizes", "rate", "seconds")))
    measured = connections.measure(crowd, lambda sentence: print(f"  {sentence}", flush=True))
    print(connections.shown(measured))
    if arguments.json:
        arguments.json.write_text(json.dumps(measured.as_json(), indent=1) + "\n")
    return 0 if measured.is_within else 1


def _registry(arguments: argparse.Namespace) -> int:
    from infra.bench import registry

    measured = registry.measure(arguments.devices)
    print(registry.shown(measured))
    if arguments.json:
        arguments.json.write_text(json.dumps(measured.as_json(), indent=1) + "\n")
    return 0 if all(answer.is_within for answer in measured.answers) else 1


def _storage(arguments: argparse.Namespace) -> int:
    from infra.bench import storage

    measured = storage.measure(arguments.values, lambda sentence: print(f"  {sentence}", flush=True))
    print(storage.shown(measured))
    if arguments.json:
        arguments.json.write_text(json.dumps(measured.as_json(), indent=1) + "\n")
    return 0 if all(answer.is_within for answer in measured.answers) else 1


def _api(arguments: argparse.Namespace) -> int:
    from infra.bench import api

    costs = api.measure(arguments.times)
    print(api.shown(costs))
    if arguments.json:
        arguments.json.write_text(json.dumps(api.as_json(costs), indent=1) + "\n")
    return 0 if all(cost.is_within for cost in costs) else 1


def _fanout(arguments: argparse.Namespace) -> int:
    from infra.bench import fanout

    all_heard = fanout.measure(arguments.subscribers, arguments.seconds, lambda told: print(f"  {told}", flush=True))
    print(fanout.shown(all_heard))
    if arguments.json:
        arguments.json.write_text(json.dumps(fanout.as_json(all_heard), indent=1) + "\n")
    return 0 if all(heard.is_within for heard in all_heard) else 1


def _rules(arguments: argparse.Namespace) -> int:
    from infra.bench import rules

    measured = rules.measure(arguments.events, arguments.timers)
    print(rules.shown(measured))
    if arguments.json:
        arguments.json.write_text(json.dumps(measured.as_json(), indent=1) + "\n")
    return 0 if measured.is_within else 1


def _cut(arguments: argparse.Namespace) -> int:
    from infra.bench import cut

    measured = cut.measure(arguments.times)
    print(cut.shown(measured))
    if arguments.json:
        arguments.json.write_text(json.dumps(measured.as_json(), indent=1) + "\n")
    return 0 if measured.is_within else 1


def _kills(arguments: argparse.Namespace) -> int:
    from infra.bench import report
    from infra.bench.kills import BESIDE, CLOCK, HARDSHIPS, KINDS, Campaign, wage

    there_are = (*KINDS, *BESIDE, *HARDSHIPS, CLOCK)
    unknown = set(arguments.kinds or ()) - {*there_are}
    if unknown:
        known = ", ".join(there_are)
        raise SetupProblem(f"There is no kind {', '.join(sorted(unknown))}; there are {known}.")
    given = _given(arguments, ("kills", "events", "kinds", "devices", "rate", "pause_s", "seed"))
    campaign = Campaign(**({"seed": secrets.randbelow(1_000_000)} | given))
    print(f"seed {campaign.seed}: {campaign.kills} kills of each of {', '.join(campaign.kinds)}", flush=True)
    outcome = wage(campaign, lambda sentence: print(f"  {sentence}", flush=True))
    print(report.kills(outcome))
    if arguments.json:
        arguments.json.write_text(json.dumps(outcome.as_json(), indent=1, default=str) + "\n")
    return 1 if outcome.wrong else 0


def _faults(arguments: argparse.Namespace) -> int:
    from infra.bench import faults

    seed = secrets.randbelow(1_000_000) if arguments.seed is None else arguments.seed
    plans = faults.plan(arguments.kills, arguments.rate, seed)
    names = [named.name for named in plans]
    if unknown := set(arguments.only or ()) - {*names}:
        raise SetupProblem(f"There is no campaign {', '.join(sorted(unknown))}; there are {', '.join(names)}.")
    plans = [named for named in plans if not arguments.only or named.name in arguments.only]
    endured = faults.endure(plans, lambda sentence: print(sentence, flush=True))
    print("\n" + faults.shown(endured))
    if arguments.json:
        arguments.json.write_text(json.dumps(endured.as_json(), indent=1, default=str) + "\n")
    return 1 if endured.wrong else 0


def _ingest(arguments: argparse.Namespace) -> int:
    from infra.bench import report
    from infra.bench.ingest import BURSTS, HONEST, measure

    scenarios = {"honest": [HONEST], "bursts": [BURSTS], "both": [HONEST, BURSTS]}[arguments.scenario]
    given = _given(arguments, ("connections", "in_flight", "rate", "seconds", "values", "workers"))
    if arguments.rules is not None:
        given["has_rules"] = arguments.rules == "on"
    given["has_floor"] = not arguments.no_floor
    found = []
    for scenario in scenarios:
        measured = measure(dataclasses.replace(scenario, **given))
        print(report.ingest(measured), flush=True)
        found.append(measured)
    if arguments.json:
        arguments.json.write_text(json.dumps([measured.as_json() for measured in found], indent=1) + "\n")
    wrong = [problem for measured in found for problem in measured.wrong]
    if wrong:
        print(f"tidegate: {len(wrong)} findings that must not be", file=sys.stderr)
    return 1 if wrong else 0


def _neighbours(arguments: argparse.Namespace) -> int:
    from infra.bench import neighbours

    given = _given(arguments, ("quota", "times", "pairs", "seconds", "connections"))
    heard = neighbours.measure(neighbours.Street(**given), lambda sentence: print(f"  {sentence}", flush=True))
    print(neighbours.shown(heard))
    if arguments.json:
        arguments.json.write_text(json.dumps(heard.as_json(), indent=1) + "\n")
    return 1 if heard.wrong or heard.is_slowed else 0


def _given(arguments: argparse.Namespace, names: Sequence[str]) -> dict[str, Any]:
    return {name: value for name in names if (value := getattr(arguments, name)) is not None}
