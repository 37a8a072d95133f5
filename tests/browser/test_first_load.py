"""What a browser that comes for the first time has to fetch before the inbox is live."""

from __future__ import annotations

from tests.browser.gestures import expect_live

MOST_REQUESTS = 12
MOST_BYTES = 60_000  # transferred: compressed, with headers


class Traffic:
    """Every answer that one page was given, by address, with the bytes that went over the wire."""

    def __init__(self, page):
        self.bytes = {}
        self._addresses = {}
        session = page.context.new_cdp_session(page)
        session.send("Network.enable")
        session.on("Network.requestWillBeSent", self._asked)
        session.on("Network.loadingFinished", self._finished)

    def _asked(self, event):
        self._addresses[event["requestId"]] = event["request"]["url"]

    def _finished(self, event):
        address = self._addresses[event["requestId"]]
        self.bytes[address] = self.bytes.get(address, 0) + event["encodedDataLength"]


def test_the_first_inbox_is_light(visit, ada, backstage):
    backstage.send_many("Notice", 60, ada.audience, body="A backup of the night before. " * 5)
    page = visit(ada, None, for_good=True)
    traffic = Traffic(page)

    page.goto("/")
    expect_live(page)
    page.wait_for_load_state("networkidle")

    fetched = {address: size for address, size in traffic.bytes.items() if not address.startswith("data:")}
    print(len(fetched), sum(fetched.values()), fetched)
    assert len(fetched) <= MOST_REQUESTS, sorted(fetched)
    assert sum(fetched.values()) <= MOST_BYTES, fetched
    print(len(fetched), sum(fetched.values()), fetched)
