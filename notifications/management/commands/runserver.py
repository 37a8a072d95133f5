"""`manage.py runserver` is Daphne's, which speaks WebSocket.

As an app in INSTALLED_APPS, Daphne would load Twisted into every process: 0.17 s of each `manage.py send_notice`.
"""

from daphne.management.commands.runserver import Command as Command
