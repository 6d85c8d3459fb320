"""Nobody sees their neighbour: the whole matrix of the contract, asked by a stranger, gives nothing away.

For every root field and every REST route, for every id it takes, and every text or document that means a thing: the
neighbour asks once with one of ours and once with one that nobody has. Both answers must be the same but for that, and
nothing of ours may appear in either.
"""

import asyncio
import json
import re
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import psycopg
import pytest
from psycopg import sql

import resolvers.devices
import resolvers.rules
from engine import clock
from engine.alerts import life, silences
from engine.alerts import service as alerts
from engine.alerts.model import Raised
from engine.certificates import service as certificates
from engine.certificates.vault import Vault
from engine.commands import service as commands
from engine.devices import groups
from engine.devices import service as devices
from engine.devices.declared import Command
from engine.devices.model import Device
from engine.fleet import audit as fleet
from engine.fleet import retire
from engine.fleet import transfer as transfers
from engine.identity_providers import service as identity_providers
from engine.inbox import service as inbox
from engine.notifications import channels, contacts, messages, policies
from engine.notifications import service as notifications
from engine.notifications.model import Step
from engine.points import service as points
from engine.points.model import Checked
from engine.provisioning import gate, provisioners, queue
from engine.provisioning.model import Introduction, Mode, Terms
from engine.quotas.usage import Asked
from engine.rules import drafts, firings, non_firings, storms
from engine.rules import service as rules
from engine.rules.sampling import Sample
from engine.rules.state import Phase
from engine.store.pool import Store
from engine.store.tx import Tx
from engine.tenancy import Role, system
from engine.tenants import invitations, roles
from engine.tenants import service as tenants
from infra.local.postgres import Postgres
from resolvers.assembly import schema
from resolvers.gateway import Gateway
from tests.support import catalogue, matrix
from tests.support.matrix import Cell
from tests.support.people import found_operator, sign_in
from tests.support.sockets import line
from tests.support.tenant import Tenant, found_tenant

ANSWERS_S = 60.0
LISTEN_S = 0.4
HEARD_OUT_S = 10.0
_TIMES = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+Z")


@dataclass
class Owned:
    """What one tenant has: ids by kind, and words that appear in it and nowhere else."""

    tenant: Tenant
    secret: str
    ids: dict[str, str]
    marks: list[str]
    names: dict[str, str]
    """What it calls some of them, by the argument that takes it."""


