"""What an inbox costs, when much is kept."""

from __future__ import annotations

from bench.product import Product
from bench.results import Result

NOTICES, USERS, AUDIENCES = 1_000_000, 100_000, 300


def inbox(database: str, asked: int) -> list[Result]:
    """The inbox page's rows and the unread count, of people of all sorts, in a database that has much."""
    what = f"{NOTICES:,} notices, {USERS:,} users, {AUDIENCES} audiences, {database}"
    page, unread = Result(f"inbox page, {what}", "ms"), Result(f"unread count, {what}", "ms")
    with Product(database) as product:
        product.sender().call("fill", NOTICES, USERS, AUDIENCES)
        for sort in ("in 4 audiences", f"in all {AUDIENCES}"):
            pages, counts = product.sender().call("read_inboxes", sort, asked)
            for result, took in ((page, pages), (unread, counts)):
                result.add(f"{sort}, p50", took[0])
                result.add(f"{sort}, p95", took[1])
    for result in (page, unread):
        for who in result.figures:
            if who.endswith("p95"):
                result.at_most(10, who)
    return [page, unread]


def as_notices_grow(counts: list[int], database: str) -> Result:
    """The inbox page of somebody in all audiences, p95."""
    result = Result(f"inbox page as notices grow, {database}, p95", "ms")
    for count in counts:
        with Product(database) as product:
            product.sender().call("fill", count, 1000, AUDIENCES)
            pages, _ = product.sender().call("read_inboxes", f"in all {AUDIENCES}", 50)
            result.add(f"{count:,} notices", pages[1])
    return result


def as_audiences_grow(counts: list[int], database: str) -> Result:
    """The inbox page of somebody in so many audiences, p95."""
    result = Result(f"inbox page as a person's audiences grow, 100,000 notices, {database}, p95", "ms")
    with Product(database) as product:
        product.sender().call("fill", 100_000, 1000, AUDIENCES)
        for count in counts:
            pages, _ = product.sender().call("read_inboxes", f"in {count} audiences", 50)
            result.add(f"{count} audiences", pages[1])
    return result
