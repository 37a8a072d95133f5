"""What the pages of somebody who has signed in share: how they ask, are refused, and come back to where they were."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Concatenate, ParamSpec

from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse, QueryDict
from django.shortcuts import redirect, render
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _

from notifications.audiences import is_id
from notifications.deeds import MOST_AT_ONCE, CannotUndo
from notifications.filters import BadFilter

Rest = ParamSpec("Rest")


class SignedInRequest(HttpRequest):
    user: User


class BadRequest(ValueError):
    """What is wrong with a request, in a sentence for a person."""


def says_what_is_wrong(
    view: Callable[Concatenate[SignedInRequest, Rest], HttpResponse],
) -> Callable[Concatenate[SignedInRequest, Rest], HttpResponse]:
    """A wrong value is answered by 400 and what comes too late by 409, with a sentence: on a page, or as JSON."""

    @functools.wraps(view)
    def answer(request: SignedInRequest, /, *args: Rest.args, **kwargs: Rest.kwargs) -> HttpResponse:
        try:
            return view(request, *args, **kwargs)
        except (BadFilter, BadRequest) as error:
            return refusal(request, str(error), 400)
        except CannotUndo as error:
            return refusal(request, str(error), 409)

    return answer


def whole(values: QueryDict, name: str, default: int | None = None) -> int:
    """The whole number that ``values`` have under this name, or the ``default`` where they have none.

    Raises:
        BadRequest: it is none that a database can hold.
    """
    text = values.get(name, "")
    if not text and default is not None:
        return default
    if (number := _number_in(text)) is None:
        wrong = {"name": name, "value": text[:100]}
        raise BadRequest(_("“%(name)s” must be a whole number, not “%(value)s”.") % wrong)
    return number


def ids_in(values: QueryDict) -> list[int]:
    """The notices named by ``id``; what cannot be an id is passed over like one that does not exist.

    Raises:
        BadRequest: there are too many.
    """
    named = values.getlist("id")
    if len(named) > MOST_AT_ONCE:
        raise BadRequest(_("At most %(most)d notices at once.") % {"most": MOST_AT_ONCE})
    return [number for number in map(_number_in, named) if number is not None]


def is_script(request: HttpRequest) -> bool:
    """A browser that follows a form or a link asks for HTML."""
    accepted = request.headers.get("Accept", "")
    return "application/json" in accepted or "text/html" not in accepted


def back(request: HttpRequest) -> HttpResponseRedirect:
    """To the page that was left, if it is one of ours."""
    goal = request.POST.get("next", "")
    safe = url_has_allowed_host_and_scheme(goal, {request.get_host()}, require_https=request.is_secure())
    return HttpResponseRedirect(goal) if safe else redirect("inbox")  # `redirect` takes a word for a view's name


def _number_in(text: str) -> int | None:
    return int(text) if is_id(text) else None


def refusal(request: HttpRequest, sentence: str, status: int) -> HttpResponse:
    """Why nothing was done, on a page, or as JSON."""
    if is_script(request):
        return JsonResponse({"error": sentence}, status=status)
    return render(request, "notifications/refused.html", {"sentence": sentence}, status=status)
