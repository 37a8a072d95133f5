#!/usr/bin/env python
"""Django's command line: `manage.py help` lists the commands."""

import os
import sys


def main() -> None:
    os.umask(0o077)  # what we write (the database, sockets, keys) is for its owner, whatever folder it is in
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    from django.core.exceptions import ImproperlyConfigured
    from django.core.management import execute_from_command_line

    try:
        execute_from_command_line(sys.argv)
    except ImproperlyConfigured as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
