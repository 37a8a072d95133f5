"""Everybody's own password: a new one for an old one, or by a mail to the address of the account."""

from __future__ import annotations

import hashlib
import logging
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from django.conf import settings
from django.contrib.auth.forms import PasswordResetForm
from django.contrib.auth.views import PasswordChangeView, PasswordResetConfirmView, PasswordResetView
from django.contrib.messages.views import SuccessMessageMixin
from django.core.mail import EmailMessage
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.template import loader
from django.urls import reverse_lazy
from django.utils.translation import gettext_lazy as _

from config.sign_in import PER_ACCOUNT, PER_MAILBOX, SignInRefused, attempts

logger = logging.getLogger(__name__)
_post = ThreadPoolExecutor(max_workers=2, thread_name_prefix="mail")


class ChangePassword(SuccessMessageMixin, PasswordChangeView):  # type: ignore[type-arg]
    """This session stays; Django ends all others, and their open pages are told at once.

    The old password is asked for as often as when signing in: whoever finds an open page cannot guess it.
    """

    template_name = "notifications/password_change.html"
    success_url = reverse_lazy("preferences")
    success_message = _("Your password is changed. Everywhere else you have been signed out.")

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        attempts().count(PER_ACCOUNT, "change", str(request.user.pk))
        return super().post(request, *args, **kwargs)

    def form_valid(self, form: Any) -> HttpResponse:
        attempts().forget(PER_ACCOUNT, "change", str(self.request.user.pk))
        return super().form_valid(form)


class ResetForm(PasswordResetForm):
    """Says nothing of whether an account has the address: not by its answer, and not by how long that takes."""

    def save(self, *args: Any, **kwargs: Any) -> None:
        if not _has_had_enough(self.cleaned_data["email"]):
            super().save(*args, **kwargs)

    def send_mail(
        self,
        subject_template_name: str,
        email_template_name: str,
        context: dict[str, Any],
        from_email: str | None,
        to_email: str,
        html_email_template_name: str | None = None,
    ) -> None:
        """Written in the language of this request, and sent after it: a mail server may take seconds."""
        subject = loader.render_to_string(subject_template_name, context).strip()
        text = loader.render_to_string(email_template_name, context)
        _post.submit(_send, EmailMessage(subject, text, from_email, [to_email]))


class ResetPassword(SuccessMessageMixin, PasswordResetView):  # type: ignore[type-arg]
    """Asks for the address of an account. Only where e-mail is set up."""

    form_class = ResetForm
    template_name = "notifications/password_reset.html"
    subject_template_name = "notifications/password_reset_subject.txt"
    email_template_name = "notifications/password_reset_mail.txt"
    success_url = reverse_lazy("login")
    success_message = _("If an account has this address, a mail is on its way to it. The link in it works for a day.")

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if not settings.EMAIL_URL:
            raise Http404
        return super().dispatch(request, *args, **kwargs)


class ChooseNewPassword(SuccessMessageMixin, PasswordResetConfirmView):  # type: ignore[type-arg]
    """Where the link of the mail leads. Every session of the account ends."""

    template_name = "notifications/password_choose.html"
    success_url = reverse_lazy("login")
    success_message = _("Your password is changed. Sign in with the new one.")


def _has_had_enough(address: str) -> bool:
    """Counted for addresses without an account, too, so that nothing tells them apart."""
    try:
        attempts().count(PER_MAILBOX, "mail", hashlib.sha256(address.lower().encode()).hexdigest())
    except SignInRefused:
        return True
    return False


def _send(mail: EmailMessage) -> None:
    try:
        mail.send()
    except Exception:  # a mail server may fail in as many ways as there are; the person asks again
        logger.exception("A mail to set a new password could not be sent")
