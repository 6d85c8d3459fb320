"""What AWS IoT Core's custom authorizer asks and must be told, after the shapes its developer guide shows."""

import base64
import fnmatch
import re
from collections.abc import AsyncIterator
from typing import Any

import httpx
import orjson
import pytest
from starlette.applications import Starlette

from ingest.adapters.authorize import aws
from ingest.adapters.authorize.service import routes
from ingest.adapters.base import Decision
from tests.ingest.adapters.authorize.test_hooks import SECRET, Register
from tests.ingest.adapters.mqtt.memory import SPACE, device_id

ARN = "arn:aws:iot:eu-central-1:123456789012"
NAME = "acme/d/pump-7"


class Lambda:
    """The function between AWS and us: it hands the event on and the answer back."""

    def __init__(self) -> None:
        self.register = Register()
        app = Starlette(routes=routes(self.register, SECRET, ARN))
        headers = {"Authorization": f"Bearer {SECRET}"}
        self.http = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://gate", headers=headers)

    async def asks(self, event: dict[str, Any]) -> dict[str, Any]:
        answer = await self.http.post("/authorize/aws", json=event)
        assert answer.status_code == 200
        said: dict[str, Any] = answer.json()
        return said


@pytest.fixture
async def function() -> AsyncIterator[Lambda]:
    made = Lambda()
    yield made
    await made.http.aclose()


def b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def event(**mqtt: Any) -> dict[str, Any]:
    """As the guide shows it."""
    return {
        "signatureVerified": False,
        "protocols": ["tls", "mqtt"],
        "protocolData": {
            "tls": {"serverName": "x-ats.iot.eu-central-1.amazonaws.com"},
            "mqtt": {"username": NAME, "password": b64("token"), "clientId": NAME, **mqtt},
        },
        "connectionMetadata": {"id": "e56f08c3-c559-490f-aa9f-7e8427d0f57b"},
    }


async def test_aws_is_told_who_it_is_what_it_may_do_and_when_to_ask_again(function: Lambda) -> None:
    answer = await function.asks(event())
    [document] = answer.pop("policyDocuments")
    assert answer == {
        "isAuthenticated": True,
        "principalId": device_id(NAME).hex,
        "disconnectAfterInSeconds": 86_400,
        "refreshAfterInSeconds": 300,
    }
    assert re.fullmatch("([a-zA-Z0-9]){1,128}", answer["principalId"])
    assert orjson.loads(document) == {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Action": "iot:Connect", "Resource": f"{ARN}:client/{NAME}"},
            {"Effect": "Allow", "Action": "iot:Publish", "Resource": f"{ARN}:topic/t/{NAME}/up/*"},
            {"Effect": "Allow", "Action": "iot:Subscribe", "Resource": f"{ARN}:topicfilter/t/{NAME}/down/*"},
            {"Effect": "Allow", "Action": "iot:Receive", "Resource": f"{ARN}:topic/t/{NAME}/down/*"},
        ],
    }


@pytest.mark.parametrize(
    ("action", "resource", "is_allowed"),
    [
        ("iot:Connect", "client/acme/d/pump-7", True),
        ("iot:Connect", "client/acme/d/pump-70", False),
        ("iot:Publish", "topic/t/acme/d/pump-7/up/telemetry", True),
        ("iot:Publish", "topic/t/acme/d/pump-7/down/cmd/1", False),
        ("iot:Publish", "topic/t/acme/d/pump-8/up/telemetry", False),
        ("iot:Publish", "topic/t/rival/d/pump-7/up/telemetry", False),
        ("iot:Publish", "topic/$aws/things/pump-7/shadow/update", False),
        ("iot:Subscribe", "topicfilter/t/acme/d/pump-7/down/#", True),
        ("iot:Subscribe", "topicfilter/t/acme/d/+/down/#", False),
        ("iot:Subscribe", "topicfilter/#", False),
        ("iot:Receive", "topic/t/acme/d/pump-7/down/cmd/1", True),
        ("iot:Receive", "topic/t/acme/d/pump-8/down/cmd/1", False),
        ("iot:RetainPublish", "topic/t/acme/d/pump-7/up/telemetry", False),
    ],
)
def test_the_policy_gives_the_least_that_a_device_needs(action: str, resource: str, is_allowed: bool) -> None:
    policy = aws.policy(Decision(SPACE, "acme", device_id(NAME), "pump-7", 1), ARN)
    granted = [
        statement
        for statement in policy["Statement"]
        if statement["Action"] == action and fnmatch.fnmatchcase(f"{ARN}:{resource}", statement["Resource"])
    ]
    assert bool(granted) is is_allowed


def test_the_policy_of_the_longest_names_fits() -> None:
    decision = Decision(SPACE, "a" * 20, SPACE, "b" * 40, 1)
    [document] = aws.admitted(decision, "arn:aws-us-gov:iot:us-gov-east-1:123456789012")["policyDocuments"]
    assert len(document) <= 2_048


async def test_a_login_ends_with_its_credential_and_one_that_aws_cannot_end_in_time_is_refused(
    function: Lambda,
) -> None:
    function.register.lifetime_s = 3_600
    assert 3_590 <= (await function.asks(event()))["disconnectAfterInSeconds"] <= 3_600
    function.register.lifetime_s = 10 * 86_400
    assert (await function.asks(event()))["disconnectAfterInSeconds"] == 86_400
    function.register.lifetime_s = 299
    assert await function.asks(event()) == {"isAuthenticated": False}


@pytest.mark.parametrize(
    "asked",
    [
        event(password=b64("wrong")),
        event(password="token"),
        event(password="***"),
        event(password="é"),
        event(password=None),
        event(username="acme/x/pump-7"),
        event(username=7),
        event(username=""),
        {},
        {"protocolData": []},
        {"protocolData": {"mqtt": "x"}},
        {"token": "token"},
        {**event(), "protocolData": {"tls": {"x509CertificatePem": "none"}}},
        {**event(), "protocolData": {"tls": {"x509CertificatePem": "x" * 20_000}}},
    ],
    ids=lambda asked: repr(asked)[:60],
)
async def test_whoever_is_not_known_is_not_authenticated(function: Lambda, asked: dict[str, Any]) -> None:
    assert await function.asks(asked) == {"isAuthenticated": False}


@pytest.mark.parametrize(
    "asked",
    [
        event(username=f"{NAME}?x-amz-customauthorizer-name=tidegate"),
        {"mqttContext": {"username": NAME, "password": b64("token"), "clientId": "x"}},
        {"token": "token", "protocolData": {"mqtt": {"username": NAME, "clientId": NAME}}},
    ],
    ids=["with the authorizer's name", "as test-invoke-authorizer asks", "by a token"],
)
async def test_the_other_shapes_of_a_login_count_too(function: Lambda, asked: dict[str, Any]) -> None:
    assert (await function.asks(asked))["isAuthenticated"] is True


async def test_aws_is_answered_only_where_its_account_is_named_and_the_secret_shown(function: Lambda) -> None:
    assert (await function.http.post("/authorize/aws", json=event(), headers={"Authorization": ""})).status_code == 401
    elsewhere = httpx.ASGITransport(Starlette(routes=routes(function.register, SECRET)))
    async with httpx.AsyncClient(transport=elsewhere, base_url="http://gate", headers=function.http.headers) as http:
        assert (await http.post("/authorize/aws", json=event())).status_code == 404