async def _owned(postgres: Postgres, store: Store, worker_store: Store, tenant: Tenant, vault: Vault) -> Owned:
    """A tenant with one of everything, each marked."""
    mark = f"mark{uuid4().hex[:10]}"
    profile = await tenant.profile(f"profile-{mark}")
    device = await tenant.device(f"device-{mark}", profile.key)
    await tenant.device_token(device)
    token = await tenant.api_token()
    document = {**matrix.RULE, "name": f"rule-{mark}", "scope": {"profile": profile.key}}
    async with store.as_tenant(tenant.principal()) as tx:
        await devices.change(tx, device.id, labels={"site": f"label-{mark}"})
        for version in range(2):
            await points.want(tx, device.id, f"# points-{mark} {version}", Checked(points=0), version)
        rule = await rules.create(tx, document)
        tokens = await tenants.tokens(tx)
        role = await roles.create(tx, name=f"role-{mark}", scopes=["devices:read"])
        invitation, _ = await invitations.invite(tx, email=f"{mark}@invited.example", role=Role.VIEWER)
        credential = (await devices.credentials_of(tx, [device.id]))[device.id][0]
        await certificates.sign(tx, vault, device.id, matrix.SAMPLES["csr"])
        authority = await certificates.authority(tx)
        await certificates.renew(tx, vault)  # the former one is believed on
        group = await groups.create(tx, key=f"group-{mark}", name=f"group-{mark}")
        await groups.add_devices(tx, group.id, [device.id])
        terms = Terms(f"way-{mark}", Mode.CREATE, profile.id, (group.id,), needs_approval=True)
        way, key = await provisioners.create_key(tx, terms)
    await gate.introduce(store, vault, key, Introduction(f"asks-{mark}"), "192.0.2.1")
    async with store.as_tenant(tenant.principal()) as tx:
        enrolment = (await queue.page(tx)).items[0]
    raised = Raised(str(rule.id), 1, str(device.id), 1, "minor", f"reason-{mark}", {}, clock.now())
    async with worker_store.as_tenant(system(tenant.id)) as tx:
        await alerts.raise_all(tx, [raised])
        await firings.note(tx, [(raised, [f"would-{mark}"])])
        seen = f"value-{mark}"  # as told below: whoever reads why sees what was measured
        why = {"metric": "mode", "op": "=", "value": "off", "seen": seen, "is": False}
        look = Sample(str(rule.id), 1, str(device.id), 1, Phase.OK, False, False, f"mode is {seen}, not off", why)
        await non_firings.keep(tx, [look])
        await storms.say(tx, str(rule.id), "refused", f"notice-{mark}", tx.now + timedelta(hours=1))
    retired = await tenant.device(f"retired-{mark}", profile.key)
    async with store.as_tenant(tenant.principal()) as tx:
        transfer, _ = await transfers.offer(tx, vault, device.id)
        await retire.decommission(tx, retired.id, erase=True)
        for _ in range(3):
            await devices.issue_token(tx, device.id)
        await fleet.run(tx)  # three tokens too many are a finding
        finding = (await fleet.page(tx, device_id=device.id)).items[0]
        vouching = await identity_providers.register(
            tx,
            vault,
            name=f"idp-{mark}",
            issuer=f"https://{mark}.example",
            client_id=f"client-{mark}",
            client_secret="a secret",
            domains=[f"{mark}.example"],
        )
    async with store.as_tenant(tenant.principal()) as tx:
        channel = await channels.create(
            tx, vault, name=f"channel-{mark}", contact=contacts.email([f"{mark}@told.example"])
        )
        policy = await policies.create(tx, name=f"policy-{mark}", steps=[Step(0, (channel.id,))])
        test = messages.test(channel=channel.name, by="somebody")
        delivery = (await notifications.tell_channel(tx, channel.id, test, key=uuid4(), about=raised.id(tenant.id)))[0]
    async with store.as_tenant(tenant.principal()) as tx:
        await devices.profile_change(tx, profile.id, commands=[Command(f"command-{mark}")])
        command = await commands.issue(tx, device.id, f"command-{mark}", {})
        until = tx.now + timedelta(hours=1)
        silence = await silences.create(tx, reason=f"silence-{mark}", until_at=until, device_id=device.id)
        draft = await drafts.save(tx, {"name": f"draft-{mark}"})
        await life.assign(tx, raised.id(tenant.id), tenant.user_id)
        await life.comment(tx, raised.id(tenant.id), f"comment-{mark}")
    tenant.tell([(device.id, clock.now_ms(), {"temperature": 4.25, "mode": f"value-{mark}"})])
    _reject(postgres, tenant, device, mark)
    async with store.as_tenant(tenant.principal()) as tx:
        rejected = (await inbox.page(tx)).items[0]
    ids = {
        "device": str(device.id),
        "profile": str(profile.id),
        "group": str(group.id),
        "credential": str(credential.id),
        "token": str(tokens[0].id),
        "rule": str(rule.id),
        "alert": str(raised.id(tenant.id)),
        "tenant": str(tenant.id),
        "member": str(tenant.user_id),
        "session": str((await sign_in(tenant)).session_id),
        "role": str(role.id),
        "invitation": str(invitation.id),
        "transfer": str(transfer.id),
        "finding": str(finding.id),
        "provisioner": str(way.id),
        "enrolment": str(enrolment.id),
        "retired": str(retired.id),
        "vouching": str(vouching.id),
        "channel": str(channel.id),
        "policy": str(policy.id),
        "delivery": str(delivery.id),
        "command": str(command.id),
        "silence": str(silence.id),
        "draft": str(draft.id),
        "authority": str(authority.id),
        "inbox_message": str(rejected.id),
        "inbox_group": str(rejected.group_id),
    }
    names = {
        **dict.fromkeys(("actor", "email"), tenant.email),
        "domains": f"{mark}.example",
        "groups": group.key,
        "labels": f"site=label-{mark}",
        "policy": policy.key,
        "profile": profile.key,
        "toTenant": tenant.key,
    }
    return Owned(tenant, token, ids, [mark, tenant.key, tenant.email, *ids.values()], names)


