"""A back end of Python's http.server. Says on standard output what arrives, one JSON object a line:
{"listen"}, {"id", "method", "path"} at the head, {"id", "bytes"} at the end of the body, {"bad"}.

http.server leaves the framing of bodies to its user; here it is what such users write: a length
where there is one, chunks otherwise, both without much ado."""

import itertools
import json
import os
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

lock = threading.Lock()
ids = itertools.count()


def say(**what):
    with lock:
        print(json.dumps(what), flush=True)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def __getattr__(self, name):
        if name.startswith("do_"):
            return self.serve
        raise AttributeError(name)

    def serve(self):
        number = next(ids)
        say(id=number, method=self.command, path=self.path)
        try:
            read = self.body()
        except (OSError, ValueError, EOFError):
            self.close_connection = True
            return
        say(id=number, bytes=read)
        text = f"{self.command} {self.path} {read}".encode("latin-1", "replace")
        self.send_response(200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(text)

    def body(self):
        length = self.headers.get("Content-Length")
        if length is not None:
            return self.take(int(length))
        if "chunked" not in self.headers.get("Transfer-Encoding", "").lower():
            return 0
        total = 0
        while True:
            size = int(self.line().split(b";")[0], 16)
            if size == 0:
                while self.line().strip():
                    pass
                return total
            total += self.take(size)
            self.line()

    def line(self):
        line = self.rfile.readline(65537)
        if not line.endswith(b"\n"):
            raise EOFError
        return line

    def take(self, count):
        left = count
        while left:
            data = self.rfile.read(min(left, 65536))
            if not data:
                raise EOFError
            left -= len(data)
        return count

    def send_error(self, code, message=None, explain=None):
        say(bad=code)
        super().send_error(code, message, explain)

    def log_message(self, *args):
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        pass


server = Server(("127.0.0.1", 0), Handler)
say(listen=server.server_address[1])
threading.Thread(target=server.serve_forever, daemon=True).start()
sys.stdin.read()
os._exit(0)
