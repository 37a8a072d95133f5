"""What a person is told when a request failed."""

from __future__ import annotations

import sys

from django.db import InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.defaults import server_error as fault_of_ours

RETRY_SECONDS = 5


def server_error(request: HttpRequest) -> HttpResponse:
    """503 while the database is away, full, locked or read-only, whichever line met it; else 500.

    Django calls this while it handles the exception.
    """
    if not isinstance(sys.exc_info()[1], OperationalError | InterfaceError):
        return fault_of_ours(request)
    answer = render(request, "503.html", status=503)
    answer["Retry-After"] = str(RETRY_SECONDS)
    return answer


def not_there(request: HttpRequest, **_: str) -> HttpResponse:
    """404, in place of an address of Django's that answers nonsense with a fault."""
    raise Http404
