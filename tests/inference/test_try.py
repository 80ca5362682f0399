"""make try: a page on this machine that predicts as make predict does, and keeps to itself."""

import base64
import http.client
import io
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dogs_vs_cats.config import engines, recipe_files
from dogs_vs_cats.workspace import Workspace
from support.commands import PROJECT, TESTS, submitted
from support.pictures import claiming, encoded, picture
from support.prepared import copy_of

pytestmark = pytest.mark.extra("flask", "waitress")
MEGABYTE = 1_000_000


@contextmanager
def serving(folder: Path, recipe: str) -> Iterator[tuple[subprocess.Popen, int]]:
    """Run scripts/try.py in a process of its own while the block runs; yield it and its port."""
    script = [sys.executable, str(PROJECT / "scripts/try.py"), "--recipe", recipe, "--port", "0"]
    weights = os.environ.get("WEIGHTS") or str(PROJECT / "weights")
    process = subprocess.Popen(
        script,
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "WEIGHTS": weights},
        # A shell has what it runs in the background ignore Ctrl-C: these tests, then, and this.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    try:
        lines = []
        for line in process.stdout:
            lines.append(line)
            if ready := re.search(r"ready at http://127\.0\.0\.1:(\d+) ", line):
                break
        else:
            pytest.fail("".join(lines) + process.stderr.read())
        yield process, int(ready[1])
    finally:
        process.kill()
        process.communicate()


@pytest.fixture(scope="module")
def server(made, tmp_path_factory) -> Iterator[tuple[subprocess.Popen, int]]:
    """A server of tiny.toml; Ctrl-C is its normal end."""
    folder = copy_of(made, tmp_path_factory.mktemp("try"))
    with serving(folder, "tiny.toml") as (process, port):
        yield process, port
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=60) == ("try: stopped.\n", "")
        assert process.returncode == 0


@pytest.fixture
def ask(server, trained):
    """Send a request; return its status, what JSON it answered, and its headers."""

    def asker(body=b"", method="POST", path="/predict", headers=(), chunked=False) -> tuple:
        connection = http.client.HTTPConnection("127.0.0.1", server[1], timeout=120)
        connection.request(method, path, body, dict(headers), encode_chunked=chunked)
        response = connection.getresponse()
        data = response.read()
        kind = response.headers["Content-Type"]
        connection.close()
        found = json.loads(data) if kind == "application/json" else data.decode()
        return response.status, found, response.headers

    return asker


def image_of(url: str) -> Image.Image:
    kind, _, data = url.partition(",")
    assert kind == "data:image/jpeg;base64"
    return Image.open(io.BytesIO(base64.b64decode(data)))


def test_the_prediction_is_the_submissions_and_has_a_heat_map(ask):
    photo = Path("source/test/3.jpg")
    status, found, headers = ask(photo.read_bytes())
    assert status == 200
    names, p = zip(*((x["name"], x["p"]) for x in found["classes"]), strict=True)
    assert names == ("cat", "dog")
    assert repr(p[1]) == submitted("tiny")["3"]
    assert found["class"] == names[p[1] > 0.5]
    plain, heat = image_of(found["photo"]), image_of(found["heat"])
    assert plain.size == heat.size == Image.open(photo).size
    original = np.asarray(Image.open(photo).convert("RGB"), float)
    assert np.abs(np.asarray(plain, float) - original).mean() < 5
    assert np.abs(np.asarray(heat, float) - original).mean() > 10
    assert headers["Cache-Control"] == "no-store"
    assert "Access-Control-Allow-Origin" not in headers


def test_a_blends_prediction_is_its_submissions_too(trained):
    from dogs_vs_cats.inference import web_app

    recipe = recipe_files.read("tiny.toml other.toml")
    model = web_app.load(Workspace("source"), recipe, engines.choose("keras", "auto"))
    client = web_app.app(model).test_client()
    found = client.post("/predict", data=Path("source/test/5.jpg").read_bytes()).json
    assert repr(found["classes"][1]["p"]) == submitted("tiny+other")["5"]
    assert "the member with the largest weight in the blend" in client.get("/").text


def test_many_at_once_each_get_their_own(ask):
    expected = submitted("tiny")

    def one(number: int) -> tuple:
        return number, ask(Path(f"source/test/{number}.jpg").read_bytes())

    with ThreadPoolExecutor(16) as pool:
        for number, (status, found, _) in pool.map(one, [*range(1, TESTS + 1)]):
            assert status == 200
            assert repr(found["classes"][1]["p"]) == expected[str(number)]


