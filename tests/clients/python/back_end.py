"""A back end of Python's own HTTP server, and of `websockets` where that is at hand.

Prints its addresses as a line of JSON and serves until standard input ends.
"""

import hashlib
import http.server
import json
import pathlib
import sys
import threading
import urllib.parse

HERE = pathlib.Path(__file__).parent


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # What the page told, and those who wait for it; events wait for their turn likewise.
    told = {}
    changed = threading.Condition()

    def log_message(self, *_):
        pass

    def answer(self, body, content_type="text/plain", **headers):
        self.send_response(200)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def body(self):
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            pieces = []
            while size := int(self.rfile.readline(), 16):
                pieces.append(self.rfile.read(size))
                self.rfile.readline()
            while self.rfile.readline().strip():
                pass
            return b"".join(pieces)
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def do_GET(self):
        body = self.body()
        path, _, query = self.path.partition("?")
        values = dict(urllib.parse.parse_qsl(query))
        if path == "/page":
            self.answer((HERE / "page.html").read_bytes(), "text/html; charset=utf-8", Set_Cookie="seen=yes; Path=/")
        elif path == "/echo":
            saw = {
                "method": self.command,
                "target": self.path,
                "length": len(body),
                "sha256": hashlib.sha256(body).hexdigest(),
                "headers": dict(self.headers),
            }
            self.answer(json.dumps(saw).encode(), "application/json")
        elif path == "/large":
            self.answer(bytes(int(values["bytes"])), "application/octet-stream")
        elif path == "/pieces":
            self.send_response(200)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for number in range(100):
                piece = f"piece {number}\n".encode()
                self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
            self.wfile.write(b"0\r\n\r\n")
        elif path == "/old":
            # An answer that ends with its connection.
            self.send_response(200)
            self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.write(b"until the end")
            self.close_connection = True
        elif path == "/events":
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.write(b"data: first\n\n")
            self.wfile.flush()
            if self.wait_for(query):
                self.wfile.write(b"data: second\n\n")
            self.close_connection = True
        elif path == "/tell":
            with self.changed:
                self.told[query] = body
                self.changed.notify_all()
            self.answer(b"told")
        elif path == "/wait":
            self.answer(b"1" if self.wait_for(query) else b"0")
        else:
            self.send_error(404)

    do_HEAD = do_POST = do_PUT = do_DELETE = do_PATCH = do_GET

    def wait_for(self, key):
        with self.changed:
            return self.changed.wait_for(lambda: key in self.told, 30)


def echo(socket):
    for message in socket:
        socket.send(message)




class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    # Python's five are fewer than the clients that come at a time; whoever finds no room tries again a second later.
    request_queue_size = 128


server = Server(("127.0.0.1", 0), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
addresses = {"http": "%s:%d" % server.server_address}
try:
    from websockets.sync.server import serve
except ImportError:
    pass
else:
    sockets = serve(echo, "127.0.0.1", 0, max_size=2**24)
    threading.Thread(target=sockets.serve_forever, daemon=True).start()
    addresses["websocket"] = "%s:%d" % sockets.socket.getsockname()
print(json.dumps(addresses), flush=True)
sys.stdin.read()