def _reject(postgres: Postgres, tenant: Tenant, device: Device, mark: str) -> None:
    with psycopg.connect(postgres.url("ingest")) as connection:
        connection.execute("SELECT set_config('app.tenants', %s, true)", [f"{{{tenant.id}}}"])
        connection.execute(
            "INSERT INTO rejected (tenant_id, id, device_id, received_at, reason, about, message, transport, topic, "
            "payload, payload_size_bytes, payload_sha256) "
            "VALUES (%s, %s, %s, now(), 'WRONG_TYPE', %s, %s, 'mqtt', 't', %s, 3, %s)",
            [tenant.id, uuid4(), device.id, mark, f"message-{mark}", mark.encode(), bytes(32)],
        )
        connection.execute(
            "INSERT INTO faults VALUES (%s, %s, 'WRONG_TYPE', %s, %s, 1, now(), now()) "
            "ON CONFLICT (tenant_id, device_id, reason, about) DO UPDATE SET last_at = now()",
            [tenant.id, device.id, mark, f"message-{mark}"],
        )


@dataclass
class Stranger:
    """Asks as the neighbour, and notes whatever they should not have learnt.

    A stream is left when it has said nothing for ``listen_s`` seconds after it began.
    """

    client: httpx.AsyncClient
    secret: str
    marks: list[str]
    listen_s: float = LISTEN_S
    leaks: list[str] = field(default_factory=list)
    asked: set[str] = field(default_factory=set)
    asked_with: set[str] = field(default_factory=set)
    wrote: set[str] = field(default_factory=set)
    """What they called our things in what they made for themselves."""

    async def try_cell(self, cell: Cell, foreign: str | None) -> None:
        """Ask with a foreign id and with nobody's; compare, and look for marks."""
        nobody = matrix.nobodys(cell)
        theirs = await self.ask(cell, foreign or nobody)
        self._look(cell, theirs, foreign)
        if foreign is not None:
            nothing = await self.ask(cell, nobody)
            if cell.kind == "subscription" and _alike(theirs, foreign) != _alike(nothing, nobody):
                # a moment may be too short on a machine that does other things as well: who differs is heard out
                theirs = await self.ask(cell, foreign, HEARD_OUT_S)
                nothing = await self.ask(cell, nobody, HEARD_OUT_S)
                self._look(cell, theirs, foreign)
            if _alike(theirs, foreign) != _alike(nothing, nobody):
                self.leaks.append(f"{cell}: an id of ours is answered otherwise than nobody's: {theirs} / {nothing}")
        self.asked.add(str(cell))

    async def ask(self, cell: Cell, value: str, listen_s: float | None = None) -> str:
        """Status and text of the answer."""
        self.asked_with.add(value)
        if cell.kind == "mutation" and matrix.is_named(cell):
            self.wrote.add(value)
        given = matrix.arguments(cell, value)
        if cell.kind == "subscription":
            return self._heard(cell, *await self._listen(cell, given, listen_s or self.listen_s))
        if cell.face == "graphql":
            answer = await self.client.post(
                "/graphql", json={"query": cell.document, "variables": given}, headers=self._headers()
            )
        else:
            answer = await self._rest(cell, given)
        return self._heard(cell, answer.status_code, answer.text)

    async def _rest(self, cell: Cell, given: dict[str, Any]) -> httpx.Response:
        assert cell.route is not None
        path, query, body = f"/api/v1{cell.route.path}", [], {}
        for parameter in cell.route.parameters:
            if parameter.name not in given:
                continue
            value = given[parameter.name]
            if parameter.place == "path":
                path = path.replace(f"{{{parameter.name}}}", str(value))
            elif parameter.place == "query":
                query += [(parameter.name, each) for each in (value if isinstance(value, list) else [value])]
            elif parameter is cell.route.body:
                body = value
            else:
                body[parameter.name] = value
        return await self.client.request(
            cell.route.method.value,
            path,
            params=query,
            json=body if cell.route.takes_body else None,
            headers=self._headers(),
        )

    async def _listen(self, cell: Cell, given: dict[str, Any], listen_s: float) -> tuple[int, str]:
        """What a stream says within a moment, from the oldest entry on."""
        if cell.face != "rest":
            document = cell.document.replace(f"{cell.name}(", f'{cell.name}(after: "0", ', 1)
            if "after" not in document:
                document = document.replace(f"{{ {cell.name} ", f'{{ {cell.name}(after: "0") ', 1)
            if cell.face == "websocket":
                return await self._converse(document, given, listen_s)
            request = self.client.build_request(
                "POST", "/graphql", json={"query": document, "variables": given}, headers=self._headers(stream=True)
            )
        else:
            assert cell.route is not None
            query = [(n, each) for n, v in given.items() for each in (v if isinstance(v, list) else [v])]
            request = self.client.build_request(
                "GET", f"/api/v1{cell.route.path}", params=[*query, ("after", "0")], headers=self._headers(stream=True)
            )
        response = await self.client.send(request, stream=True)
        said, chunks = "", response.aiter_text()
        try:
            while True:
                said += await asyncio.wait_for(anext(chunks), listen_s)
        except (TimeoutError, StopAsyncIteration):
            return response.status_code, said
        finally:
            await response.aclose()

    async def _converse(self, document: str, given: dict[str, Any], listen_s: float) -> tuple[int, str]:
        """What a stream says on a socket."""
        said = ""
        async with line(f"{self.client.base_url.host}:{self.client.base_url.port}", self.secret) as live:
            await live.subscribe(document, **given)
            while True:
                try:
                    said += f"{json.dumps(await live.hear(listen_s), separators=(',', ':'))}\n"
                except TimeoutError:
                    return 200, said

    def _heard(self, cell: Cell, status: int, said: str) -> str:
        if (status >= 500 and '"TOO_MANY_TRIES"' not in said) or '"INTERNAL"' in said:
            self.leaks.append(f"{cell}: failed inside: {said}")
        if "TOO_COSTLY" in said or "BAD_REQUEST" in said:
            self.leaks.append(f"{cell}: was not really asked: {said}")
        return f"{status} {said}"

    def _headers(self, *, stream: bool = False) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.secret}", **({"Accept": "text/event-stream"} if stream else {})}

    def _look(self, cell: Cell, said: str, asked_for: str | None) -> None:
        # an echo of what was asked tells nothing, and one's own audit log and drafts say what one has tried
        is_memory = cell.name in ("audit", "GET /audit") or "raft" in cell.name
        for echo in self.asked_with if is_memory else {asked_for or "", *self.wrote}:
            said = said.replace(echo, "") if echo else said
        for mark in self.marks:
            if mark in said:
                self.leaks.append(f"{cell}: shows {mark}: {said[:300]}")


