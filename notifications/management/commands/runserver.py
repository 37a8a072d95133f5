"""`manage.py runserver`: Daphne's, for development.

As an installed app Daphne would put its own in this place; but then every command imports Twisted, and cron waits for
`send_notice` 0.58 s instead of 0.40.
"""

from __future__ import annotations

from daphne.management.commands.runserver import Command as Command
