"""The one function that brings something from a URL, guarded so that a hostile URL leads nowhere inside.

A URL in a table or a caption is a stranger's wish. It is followed only where the user allowed it, over https,
to addresses of the public internet: the name is resolved once and the very address that was looked at is
connected to, so that a name cannot change its mind in between; each of at most three redirects passes the
same gate. Environment proxies, cookies and passwords play no part.
"""

import http.client
import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urljoin, urlsplit

from synsight.errors import DataError

MOST_BYTES = 30_000_000
"""As for images everywhere."""
MOST_SECONDS = 10.0
MOST_REDIRECTS = 3
REDIRECTS = frozenset({301, 302, 303, 307, 308})
PIECE = 65_536

NOT_PUBLIC = tuple(
    ipaddress.ip_network(one)
    for one in (
        *("192.0.0.0/24", "192.88.99.0/24", "3fff::/20"),  # RFC 6890, 7526, 9637: not known to every Python
        *("2001::/23", "2002::/16"),  # tunnels (RFC 2928, 3056): they carry an IPv4 address to somebody else
    )
)
GLOBAL_UNICAST = ipaddress.ip_network("2000::/3")
"""All that IANA gives out of IPv6; mapped, translated (64:ff9b::/96), local addresses lie outside."""

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class FetchError(DataError):
    """Nothing was fetched.

    Attributes:
        reason: A short stable word for counting: `not_allowed`, `bad_url`, `not_https`, `refused_address`,
            `unreachable`, `too_many_redirects`, `bad_status`, `too_many_bytes`, `too_slow`.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


def fetch(url: str, *, allow: bool, limit_bytes: int = MOST_BYTES, timeout: float = MOST_SECONDS) -> bytes:
    """The body behind an https URL.

    Args:
        url: Anybody's; https, without a user name.
        allow: Whether the user asked for fetching; there is no default on purpose.
        limit_bytes: Most bytes of the body.
        timeout: Seconds for everything together: name, connection, redirects, body.

    Raises:
        FetchError: Fetching is not allowed, the URL leads to an address that is not public, or the answer is
            too long, too slow or none.
    """
    if not allow:
        raise FetchError("not_allowed", f"{_shown(url)}: is a URL, and nothing is fetched unless asked for.")
    deadline = time.monotonic() + timeout
    for _ in range(MOST_REDIRECTS + 1):
        host, port, target = _parts(url)
        address = _public_address(url, host, port, deadline)
        with _exchange(url, host, port, target, address, deadline) as answer:
            if answer.status in REDIRECTS:
                url = urljoin(url, answer.getheader("Location") or "")
                continue
            return _body(url, answer, limit_bytes)
    raise FetchError(
        "too_many_redirects", f"{_shown(url)}: expected a file after at most {MOST_REDIRECTS} redirects."
    )


def is_public(address: str) -> bool:
    """Whether an IP address belongs to the public internet and to nobody behind it.

    Not public: loopback, private, link-local, shared (100.64/10), multicast, reserved and documentation
    ranges, and IPv6 addresses that stand for an IPv4 one.
    """
    found: Address = ipaddress.ip_address(address.partition("%")[0])
    if any(found in one for one in NOT_PUBLIC) or (found.version == 6 and found not in GLOBAL_UNICAST):
        return False
    return found.is_global and not (found.is_multicast or found.is_reserved or found.is_unspecified)


def _parts(url: str) -> tuple[str, int, str]:
    """Host, port and what to ask for."""
    if not url.isascii() or not url.isprintable() or " " in url or "\\" in url:
        raise FetchError("bad_url", f"{_shown(url)}: expected a URL of printable ASCII; escape the others.")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or 443
    except ValueError:
        raise FetchError("bad_url", f"{_shown(url)}: expected a URL, found something else.") from None
    if parts.scheme.lower() != "https":
        raise FetchError("not_https", f"{_shown(url)}: expected an https URL, found another kind.")
    if not host or "@" in parts.netloc:
        raise FetchError("bad_url", f"{_shown(url)}: expected a host, and no user name before it.")
    return host, port, (parts.path or "/") + (f"?{parts.query}" if parts.query else "")


def _public_address(url: str, host: str, port: int, deadline: float) -> str:
    """The address to connect to: the first, if all that the name has are public."""
    addresses = _resolve(url, host, port, deadline)
    if foreign := [one for one in addresses if not is_public(one)]:
        raise FetchError(
            "refused_address",
            f"{_shown(url)}: leads to {foreign[0]}, which is not an address of the public internet; "
            "copy the file here instead.",
        )
    return addresses[0]


def _resolve(url: str, host: str, port: int, deadline: float) -> list[str]:
    """Addresses of a name; in a thread, as the system's resolver knows no time-out."""
    found: list[str] = []

    def ask() -> None:
        try:
            found.extend(_lookup(host, port))
        except (OSError, UnicodeError):
            return

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(max(deadline - time.monotonic(), 0))
    if not found:
        raise FetchError("unreachable", f"{_shown(url)}: its host {host!r} was not found; check the name.")
    return list(found)


