from django.urls import path

from notifications.views import app, bell, echo, health, inbox, notice, preferences, send, test_notice

urlpatterns = [
    path("", inbox.inbox, name="inbox"),
    path("read/", inbox.read, name="read"),
    path("unread/", inbox.unread, name="unread"),
    path("archive/", inbox.archive, name="archive"),
    path("unarchive/", inbox.unarchive, name="unarchive"),
    path("seen/", inbox.seen, name="seen"),
    path("read-all/", inbox.read_all, name="read_all"),
    path("undo/", inbox.undo, name="undo"),
    path("counts/", inbox.counts, name="counts"),
    path("notices/<int:pk>/", notice.notice, name="notice"),
    path("notices/<int:pk>/why/", notice.why, name="why"),
    path("mute/", notice.mute, name="mute"),
    path("unmute/", notice.unmute, name="unmute"),
    path("muted/", notice.muted, name="muted"),
    path("bell/", bell.bell, name="bell"),
    path("send/", send.send, name="send"),
    path("test/", test_notice.test_notice, name="test_notice"),
    path("preferences/", preferences.preferences, name="preferences"),
    path("manifest.webmanifest", app.manifest, name="manifest"),
    path("sw.js", app.service_worker, name="service_worker"),
    path("echo/", echo.echo, name="echo"),
    path("ws/notices/", echo.upgrade_required),
    path("ws/echo/", echo.upgrade_required),
    path("healthz", health.healthz, name="healthz"),
    path("readyz", health.readyz, name="readyz"),
]
