"""The guarded fetch: no address inside is ever connected to, whatever the URL looks like (S2)."""

import contextlib
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from synsight import fetching
from synsight.fetching import FetchError, fetch, is_public

INSIDE = """
127.0.0.1 127.0.0.2 127.1 127.0.1 127.255.255.254 localhost LOCALHOST localhost. 2130706433 0x7f000001 0x7f.1
0177.0.0.1 017700000001 0x7f.0x0.0x0.0x1 00000177.0.0.1 0 0.0.0.0 0.0.0.1 00.0.0.0
10.0.0.1 10.255.255.255 172.16.0.1 172.31.255.254 192.168.0.1 192.168.1.254 3232235521 0xc0a80001
169.254.169.254 2852039166 0xa9fea9fe 0251.0376.0251.0376 169.254.0.1 100.64.0.1 100.127.255.254
192.0.0.8 192.0.2.1 198.18.0.1 198.51.100.7 203.0.113.9 224.0.0.1 239.255.255.250 240.0.0.1 255.255.255.255
[::1] [::] [0:0:0:0:0:0:0:1] [::127.0.0.1] [::ffff:127.0.0.1] [::ffff:7f00:1] [::ffff:10.0.0.1]
[::ffff:169.254.169.254] [::ffff:0:127.0.0.1] [::ffff:8.8.8.8] [64:ff9b::127.0.0.1] [64:ff9b::7f00:1]
[64:ff9b:1::a00:1] [2002:7f00:1::] [2002:a00:1::1] [2001:0:4136:e378:8000:63bf:3fff:fdd2] [fe80::1]
[fe80::1%25lo] [febf::1] [fc00::1] [fd00:ec2::254] [fd12:3456:789a::1] [ff02::1] [ff0e::1] [2001:db8::1]
[100::1] [3fff::1] [fec0::1]
""".split()  # noqa: SIM905  a table


@pytest.fixture
def listener() -> Iterator[tuple[int, list[object]]]:
    """A server on loopback, v4 and v6 where there is v6, that notes who comes."""
    came: list[object] = []
    first = socket.create_server(("127.0.0.1", 0))
    port = first.getsockname()[1]
    servers = [first]
    with contextlib.suppress(OSError):
        servers.append(socket.create_server(("::1", port), family=socket.AF_INET6))

    def serve(server: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, who = server.accept()
                came.append(who)
                connection.close()

    for server in servers:
        threading.Thread(target=serve, args=[server], daemon=True).start()
    with socket.create_connection(("127.0.0.1", port)):  # it does notice
        until(lambda: len(came) == 1)
    came.clear()
    yield port, came
    for server in servers:
        server.close()


def until(condition) -> None:
    deadline = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_the_table_is_long_enough():
    assert len(set(INSIDE)) == len(INSIDE) >= 60


def test_no_address_inside_is_connected_to(listener, monkeypatch):
    port, came = listener
    tried = []
    connect = fetching._connected
    monkeypatch.setattr(fetching, "_connected", lambda *what: tried.append(what) or connect(*what))
    for host in INSIDE:
        with pytest.raises(FetchError) as raised:
            fetch(f"https://{host}:{port}/latest/meta-data", allow=True, timeout=5)
        # A form that this system's resolver does not know is not found, which is as good.
        assert raised.value.reason in ("refused_address", "unreachable", "bad_url"), host
    for host in ("127.0.0.1", "localhost", "[::1]", "2130706433", "0x7f.1", "[::ffff:127.0.0.1]"):
        with pytest.raises(FetchError, match="not an address of the public internet"):
            fetch(f"https://{host}:{port}/", allow=True)
    time.sleep(0.05)
    assert (came, tried) == ([], [])


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:{port}/",
        "HTTP://localhost:{port}/",
        "file:///etc/passwd",
        "/etc/passwd",
        "ftp://127.0.0.1:{port}/",
        "gopher://127.0.0.1:{port}/",
        "data:text/plain,hello",
        "//127.0.0.1:{port}/",
        "https://user:word@127.0.0.1:{port}/",
        "https://example.org@127.0.0.1:{port}/",
        "https://example.org\\@127.0.0.1:{port}/",
        "https://127.0.0.1:{port}\r\nHost: inside/",
        "https://127.0.0.1:99999/",
        "https:///x",
        "https://ⓛⓞⓒⓐⓛⓗⓞⓢⓣ:{port}/",
        "https://[::1/",
        "",
    ],
)
def test_other_kinds_of_urls_lead_nowhere(listener, url):
    port, came = listener
    with pytest.raises(FetchError) as raised:
        fetch(url.format(port=port), allow=True)
    assert raised.value.reason in ("not_https", "bad_url")
    assert "\n" not in str(raised.value) and "\r" not in str(raised.value)
    assert came == []


def test_nothing_is_fetched_unless_allowed(monkeypatch):
    monkeypatch.setattr(fetching, "_lookup", None)  # not even the name is looked up
    with pytest.raises(FetchError, match="nothing is fetched unless asked for") as raised:
        fetch("https://example.org/x.png", allow=False)
    assert raised.value.reason == "not_allowed"


@pytest.mark.parametrize("address", ["8.8.8.8", "93.184.216.34", "2606:4700:4700::1111", "2a00:1450:4001::1"])
def test_the_public_internet_is_public(address):
    assert is_public(address)


