"""The measured clients only open sockets."""

from __future__ import annotations

from django.urls import URLPattern

urlpatterns: list[URLPattern] = []
