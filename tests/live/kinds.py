"""The two servers that the socket contract is tested on, and where they differ.

Everything else is the same on both. Uvicorn (`manage.py serve`) is the one for production.

| what | Uvicorn | Daphne |
| --- | --- | --- |
| an unknown path | 404 and a sentence | 403, no sentence |
| an Origin that is no address | 403 | 400 |
| a page of another scheme, same host and port | 403 | let in: it does not say the scheme |
| the words of a close | arrive | are dropped; the code arrives |
| an empty message to the client | arrives | is dropped |
| a message that is too long | 1009 | 1006 |
| a client's close is answered by | the same code | 1000 |
| text that is no UTF-8 | 1007 | 1006 |
| the longest message | WS_MAX_BYTES | its own option, 1 MiB |
| the server stops | `bye`, 4001 (echo: 1012) | 1006 |
| a page that reads nothing | held back, caught up later | its frames pile up in memory |
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Kind:
    """One kind of server, by what a client can tell."""

    name: str
    unknown_path: int
    broken_origin: int
    says_why: bool  # refusals and closes come with words
    knows_scheme: bool
    sends_empty_messages: bool
    too_long: int
    no_text: int
    answers_close_by: int | None  # None: the client's own code

    def __str__(self) -> str:
        return self.name


UVICORN = Kind(
    "uvicorn",
    unknown_path=404,
    broken_origin=403,
    says_why=True,
    knows_scheme=True,
    sends_empty_messages=True,
    too_long=1009,
    no_text=1007,
    answers_close_by=None,
)
DAPHNE = Kind(
    "daphne",
    unknown_path=403,
    broken_origin=400,
    says_why=False,
    knows_scheme=False,
    sends_empty_messages=False,
    too_long=1006,
    no_text=1006,
    answers_close_by=1000,
)
