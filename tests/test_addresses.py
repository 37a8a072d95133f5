"""What a client's address is counted as."""

from __future__ import annotations

import pytest

from notifications.addresses import is_this_machine, network_of


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::9", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::9", "2001:db8:1:3::/64"),
        ("", ""),
    ],
)
def test_a_host_cannot_be_many_by_its_ipv6_addresses(address, network):
    assert network_of(address) == network


@pytest.mark.parametrize(
    ("address", "is_here"), [("127.0.0.1", True), ("127.8.8.8", True), ("::1", True), ("192.0.2.1", False), ("", False)]
)
def test_only_loopback_is_this_machine(address, is_here):
    assert is_this_machine(address) is is_here
