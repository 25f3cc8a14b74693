"""A web server on this machine, for tests of fetching."""

import hashlib
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

from invrob.empirical.data.download import Archive


@contextmanager
def serving(folder):
    """The files of `folder`, as long as the block lasts. Yields the URL and the list of the paths asked for so far."""
    asked = []

    class Handler(SimpleHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            super().do_GET()

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=folder)) as server:
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/", asked
        finally:
            server.shutdown()
            thread.join()


def publish(monkeypatch, files, packed, *mirrors):
    """Let the archives `packed`, {name: bytes}, be those that a data set is published in."""
    for name in list(files.archives):
        monkeypatch.delitem(files.archives, name)
    for name, content in packed.items():
        archive = Archive(len(content), hashlib.sha256(content).hexdigest(), mirrors)
        monkeypatch.setitem(files.archives, name, archive)
