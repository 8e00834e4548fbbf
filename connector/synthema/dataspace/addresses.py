"""Which network addresses a partner may have: never one that means this machine's own surroundings.

A partner chooses what its name points to. Nothing that only this machine can
reach — the metadata service of a cloud, a neighbour on the link — may be asked
because a partner said so, however the address is written: IPv6 forms that
carry an IPv4 address are judged by what they carry.
"""

from __future__ import annotations

import ipaddress
import socket
from typing import Final

from synthema.errors import PeerError

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_CARRIES_IPV4: Final = (
    ipaddress.IPv6Network("64:ff9b::/96"),  # NAT64 (RFC 6052)
    ipaddress.IPv6Network("64:ff9b:1::/48"),  # NAT64 for local use (RFC 8215)
    ipaddress.IPv6Network("::/96"),  # IPv4-compatible (RFC 4291, 2.5.5.1)
)
# Metadata services of clouds that do not lie on the link: Alibaba, Oracle, AWS over IPv6.
_METADATA: Final = frozenset(map(ipaddress.ip_address, ("100.100.100.200", "192.0.0.192", "fd00:ec2::254")))


def resolve(host: str, port: int) -> str:
    """The one address to connect to for a host name; raises :class:`PeerError` where there is none to go to.

    All addresses of the name are judged, so that a bad one cannot hide behind a good one.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise PeerError(f"the name {host} cannot be resolved", fix="check the name service of this machine") from error
    for entry in found:
        require_reachable(host, str(entry[4][0]))
    # IPv4 first: a host name with both is often reachable over IPv4 only inside hospital networks.
    return str(min(found, key=lambda entry: entry[0] != socket.AF_INET)[4][0])


def require_reachable(host: str, text: str) -> None:
    """Refuse an address that a partner called ``host`` cannot have; raises :class:`PeerError`."""
    address = ipaddress.ip_address(text.partition("%")[0])
    if is_loopback(host):
        allowed = address.is_loopback
    else:
        allowed = all(_is_of_a_partner(each) for each in (address, *_carried(address)))
    if not allowed:
        raise PeerError(
            f"the name {host} points to {text}, which no partner can have",
            fix="ask the partner's operator what its name points to; check this machine's name service",
        )


def is_loopback(host: str) -> bool:
    """Whether a registered host is this machine, written as such."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _is_of_a_partner(address: Address) -> bool:
    """Private networks are allowed: hospitals meet in them, and TLS proves whose machine answers."""
    return not (
        address.is_loopback
        or address.is_link_local
        or address.is_multicast
        or address.is_unspecified
        or (address.is_reserved and address.version == 4)
        or address in _METADATA
    )


def _carried(address: Address) -> tuple[Address, ...]:
    """The IPv4 addresses that an IPv6 address carries inside itself."""
    if isinstance(address, ipaddress.IPv4Address):
        return ()
    inside = [address.ipv4_mapped, address.sixtofour, *(address.teredo or ())]
    if any(address in network for network in _CARRIES_IPV4):
        inside.append(ipaddress.IPv4Address(address.packed[-4:]))
    return tuple(each for each in inside if each is not None)