def test_photos_are_predicted_one_at_a_time():
    """With a predictor that notices when it is called while it is busy."""
    from dogs_vs_cats.inference import predictor, web_app

    busy, most = [], []

    class Noticing:
        classes = ("cat", "dog")

        def predict(self, photos):
            busy.append(1)
            most.append(len(busy))
            time.sleep(0.02)
            busy.pop()
            return [predictor.PhotoPrediction(photos[0], np.array([0.25, 0.75]), "")]

    class Flat:
        def of(self, images, classes):
            return np.zeros((1, 2, 2), np.float32)

    model = web_app.ExplainedPredictor({"classes": ["cat", "dog"]}, Noticing(), Flat(), 32)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(model.predict, [encoded(picture(1))] * 24))
    assert (len(most), max(most)) == (24, 1)


BAD = {
    "empty": (b"", 400, "no photo"),
    "text": (b"I am no photo", 422, "not an image"),
    "cut": (encoded(picture(1))[:400], 422, "can't be decoded"),
    "bomb": (encoded(Image.new("1", (20_000, 20_000)), "PNG"), 422, "bomb"),
    "larger than a camera's": (
        encoded(Image.new("1", (8_000, 7_000)), "PNG"),
        422,
        "more than 50 million pixels",
    ),
    "larger, in several scans": (
        claiming(encoded(picture(1), progressive=True), 8_000, 7_000),
        422,
        "more than 50 million pixels in several scans",
    ),
    "a program": (encoded(picture(1), "EPS"), 422, "not an image"),
    "blank bytes": (bytes(5 * MEGABYTE), 422, "not an image"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_is_not_a_photo_is_refused_in_a_sentence(ask, case):
    data, expected, words = BAD[case]
    status, found, _ = ask(data)
    assert status == expected
    assert words in found["problem"]
    assert found["problem"].endswith(".")
    assert ask(Path("source/test/1.jpg").read_bytes())[0] == 200, "the server lives on"


def scanned(image: Image.Image, more: int, **options) -> bytes:
    """Return a progressive JPEG whose last scan is there `more` times more: a valid one."""
    data = encoded(image, progressive=True, **options)
    last, end = data.rindex(b"\xff\xda"), data.rindex(b"\xff\xd9")
    return data[:end] + more * data[last:end] + data[end:]


def test_a_jpeg_of_countless_scans_is_refused_and_not_decoded(ask):
    """One that would be decoded for hours, and holds up nobody."""
    slow = scanned(Image.new("L", (7000, 7000), 90), 300_000)
    assert 15 * MEGABYTE < len(slow) < 30 * MEGABYTE
    began = time.monotonic()
    status, found, _ = ask(slow)
    assert (status, time.monotonic() - began < 30) == (422, True)
    assert found["problem"] == (
        "This photo can't be read: more than 100 scans, which would take too long."
    )
    assert ask(Path("source/test/1.jpg").read_bytes())[0] == 200


def test_each_scan_of_a_jpeg_takes_its_time():
    """So they are counted; each is only a few bytes."""
    from dogs_vs_cats.data import pixels

    def seconds(data: bytes) -> float:
        began = time.thread_time()
        pixels.upright(data)
        return time.thread_time() - began

    image = Image.new("L", (1500, 1500), 90)
    assert seconds(scanned(image, 400)) > 5 * seconds(scanned(image, 0))


def test_an_ordinary_progressive_jpeg_is_predicted_like_a_baseline_one(ask):
    photo = picture(1, (300, 200))
    status, found, _ = ask(scanned(photo, 0))
    assert (status, found["classes"]) == (200, ask(encoded(photo))[1]["classes"])


def test_as_many_scans_as_allowed_are_predicted_and_one_more_is_not(ask):
    photo = picture(1)
    scans = scanned(photo, 0).count(b"\xff\xda")
    assert 5 < scans < 20
    assert ask(scanned(photo, 100 - scans))[0] == 200
    assert ask(scanned(photo, 101 - scans))[0] == 422


def test_data_after_a_photo_is_not_mistaken_for_scans(ask):
    """Such as a phone's film of it: by chance it holds the marker hundreds of times."""
    behind = np.random.default_rng(0).bytes(29 * MEGABYTE)
    assert behind.count(b"\xff\xda") > 400
    assert ask(Path("source/test/2.jpg").read_bytes() + behind)[0] == 200


def test_too_much_is_refused_before_it_is_read(server, ask):
    """Not a byte of the body is sent: what is announced is enough."""
    with socket.create_connection(("127.0.0.1", server[1]), timeout=60) as line:
        line.sendall(
            b"POST /predict HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100000000\r\n\r\n"
        )
        reply = b"".join(iter(lambda: line.recv(4096), b"")).decode()
    assert reply.startswith("HTTP/1.1 413 ")
    assert json.loads(reply.partition("\r\n\r\n")[2])["problem"].startswith(
        "This is more than 30 MB"
    )
    assert ask(Path("source/test/1.jpg").read_bytes())[0] == 200


def test_a_body_without_a_content_length_is_predicted_or_cut_off(server, ask):
    data = Path("source/test/4.jpg").read_bytes()
    status, found, _ = ask(iter([data[:500], data[500:]]), chunked=True)
    assert (status, repr(found["classes"][1]["p"])) == (200, submitted("tiny")["4"])
    # Endless: the server hangs up, having said why.
    sent = 0
    with socket.create_connection(("127.0.0.1", server[1]), timeout=60) as line:
        line.sendall(
            b"POST /predict HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        try:
            while sent < 200 * MEGABYTE:
                line.sendall(b"F4240\r\n" + bytes(MEGABYTE) + b"\r\n")
                sent += MEGABYTE
        except (BrokenPipeError, ConnectionResetError):
            pass  # as it should
    assert 20 * MEGABYTE < sent < 100 * MEGABYTE
    assert ask(data)[0] == 200


def test_other_addresses_methods_and_sites_are_refused(server, ask):
    photo = Path("source/test/1.jpg").read_bytes()
    for expected, request in (
        (405, {"method": "GET"}),
        (404, {"method": "GET", "path": "/other"}),
        (403, {"method": "GET", "path": "/", "headers": {"Host": "evil.example"}}),
        (403, {"body": photo, "headers": {"Host": f"evil.example:{server[1]}"}}),
        (403, {"body": photo, "headers": {"Origin": "http://evil.example"}}),
        (403, {"body": photo, "headers": {"Origin": "null"}}),
    ):
        status, found, _ = ask(**request)
        assert status == expected
        assert found.keys() == {"problem"}
    for host in f"localhost:{server[1]}", f"127.0.0.1:{server[1]}":
        headers = {"Host": host, "Origin": f"http://{host}"}
        assert ask(photo, headers=headers)[0] == 200
    status, page, headers = ask(method="GET", path="/")
    assert status == 200
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert "http" not in re.sub(r"<!--.*?-->", "", page), "no address of another host"


@pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="there is no /proc here")
def test_it_listens_on_the_loopback_alone(server):
    found = {socket.gethostbyname(socket.gethostname())} - {"127.0.0.1", "127.0.1.1"}
    for address in found:
        with pytest.raises(OSError, match="refused"):
            socket.create_connection((address, server[1]), timeout=5)
    lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
    local = [line.split()[1] for line in lines if line.split()[3] == "0A"]
    assert [x for x in local if x.endswith(f":{server[1]:04X}")] == [f"0100007F:{server[1]:04X}"]


@pytest.mark.skipif(not Path("/proc/self/io").exists(), reason="there is no /proc here")
def test_an_upload_is_never_written_to_the_disk(server, ask):
    """A photo as large as may be; the system counts what the process writes, sockets aside."""

    def written() -> int:
        text = Path(f"/proc/{server[0].pid}/io").read_text()
        return int(re.search(r"wchar: (\d+)", text)[1])

    data = Path("source/test/2.jpg").read_bytes() + bytes(29 * MEGABYTE)
    ask(Path("source/test/2.jpg").read_bytes())
    before = written()
    assert ask(data)[0] == 200
    assert written() - before < MEGABYTE // 10


def test_a_port_that_is_taken_or_impossible_is_one_line(server, refuse_here):
    assert f"Can't use port {server[1]} of this machine: " in refuse_here("--port", str(server[1]))
    assert "65535" in refuse_here("--port", "70000")


@pytest.fixture
def refuse_here(trained):
    from support.commands import called

    def runner(*arguments: str) -> str:
        status, _, err = called("try", "--recipe", "tiny.toml", *arguments)
        assert (status, err.count("\n")) == (1, 1)
        return err

    return runner


def test_without_its_packages_it_says_how_to_get_them(refuse_here, monkeypatch):
    from dogs_vs_cats import environment

    honest = environment.installed

    def without(package: str) -> str | None:
        return None if package == "waitress" else honest(package)

    monkeypatch.setattr(environment, "installed", without)
    assert "make setup EXTRAS=try" in refuse_here()


DROP = """([bytes, name]) => {
  const transfer = new DataTransfer();
  transfer.items.add(new File([new Uint8Array(bytes)], name));
  const target = document.querySelector(".choose");
  for (const kind of ["dragenter", "dragover", "drop"])
    target.dispatchEvent(new DragEvent(kind, {dataTransfer: transfer, bubbles: true}));
}"""


@pytest.mark.parametrize("width", [1280, 390])
def test_a_photo_that_is_chosen_dropped_or_pasted_is_predicted_in_a_browser(
    server, trained, browser, width
):
    expected = submitted("tiny")
    context = browser.new_context(viewport={"width": width, "height": 844})
    page = context.new_page()
    printed, requests = [], []
    page.on("console", lambda message: printed.append(message.text))
    page.on("pageerror", lambda error: printed.append(str(error)))
    page.on("request", lambda request: requests.append(request.url))
    own = f"http://127.0.0.1:{server[1]}/"
    page.goto(own)
    assert page.inner_text("h1").lower() == "cat or dog?"
    assert "tiny" in page.inner_text(".lead")
    assert "source" in page.inner_text(".lead")

    def predicted(number: int) -> None:
        page.locator("#state", has_text=re.compile(rf"^{number}\.jpg: ")).wait_for()
        p = float(expected[str(number)])
        rows = [row.split("\n") for row in page.locator("#classes li").all_inner_texts()]
        assert rows == [["cat", f"{100 * (1 - p):.2f}%"], ["dog", f"{100 * p:.2f}%"]]
        assert page.inner_text("#class").lower() == ("dog" if p > 0.5 else "cat")
        for name in "photo", "heat":
            image = page.locator(f"#{name}")
            assert image.evaluate("x => x.decode().then(() => x.naturalWidth)") == 60
        assert page.is_visible("#heat")

    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "file", "the keyboard gets there"
    page.set_input_files("#file", "source/test/1.jpg")
    predicted(1)
    page.evaluate(DROP, [[*Path("source/test/2.jpg").read_bytes()], "2.jpg"])
    predicted(2)
    paste = DROP.replace('document.querySelector(".choose")', "document.body")
    paste = re.sub(r"for .*\n.*", "", paste).replace(
        "document.body;",
        "document.body; target.dispatchEvent(new ClipboardEvent('paste', "
        "{clipboardData: transfer, bubbles: true}));",
    )
    page.evaluate(paste, [[*Path("source/test/3.jpg").read_bytes()], "3.jpg"])
    predicted(3)
    bars = page.evaluate(
        "[...document.querySelectorAll('.bar i')].map(x => parseFloat(x.style.width))"
    )
    assert bars == pytest.approx([100 * (1 - float(expected["3"])), 100 * float(expected["3"])])
    page.uncheck("#show")
    assert page.is_hidden("#heat")
    assert page.is_visible("#photo")
    page.check("#show")
    wide = "document.documentElement.scrollWidth"
    assert page.evaluate(wide) == width, "nothing sticks out"
    assert printed == []
    # An unreadable photo is reported on the page (and the browser logs the status).
    page.evaluate(DROP, [[*b"I am no photo"], "text.jpg"])
    page.wait_for_selector(".state.bad")
    assert page.inner_text("#state") == "This photo can't be read: not an image."
    large = Path(trained, "large.jpg")
    large.write_bytes(bytes(31 * MEGABYTE))
    page.set_input_files("#file", large)
    page.locator("#state", has_text="30 MB").wait_for()
    assert all(url.startswith((own, "data:")) for url in requests)
    assert sum(url == own + "predict" for url in requests) == 4, "the large one was not sent"
    context.close()


def test_only_the_newest_photo_is_shown(server, trained, browser):
    page = browser.new_page()
    page.goto(f"http://127.0.0.1:{server[1]}/")
    for number in 1, 2, 3:
        page.evaluate(DROP, [[*Path(f"source/test/{number}.jpg").read_bytes()], f"{number}.jpg"])
    newest = page.locator("#state", has_text=re.compile(r"^3\.jpg: "))
    newest.wait_for()
    page.wait_for_timeout(1000)  # the others' predictions have come by now
    assert newest.count() == 1
    page.close()
