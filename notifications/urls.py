from django.urls import path

from notifications.views import app, echo, health, inbox, preferences, send

urlpatterns = [
    path("", inbox.inbox, name="inbox"),
    path("read/", inbox.read, name="read"),
    path("read-all/", inbox.read_all, name="read_all"),
    path("send/", send.send, name="send"),
    path("preferences/", preferences.preferences, name="preferences"),
    path("manifest.webmanifest", app.manifest, name="manifest"),
    path("sw.js", app.service_worker, name="service_worker"),
    path("echo/", echo.echo, name="echo"),
    path("ws/notices/", echo.upgrade_required),
    path("ws/echo/", echo.upgrade_required),
    path("healthz", health.healthz, name="healthz"),
    path("readyz", health.readyz, name="readyz"),
]