class Public:
    """A server that stands for one on the public internet: the name's address is public, and the connection
    to that address ends in this process, without TLS."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, answers: dict[str, bytes], *addresses: str) -> None:
        self.answers, self.asked, self.connected = answers, [], []
        self.addresses = list(addresses or ["93.184.216.34"])
        self.lookups = 0
        self.silent: list[socket.socket] = []
        monkeypatch.setattr(fetching, "_lookup", self.lookup)
        monkeypatch.setattr(fetching, "_connected", self.connect)

    def lookup(self, host: str, port: int) -> list[str]:
        if host != "public.test":
            return [str(one[4][0]) for one in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
        self.lookups += 1
        # A name whose answer changes: public when looked at, inside when asked once more.
        return self.addresses if self.lookups == 1 else ["127.0.0.1"]

    def connect(self, address: str, port: int, host: str, timeout: float) -> socket.socket:
        self.connected.append(address)
        ours, theirs = socket.socketpair()
        ours.settimeout(timeout)
        threading.Thread(target=self.answer, args=[theirs], daemon=True).start()
        return ours

    def answer(self, connection: socket.socket) -> None:
        request = connection.recv(65_536).decode()
        self.asked.append(request)
        with contextlib.suppress(OSError):
            connection.sendall(self.answers[request.split()[1]])
        if "/slow" in request:
            self.silent.append(connection)
        else:
            connection.close()


def http(body: bytes = b"", *, status: str = "200 OK", **headers: object) -> bytes:
    lines = [f"HTTP/1.1 {status}", *(f"{name.replace('_', '-')}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode() + body


def moved(to: str) -> bytes:
    return http(status="302 Found", Location=to)


def test_a_public_file_is_fetched_from_the_address_that_was_looked_at(monkeypatch):
    server = Public(monkeypatch, {"/x.png?a=1": http(b"picture", Content_Length=7)})
    assert fetch("https://public.test/x.png?a=1", allow=True) == b"picture"
    assert server.connected == ["93.184.216.34"]
    assert server.lookups == 1  # never a second question, which could be answered otherwise
    assert "Host: public.test\r\n" in server.asked[0]


def test_one_address_inside_among_public_ones_is_enough_to_refuse(monkeypatch):
    server = Public(monkeypatch, {}, "93.184.216.34", "127.0.0.1")
    with pytest.raises(FetchError, match=r"leads to 127\.0\.0\.1"):
        fetch("https://public.test/", allow=True)
    assert server.connected == []


@pytest.mark.parametrize("host", INSIDE)
def test_a_redirect_to_an_address_inside_is_refused(monkeypatch, host):
    server = Public(monkeypatch, {"/": moved(f"https://{host}/")})
    with pytest.raises(FetchError) as raised:
        fetch("https://public.test/", allow=True)
    assert raised.value.reason in ("refused_address", "unreachable", "bad_url")
    assert server.connected == ["93.184.216.34"]


@pytest.mark.parametrize("target", ["http://public.test/", "file:///etc/passwd", "//127.0.0.1/", "/again"])
def test_a_redirect_changes_neither_scheme_nor_the_address_of_a_name(monkeypatch, target):
    server = Public(monkeypatch, {"/": moved(target), "/again": http(b"x")})
    with pytest.raises(FetchError) as raised:
        fetch("https://public.test/", allow=True)
    # "/again" is on the same host, whose name now leads to loopback.
    assert raised.value.reason in ("not_https", "refused_address")
    assert server.connected == ["93.184.216.34"]


def test_three_redirects_are_followed_and_a_fourth_is_not(monkeypatch):
    answers = {f"/{n}": moved(f"/{n + 1}") for n in range(9)} | {"/3": http(b"there")}
    server = Public(monkeypatch, answers)
    monkeypatch.setattr(server, "lookup", lambda host, port: ["93.184.216.34"])
    monkeypatch.setattr(fetching, "_lookup", server.lookup)
    assert fetch("https://public.test/0", allow=True) == b"there"
    answers["/3"] = moved("/4")
    with pytest.raises(FetchError, match="at most 3 redirects"):
        fetch("https://public.test/0", allow=True)
    assert [request.split()[1] for request in server.asked[4:]] == ["/0", "/1", "/2", "/3"]


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (http(b"x" * 11, Content_Length=11), "too_many_bytes"),
        (http(b"x" * 11), "too_many_bytes"),  # no length announced
        (http(b"x" * 4, Content_Length=9), "unreachable"),  # cut off
        (http(b"b\r\n" + b"x" * 11 + b"\r\n0\r\n\r\n", Transfer_Encoding="chunked"), "too_many_bytes"),
        (http(status="404 Not Found"), "bad_status"),
        (http(status="206 Partial Content"), "bad_status"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "unreachable"),
        (b"", "unreachable"),
    ],
)
def test_an_answer_that_is_no_small_whole_file_is_refused(monkeypatch, answer, reason):
    Public(monkeypatch, {"/": answer})
    with pytest.raises(FetchError) as raised:
        fetch("https://public.test/", allow=True, limit_bytes=10)
    assert raised.value.reason == reason


@pytest.mark.parametrize("begun", [b"", b"HTTP/1.1 200 OK\r\nX: ", http(b"some", Content_Length=99)])
def test_a_server_that_says_nothing_more_is_left_in_time(monkeypatch, begun):
    server = Public(monkeypatch, {"/slow": begun})
    with pytest.raises(FetchError) as raised:
        fetch("https://public.test/slow", allow=True, timeout=0.3)
    assert raised.value.reason == "too_slow"
    assert len(server.silent) == 1


def test_a_resolver_that_hangs_is_left_in_time(monkeypatch):
    monkeypatch.setattr(fetching, "_lookup", lambda host, port: time.sleep(3) or [])
    started = time.monotonic()
    with pytest.raises(FetchError, match="was not found"):
        fetch("https://public.test/", allow=True, timeout=0.2)
    assert time.monotonic() - started < 2
