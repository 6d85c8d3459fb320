"""What the contract's types ask of the server that fills them."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from inspect import isawaitable
from typing import TYPE_CHECKING, Protocol, TypeAlias, TypeVar, cast
from uuid import UUID

import strawberry

if TYPE_CHECKING:
    from engine.alerts.model import Alert, AlertNote
    from engine.commands.model import Command
    from engine.devices.filter import Group
    from engine.devices.model import Credential, Device, Presence, Profile
    from engine.notifications.model import Delivery
    from engine.rules.errors import Problem
    from engine.rules.lint import Finding
    from engine.rules.model import Mode
    from engine.rules.templates import Template
    from engine.telemetry.model import Sample
    from schema.telemetry import Series

K_contra = TypeVar("K_contra", contravariant=True)
K = TypeVar("K")
V = TypeVar("V")
T = TypeVar("T")
V_co = TypeVar("V_co", covariant=True)


class Rule(Protocol):
    """A rule as the engine knows it."""

    @property
    def id(self) -> UUID: ...
    @property
    def name(self) -> str: ...
    @property
    def severity(self) -> str: ...
    @property
    def document(self) -> Mapping[str, object]: ...
    @property
    def sentence(self) -> str: ...
    @property
    def is_readable(self) -> bool: ...
    @property
    def problems(self) -> "Sequence[Problem]": ...
    @property
    def is_enabled(self) -> bool: ...
    @property
    def mode(self) -> "Mode": ...
    @property
    def version(self) -> int: ...
    @property
    def created_at(self) -> datetime: ...
    @property
    def updated_at(self) -> datetime: ...


class Checked(Protocol):
    """What a document would be as a rule."""

    @property
    def problems(self) -> "Sequence[Problem]": ...
    @property
    def sentence(self) -> str | None: ...
    @property
    def applies_to(self) -> int: ...
    @property
    def warnings(self) -> "Sequence[Finding]": ...


class Filled(Protocol):
    """A document made from a template."""

    @property
    def document(self) -> Mapping[str, object] | None: ...
    @property
    def checked(self) -> Checked: ...


class RuleOffer(Protocol):
    """A template of rules and what of a profile fits into it."""

    @property
    def template(self) -> "Template": ...
    @property
    def fitting(self) -> Mapping[str, Sequence[str]]: ...
    @property
    def is_fitting(self) -> bool: ...
    @property
    def lack(self) -> str | None: ...


class RuleBeginning(Protocol):
    """A profile that a new rule may be for."""

    @property
    def key(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def devices(self) -> int: ...
    @property
    def templates(self) -> int: ...


class Loader(Protocol[K_contra, V_co]):
    """Fetches things by key, many at once, each once per operation."""

    async def load(self, key: K_contra, /) -> V_co:
        """The thing under ``key``; raises NotFound where the tenant has none."""
        ...

    def ready(self, key: K_contra, /) -> V_co | None:
        """The thing under ``key`` if it was fetched already."""
        ...


def loaded(loader: Loader[K, V], key: K, make: Callable[[V], T]) -> T:
    """What ``make`` makes of the thing under ``key``: at once where it was fetched, otherwise as an awaitable.

    GraphQL takes either. An object whose fields are all at hand is answered without a task for each field, which is
    most of what a list of devices costs; to the type checker both are the value.
    """
    value = loader.ready(key)
    if value is not None:
        return make(value)

    async def later() -> T:
        made = make(await loader.load(key))
        return cast(T, await made) if isawaitable(made) else made

    return cast(T, later())


class Context(Protocol):
    """One operation of one caller: everything read through it belongs to the caller's tenant."""

    @property
    def devices(self) -> "Loader[UUID, Device]":
        """Devices by id."""
        ...

    @property
    def profiles(self) -> "Loader[UUID, Profile]":
        """Device profiles by id."""
        ...

    @property
    def presences(self) -> "Loader[UUID, Presence]":
        """Whether each device is connected, by device id."""
        ...

    @property
    def groups(self) -> "Loader[UUID, Sequence[Group]]":
        """The groups that hold a device, by device id."""
        ...

    @property
    def latest(self) -> "Loader[UUID, Sequence[Sample]]":
        """The newest value of each metric, by device id."""
        ...

    @property
    def credentials(self) -> "Loader[UUID, Sequence[Credential]]":
        """Credentials of a device, by device id."""
        ...

    @property
    def rules(self) -> "Loader[UUID, Rule]":
        """Rules by id."""
        ...

    @property
    def rule_sentences(self) -> "Loader[tuple[UUID, int], str | None]":
        """What a rule says in plain words, by its id and version."""
        ...

    @property
    def alerts(self) -> "Loader[UUID, Alert]":
        """Alerts by id."""
        ...

    @property
    def alert_notes(self) -> "Loader[UUID, Sequence[AlertNote]]":
        """What was done and said about an alert, by alert id."""
        ...

    @property
    def commands(self) -> "Loader[UUID, Command]":
        """Commands by id."""
        ...

    @property
    def open_alerts(self) -> "Loader[UUID, int]":
        """How many alerts of a rule are not cleared, by rule id."""
        ...

    @property
    def last_firings(self) -> "Loader[UUID, datetime | None]":
        """When a rule last fired, by rule id."""
        ...

    @property
    def alert_deliveries(self) -> "Loader[UUID, Sequence[Delivery]]":
        """What went out about an alert, by alert id."""
        ...

    async def series(
        self,
        device_id: UUID,
        profile_id: UUID,
        metric: str,
        start: datetime,
        end: datetime | None,
        bucket: str | None,
        time_zone: str,
        limit: int,
        with_source: bool = False,
    ) -> "Series":
        """One metric of one device over a span of time, raw or in buckets."""
        ...


Info: TypeAlias = "strawberry.Info[Context, None]"
"""What every resolver of the contract is handed."""