def _alike(said: str, id_: str) -> str:
    """An answer without what differs between any two: the id asked for, times, fresh ids and secrets."""
    said = said.replace(id_, "<id>")
    said = _TIMES.sub("<time>", said)
    return re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}|probe-[0-9a-f]{12}|tg[diopw]?_[\w-]+|\"[\w-]{8}\"", "<new>", said)


_KINDS = {
    **dict.fromkeys(("actor", "email"), "member"),
    **dict.fromkeys(("labels", "targetId"), "device"),
    "domains": "vouching",
    "groups": "group",
    "policy": "policy",
    "profile": "profile",
    "toTenant": "tenant",
}
"""Of what kind a thing is that is meant by its name."""

DRAFTS = ("ruleDraft", "ruleDraftSave", "ruleDraftDelete", "rulePublish")


def _kind_of(cell: Cell) -> str:
    """Which of our ids fits a cell's target: deviceId and devices take a device; a bare id, the field's noun."""
    assert cell.target is not None
    word = cell.target.split(".")[-1]
    if word in _KINDS:
        return _KINDS[word]
    if word == "search" and "platform" not in cell.name:
        return "rule" if "rule" in cell.name else "device"
    if "platform" in cell.name:
        return "tenant"
    if word in ("id", "groupId") and "inbox" in cell.name:
        return "inbox_group" if word == "groupId" or "roup" in cell.name else "inbox_message"
    if word in ("groupId", "groupIds") or (
        word == "id" and ("/device-groups" in cell.name or cell.name.startswith("deviceGroup"))
    ):
        return "group"
    if word == "replaces" or "erasure" in cell.name.lower():
        return "retired"
    if word == "id" and ("/transfers/" in cell.name or cell.name in ("deviceTransfer", "deviceTransferWithdraw")):
        return "transfer"
    if word == "id" and ("/fleet/findings/" in cell.name or cell.name.startswith("fleetFinding")):
        return "finding"
    if word == "id" and "rovisioner" in cell.name:
        return "provisioner"
    if word == "id" and "nrolment" in cell.name:
        return "enrolment"
    if word == "id" and ("identityProvider" in cell.name or "/identity-providers" in cell.name):
        return "vouching"
    if word == "id" and ("otificationPolicy" in cell.name or "/notification-policies" in cell.name):
        return "policy"
    if word == "id" and (cell.name.startswith("delivery") or "/deliveries" in cell.name):
        return "delivery"
    if word in ("channelId", "channelIds") or (
        word == "id" and (cell.name.startswith("channel") or "/channels" in cell.name)
    ):
        return "channel"
    if word == "id" and (cell.name in DRAFTS or "/rule-drafts" in cell.name):
        return "draft"
    if word in ("userId", "assignedTo"):
        return "member"
    if word == "authorityId" or (word == "id" and "uthorit" in cell.name):
        return "authority"
    nouns = (
        *("device", "profile", "credential", "rule", "alert", "token", "member", "session", "role", "invitation"),
        *("command", "silence"),
    )
    if found := next((noun for noun in nouns if word.lower().startswith(noun)), None):
        return found
    name = cell.name.split("/")[1] if cell.face == "rest" else cell.name
    return next(noun for noun in nouns if name.lower().startswith(noun))


