"""Every setting, read once from the environment.

The table in README.md lists the variables. `$DATA_DIR/.env` may hold them too (`make run` writes one with a
generated SECRET_KEY); the real environment wins.
"""

from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import Any
from zoneinfo import available_timezones

import environ
from csp.constants import NONE, SELF
from django.core.exceptions import ImproperlyConfigured
from django.utils.translation import gettext_lazy as _

from config import redis, sqlite
from config.environment import Environment, read_file
from config.setting_up import make_folder

BASE_DIR = Path(__file__).resolve().parent.parent

env = Environment()
DATA_DIR = Path(env.str("DATA_DIR", default=BASE_DIR / "var")).absolute()
make_folder(DATA_DIR)
read_file(DATA_DIR / ".env")

# Security -------------------------------------------------------------------------------------------------

SECRET_KEY = env.str("SECRET_KEY", default="")
if not SECRET_KEY:
    raise ImproperlyConfigured(
        f"SECRET_KEY is not set: put it in the environment or in {DATA_DIR / '.env'} ('make run' does that). "
        "Make one with: python -c 'import secrets; print(secrets.token_urlsafe(50))'"
    )
SECRET_KEY_FALLBACKS = env.list("SECRET_KEY_FALLBACKS", default=[])
DEBUG = env.bool("DEBUG", default=False)
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["localhost", "127.0.0.1", "[::1]"])
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[])
for origin in CSRF_TRUSTED_ORIGINS:
    if not re.fullmatch(r"https?://[^/?#@\s]+", origin):
        raise ImproperlyConfigured(
            f"CSRF_TRUSTED_ORIGINS={origin}: write scheme, host and port alone, such as https://www.example.com"
        )

# Behind TLS: cookies only over https, and browsers told to stay there.
HTTPS_ONLY = env.bool("HTTPS_ONLY", default=False)
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HTTPS_ONLY
SECURE_HSTS_SECONDS = 31_536_000 if HTTPS_ONLY else 0
SECURE_SSL_REDIRECT = HTTPS_ONLY
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [SELF],
        "base-uri": [NONE],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
        "object-src": [NONE],
        "img-src": [SELF, "data:"],  # Django's admin draws its icons from data: URLs
        "manifest-src": [SELF],
        "worker-src": [SELF],
    }
}

# The application ------------------------------------------------------------------------------------------

INSTALLED_APPS = [
    "notifications.apps.NotificationsConfig",  # first: its `runserver` is Daphne's, which speaks WebSocket
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "channels",
]
MIDDLEWARE = [
    "config.probes.AnswerProbes",
    "django.middleware.security.SecurityMiddleware",
    "config.static.StaticFiles",
    "django.middleware.gzip.GZipMiddleware",  # an inbox of 50 rows: 120 KB → 9; it hides tokens from BREACH
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "config.sign_in.SignInThrottle",
]
ROOT_URLCONF = "config.urls"
ASGI_APPLICATION = "config.asgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
SESSION_ENGINE = "notifications.sessions"
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = LOGOUT_REDIRECT_URL = "inbox"
# Passwords are checked by the first one alone; Django's own knows the sessions that it has made before.
AUTHENTICATION_BACKENDS = ["config.sign_in.ThrottledBackend", "django.contrib.auth.backends.ModelBackend"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]

PASSWORD_RESET_TIMEOUT = 86_400  # the link in a mail works for a day

# E-mail, to set a new password; without EMAIL_URL (smtp+tls://USER:PASSWORD@HOST:587) nobody is offered one.
EMAIL_URL = env.str("EMAIL_URL", default="")


def mail(url: str) -> dict[str, Any]:
    """Django's settings for one URL of a mail server."""
    try:
        return env.email_url_config(url) if url else {}
    except (ImproperlyConfigured, ValueError):  # which would quote a part of the password
        choices = "smtp+tls://USER:PASSWORD@HOST:587 or smtp://HOST:25"
        raise ImproperlyConfigured(f"EMAIL_URL={url.split(':')[0]}:…: use {choices}") from None


