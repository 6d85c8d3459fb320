"""Lists that come in pages, each ending with the cursor that fetches the next."""

from typing import Generic, TypeVar

import strawberry

T = TypeVar("T")


@strawberry.type(description="Where a page ends and whether another follows.")
class PageInfo:
    """Keyset paging: the cursor is opaque and stays valid while rows come and go."""

    has_next_page: bool = strawberry.field(description="Whether more items follow this page.")
    end_cursor: str | None = strawberry.field(
        description="Give this as `after` to fetch the next page; null on an empty page."
    )


@strawberry.type(description="One page of a list.")
class Page(Generic[T]):
    """A page of any item of the contract; in the schema it is named after its item."""

    items: list[T] = strawberry.field(description="The items of this page, in the list's order.")
    page_info: PageInfo = strawberry.field(description="Where this page ends.")