def _lookup(host: str, port: int) -> list[str]:
    return [str(one[4][0]) for one in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


@contextmanager
def _exchange(
    url: str, host: str, port: int, target: str, address: str, deadline: float
) -> Iterator[http.client.HTTPResponse]:
    """The answer to one request; at the deadline the socket is shut under whatever waits for it."""
    left = deadline - time.monotonic()
    if left <= 0:
        raise _too_slow(url)
    connection = http.client.HTTPSConnection(host, port, timeout=left)
    is_late = threading.Event()
    try:
        connection.sock = sock = _connected(address, port, host, left)
        watch = threading.Timer(max(deadline - time.monotonic(), 0), _shut, [sock, is_late])
        watch.daemon = True
        watch.start()
        try:
            headers = {"Accept-Encoding": "identity", "User-Agent": "synsight", "Connection": "close"}
            connection.request("GET", target, headers=headers)
            yield connection.getresponse()
        finally:
            watch.cancel()
            if is_late.is_set():  # a head or body that was cut off by us may look whole
                raise _too_slow(url) from None
    except (OSError, http.client.HTTPException, ValueError) as error:
        if isinstance(error, TimeoutError):
            raise _too_slow(url) from None
        reason = str(error) or type(error).__name__
        raise FetchError("unreachable", f"{_shown(url)}: could not be read ({reason}).") from None
    finally:
        connection.close()


def _connected(address: str, port: int, host: str, timeout: float) -> socket.socket:
    """A TLS connection to the address, for the name."""
    raw = socket.create_connection((address, port), timeout=timeout)
    try:
        return ssl.create_default_context().wrap_socket(raw, server_hostname=host)
    except BaseException:
        raw.close()
        raise


def _shut(sock: socket.socket, is_late: threading.Event) -> None:
    is_late.set()
    try:
        sock.shutdown(socket.SHUT_RDWR)
    except OSError:
        return


def _body(url: str, answer: http.client.HTTPResponse, limit_bytes: int) -> bytes:
    if answer.status != 200:
        raise FetchError(
            "bad_status", f"{_shown(url)}: expected a file, the server answered {answer.status}."
        )
    too_long = FetchError(
        "too_many_bytes",
        f"{_shown(url)}: expected at most {limit_bytes:,} bytes, found more; fetch it by hand.",
    )
    if (answer.length or 0) > limit_bytes:
        raise too_long
    pieces, size = [], 0
    while piece := answer.read(PIECE):
        size += len(piece)
        if size > limit_bytes:
            raise too_long
        pieces.append(piece)
    if answer.length:  # what was announced did not all come
        raise FetchError("unreachable", f"{_shown(url)}: the answer ended early.")
    return b"".join(pieces)


def _too_slow(url: str) -> FetchError:
    return FetchError("too_slow", f"{_shown(url)}: took too long; try again, or copy the file here.")


def _shown(url: str) -> str:
    """A URL as it may be printed: no control characters, not endless."""
    text = "".join(one if one.isprintable() else f"\\x{ord(one):02x}" for one in url)
    return text if len(text) <= 200 else f"{text[:160]}..."
