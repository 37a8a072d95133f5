"""What an inbox costs, when much is kept."""

from __future__ import annotations

from bench.product import Product
from bench.results import Result

NOTICES, USERS = 1_000_000, 100_000
ALL_GROUPS = 298  # and `everyone`, `staff`: 300 audiences in use


def inbox(database: str, asked: int) -> list[Result]:
    """The inbox page's rows and the unread count, in a database that has much."""
    what = f"{NOTICES:,} notices, {USERS:,} users, 300 audiences in use, {database}"
    page, unread = Result(f"inbox page, {what}", "ms"), Result(f"unread count, {what}", "ms")
    with Product(database) as product:
        product.sender().call("fill", NOTICES, USERS)
        for groups, who in ((2, "in 4 audiences"), (ALL_GROUPS, "in all of them")):
            for result, (p50, p95) in zip(
                (page, unread), product.sender().call("read_inboxes", groups, asked), strict=True
            ):
                result.add(f"{who}, p50", p50)
                result.add(f"{who}, p95", p95)
                result.at_most(10, f"{who}, p95")
    page.note = "All that the page asks of the database: place, audiences, read mark, the newest 51."
    unread.note = "Half of the people have read everything but the last tenth, the others nothing: counted up to 1,000."
    return [page, unread]


def as_notices_grow(counts: list[int], database: str) -> Result:
    """The inbox page of somebody in all audiences."""
    result = Result(f"inbox page of somebody in 300 audiences, as notices grow, {database}, p95", "ms")
    for count in counts:
        with Product(database) as product:
            product.sender().call("fill", count, 1000)
            result.add(f"{count:,} notices", product.sender().call("read_inboxes", ALL_GROUPS, 50)[0][1])
    return result


def as_audiences_grow(counts: list[int], database: str) -> Result:
    """The inbox page of somebody in so many groups."""
    result = Result(f"inbox page as a person's groups grow, 100,000 notices, {database}, p95", "ms")
    with Product(database) as product:
        product.sender().call("fill", 100_000, 1000)
        for count in counts:
            result.add(f"{count} groups", product.sender().call("read_inboxes", count, 50)[0][1])
    return result
