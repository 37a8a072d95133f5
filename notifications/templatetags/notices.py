"""One line for any template of this site: `{% load notices %}{% notice_bell %}`."""

from __future__ import annotations

from typing import Any

from django import template
from django.conf import settings
from django.template.context import RequestContext

from notifications.views.bell import bell_of

register = template.Library()


@register.simple_tag
def mail_is_set_up() -> bool:
    """Whether somebody who has forgotten their password can be sent a link."""
    return bool(settings.EMAIL_URL)


@register.inclusion_tag("notifications/_bell.html", takes_context=True)
def notice_bell(context: RequestContext) -> dict[str, Any]:
    """How many notices are unseen, and the newest ten behind a button; nothing for somebody not signed in.

    The page needs the request in its context. It is a plain link to the inbox until the script runs.
    """
    user = getattr(context.get("request"), "user", None)
    return {"bell": bell_of(user) if user is not None and user.is_authenticated else None}
