"""What a client's IP address says of it; the server gives it, from the proxy's headers where it trusts the proxy."""

from __future__ import annotations

from ipaddress import IPv6Address, ip_address


def is_this_machine(address: str) -> bool:
    try:
        return ip_address(address).is_loopback
    except ValueError:  # none, or that of a unix socket
        return False


def network_of(address: str) -> str:
    """What limits for one client count by: an IPv4 address; of IPv6 the /64, because each host has a whole one."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    if not isinstance(parsed, IPv6Address):
        return str(parsed)
    if parsed.ipv4_mapped:
        return str(parsed.ipv4_mapped)
    return f"{IPv6Address(int(parsed) >> 64 << 64)}/64"
