"""The supervisor keeps real processes: starts them in order, restarts the dead, stops all, leaves no orphan."""

import io
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from infra.bench.processes import children
from infra.local.errors import SetupProblem
from infra.local.ground import dying_with_parent
from infra.local.pulse import TRIES, Pulse
from infra.local.supervisor import Child, Restarts, Service, Supervisor
from infra.local.voice import Voice

BOUND_S = 60.0


def until(holds: Callable[[], bool]) -> None:
    """Wait for something to become true, not for ever."""
    deadline = time.monotonic() + BOUND_S
    while not holds():
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.02)


def is_alive(pid: int) -> bool:
    """Whether a process runs (one that has ended and is not yet collected does not)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def program(folder: Path, name: str, body: str = "") -> Callable[[], list[str]]:
    """A process that notes its start, its process number and its end in the folder."""
    source = (
        "import os, pathlib, signal, sys, time\n"
        f"folder = pathlib.Path({str(folder)!r}); name = {name!r}\n"
        "def note(what):\n"
        "    with (folder / 'story').open('a') as story: story.write(f'{name} {what}\\n')\n"
        "def leave(*_):\n"
        "    note('stopped'); sys.exit(0)\n"
        "signal.signal(signal.SIGTERM, leave)\n"
        f"{body}\n"
        "note('started')\n"
        "(folder / f'{name}.new').write_text(str(os.getpid()))\n"
        "(folder / f'{name}.new').rename(folder / f'{name}.pid')\n"  # whole or not at all
        "time.sleep(120)\n"
    )
    return lambda: dying_with_parent([sys.executable, "-c", source])


def ready_file(folder: Path, name: str) -> Callable[[], bool]:
    return (folder / f"{name}.pid").exists


def pid_of(folder: Path, name: str) -> int:
    return int((folder / f"{name}.pid").read_text())


def story(folder: Path) -> list[str]:
    return (folder / "story").read_text().splitlines()


def run_beside(supervisor: Supervisor, during: Callable[[], None]) -> None:
    """Run the supervisor here (children belong to the main thread) and `during` in a thread once all is ready."""
    failures: list[BaseException] = []

    def act() -> None:
        try:
            during()
        except BaseException as failure:
            failures.append(failure)
        finally:
            supervisor.stop()

    thread = threading.Thread(target=act)
    supervisor.run(thread.start)
    thread.join(BOUND_S)
    if failures:
        raise failures[0]


def test_services_start_in_order_and_stop_in_reverse_order(tmp_path: Path) -> None:
    names = ["first", "second", "third"]
    services = [Service(name, program(tmp_path, name), ready_file(tmp_path, name)) for name in names]
    run_beside(Supervisor(services, Voice(io.StringIO())), lambda: None)
    started = ["first started", "second started", "third started"]
    assert story(tmp_path) == [*started, "third stopped", "second stopped", "first stopped"]
    assert not any(is_alive(pid_of(tmp_path, name)) for name in names)


def test_one_that_worked_is_started_again_at_once_and_one_that_ends_again_and_again_only_now_and_then() -> None:
    restarts, now = Restarts(), 100.0
    pauses: list[float] = []
    for _ in range(Restarts.AT_ONCE + 2):
        now += 0.3 + (pauses[-1] if pauses else 0)
        pauses.append(restarts.pause_s(began=now - 0.3, now=now))
    assert pauses[: Restarts.AT_ONCE] == [0] * Restarts.AT_ONCE
    assert 0 < pauses[-1] <= Restarts.EVERY_S
    later = now + Restarts.AT_ONCE * Restarts.EVERY_S * 2
    assert restarts.pause_s(began=now, now=later) == 0


def test_one_that_ends_for_ever_is_tried_once_every_few_seconds() -> None:
    restarts, now, starts = Restarts(), 0.0, 0
    while now < 600:
        now += 0.5 + restarts.pause_s(now, now + 0.5)
        starts += 1
    assert starts <= Restarts.AT_ONCE + 600 / Restarts.EVERY_S + 1


def test_one_that_ends_as_it_begins_gets_a_moment() -> None:
    assert Restarts().pause_s(began=100.0, now=100.05) == Restarts.BREATH_S


def test_a_child_waits_for_what_the_one_before_it_left_behind(tmp_path: Path) -> None:
    name, cleared = "a", tmp_path / "cleared"
    service = Service(name, program(tmp_path, name), ready_file(tmp_path, name), may_start=lambda: not_first(cleared))

    def not_first(asked: Path) -> bool:
        was_asked = asked.exists()
        asked.touch()
        return was_asked

    run_beside(Supervisor([service], Voice(io.StringIO())), lambda: None)
    assert cleared.exists()
    assert story(tmp_path) == ["a started", "a stopped"]


def test_a_dead_child_is_started_again(tmp_path: Path) -> None:
    out = io.StringIO()
    services = [Service(name, program(tmp_path, name), ready_file(tmp_path, name)) for name in ("a", "b")]

    def kill_twice() -> None:
        for _ in range(2):
            victim = pid_of(tmp_path, "a")
            os.kill(victim, signal.SIGKILL)
            until(lambda victim=victim: pid_of(tmp_path, "a") != victim)  # type: ignore[misc]

    run_beside(Supervisor(services, Voice(out)), kill_twice)
    said = out.getvalue()
    assert said.count("a was ended by signal SIGKILL; starting it again ") == 2
    assert story(tmp_path).count("a started") == 3
    assert story(tmp_path).count("b started") == 1


LOADED = "note('loaded'); (folder / f'{os.getpid()}.loaded').touch(); sys.stdin.readline() or sys.exit(0)"


def loaded(folder: Path) -> set[int]:
    """The processes that have loaded what they need, in use or not, and live."""
    return {pid for file in folder.glob("*.loaded") if is_alive(pid := int(file.stem))}


def with_spare(folder: Path) -> Service:
    return Service(
        "a", program(folder, "a", LOADED), ready_file(folder, "a"), stands_by=True, has_spare=True, spare_after_s=0
    )


def test_a_spare_takes_over_and_is_followed_by_another(tmp_path: Path) -> None:
    out = io.StringIO()

    def kill_who_serves() -> None:
        for _ in range(2):
            until(lambda: len(loaded(tmp_path)) == 2)
            serving, both = pid_of(tmp_path, "a"), loaded(tmp_path)
            os.kill(serving, signal.SIGKILL)
            until(lambda: pid_of(tmp_path, "a") != serving)  # noqa: B023  # asked at once
            assert {serving, pid_of(tmp_path, "a")} == both

    run_beside(Supervisor([with_spare(tmp_path)], Voice(out)), kill_who_serves)
    assert out.getvalue().count("a was ended by signal SIGKILL; its spare takes over ") == 2
    until(lambda: loaded(tmp_path) == set())
    assert story(tmp_path)[:3] == ["a loaded", "a started", "a loaded"]


def test_a_spare_that_dies_is_replaced_and_one_that_is_missing_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Child, "SPARE_AGAIN_S", 0.0)
    out = io.StringIO()

    def kill_both() -> None:
        until(lambda: len(loaded(tmp_path)) == 2)
        serving, both = pid_of(tmp_path, "a"), loaded(tmp_path)
        (spare,) = both - {serving}
        os.kill(spare, signal.SIGKILL)
        os.kill(serving, signal.SIGKILL)
        until(lambda: pid_of(tmp_path, "a") not in both and len(loaded(tmp_path)) == 2)

    run_beside(Supervisor([with_spare(tmp_path)], Voice(out)), kill_both)
    assert story(tmp_path).count("a started") == 2


def test_a_spare_that_dies_alone_is_said_and_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Child, "SPARE_AGAIN_S", 0.0)
    out = io.StringIO()

    def kill_the_spare() -> None:
        until(lambda: len(loaded(tmp_path)) == 2)
        serving = pid_of(tmp_path, "a")
        (spare,) = loaded(tmp_path) - {serving}
        os.kill(spare, signal.SIGKILL)
        until(lambda: len(loaded(tmp_path) - {spare}) == 2)
        assert pid_of(tmp_path, "a") == serving

    run_beside(Supervisor([with_spare(tmp_path)], Voice(out)), kill_the_spare)
    assert "the spare of a was ended by signal SIGKILL; loading another" in out.getvalue()
    assert story(tmp_path).count("a started") == 1


def test_the_ports_of_one_that_stood_by_are_free_once_its_children_have_ended(tmp_path: Path) -> None:
    body = f"import subprocess; {LOADED}; child = subprocess.Popen(['sleep', '1'])"
    service = Service("a", program(tmp_path, "a", body), ready_file(tmp_path, "a"), stands_by=True)

    def kill() -> None:
        serving = pid_of(tmp_path, "a")
        (child,) = children(serving)
        os.kill(serving, signal.SIGKILL)
        until(lambda: pid_of(tmp_path, "a") != serving)
        assert not is_alive(child)

    run_beside(Supervisor([service], Voice(io.StringIO())), kill)


@pytest.mark.slow
def test_a_child_that_hangs_is_killed_and_started_again(tmp_path: Path) -> None:
    out = io.StringIO()

    def answers() -> bool:
        try:
            return Path(f"/proc/{pid_of(tmp_path, 'a')}/stat").read_text().rpartition(")")[2].split()[0] != "T"
        except FileNotFoundError:  # it has just been killed
            return False

    def hang() -> None:
        victim = pid_of(tmp_path, "a")
        os.kill(victim, signal.SIGSTOP)
        until(lambda: pid_of(tmp_path, "a") != victim)
        assert not is_alive(victim)

    service = Service(
        "a", program(tmp_path, "a"), ready_file(tmp_path, "a"), is_alive=answers, ready_within_s=5, asked_every_s=0.05
    )
    run_beside(Supervisor([service], Voice(out)), hang)
    assert "a runs but no longer answers: it is killed" in out.getvalue()
    assert story(tmp_path) == ["a started", "a started", "a stopped"]


def test_a_child_that_has_not_answered_yet_is_given_the_time_of_a_start() -> None:
    asked: list[None] = []

    def never() -> bool:
        asked.append(None)
        return False

    patient, hasty = Pulse(never, start_within_s=60, every_s=0.01), Pulse(never, start_within_s=0, every_s=0.01)
    patient.began()
    hasty.began()
    until(lambda: hasty.is_gone and len(asked) > 3 * TRIES)
    assert not patient.is_gone


def test_a_child_that_ignores_the_stop_is_killed_after_its_grace(tmp_path: Path) -> None:
    deaf = program(tmp_path, "deaf", "signal.signal(signal.SIGTERM, signal.SIG_IGN)")
    out = io.StringIO()
    run_beside(Supervisor([Service("deaf", deaf, ready_file(tmp_path, "deaf"), grace_s=0.3)], Voice(out)), lambda: None)
    assert "deaf did not stop by itself" in out.getvalue()
    assert not is_alive(pid_of(tmp_path, "deaf"))


def test_what_cannot_start_is_reported_with_its_last_line_and_the_rest_is_stopped(tmp_path: Path) -> None:
    good = Service("good", program(tmp_path, "good"), ready_file(tmp_path, "good"))
    bad = Service("bad", program(tmp_path, "bad", "sys.exit('no eels')"), lambda: False, tries_to_start=2)
    with pytest.raises(SetupProblem, match=r"bad .*no eels"):
        Supervisor([good, bad], Voice(io.StringIO())).run(lambda: None)
    assert not is_alive(pid_of(tmp_path, "good"))


def test_the_step_after_readiness_runs_before_the_next_service_starts(tmp_path: Path) -> None:
    def step() -> None:
        with (tmp_path / "story").open("a") as out:
            out.write("step\n")

    services = [
        Service("a", program(tmp_path, "a"), ready_file(tmp_path, "a"), on_first_ready=step),
        Service("b", program(tmp_path, "b"), ready_file(tmp_path, "b")),
    ]
    run_beside(Supervisor(services, Voice(io.StringIO())), lambda: None)
    assert story(tmp_path)[:3] == ["a started", "step", "b started"]


def test_every_line_of_a_child_stands_behind_its_name(tmp_path: Path) -> None:
    out = io.StringIO()
    talker = program(tmp_path, "talker", "print('one\\ntwo', flush=True); print('three', file=sys.stderr, flush=True)")
    run_beside(
        Supervisor([Service("talker", talker, ready_file(tmp_path, "talker"))], Voice(out)),
        lambda: until(lambda: "three" in out.getvalue()),
    )
    lines = out.getvalue().splitlines()
    assert [line for line in lines if line.endswith(("one", "two", "three"))] == [
        "talker   | one",
        "talker   | two",
        "talker   | three",
    ]


OWNER = """
import sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from test_supervisor import program, ready_file, with_spare
from infra.local.supervisor import Service, Supervisor
from infra.local.voice import Voice
folder = Path({folder!r})
services = [with_spare(folder), Service("b", program(folder, "b"), ready_file(folder, "b"))]
Supervisor(services, Voice()).run(lambda: (folder / "all").touch())
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_no_child_outlives_its_supervisor_however_it_ends(tmp_path: Path, number: signal.Signals) -> None:
    source = OWNER.format(tests=str(Path(__file__).parent), folder=str(tmp_path))
    with subprocess.Popen([sys.executable, "-c", source], stdout=subprocess.DEVNULL) as owner:
        until(lambda: (tmp_path / "all").exists() and len(loaded(tmp_path)) == 2)
        family = loaded(tmp_path) | {pid_of(tmp_path, "b")}
        assert len(family) == 3
        owner.send_signal(number)
        owner.wait(BOUND_S)
    until(lambda: not any(is_alive(child) for child in family))
    told_to_stop = story(tmp_path)[4:]
    assert told_to_stop == ([] if number == signal.SIGKILL else ["b stopped", "a stopped"])
