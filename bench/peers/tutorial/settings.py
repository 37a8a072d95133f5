"""What `django-admin startproject` writes, less what only pages need, and what the Channels tutorial adds."""

from __future__ import annotations

import os
from pathlib import Path

FOLDER = Path(os.environ["TUTORIAL_FOLDER"])

SECRET_KEY = "only-for-the-benchmark"
DEBUG = False
ALLOWED_HOSTS = ["127.0.0.1"]

INSTALLED_APPS = [
    "daphne",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

ROOT_URLCONF = "bench.peers.tutorial.urls"
ASGI_APPLICATION = "bench.peers.tutorial.asgi.application"

DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": FOLDER / "db.sqlite3"}}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True

CHANNEL_LAYERS = {
    "default": {
        "BACKEND": "channels_redis.core.RedisChannelLayer",
        "CONFIG": {
            # The tutorial names only host and port. redis-py 8 then gives up each read after 5 s, exactly as long as
            # channels_redis waits for a message: whenever none comes for 5 s, a client is cut off with 1011.
            # https://github.com/django/channels_redis/issues/422
            "hosts": [{"host": "127.0.0.1", "port": int(os.environ["TUTORIAL_REDIS_PORT"]), "socket_timeout": None}],
            # It leaves these two alone, and loses notices: by default 100 messages wait in Redis for the whole
            # process, and 100 in the process for each client; what comes while they are full is dropped. Of a burst
            # of 200, each of 20 clients got 122, each of 300 got 103. What has waited in Redis for 60 s is dropped,
            # too, and a burst to thousands of clients takes minutes.
            "capacity": 10_000,
            "expiry": 3600,
        },
    },
}
