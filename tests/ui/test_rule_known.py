"""What the designer offers where a name is written: the attributes, tags and events that are in use."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import ui

BUN = Path(sys.executable).with_name("bun")
MODEL = Path(ui.__file__).parent / "islands" / "rule_model.js"
ASK = "const m = await import(process.argv[1]); const { devices, documents } = JSON.parse(await Bun.stdin.text());"
ANSWER = "console.log(JSON.stringify([m.namesInUse(devices, documents), documents.map((each) => m.ownEnd(each))]));"


def _answer(devices: list[Any], documents: list[Any]) -> Any:
    asked = json.dumps({"devices": devices, "documents": documents})
    command = [str(BUN), "-e", ASK + ANSWER, str(MODEL)]
    done = subprocess.run(command, input=asked, capture_output=True, text=True, timeout=180, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_names_come_from_devices_and_from_what_rules_ask_and_do() -> None:
    devices = [{"labels": {"site": "7", "outdoor": ""}}, {"labels": {"site": "12", "floor": "2"}}, {"labels": {}}]
    where = [{"attribute": "crop", "op": "==", "value": "hops"}, {"tag": "roof"}]
    document = {
        "scope": {"profile": None, "tags": ["spare"], "where": where},
        "when": {"any": [{"event": "door-forced"}, {"not": {"tag": "calm"}}]},
        "then": [{"do": "tag", "add": "loud"}, {"do": "set", "attribute": "seen", "value": True}],
    }
    names, _ = _answer(devices, [document])
    assert names == {
        "attributes": {"crop": ["hops"], "floor": ["2"], "seen": [], "site": ["12", "7"]},
        "tags": ["calm", "loud", "outdoor", "roof", "spare"],
        "events": ["door-forced"],
    }


def test_a_first_end_of_a_rules_own_is_the_opposite_of_what_it_asks_first() -> None:
    whens = [{"metric": "t", "op": ">", "value": 8}, {"all": [{"presence": "offline"}]}, {"silence": "1h"}]
    _, ends = _answer([], [{"when": each} for each in whens])
    assert ends == [{"metric": "t", "op": "<", "value": 8}, {"presence": "online"}, {"presence": "offline"}]
