"""Python's clients through the proxy: `urllib`, `http.client`, and `httpx` and `websockets` where they are at hand.

client.py PORT CA-FILE: a line for each check, `ok NAME`, `skip NAME` or `FAIL NAME: why`. The proxy's HTTPS listener is at PORT
of the loopback address.
"""

import hashlib
import http.client
import json
import socket
import ssl
import sys
import urllib.request

port, ca = int(sys.argv[1]), sys.argv[2]
shop = f"https://shop.test:{port}"
BODY = bytes(range(256)) * 8192

resolve = socket.getaddrinfo


def to_the_proxy(_host, *rest, **named):
    return resolve("127.0.0.1", *rest, **named)


# Every name is the proxy's.
socket.getaddrinfo = to_the_proxy


def context():
    """A fresh one each time: clients change it."""
    return ssl.create_default_context(cafile=ca)


def sound(saw, method, body, target="/echo"):
    assert saw["method"] == method and saw["target"] == target, saw
    assert saw["length"] == len(body) and saw["sha256"] == hashlib.sha256(body).hexdigest(), saw


def by_urllib():
    opener = urllib.request.build_opener(urllib.request.HTTPSHandler(context=context()))
    with opener.open(f"{shop}/echo?a=b", timeout=60) as answer:
        sound(json.load(answer), "GET", b"", "/echo?a=b")
    request = urllib.request.Request(f"{shop}/echo", data=BODY, method="PUT")
    with opener.open(request, timeout=60) as answer:
        sound(json.load(answer), "PUT", BODY)
    with opener.open(f"{shop}/old", timeout=60) as answer:
        assert answer.read() == b"until the end"


def by_http_client():
    connection = http.client.HTTPSConnection("shop.test", port, context=context(), timeout=60)
    used = set()
    for number in range(50):
        connection.request("GET", f"/echo?{number}")
        answer = connection.getresponse()
        sound(json.loads(answer.read()), "GET", b"", f"/echo?{number}")
        used.add(connection.sock.fileno() if connection.sock else None)
    assert len(used) == 1, "the connection is kept"
    pieces = (BODY[at : at + 5000] for at in range(0, len(BODY), 5000))
    connection.request("POST", "/echo", body=pieces, encode_chunked=True, headers={"Transfer-Encoding": "chunked"})
    sound(json.loads(connection.getresponse().read()), "POST", BODY)
    connection.request("HEAD", "/large?bytes=777")
    answer = connection.getresponse()
    assert answer.headers["Content-Length"] == "777" and answer.read() == b""
    connection.request("GET", "/pieces")
    assert connection.getresponse().read().count(b"\n") == 100
    connection.request("GET", "/missing")
    answer = connection.getresponse()
    assert answer.status == 404 and answer.read()
    connection.close()


def by_httpx():
    import httpx

    for http2 in [False, True]:
        with httpx.Client(http1=not http2, http2=http2, verify=context(), timeout=60, trust_env=False) as client:
            answer = client.get(f"{shop}/echo?a=b", headers={"Accept-Encoding": "identity"})
            assert answer.http_version == ("HTTP/2" if http2 else "HTTP/1.1"), answer.http_version
            sound(answer.json(), "GET", b"", "/echo?a=b")
            sound(client.post(f"{shop}/echo", content=BODY).json(), "POST", BODY)
            sound(client.post(f"{shop}/echo", content=iter([BODY, BODY])).json(), "POST", BODY + BODY)
            assert len(client.get(f"{shop}/large?bytes=5000000").content) == 5_000_000
            with client.stream("GET", f"{shop}/pieces") as answer:
                assert len(list(answer.iter_lines())) == 100


def by_httpx_at_a_time():
    import asyncio

    import httpx

    async def all_of_them():
        async with httpx.AsyncClient(http1=False, http2=True, verify=context(), timeout=60, trust_env=False) as client:
            answers = await asyncio.gather(*(client.get(f"{shop}/echo?{n}") for n in range(90)))
        for number, answer in enumerate(answers):
            assert answer.status_code == 200, (answer.status_code, answer.text[:500])
            sound(answer.json(), "GET", b"", f"/echo?{number}")

    asyncio.run(all_of_them())


def by_websockets():
    from websockets.sync.client import connect

    with connect(f"wss://sockets.test:{port}/", ssl=context(), max_size=2**24, proxy=None) as socket:
        for message in ["gr\u00fc\u00df dich", BODY, "", b"", "x" * 2_000_000]:
            socket.send(message)
            assert socket.recv(60) == message
        assert socket.ping().wait(60), "no pong"
    assert socket.close_code == 1000, socket.close_code


for check in [by_urllib, by_http_client, by_httpx, by_httpx_at_a_time, by_websockets]:
    name = check.__name__.replace("_", " ")
    try:
        check()
        print("ok", name)
    except ModuleNotFoundError as missing:
        print(f"skip {name}: {missing}")
    except Exception as error:
        print(f"FAIL {name}: {error!r}")
