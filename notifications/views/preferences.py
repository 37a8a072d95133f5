"""What a person wants to be bothered with, and how."""

from __future__ import annotations

from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db import transaction
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache

from notifications import deeds, muting
from notifications.attention import is_quiet, preferences_of
from notifications.forms import PreferencesForm
from notifications.views.signed_in import SignedInRequest


@login_required
@never_cache
def preferences(request: SignedInRequest) -> HttpResponse:
    """How far notices of each level may go, when it is quiet, what is muted, and whether desktop alerts are allowed."""
    kept = preferences_of(request.user)
    form = PreferencesForm(request.POST or None, instance=kept)
    if request.method == "POST" and form.is_valid():
        with transaction.atomic():
            form.save()
            deeds.begin_afresh(request.user)
        messages.success(request, _("Your preferences are saved."))
        return redirect("preferences")
    kept = preferences_of(request.user)  # a form that was refused has written into the other one
    now = timezone.now()
    zone = kept.time_zone or settings.TIME_ZONE
    context: dict[str, Any] = {
        "form": form,
        "zone": zone,
        "clock": now.astimezone(ZoneInfo(zone)).time(),
        "is_quiet": is_quiet(kept, now),
        "quiet_hours_set": kept.quiet_from is not None,
        "mutes": muting.mutes_in_force(request.user),
    }
    return render(request, "notifications/preferences.html", context, status=422 if form.errors else 200)