globals().update(mail(EMAIL_URL))
DEFAULT_FROM_EMAIL = SERVER_EMAIL = env.str("EMAIL_FROM", default="notices@localhost")
EMAIL_TIMEOUT = 20

# What is kept ---------------------------------------------------------------------------------------------

DATABASE_URL = env.str("DATABASE_URL", default="")


def parsed(url: str) -> dict[str, Any]:
    """The parts of a database URL; nothing where it is none of a kind that we know."""
    if not url.startswith(("postgres:", "postgresql:", "sqlite:")):
        return {}
    try:
        return dict(environ.Env.db_url_config(url))
    except ValueError:  # which would quote a part of the password
        return {}


def database(url: str) -> dict[str, Any]:
    """Django's settings for one database URL: PostgreSQL with a pool, SQLite fit for several processes.

    Without a URL it is SQLite in DATA_DIR, whose path may have any character, also those that end a URL's path.
    """
    in_data_dir: dict[str, Any] = {"ENGINE": "django.db.backends.sqlite3", "NAME": str(DATA_DIR / "db.sqlite3")}
    settings = parsed(url) if url else in_data_dir
    if "postgresql" in settings.get("ENGINE", ""):
        settings["OPTIONS"] = {
            # 4 threads serve the sockets, the rest is for pages; wait 5 s for a free connection, then say so.
            "pool": {"min_size": 1, "max_size": env.int("DATABASE_POOL_SIZE", default=8), "timeout": 5},
            "connect_timeout": 5,
        }
        settings["CONN_HEALTH_CHECKS"] = True
    elif settings:
        settings["OPTIONS"] = {
            "timeout": 20,
            # A read that turns into a write cannot wait for its turn: 18–28 % "database is locked" without this.
            "transaction_mode": "IMMEDIATE",
            "factory": sqlite.Connection,
        }
    else:
        raise ImproperlyConfigured(f"DATABASE_URL={url.split(':')[0]}:…: use postgres://… or sqlite:///…")
    return settings


DATABASES = {"default": database(DATABASE_URL)}

# The doorbell ---------------------------------------------------------------------------------------------

REDIS_URL = env.str("REDIS_URL", default="") or redis.embedded_url(DATA_DIR)
CHANNEL_LAYERS = {"default": redis.channel_layer(REDIS_URL)}

# The socket -----------------------------------------------------------------------------------------------

HOST = env.str("HOST", default="127.0.0.1")
PORT = env.int("PORT", default=8000)
WS_MAX_BYTES = env.int("WS_MAX_BYTES", default=1_048_576)  # largest inbound message
WS_RATE_LIMIT = env.int("WS_RATE_LIMIT", default=10)  # inbound frames a second, each socket; 0 = no limit
WS_ALLOWED_ORIGINS = env.list("WS_ALLOWED_ORIGINS", default=[])  # beside the page's own
for origin in WS_ALLOWED_ORIGINS:
    if not re.fullmatch(r"https?://[^/?#@\s]+", origin):  # browsers send no path with it, so it would match nothing
        raise ImproperlyConfigured(
            f"WS_ALLOWED_ORIGINS={origin!r}: write scheme, host and port alone, such as https://www.example.com"
        )
WS_CONNECTIONS_PER_USER = env.int("WS_CONNECTIONS_PER_USER", default=20)
# Echo sockets of people who have not signed in, in each server process; 0 = no limit, but a quarter of all descriptors.
WS_ANONYMOUS_CONNECTIONS = env.int("WS_ANONYMOUS_CONNECTIONS", default=200)
WS_ANONYMOUS_PER_ADDRESS = env.int("WS_ANONYMOUS_PER_ADDRESS", default=20)
WS_ANONYMOUS_MAX_BYTES = env.int("WS_ANONYMOUS_MAX_BYTES", default=8192)  # their largest message; 0 = WS_MAX_BYTES
WS_ECHO_SIGN_IN = env.bool("WS_ECHO_SIGN_IN", default=False)  # the echo is for people who have signed in
HEARTBEAT_SECONDS = env.float("HEARTBEAT_SECONDS", default=25.0)  # below the 60 s that many proxies allow
HEARTBEAT_ANSWER_SECONDS = env.float("HEARTBEAT_ANSWER_SECONDS", default=10.0)
LOG_LOOK_SECONDS = env.float("LOG_LOOK_SECONDS", default=1.5)  # how often a hub checks the log itself
LOG_POLL_SECONDS = env.float("LOG_POLL_SECONDS", default=0.5)  # the same while no doorbell works
ACCESS_LOOK_SECONDS = env.float("ACCESS_LOOK_SECONDS", default=60.0)  # how often everybody's access is checked
DRAIN_SECONDS = env.float("DRAIN_SECONDS", default=5.0)  # sockets leave within this when the server stops
SHUTDOWN_SECONDS = env.int("SHUTDOWN_SECONDS", default=10)  # and whatever is left is cut after this

