"""`tidegate bench`: measures a platform of its own, started in a temporary folder and thrown away afterwards."""

import argparse
import dataclasses
import json
import sys
from pathlib import Path

from engine.settings import Settings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `tidegate bench ingest` and `tidegate bench kills`."""
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
    ingest.add_argument("--json", type=Path, metavar="FILE", help="also write the figures there")


def run(arguments: argparse.Namespace, settings: Settings) -> int:
    """Measure, print, and return 1 when something was not as promised. The platform under `settings` is not touched."""
    return _ingest(arguments)


def _ingest(arguments: argparse.Namespace) -> int:
    from infra.bench import report
    from infra.bench.ingest import BURSTS, HONEST, measure

    scenarios = {"honest": [HONEST], "bursts": [BURSTS], "both": [HONEST, BURSTS]}[arguments.scenario]
    found = []
    for scenario in scenarios:
        measured = measure(dataclasses.replace(scenario, **_given(arguments)))
        print(report.ingest(measured), flush=True)
        found.append(measured)
    if arguments.json:
        arguments.json.write_text(json.dumps([measured.as_json() for measured in found], indent=1) + "\n")
    wrong = [problem for measured in found for problem in measured.verdict.wrong]
    if wrong:
        print(f"tidegate: {len(wrong)} findings that must not be", file=sys.stderr)
    return 1 if wrong else 0


def _given(arguments: argparse.Namespace) -> dict[str, object]:
    names = ("connections", "in_flight", "rate", "seconds", "values", "workers")
    given: dict[str, object] = {name: value for name in names if (value := getattr(arguments, name)) is not None}
    if arguments.rules is not None:
        given["has_rules"] = arguments.rules == "on"
    return given
