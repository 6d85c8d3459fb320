"""Point tables as the contract shows them: which values of which machines a gateway's edge reads and writes."""

from datetime import datetime
from typing import Self
from uuid import UUID

import strawberry

from engine.points import model
from engine.points.changes import MAX_CHANGES, Change, ChangeKind
from engine.points.model import VERSIONS_KEPT, PointTableState
from schema.enums import shown

shown(
    PointTableState,
    "How far a gateway's point table has come.",
    NONE="No table is kept here: the edge reads what its own file says.",
    WAITING="It waits for the edge, which gets it when it connects, however long that takes.",
    RUNNING="The edge reads its machines by it.",
    REFUSED="The edge cannot use it, or takes none from here; it goes on with what it had.",
)


@strawberry.type(description="Something in a point table that cannot be used, and what to write instead.")
class PointTableProblem:
    """One problem."""

    line: int | None = strawberry.field(description="The line of the text, from 1; null where it is about the whole.")
    place: str = strawberry.field(description="The path in the document, such as devices.freezer.points[2].type.")
    message: str = strawberry.field(description="What is wrong, and what to write instead.")

    @classmethod
    def of(cls, problem: model.Problem) -> Self:
        """The contract's view of ``problem``."""
        return cls(line=problem.line, place=problem.place, message=problem.words)


@strawberry.type(description="What can be said of a point table before it is sent.")
class PointTableCheck:
    """The grammar's answer."""

    points: int = strawberry.field(description="How many points it has; 0 if something is wrong with it.")
    problems: list[PointTableProblem] = strawberry.field(
        description="What is wrong with it, the first 20; empty if it can be sent. The edge may still refuse it."
    )

    @classmethod
    def of(cls, checked: model.Checked) -> Self:
        """The contract's view of ``checked``."""
        return cls(points=checked.points, problems=[PointTableProblem.of(each) for each in checked.problems])


@strawberry.type(
    description="A gateway's point table: the one that is wanted, and what its edge said of it. The edge keeps it on "
    "its own disk; secrets never are in it, only the names of files in the folder secrets on the edge."
)
class PointTable:
    """One gateway's table."""

    device_id: UUID = strawberry.field(description="The gateway device.")
    state: PointTableState = strawberry.field(description="How far the wanted table has come.")
    version: int = strawberry.field(description="Rises with every change; 0 while there is none. Send it back.")
    text: str = strawberry.field(description="The table as it was written, YAML or JSON; empty while there is none.")
    points: int = strawberry.field(description="How many points it has.")
    changed_by: str | None = strawberry.field(description="Who changed it last.")
    changed_at: datetime | None = strawberry.field(description="When that was.")
    said_at: datetime | None = strawberry.field(description="When the edge last said what it runs; null if never.")
    running_version: int | None = strawberry.field(
        description="The version that the edge runs, 0 for the table in its own file; null if it never said."
    )
    running_points: int | None = strawberry.field(description="How many points the edge reads and writes by it.")
    running_since: datetime | None = strawberry.field(description="Since when the edge has been saying so.")
    refused_version: int | None = strawberry.field(description="The version that the edge refused last; null if none.")
    problems: list[PointTableProblem] = strawberry.field(description="Why it refused that one.")
    is_local: bool = strawberry.field(
        description="Whether the edge's file says that it takes no table from here (points: local)."
    )
    file_text: str | None = strawberry.field(
        description="The table of the edge's own file, while it runs that one: a beginning for one that is set here. "
        "Without comments; files of the edge but secrets/NAME are not named. Null if the edge "
        "has not told it, as of one that is longer than 1 MiB."
    )

    @classmethod
    def of(cls, kept: model.Kept) -> Self:
        """The contract's view of ``kept``."""
        return cls(
            device_id=kept.device_id,
            state=kept.state,
            version=kept.version,
            text=kept.text,
            points=kept.points,
            changed_by=kept.changed_by,
            changed_at=kept.changed_at,
            said_at=kept.said_at,
            running_version=kept.running_version,
            running_points=kept.running_points,
            running_since=kept.running_since,
            refused_version=kept.refused_version,
            problems=[PointTableProblem.of(each) for each in kept.problems],
            is_local=kept.is_local,
            file_text=kept.file_text,
        )


@strawberry.type(description=f"A version of a gateway's point table; the last {VERSIONS_KEPT} are kept.")
class PointTableVersion:
    """One version, in a list."""

    version: int = strawberry.field(description="Its number.")
    points: int = strawberry.field(description="How many points it has.")
    changed_by: str | None = strawberry.field(description="Who set it.")
    changed_at: datetime = strawberry.field(description="When that was.")

    @classmethod
    def of(cls, version: model.Version) -> Self:
        """The contract's view of ``version``."""
        return cls(
            version=version.version,
            points=version.points,
            changed_by=version.changed_by,
            changed_at=version.changed_at,
        )


shown(
    ChangeKind,
    "What became of a part of a point table.",
    ADDED="It was not there before.",
    REMOVED="It is there no longer.",
    CHANGED="It is there in both, and says something else.",
    name="PointChangeKind",
)


@strawberry.type(description="A connection, device or point of which something is different between two point tables.")
class PointTableChange:
    """One difference."""

    kind: ChangeKind = strawberry.field(description="What became of it.")
    name: str = strawberry.field(description="What it is, such as freezer-1/temperature or connection plc.")
    words: str = strawberry.field(description="What it says, or what it said → what it says now.")


@strawberry.type(description="A version of a gateway's point table with its text, and what it changed.")
class PointTableText:
    """One version as a whole."""

    version: int = strawberry.field(description="Its number.")
    text: str = strawberry.field(description="The table as it was written, YAML or JSON.")
    against: int | None = strawberry.field(description="The version with which it is compared; null for none.")
    changed: int = strawberry.field(
        description="How many connections, devices and points are different. Comments and order count for nothing."
    )
    changes: list[PointTableChange] = strawberry.field(description=f"What they are, the first {MAX_CHANGES}.")

    @classmethod
    def of(cls, version: model.Version, against: model.Version | None, found: list[Change]) -> Self:
        """The contract's view of ``version``, beside another one."""
        return cls(
            version=version.version,
            text=version.text,
            against=against.version if against else None,
            changed=len(found),
            changes=[
                PointTableChange(kind=each.kind, name=each.name, words=each.words) for each in found[:MAX_CHANGES]
            ],
        )