@pytest.fixture(scope="module")
async def owned(postgres: Postgres, store: Store, worker_store: Store, gateway: Gateway) -> Owned:
    """The tenant that is being spied on."""
    return await _owned(postgres, store, worker_store, await found_tenant(postgres, store), gateway.services.vault)


@pytest.fixture
async def stranger(served: str, neighbour: Tenant, owned: Owned) -> Any:
    """The one who spies, with things of their own."""
    await neighbour.device("own-device", "own-profile")
    async with httpx.AsyncClient(base_url=f"http://{served}", timeout=ANSWERS_S, trust_env=False) as client:
        yield Stranger(client, await neighbour.api_token(), owned.marks)


async def _try_all(stranger: Stranger, owned: Owned, cells: list[Cell]) -> None:
    """Ask all, the streams side by side, because each of them takes its time."""
    live = [cell for cell in cells if cell.kind == "subscription"]
    await asyncio.gather(*(stranger.try_cell(cell, _foreign(owned, cell)) for cell in live))
    for cell in cells:
        if cell.kind != "subscription":
            await stranger.try_cell(cell, _foreign(owned, cell))


def _foreign(owned: Owned, cell: Cell) -> str | None:
    """The id of ours that fits a cell."""
    if cell.target is None:
        return None
    word = cell.target.split(".")[-1]
    if word == "search":
        return f"{_kind_of(cell)}-{owned.marks[0]}"
    return owned.names[word] if word in owned.names and matrix.is_named(cell) else owned.ids[_kind_of(cell)]


