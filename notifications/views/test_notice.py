"""A test notice to oneself: through database, doorbell and hub, and back to one's own pages."""

from __future__ import annotations

from datetime import timedelta

from django.contrib import messages
from django.contrib.auth import get_user_model
from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import User
from django.db import transaction
from django.http import HttpResponse, JsonResponse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from notifications.audiences import Audience
from notifications.models import Level, Notice, Source
from notifications.sending import send_notice
from notifications.views.signed_in import SignedInRequest, back, is_script, refusal

KEY = "test"  # each one recalls the one before
ENDS_AFTER = timedelta(hours=1)
MOST = 5  # for each person, within
SPAN = timedelta(minutes=1)


class TooManyTests(Exception):
    """This person has sent as many as they may. `seconds` until the next one."""

    def __init__(self, seconds: int) -> None:
        self.seconds = seconds


@login_required
@require_POST
def test_notice(request: SignedInRequest) -> HttpResponse:
    """Send one to whoever asks. Anybody may: it reaches nobody else."""
    try:
        notice = send_to(request.user)
    except TooManyTests as error:
        sentence = _("You have just sent %(count)d test notices. Try again in a minute.") % {"count": MOST}
        answer = refusal(request, sentence, 429)
        answer["Retry-After"] = str(error.seconds)
        return answer
    if is_script(request):
        notice.refresh_from_db(fields=["position"])
        return JsonResponse({"id": notice.pk, "position": notice.position, "heard_by": notice.heard_by})
    messages.success(request, _("A test notice is on its way to you."))
    return back(request)


def send_to(person: User) -> Notice:
    """Send ``person`` a test notice in the language of this request.

    Raises:
        TooManyTests: they have sent `MOST` of them within `SPAN`.
    """
    with transaction.atomic():
        # Whoever presses twice waits here for their own first time, so that nobody slips past the count.
        get_user_model().objects.select_for_update().get(pk=person.pk)
        _check_limit(person)
        # Not from a screen: there the permission to send is asked for, and nobody needs one to write to themselves.
        return send_notice(
            title=_("This is a test notice"),
            body=_("It came all the way: through the database, the hub and the connection of your page."),
            level=Level.SUCCESS,
            audiences=[Audience.user(person)],
            sender=person,
            source=Source.PYTHON,
            key=KEY,
            expires_at=timezone.now() + ENDS_AFTER,
        )


def _check_limit(person: User) -> None:
    now = timezone.now()
    recent = Notice.objects.filter(key=KEY, sender=person, created_at__gt=now - SPAN).order_by("-created_at")
    moments = list(recent.values_list("created_at", flat=True)[:MOST])
    if len(moments) == MOST:
        raise TooManyTests(max(1, round((moments[-1] + SPAN - now).total_seconds())))
