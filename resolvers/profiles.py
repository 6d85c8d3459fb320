"""Keeps the promises about profiles and their versions."""

from typing import Annotated
from uuid import UUID

import strawberry

from engine.devices import profiles
from resolvers.arguments import After, First, Version, paged
from resolvers.context import Info
from schema.directives import Constraint, Cost, Method, Needs, Problem, Rest
from schema.pages import Page
from schema.profiles import Profile, ProfileCreate, ProfileUpdate, ProfileVersion

ProfileId = Annotated[UUID, strawberry.argument(description="The profile's id.")]
PROFILE_NOT_FOUND = Problem(status=404, slug="profile-not-found")
STALE = Problem(status=409, slug="version-stale")


@strawberry.type
class ProfileQuery:
    """What can be asked about profiles."""

    @strawberry.field(
        description="The tenant's device profiles by key.",
        directives=[
            Needs(scope="devices:read"),
            Rest(method=Method.GET, path="/profiles"),
            Problem(status=422, slug="bad-cursor"),
            Cost(times="first"),
        ],
    )
    async def profiles(self, info: Info, first: First = 50, after: After = None) -> Page[Profile]:
        """A page of profiles."""
        return paged(await profiles.profile_page(await info.context.tx(), first=first, after=after), Profile.of)

    @strawberry.field(
        description="One device profile.",
        directives=[Needs(scope="devices:read"), Rest(method=Method.GET, path="/profiles/{id}"), PROFILE_NOT_FOUND],
    )
    async def profile(self, info: Info, id: ProfileId) -> Profile:
        """The profile with this id."""
        return Profile.of(await profiles.profile(await info.context.tx(), id))

    @strawberry.field(
        description="A profile's versions, newest first: who changed what, and when.",
        directives=[
            Needs(scope="devices:read"),
            Rest(method=Method.GET, path="/profiles/{id}/versions"),
            PROFILE_NOT_FOUND,
            Problem(status=422, slug="bad-cursor"),
            Cost(times="first"),
        ],
    )
    async def profile_versions(
        self, info: Info, id: ProfileId, first: First = 50, after: After = None
    ) -> Page[ProfileVersion]:
        """A page of versions."""
        found = await profiles.version_page(await info.context.tx(), id, first=first, after=after)
        return paged(found, ProfileVersion.of)

    @strawberry.field(
        description="What a profile said in one version, and what that version changed.",
        directives=[
            Needs(scope="devices:read"),
            Rest(method=Method.GET, path="/profiles/{id}/versions/{version}"),
            Problem(status=404, slug="profile-version-not-found"),
        ],
    )
    async def profile_version(
        self,
        info: Info,
        id: ProfileId,
        version: Annotated[
            int,
            strawberry.argument(description="Which version.", directives=[Constraint(min=1, max=2_147_483_647)]),
        ],
    ) -> ProfileVersion:
        """One version."""
        return ProfileVersion.of(await profiles.version(await info.context.tx(), id, version))


@strawberry.type
class ProfileMutation:
    """What can be done to profiles."""

    @strawberry.mutation(
        description="Describes a new kind of device.",
        directives=[
            Needs(scope="profiles:write"),
            Rest(method=Method.POST, path="/profiles", status=201),
            Problem(status=409, slug="profile-key-taken"),
            Problem(status=422, slug="metrics-malformed"),
            Problem(status=422, slug="commands-malformed"),
            Problem(status=422, slug="shadow-malformed"),
        ],
    )
    async def profile_create(
        self, info: Info, input: Annotated[ProfileCreate, strawberry.argument(description="The new profile.")]
    ) -> Profile:
        """A new profile."""
        created = await profiles.profile_create(
            await info.context.tx(),
            key=input.key,
            name=input.name,
            metrics=[metric.model() for metric in input.metrics],
            is_strict=input.is_strict,
            reporting_interval_s=input.reporting_interval_s,
            retention_days=input.retention_days,
            commands=[command.model() for command in input.commands or ()],
            shadow=[leaf.model() for leaf in input.shadow or ()],
        )
        return Profile.of(created)

    @strawberry.mutation(
        description="Changes a profile. Values already stored stay as they are.",
        directives=[
            Needs(scope="profiles:write"),
            Rest(method=Method.PATCH, path="/profiles/{id}"),
            PROFILE_NOT_FOUND,
            STALE,
            Problem(status=422, slug="metrics-malformed"),
            Problem(status=422, slug="commands-malformed"),
            Problem(status=422, slug="shadow-malformed"),
        ],
    )
    async def profile_update(
        self,
        info: Info,
        id: ProfileId,
        input: Annotated[ProfileUpdate, strawberry.argument(description="What changes.")],
        version: Version = None,
    ) -> Profile:
        """The profile after the change."""
        changed = await profiles.profile_change(
            await info.context.tx(),
            id,
            name=input.name,
            metrics=None if input.metrics is None else [metric.model() for metric in input.metrics],
            is_strict=input.is_strict,
            reporting_interval_s=input.reporting_interval_s,
            retention_days=input.retention_days,
            commands=None if input.commands is None else [command.model() for command in input.commands],
            shadow=None if input.shadow is None else [leaf.model() for leaf in input.shadow],
            expected_version=version,
        )
        return Profile.of(changed)
