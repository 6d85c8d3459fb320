"""The files of the demo's edge: its token, and the point table by which it reads the machines of `plant.py`."""

from pathlib import Path
from string import Template

import yaml

from infra.local import demo
from infra.local.ground import private_file

FOLDER = "edge"
FILE, TOKEN_FILE = "edge.yaml", "token"

EDGE_FILE = Template("""\
# The demo's edge: `tidegate up --demo` writes this file and runs `tidegate edge` with it.
platform: {host: 127.0.0.1, port: $mqtt_port, tls: false, tenant: $tenant, device: $gateway, token_file: token}
spool: {folder: data, max_mb: 64}
connections:
  plant: {protocol: modbus-tcp, host: 127.0.0.1, port: $plant_port}
devices:
  cooler-1:
    connection: plant
    address: {unit: 1}
    every: 5 s
    points:
      - {metric: temperature, address: {input: 0}, type: int16, scale: 0.1, unit: °C}
      - {metric: humidity, address: {input: 1}, type: uint16, scale: 0.1, unit: "%"}
      - {metric: door_open, address: {input: 2, bit: 0}, on_change: true, at_least_every: 1 min}
      - {metric: compressor_on, address: {input: 2, bit: 1}, on_change: true, at_least_every: 1 min}
      - {metric: defrost_min, address: {holding: 0}, type: uint16, access: write, unit: min}
  boiler-feed:
    connection: plant
    address: {unit: 2}
    every: 5 s
    points:
      - {metric: flow, address: {input: 0}, type: float32, unit: m³/h}
      - {metric: pressure, address: {input: 2, words: little}, type: float32, unit: bar}
      - {metric: vibration, address: {input: 4}, type: uint16, scale: 0.01, unit: mm/s}
      - {metric: running, address: {input: 5, bit: 0}, on_change: true, at_least_every: 1 min}
      - {metric: speed, address: {holding: 0}, type: uint16, access: read-write, unit: "%", deadband: 0.5}
""")


def write_edge_file(folder: Path, mqtt_port: int, plant_port: int) -> Path:
    """Write the demo edge's file beside its token; where it lies."""
    path = folder / FOLDER / FILE
    ports = {"mqtt_port": mqtt_port, "plant_port": plant_port}
    private_file(path, EDGE_FILE.substitute(ports, tenant=demo.TENANT, gateway=demo.GATEWAY))
    return path


def plant_port(folder: Path) -> int | None:
    """Where the file says that the machines are; None without one."""
    try:
        said = yaml.safe_load((folder / FOLDER / FILE).read_text())
        return int(said["connections"]["plant"]["port"])
    except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError):
        return None