TOLD = {"audit", "audit_head"}
"""What may change when those who have a part in a tenant ask: its own log says who did, and who was turned away."""


async def _everything_of(postgres: Postgres, tenant: Tenant, but: Collection[str] = ()) -> dict[str, str]:
    """A digest of all that a tenant has, by table: of every table that there is, asked of the catalogue."""
    with psycopg.connect(postgres.url("superuser")) as connection:
        tables = [table for table in catalogue.tables_of_tenants(connection) if table not in but]
        return {table: _digest(connection, table, tenant) for table in tables}


def _digest(connection: psycopg.Connection, table: str, tenant: Tenant) -> str:
    query = sql.SQL(
        "SELECT count(*) || ' rows, ' || coalesce(md5(string_agg(said, chr(10) ORDER BY said)), '') "
        "FROM (SELECT (to_jsonb(t) - 'last_used_at' - 'last_seen_at')::text AS said FROM {} t WHERE {}) AS rows"
    ).format(sql.Identifier(table), catalogue.of_tenant(table))
    row = connection.execute(query, [tenant.id]).fetchone()
    assert row is not None
    return str(row[0])


@pytest.mark.timeout(600)  # a thousand questions, on a machine that may do other things as well
async def test_nothing_of_ours_reaches_the_neighbour(
    stranger: Stranger, owned: Owned, postgres: Postgres, figure: Callable[[str], None]
) -> None:
    cells = matrix.cells(schema()._schema)
    before = await _everything_of(postgres, owned.tenant)
    await _try_all(stranger, owned, cells)
    figure(f"isolation matrix: {len(stranger.asked)} of {len(cells)} cells asked, {len(stranger.leaks)} leaks")
    assert stranger.leaks == []
    assert stranger.asked == {str(cell) for cell in cells}
    assert await _everything_of(postgres, owned.tenant) == before


@pytest.mark.timeout(600)
async def test_the_owner_does_see_what_the_neighbour_must_not(stranger: Stranger, owned: Owned) -> None:
    """The matrix asks real questions: asked by the owner, most of them show marks."""
    stranger.secret = owned.secret
    readable = [c for c in matrix.cells(schema()._schema) if c.kind == "query"]
    await _try_all(stranger, owned, readable)
    showing = {leak.split(": shows")[0] for leak in stranger.leaks if ": shows" in leak}
    blind = {str(cell) for cell in readable} - showing
    assert {cell.split("(")[0] for cell in blind} <= {
        "graphql query deviceCount",
        "graphql query fleetAudit",
        "graphql query notificationSettings",
        "rest query GET /notification-settings",
        "graphql query platformTenant",
        "graphql query platformTenants",
        "graphql query platformUsage",
        "graphql query usage",
        "graphql query retention",
        "rest query GET /retention",
        "rest query GET /platform/tenants/{id}/usage",
        "rest query GET /usage",
        "rest query GET /platform/tenants",
        "rest query GET /platform/tenants/{id}",
        "graphql query ingestCounts",
        "graphql query identityProviderCheck",
        "rest query POST /identity-providers/check",
        "graphql query ruleCheck",
        *(f"graphql query rule{what}" for what in ("Backtest", "Explain", "Preview", "Rehearse", "Tests")),
        *(f"rest query POST /rules/{what}" for what in ("backtest", "explain", "preview", "rehearse", "tests")),
        "graphql query ruleDifference",
        "graphql query ruleFromTemplate",
        "graphql query ruleTemplates",
        "rest query GET /rule-templates",
        "rest query POST /rule-templates/{template}/fill",
        "rest query POST /rules/compare",
        "graphql query pointTableCheck",
        "rest query POST /points/check",
        "graphql query provisioningRuleCheck",
        "rest query POST /provisioners/rules/check",
        "rest query GET /devices/counts",
        "rest query GET /fleet/audit",
        "graphql query sessions",
        "rest query GET /ingest-counts",
        "rest query GET /sessions",
        "rest query POST /rules/check",
        "rest query GET /devices/{id}/telemetry",
        "rest query GET /devices/{id}/latest",
    }