# Pages ----------------------------------------------------------------------------------------------------

LANGUAGE_CODE = "en"
LANGUAGES = [("en", _("English")), ("zh-hans", _("Simplified Chinese"))]
LOCALE_PATHS = [BASE_DIR / "locale"]
LANGUAGE_COOKIE_AGE = 31_536_000  # who has chosen a language need not choose it again
LANGUAGE_COOKIE_HTTPONLY = True
LANGUAGE_COOKIE_SAMESITE = "Lax"
LANGUAGE_COOKIE_SECURE = HTTPS_ONLY
TIME_ZONE = env.str("TIME_ZONE", default="UTC")
if TIME_ZONE not in available_timezones():
    raise ImproperlyConfigured(f"TIME_ZONE={TIME_ZONE}: use a name such as Europe/Berlin, Asia/Shanghai or UTC")
USE_TZ = True
DATA_UPLOAD_MAX_NUMBER_FIELDS = 1100  # a deed names up to 1,000 notices
FILE_UPLOAD_MAX_MEMORY_SIZE = 4 * 1_048_576  # as large as a request may be (live/http.py): none is spooled to a disk
STATIC_URL = "static/"
STATIC_ROOT = DATA_DIR / "static"
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"
        if DEBUG
        else "config.static.HashedStaticFiles"
    },
}

LOG_LEVEL = env.str("LOG_LEVEL", default="INFO").upper()
if LOG_LEVEL not in logging.getLevelNamesMapping():
    raise ImproperlyConfigured(f"LOG_LEVEL={LOG_LEVEL}: use DEBUG, INFO, WARNING or ERROR")
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {
        "once_a_minute": {"()": "config.logs.OnceAMinute"},
        "database_away": {"()": "config.logs.DatabaseAway"},
        "no_fault": {"()": "config.logs.NoFault"},
        "from_strangers": {"()": "config.logs.FromStrangers"},
    },
    "formatters": {"line": {"format": "{asctime} {levelname} {name}: {message}", "style": "{"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line", "filters": ["from_strangers"]}},
    "root": {"handlers": ["console"], "level": "WARNING"},
    "loggers": {
        "django": {"handlers": ["console"], "level": "WARNING", "propagate": False},
        # Strangers asking for what is not there are no news.
        "django.request": {"level": "ERROR", "filters": ["database_away"]},
        "uvicorn.error": {"filters": ["no_fault"]},
        "notifications": {"level": LOG_LEVEL},
        # A layer that is away, or a stranger who knocks, is said once a minute and without a traceback.
        "channels_redis.pubsub": {"filters": ["once_a_minute"]},
        "notifications.doorbell": {"filters": ["once_a_minute"]},
        "notifications.live.consumers": {"filters": ["once_a_minute"]},
        "notifications.live.connection": {"filters": ["once_a_minute"]},
        "notifications.live.hub": {"filters": ["once_a_minute"]},
        "notifications.live.rounds": {"filters": ["once_a_minute"]},
        "notifications.live.warden": {"filters": ["once_a_minute"]},
        "notifications.live.sightings": {"filters": ["once_a_minute"]},
        "notifications.deeds": {"filters": ["once_a_minute"]},
        "notifications.seeing": {"filters": ["once_a_minute"]},
        "notifications.sending": {"filters": ["once_a_minute"]},
        "config.sign_in": {"filters": ["once_a_minute"]},
        "notifications.log": {"filters": ["once_a_minute"]},
    },
}
