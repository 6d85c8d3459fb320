"""Query, Mutation and Subscription put together: every root field behind its guard."""

from functools import cache

import strawberry
from strawberry.schema import Schema
from strawberry.schema.config import StrawberryConfig
from strawberry.types import get_object_definition
from strawberry.types.field import StrawberryField

from resolvers.alerts import AlertMutation, AlertQuery, AlertStreams
from resolvers.audit import AuditQuery
from resolvers.certificates import CertificateMutation, CertificateQuery
from resolvers.commands import CommandMutation, CommandQuery, CommandStreams
from resolvers.devices import DeviceMutation, DeviceQuery
from resolvers.fleet import FleetMutation, FleetQuery
from resolvers.groups import GroupMutation, GroupQuery
from resolvers.guard import Guard
from resolvers.identity import IdentityMutation, IdentityQuery
from resolvers.inbox import InboxMutation, InboxQuery
from resolvers.notifications import NotificationMutation, NotificationQuery
from resolvers.platform import PlatformMutation, PlatformQuery
from resolvers.points import PointMutation, PointQuery
from resolvers.profiles import ProfileMutation, ProfileQuery
from resolvers.provisioning import ProvisioningMutation, ProvisioningQuery
from resolvers.rule_non_firings import RuleNonFiringQuery
from resolvers.rule_trials import RuleTrialMutation, RuleTrialQuery
from resolvers.rules import RuleMutation, RuleQuery
from resolvers.streams import TelemetryStreams
from resolvers.telemetry import TelemetryMutation, TelemetryQuery
from resolvers.tenants import TenantMutation, TenantQuery
from resolvers.usage import UsageMutation, UsageQuery
from schema.devices import Device
from schema.directives import Needs
from schema.scalars import SCALARS


@strawberry.type(description="What can be asked.")
class Query(
    TenantQuery,
    IdentityQuery,
    DeviceQuery,
    ProfileQuery,
    FleetQuery,
    GroupQuery,
    CertificateQuery,
    ProvisioningQuery,
    TelemetryQuery,
    InboxQuery,
    UsageQuery,
    RuleQuery,
    RuleTrialQuery,
    RuleNonFiringQuery,
    AlertQuery,
    CommandQuery,
    PointQuery,
    NotificationQuery,
    AuditQuery,
    PlatformQuery,
):
    """Every question of the contract."""


@strawberry.type(description="What can be done. Each field runs in a transaction of its own, in the order written.")
class Mutation(
    TenantMutation,
    IdentityMutation,
    DeviceMutation,
    ProfileMutation,
    FleetMutation,
    GroupMutation,
    CertificateMutation,
    ProvisioningMutation,
    RuleMutation,
    RuleTrialMutation,
    AlertMutation,
    CommandMutation,
    PointMutation,
    TelemetryMutation,
    InboxMutation,
    NotificationMutation,
    PlatformMutation,
    UsageMutation,
):
    """Every change of the contract."""


@strawberry.type(description="What can be followed live. Every event has a cursor to go on from.")
class Subscription(TelemetryStreams, AlertStreams, CommandStreams):
    """Every stream of the contract."""


class Unguarded(Exception):
    """A root field does not say what it needs."""


@cache
def schema() -> Schema:
    """The contract, executable. Raises Unguarded for a root field without ``@needs``."""
    for root, deed in ((Query, "{}.read"), (Mutation, "{}"), (Subscription, "{}.follow")):
        for field in _fields(root):
            needs = _needs(field)
            if not needs:
                raise Unguarded(f"{root.__name__}.{field.python_name} has no @needs")
            field.extensions = [*field.extensions, Guard(*needs, writes=root is Mutation, deed=deed)]
    for field in _fields(Device):
        if field.base_resolver and field.arguments:
            field.extensions = [*field.extensions, Guard(deed="device_{}.read")]
    return Schema(Query, Mutation, Subscription, config=StrawberryConfig(scalar_map=SCALARS))


def _fields(type_: type) -> list[StrawberryField]:
    definition = get_object_definition(type_, strict=True)
    return definition.fields


def _needs(field: StrawberryField) -> list[Needs]:
    return [directive for directive in field.directives if isinstance(directive, Needs)]