async def test_a_key_that_we_have_is_free_for_the_neighbour(stranger: Stranger, owned: Owned) -> None:
    profile = next(iter(owned.tenant.profiles))
    answer = await stranger.client.post(
        "/api/v1/profiles", json={"key": profile, "name": "x", "metrics": []}, headers=stranger._headers()
    )
    assert answer.status_code == 201


OPERATORS_OWN = {
    *("me", "sessions", "members", "memberSessions", "invitations", "roles", "role", "audit"),
    *("memberChange", "memberRemove", "memberInvite", "invitationWithdraw", "memberSessionsRevoke"),
    *("memberSecondFactorReset", "roleCreate", "roleUpdate", "roleDelete", "sessionRevoke", "sessionsRevokeOthers"),
    *("passwordChange", "secondFactorEnrol", "secondFactorConfirm", "secondFactorRemove", "secondFactorRenew"),
}
"""What an operator may ask at all: about themselves and about the other operators, in the platform's own tenant."""

OPERATORS_FROM_OUTSIDE = {
    *("platformTenants", "platformTenant", "platformTenantCreate", "platformTenantRename", "platformTenantSuspend"),
    *("platformTenantResume", "platformTenantInvite", "platformSecondFactorReset"),
    *("platformUsage", "platformQuotaChange"),
}
"""What an operator may ask about tenants; what that shows is tested field by field."""


@pytest.mark.timeout(600)  # a thousand questions, on a machine that may do other things as well
async def test_the_platforms_operator_reads_and_changes_nothing_of_a_tenants(
    stranger: Stranger,
    owned: Owned,
    postgres: Postgres,
    store: Store,
    gateway: Gateway,
    figure: Callable[[str], None],
) -> None:
    """The whole matrix once more: what is not the operators' own is refused by name, and of the rest nothing is ours.

    From outside a tenant has a key, a name and an id; suspending and resuming it leave everything in it as it was.
    """
    stranger.secret = (await (await found_operator(postgres, store)).sign_in()).secret
    cells = [cell for cell in matrix.cells(schema()._schema) if _field_of(cell) not in OPERATORS_FROM_OUTSIDE]
    await _is_counted(gateway, owned.tenant)
    before = await _everything_of(postgres, owned.tenant, TOLD)
    own = [cell for cell in cells if _field_of(cell) in OPERATORS_OWN]
    await _try_all(stranger, owned, own)
    for cell in cells:
        if cell not in own:
            foreign = _foreign(owned, cell)
            said = await stranger.ask(cell, foreign or str(uuid4()))
            stranger._look(cell, said, foreign)
            assert '"FORBIDDEN"' in said, f"{cell}: {said}"
    assert stranger.leaks == []
    await _only_from_outside(stranger, owned)
    assert await _everything_of(postgres, owned.tenant, TOLD) == before
    figure(f"the operator: refused {len(cells) - len(own)} cells by name, {len(own)} are their own, 0 leaks")


def _field_of(cell: Cell) -> str:
    return cell.route.fields[0] if cell.route else cell.name


