from django.urls import path

from notifications.views import echo, health, inbox, send, test_notice

urlpatterns = [
    path("", inbox.inbox, name="inbox"),
    path("read/", inbox.read, name="read"),
    path("read-all/", inbox.read_all, name="read_all"),
    path("send/", send.send, name="send"),
    path("test/", test_notice.test_notice, name="test_notice"),
    path("echo/", echo.echo, name="echo"),
    path("ws/notices/", echo.upgrade_required),
    path("ws/echo/", echo.upgrade_required),
    path("healthz", health.healthz, name="healthz"),
    path("readyz", health.readyz, name="readyz"),
]
