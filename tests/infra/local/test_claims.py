"""What a start needs and cannot have is refused in one line that says what to do."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.settings import Settings
from infra.local import claims, ports
from infra.local.errors import SetupProblem
from infra.local.ports import Held, holder, is_free
from tests.support.process import free_port


@pytest.fixture
def taken_port() -> Iterator[int]:
    """A port that somebody (we) listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield int(listener.getsockname()[1])


def free_settings(**ports: int) -> Settings:
    given = {name: free_port() for name in claims.PORTS} | ports
    return Settings(**given)  # type: ignore[arg-type]  # all of them are ports


def test_a_port_that_was_set_and_is_taken_is_an_error_that_names_the_variable_and_the_holder(taken_port: int) -> None:
    environ = {"TIDEGATE_HTTP_PORT": str(taken_port)}
    with pytest.raises(SetupProblem) as refusal:
        claims.choose_ports(free_settings(http_port=taken_port), environ, print)
    said = str(refusal.value)
    assert f"TIDEGATE_HTTP_PORT={taken_port}" in said
    assert f"(process {os.getpid()})" in said
    assert "\n" not in said


def test_a_port_that_was_not_set_and_is_taken_moves_to_the_next_free_one_and_says_so(taken_port: int) -> None:
    told: list[str] = []
    chosen = claims.choose_ports(free_settings(mqtt_port=taken_port), {}, told.append)
    assert chosen["mqtt_port"] != taken_port
    assert is_free(chosen["mqtt_port"])
    assert len(told) == 1
    assert str(taken_port) in told[0]
    assert str(chosen["mqtt_port"]) in told[0]


def test_two_servers_are_never_given_the_same_port() -> None:
    same = free_port()
    chosen = claims.choose_ports(free_settings(http_port=same, ingest_http_port=same, mqtt_port=same), {}, [].append)
    assert len(set(chosen.values())) == len(chosen)


def test_two_settings_with_the_same_port_are_refused_by_their_names() -> None:
    same = free_port()
    environ = {"TIDEGATE_HTTP_PORT": str(same), "TIDEGATE_MQTT_PORT": str(same)}
    with pytest.raises(SetupProblem, match="TIDEGATE_MQTT_PORT and TIDEGATE_HTTP_PORT are both"):
        claims.choose_ports(free_settings(http_port=same, mqtt_port=same), environ, print)


def test_a_port_that_was_set_is_not_given_to_another_server_that_had_to_move(taken_port: int) -> None:
    following = claims.next_free(taken_port + 1)
    settings = free_settings(http_port=taken_port, metrics_port=following)
    chosen = claims.choose_ports(settings, {"TIDEGATE_METRICS_PORT": str(following)}, [].append)
    assert chosen["metrics_port"] == following
    assert chosen["http_port"] != following


def test_two_ups_that_begin_at_once_choose_other_ports_until_one_has_ended() -> None:
    settings = free_settings()
    with Held() as first, Held() as second:
        chosen = claims.choose_ports(settings, {}, [].append, first)
        internal = claims.internal_ports(["web", "tick"], settings, chosen, first)
        others = claims.choose_ports(settings, {}, [].append, second)
        beside = claims.internal_ports(["web", "tick"], settings, others, second)
        assert chosen["coap_port"] != others["coap_port"]  # a number of datagrams may be another's of connections
        ours, theirs = chosen | internal | {"coap_port": 0}, others | beside | {"coap_port": 1}
        assert not {*ours.values()} & {*theirs.values()}
        with pytest.raises(SetupProblem, match=r"TIDEGATE_HTTP_PORT=.*another tidegate up that has just begun"):
            claims.choose_ports(settings, {"TIDEGATE_HTTP_PORT": str(settings.http_port)}, [].append, second)
    with Held() as third:
        assert claims.choose_ports(settings, {}, [].append, third) == chosen


def test_the_holder_of_a_port_is_named(taken_port: int) -> None:
    assert str(os.getpid()) in (holder(taken_port) or "")
    assert holder(free_port()) is None


def test_a_server_s_port_is_none_that_connections_are_given_before_it_begins(
    taken_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert ports.OURS.stop <= 32_768 < 49_152  # where Linux begins with them, and where others do (RFC 6335)
    assert {ports.free_port() for _ in range(20)} <= {*ports.OURS}
    monkeypatch.setattr(ports, "OURS", range(taken_port, taken_port + 200))
    for _ in range(400):
        assert ports.free_port() != taken_port


def test_an_address_that_this_machine_has_not_is_refused_by_name() -> None:
    settings = Settings(host="203.0.113.7")
    with pytest.raises(SetupProblem, match=r"no address 203\.0\.113\.7.*TIDEGATE_HOST"):
        claims.choose_ports(settings, {"TIDEGATE_HTTP_PORT": "8000"}, print)


HOLD = """
import sys
from pathlib import Path
from infra.local import claims, ports
with claims.claimed(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_second_up_in_the_same_folder_is_refused_with_the_number_of_the_first(tmp_path: Path) -> None:
    first = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdin=-1, stdout=-1, text=True)
    with first:
        assert first.stdout is not None
        assert first.stdin is not None
        assert first.stdout.readline() == "held\n"
        with pytest.raises(SetupProblem, match=f"already runs here as process {first.pid}"), claims.claimed(tmp_path):
            pass
        assert claims.running_process(tmp_path) == first.pid
        first.kill()
        first.wait()
        with claims.claimed(tmp_path):
            assert claims.running_process(tmp_path) == os.getpid()
    assert claims.running_process(tmp_path) is None


def test_a_full_disk_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    claims.check_disk(tmp_path, needed_mb=1)
    with pytest.raises(SetupProblem, match=r"Only \d+ MB are free.*TIDEGATE_DATA_DIR"):
        claims.check_disk(tmp_path, needed_mb=10**9)


def test_a_folder_that_cannot_be_made_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(SetupProblem, match="TIDEGATE_DATA_DIR"), claims.claimed(tmp_path / "file" / "data"):
        pass


AS_NOBODY = """
import os, sys
from pathlib import Path
from infra.local import claims, errors
if os.geteuid() == 0:
    os.setgid(65534); os.setuid(65534)
try:
    with claims.claimed(Path(sys.argv[1])): print("entered")
except errors.SetupProblem as problem:
    print(problem)
"""


def test_a_folder_of_another_user_is_refused_with_its_owners_name(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir(mode=0o500)
    mine = [above for above in tmp_path.parents[:3] if above.owner() == tmp_path.owner()]
    for above in (tmp_path, *mine):
        above.chmod(above.stat().st_mode | 0o011)
    done = subprocess.run([sys.executable, "-c", AS_NOBODY, str(folder)], capture_output=True, text=True, check=True)
    assert f"may not write in {folder}, which belongs to {folder.owner()}" in done.stdout


def test_the_ports_of_a_running_up_are_found_and_those_of_a_stopped_one_are_not(tmp_path: Path) -> None:
    with claims.claimed(tmp_path):
        claims.remember(tmp_path, {"http_port": 8010})
        assert claims.running_ports(tmp_path) == {"http_port": 8010}
    assert claims.running_ports(tmp_path) is None