async def _is_counted(gateway: Gateway, tenant: Tenant) -> None:
    """Until all that was asked as the tenant's own people is in its usage; a stream counts a moment longer."""
    budgets = gateway.services.budgets
    async with asyncio.timeout(60):
        while (account := budgets._accounts.get(tenant.id)) and (account.streams or account.asked != Asked()):
            await budgets.note()
            await asyncio.sleep(0.05)
        await budgets.note()


async def _only_from_outside(stranger: Stranger, owned: Owned) -> None:
    """What the operator is shown of a tenant, in every way there is: nothing that lies inside it."""
    tenant = owned.tenant
    known = {tenant.key, str(tenant.id)} | stranger.asked_with  # what the operator said is in their own log
    inside = [mark for mark in owned.marks if mark not in known]
    path = f"/api/v1/platform/tenants/{tenant.id}"
    for method, url, body in (
        ("GET", f"/api/v1/platform/tenants?search={tenant.key}", None),
        ("GET", path, None),
        ("PATCH", f"{path}/suspend", {"reason": "a probe"}),
        ("PATCH", f"{path}/resume", None),
        ("PATCH", path, {"name": tenant.key.upper()}),
        ("POST", f"{path}/invitation", {"email": "somebody@else.example"}),
        ("GET", "/api/v1/audit?first=50", None),
    ):
        answer = await stranger.client.request(method, url, json=body, headers=stranger._headers())
        assert answer.status_code in (200, 409), answer.text
        assert tenant.key in answer.text or "TENANT_OWNED" in answer.text
        assert [mark for mark in inside if mark in answer.text] == []
    answer = await stranger.client.get(f"{path}/usage", headers=stranger._headers())  # numbers only
    assert answer.status_code == 200
    assert [mark for mark in owned.marks if mark in answer.text] == []


def test_each_text_that_an_argument_takes_is_known_to_mean_a_thing_or_not() -> None:
    known = matrix.NAMED.keys() | matrix.WITHIN.keys() | matrix.FREE
    assert matrix.texts(schema()._schema) == known, "a new argument has to be thought about"


Getter = Callable[[Tx, UUID], Awaitable[Device]]


@pytest.mark.timeout(600)
async def test_a_planted_leak_is_found(
    stranger: Stranger, owned: Owned, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Resolvers that forget whose transaction they are in are caught, by an id and by a name."""

    class Careless:
        """The devices service, but it looks for one where it should not."""

        def __getattr__(self, name: str) -> Any:
            return getattr(devices, name)

        async def get(self, _tx: Tx, device_id: UUID) -> Device:
            async with store.as_tenant(owned.tenant.principal(), read_only=True) as tx:
                return await devices.get(tx, device_id)

        async def with_profile(self, _tx: Tx, device_id: UUID) -> Any:
            async with store.as_tenant(owned.tenant.principal(), read_only=True) as tx:
                return await devices.with_profile(tx, device_id)

    class CarelessRules:
        """The rules service, but ``page`` looks where it should not when it is asked for a name."""

        def __getattr__(self, name: str) -> Any:
            return getattr(rules, name)

        async def page(self, tx: Tx, *, search: str | None = None, **asked: Any) -> Any:
            if search is None:
                return await rules.page(tx, **asked)
            async with store.as_tenant(owned.tenant.principal(), read_only=True) as theirs:
                return await rules.page(theirs, search=search, **asked)

    monkeypatch.setattr(resolvers.devices, "devices", Careless())
    monkeypatch.setattr(resolvers.rules, "rules", CarelessRules())
    cells = [cell for cell in matrix.cells(schema()._schema) if cell.kind == "query"]
    await _try_all(stranger, owned, cells)
    caught = {leak.split(":")[0] for leak in stranger.leaks}
    assert "graphql query device(id)" in caught
    assert "rest query GET /devices/{id}(id)" in caught
    assert {"graphql query rules(search)", "rest query GET /rules(search)"} <= caught
