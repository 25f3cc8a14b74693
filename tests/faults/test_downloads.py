"""A mirror may send anything: nothing but the published bytes is unpacked, and nothing is written but known names."""

import gzip
import hashlib
import io
import re
import tarfile
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.error import URLError
from urllib.request import Request

import pytest

from invrob.empirical.data import download as fetching
from invrob.empirical.data.download import Archive, Files, fetch
from invrob.errors import InputError

CONTENT = b"the published bytes" * 50


@contextmanager
def answering(answer):
    """A server on this machine that lets `answer` speak; yields its URL and the bytes it has sent."""
    sent = [0]

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            answer(self, sent)

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/", sent
        finally:
            server.shutdown()
            thread.join()


def files(name, content, mirror, **sums):
    """A data set of one archive, known by the sums of `content`."""
    archive = Archive(len(content), hashlib.sha256(content).hexdigest(), (mirror,))
    sums = sums or {"x": hashlib.sha256(CONTENT).hexdigest()}
    return Files("set", "The Set", "folder", "sha256", sums, {name: archive})


def everything(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch):
    monkeypatch.setenv("no_proxy", "*")


def endless(handler, sent):
    handler.send_response(200)
    handler.end_headers()
    try:
        while sent[0] < 10**9:
            handler.wfile.write(bytes(10**5))
            sent[0] += 10**5
    except OSError:
        pass


def lying(length, content):
    def answer(handler, _):
        handler.send_response(200)
        handler.send_header("Content-Length", str(length))
        handler.end_headers()
        handler.wfile.write(content)

    return answer


def redirecting(target):
    def answer(handler, _):
        handler.send_response(302)
        handler.send_header("Location", target)
        handler.end_headers()

    return answer


def missing(handler, _):
    handler.send_error(404)


def no_http(handler, _):
    handler.wfile.write(b"\x00\xff nothing of HTTP\r\n\r\n")


PACKED = gzip.compress(CONTENT, mtime=0)
ANSWERS = {
    "endless": (endless, "sends more than the"),
    "longer than it says": (lying(3, PACKED), "sent 3 bytes that are not the archive"),
    "shorter than it says": (lying(10**9, PACKED[:-5]), "IncompleteRead|sent [0-9,]+ bytes that are not"),
    "other bytes": (lying(len(PACKED), bytes(len(PACKED))), "bytes that are not the archive"),
    "to a file": (redirecting("file:///etc/passwd"), "Redirection to url .file:///etc/passwd. is not allowed"),
    "to ftp": (redirecting("ftp://127.0.0.1/x"), "which is not followed: only https is"),
    "to data": (redirecting("data:,x"), "is not allowed"),
    "in a circle": (redirecting("/again"), "infinite loop"),
    "404": (missing, "Not Found"),
    "no HTTP": (no_http, "nothing of HTTP"),
}


@pytest.mark.parametrize("answer", ANSWERS)
def test_what_is_not_the_archive_is_refused_with_the_reason_and_leaves_nothing(tmp_path, answer):
    send, said = ANSWERS[answer]
    refused = pytest.raises(InputError, match=f"set could not be fetched .*({said}).* Try again, or put")
    with answering(send) as (url, sent), refused:
        fetch(files("x.gz", PACKED, url), tmp_path)
    assert everything(tmp_path) in ([], [".set-part"])
    assert sent[0] < 2 * 10**7  # what the sockets hold, and no more is read


def test_the_archive_itself_is_taken(tmp_path):
    with answering(lying(len(PACKED), PACKED)) as (url, _):
        assert fetch(files("x.gz", PACKED, url), tmp_path) == tmp_path / "folder"
    assert everything(tmp_path) == ["folder", "folder/x"]
    assert (tmp_path / "folder/x").read_bytes() == CONTENT


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://127.0.0.1/x", "data:,x", "gopher://x"])
def test_a_mirror_that_is_no_web_server_is_refused(tmp_path, url):
    with pytest.raises(InputError, match=r"set could not be fetched .*unknown url type"):
        fetch(files("x.gz", PACKED, url), tmp_path)


def test_https_is_never_left_for_http():
    handler, request = fetching.Redirects(), Request("https://example.org/x")
    with pytest.raises(URLError, match=re.escape("redirects to http://example.org/y, which is not followed")):
        handler.redirect_request(request, None, 302, "Found", {}, "http://example.org/y")
    followed = handler.redirect_request(request, None, 302, "Found", {}, "https://example.org/y")
    assert followed.full_url == "https://example.org/y"


def test_a_bomb_is_not_unpacked(tmp_path):
    bomb = gzip.compress(bytes(2**26 + 1), 1, mtime=0)
    refused = pytest.raises(InputError, match=r"x\.gz unpacks to more than 67,108,864 bytes")
    with answering(lying(len(bomb), bomb)) as (url, _), refused:
        fetch(files("x.gz", bomb, url), tmp_path)
    assert not (tmp_path / "folder").exists()


def entry(name, kind=tarfile.REGTYPE, link="", content=CONTENT):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    info.size = len(content) if kind == tarfile.REGTYPE else 0
    return info, content


TRAPS = {
    "upwards": entry("folder/../../x"),
    "absolute": entry("/folder/x"),
    "elsewhere": entry("other/x"),
    "symbolic link": entry("folder/x", tarfile.SYMTYPE, "/etc/passwd"),
    "hard link": entry("folder/x", tarfile.LNKTYPE, "folder/secret"),
    "device": entry("folder/x", tarfile.CHRTYPE),
    "pipe": entry("folder/x", tarfile.FIFOTYPE),
    "folder": entry("folder/x", tarfile.DIRTYPE),
}


@pytest.mark.parametrize("trap", TRAPS)
@pytest.mark.parametrize("good", [True, False])
def test_only_regular_files_of_known_names_are_taken_out_of_an_archive(tmp_path, trap, good):
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for info, content in [TRAPS[trap], *[entry("folder/x")] * good]:
            archive.addfile(info, io.BytesIO(content) if info.size else None)
    root = tmp_path / "root"
    with answering(lying(len(packed.getvalue()), packed.getvalue())) as (url, _):
        published = files("set.tar.gz", packed.getvalue(), url)
        if good:
            fetch(published, root)
            assert everything(root) == ["folder", "folder/x"]
            assert not (root / "folder/x").is_symlink()
            assert (root / "folder/x").read_bytes() == CONTENT
        else:
            with pytest.raises(InputError, match="is not The Set: all 1 files are missing"):
                fetch(published, root)
            assert everything(root) == [".set-part", ".set-part/set.tar.gz"]
    assert everything(tmp_path)[0] == "root"
