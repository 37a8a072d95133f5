from django.urls import path

from notifications import views

urlpatterns = [
    path("", views.inbox, name="inbox"),
    path("read/", views.read, name="read"),
    path("read-all/", views.read_all, name="read_all"),
    path("send/", views.send, name="send"),
    path("echo/", views.echo, name="echo"),
    path("ws/notices/", views.upgrade_required),
    path("ws/echo/", views.upgrade_required),
    path("healthz", views.healthz, name="healthz"),
    path("readyz", views.readyz, name="readyz"),
]
