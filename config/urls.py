"""Which address leads to which page."""

from django.contrib import admin
from django.contrib.auth.views import LoginView, LogoutView
from django.templatetags.static import static
from django.urls import include, path
from django.views.generic import RedirectView
from django.views.i18n import set_language

from config.errors import not_there
from config.password import ChangePassword, ChooseNewPassword, ResetPassword


class Favicon(RedirectView):
    """Browsers ask for it unasked, in the admin and on plain pages."""

    def get_redirect_url(self, *args: object, **kwargs: object) -> str:
        return static("notifications/icon.svg")


handler500 = "config.errors.server_error"
urlpatterns = [
    # "View on site", which nothing here has; the id of a model with UUIDs that is none was a fault there.
    path("admin/r/<path:rest>", not_there),
    path("admin/", admin.site.urls),
    path("accounts/login/", LoginView.as_view(redirect_authenticated_user=True), name="login"),
    path("accounts/logout/", LogoutView.as_view(), name="logout"),
    path("accounts/password/", ChangePassword.as_view(), name="password_change"),
    path("accounts/password/reset/", ResetPassword.as_view(), name="password_reset"),
    path("accounts/password/reset/<uidb64>/<token>/", ChooseNewPassword.as_view(), name="password_reset_confirm"),
    path("language/", set_language, name="set_language"),
    path("favicon.ico", Favicon.as_view()),
    path("", include("notifications.urls")),
]
