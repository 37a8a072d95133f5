"""One notice, why somebody got it, and what they want to hear of its topics."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from notifications import muting
from notifications.audiences import Audience, in_words
from notifications.inbox import reached_by, visible_to
from notifications.models import Mute, Notice, Topic
from notifications.views.signed_in import BadRequest, SignedInRequest, back, ids_in, is_script, says_what_is_wrong

MUTE_FOR = {"1h": timedelta(hours=1), "8h": timedelta(hours=8), "always": None}


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a notice reached somebody, in a sentence; of a topic also whether it is muted, and until when."""

    sentence: str
    topic: str = ""
    name: str = ""
    is_muted: bool = False
    muted_until: datetime | None = None


@login_required
@require_safe
@never_cache
def notice(request: SignedInRequest, pk: int) -> HttpResponse:
    """The whole of one notice, and what can be done with it."""
    shown = _visible(request, pk)
    return render(request, "notifications/notice.html", _context(request, shown))


@login_required
@require_safe
@never_cache
def why(request: SignedInRequest, pk: int) -> HttpResponse:
    """Why this person got it, for a dialog."""
    shown = _visible(request, pk)
    return render(request, "notifications/_why.html", _context(request, shown))


@login_required
@require_POST
@says_what_is_wrong
def mute(request: SignedInRequest) -> HttpResponse:
    """No attention for a ``topic``, ``for`` some time."""
    topic, how_long = _own_topic(request), request.POST.get("for", "")
    if how_long not in MUTE_FOR:
        choices = {"value": how_long[:100], "choices": ", ".join(MUTE_FOR)}
        raise BadRequest(_("“for” is one of %(choices)s, not “%(value)s”.") % choices)
    time = MUTE_FOR[how_long]
    muting.mute(request.user, topic, timezone.now() + time if time else None)
    return _answer(request, topic, _("%(topic)s is muted."))


@login_required
@require_POST
@says_what_is_wrong
def unmute(request: SignedInRequest) -> HttpResponse:
    """Attention for a ``topic`` as for all others."""
    slug = request.POST.get("topic", "")
    if "\0" in slug or (mute := Mute.objects.filter(user=request.user, topic__slug=slug).first()) is None:
        raise BadRequest(_("You have muted no topic called “%(topic)s”.") % {"topic": slug[:100]})
    muting.unmute(request.user, mute.topic)
    return _answer(request, mute.topic, _("%(topic)s is not muted any more."))


@login_required
@require_safe
@never_cache
@says_what_is_wrong
def muted(request: SignedInRequest) -> HttpResponse:
    """Which of the notices named by ``id`` want no attention, because they come by muted topics only."""
    return JsonResponse({"muted": muting.muted_among(request.user, ids_in(request.GET))})


def _visible(request: SignedInRequest, pk: int) -> Notice:
    """What this person cannot see is not there, whether it exists or not."""
    found: Notice = get_object_or_404(visible_to(request.user).select_related("sender"), pk=min(pk, 2**63 - 1))
    return found


def _context(request: SignedInRequest, shown: Notice) -> dict[str, Any]:
    reasons = _reasons(request, shown)
    return {"notice": shown, "reasons": reasons, "has_topic": any(reason.topic for reason in reasons)}


def _reasons(request: SignedInRequest, shown: Notice) -> list[Reason]:
    """For which of this person's own audiences it was put up; of others they hear nothing."""
    mine = sorted(reached_by(request.user, [shown.pk]).get(shown.pk, ()))
    names, mutes = in_words(mine), muting.mutes_of(request.user)
    return [_reason(Audience.parse(audience), names[audience], mutes) for audience in mine]


def _reason(audience: Audience, name: str, mutes: dict[str, datetime | None]) -> Reason:
    match audience.kind:
        case "everyone":
            return Reason(_("It was sent to everyone."))
        case "staff":
            return Reason(_("It was sent to all staff."))
        case "user":
            return Reason(_("It was sent to you."))
        case "group":
            return Reason(_("You are in the group %(group)s.") % {"group": name})
        case "topic":
            slug = audience.key
            sentence = _("You have subscribed to %(topic)s.") % {"topic": name}
            return Reason(sentence, slug, name, slug in mutes, mutes.get(slug))


def _own_topic(request: SignedInRequest) -> Topic:
    slug = request.POST.get("topic", "")
    own = Topic.objects.filter(subscriptions__user=request.user)
    topic = None if "\0" in slug else own.filter(slug=slug).first()
    if topic is None:
        there_is = ", ".join(own.values_list("slug", flat=True)[:20]) or _("none")
        choices = {"value": slug[:100], "choices": there_is}
        raise BadRequest(_("You have subscribed to no topic called “%(value)s”, but to: %(choices)s.") % choices)
    return topic


def _answer(request: SignedInRequest, topic: Topic, said: str) -> HttpResponse:
    if is_script(request):
        return JsonResponse({"topic": topic.slug, "muted": topic.slug in muting.mutes_of(request.user)})
    messages.success(request, said % {"topic": topic.name})
    return back(request)
