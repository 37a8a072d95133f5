"""The page to send a notice."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth.decorators import login_required, permission_required
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _

from notifications.audiences import people_in
from notifications.forms import SendForm
from notifications.models import Source
from notifications.views.signed_in import SignedInRequest


@login_required
@permission_required("notifications.send_notice", raise_exception=True)
def send(request: SignedInRequest) -> HttpResponse:
    """Write a notice and send it."""
    form = SendForm(request.POST or None, sender=request.user)
    if request.method == "POST" and form.is_valid():
        people = people_in(form.audiences()).count()  # before: what is stored must not be called not done
        notice = form.send(audiences=form.audiences(), sender=request.user, source=Source.VIEW)
        if notice is not None:
            messages.success(
                request, _("Sent “%(title)s” to %(people)d people.") % {"title": notice.title, "people": people}
            )
            return redirect("send")
    return render(request, "notifications/send.html", {"form": form}, status=422 if form.errors else 200)
