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
from urllib.parse import quote

import numpy as np
import pytest
from PIL import Image

from dogs_vs_cats.config import engines, recipe_files
from dogs_vs_cats.workspace import Workspace
from support.axe import violations
from support.commands import PROJECT, TESTS, submitted
from support.pictures import claiming, encoded, picture
from support.prepared import copy_of

pytestmark = pytest.mark.extra("flask", "waitress")
MEGABYTE = 1_000_000


@contextmanager
def serving(folder: Path, *options: str) -> Iterator[tuple[subprocess.Popen, str]]:
    """Run scripts/try.py in a process of its own while the block runs; yield it and its address."""
    script = [sys.executable, str(PROJECT / "scripts/try.py"), "--port", "0", *options]
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
            if ready := re.search(r"ready at (http://\S+) ", line):
                break
        else:
            pytest.fail("".join(lines) + process.stderr.read())
        yield process, ready[1]
    finally:
        process.kill()
        process.communicate()


@pytest.fixture(scope="module")
def server(made, tmp_path_factory) -> Iterator[tuple[subprocess.Popen, int]]:
    """A server of tiny.toml; Ctrl-C is its normal end."""
    folder = copy_of(made, tmp_path_factory.mktemp("try"))
    with serving(folder, "--recipe", "tiny.toml") as (process, address):
        yield process, int(re.fullmatch(r"http://127\.0\.0\.1:(\d+)", address)[1])
        process.send_signal(signal.SIGINT)
        printed, errors = process.communicate(timeout=60)
        assert process.returncode == 0
        assert printed.endswith("try: stopped.\n")
        # Beside what is ours TensorFlow may log that this processor lacks some instruction.
        assert [line for line in errors.splitlines() if not re.match(r"[EWI]\d{4} ", line)] == []


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


def test_any_trained_recipe_can_be_chosen_and_a_blends_members_answer_too(ask):
    photo = Path("source/test/5.jpg").read_bytes()
    status, found, _ = ask(photo, path="/predict?recipe=tiny%2Bother")
    assert (status, found["recipe"]) == (200, "tiny+other")
    assert repr(found["classes"][1]["p"]) == submitted("tiny+other")["5"]
    own = {x["name"]: repr(x["classes"][1]["p"]) for x in found["members"]}
    assert own.keys() == {"tiny", "other"}
    assert own["tiny"] == submitted("tiny")["5"]
    assert found["explained"] in own, "the member that the heat map is of"
    status, alone, _ = ask(photo)
    assert (alone["recipe"], alone["members"], alone["explained"]) == ("tiny", [], "")
    status, refused, _ = ask(photo, path="/predict?recipe=huge")
    assert (status, refused["problem"]) == (
        400,
        "There is no recipe 'huge' to choose here, only tiny, other, tiny+other.",
    )
    _, page, _ = ask(method="GET", path="/")
    assert re.findall(r"<option title=.*>(.*)</option>", page) == ["tiny", "other", "tiny+other"]


def test_only_recipes_that_are_up_to_date_can_be_chosen(trained):
    from dogs_vs_cats.inference import choices

    place, engine = Workspace("source"), engines.choose("keras", "auto")
    assert choices.trained(place, engine) == {
        name: recipe_files.read(called)
        for name, called in (
            ("other", "other.toml"),
            ("tiny", "tiny.toml"),
            ("tiny+other", "tiny.toml other.toml"),
        )
    }
    next(place.model("other").glob("head-*")).unlink()
    assert [*choices.trained(place, engine)] == ["tiny"], "nor a blend of what is stale"


def test_a_recipe_is_loaded_when_it_is_chosen_and_three_stay_loaded():
    from dogs_vs_cats.inference import web_app

    loads = []

    class Echo:
        def __init__(self, recipe):
            self.recipe = recipe

        def predict(self, data):
            return self.recipe

    models = web_app.Models({x: x for x in "abcd"}, lambda x: loads.append(x) or Echo(x))
    models.start()
    assert loads == ["a"]
    assert [models.predict(x, b"") for x in "abca"] == ["a", "b", "c", "a"]
    assert loads == ["a", "b", "c"]
    # The fourth takes the place of b, which was used longest ago.
    assert [models.predict(x, b"") for x in "dacb"] == ["d", "a", "c", "b"]
    assert loads == ["a", "b", "c", "d", "b"]


def test_a_recipe_that_has_become_stale_is_refused_in_a_sentence(trained):
    from dogs_vs_cats.errors import UserError
    from dogs_vs_cats.inference import web_app
    from dogs_vs_cats.inference.corrections import Corrections

    def stale(recipe):
        raise UserError("The heads of tiny are missing or stale.")

    place, models = (
        Workspace("source"),
        web_app.Models({"tiny": recipe_files.read("tiny.toml")}, stale),
    )
    client = web_app.app(place, ["cat", "dog"], models, Corrections(place)).test_client()
    found = client.post("/predict", data=encoded(picture(1)))
    assert (found.status_code, found.json) == (
        409,
        {"problem": "The heads of tiny are missing or stale."},
    )


def test_a_picture_unlike_the_training_photos_is_marked(ask):
    noise = encoded(Image.effect_noise((64, 64), 120), "PNG")
    _, far, _ = ask(noise)
    _, near, _ = ask(Path("source/train/cat.1.jpg").read_bytes())
    assert (far["unlike"], near["unlike"]) == (True, False)
    assert far["unlikeness"] > 1 > near["unlikeness"] >= 0
    _, blended, _ = ask(noise, path="/predict?recipe=tiny%2Bother")
    assert blended["unlike"] is True


def test_a_training_photo_is_known_by_its_bytes_and_its_line_is_a_verdict(ask, trained):
    from dogs_vs_cats.data import photos, verdicts
    from dogs_vs_cats.inference.corrections import Corrections

    photo = Path("source/train/cat.1.jpg").read_bytes()
    header = "photo,verdict,why\n"
    _, found, _ = ask(photo)
    assert found["training"] == {
        "id": "cat.1",
        "label": "cat",
        "lines": {"dog": f"{header}cat.1,dog,\n", "drop": f"{header}cat.1,drop,\n"},
    }
    for other in Path("source/test/1.jpg").read_bytes(), photo + b"x":
        assert ask(other)[1]["training"] is None
    # The line is one that make train takes, and the next one needs no header.
    place = Workspace("source")
    place.verdicts.write_text(found["training"]["lines"]["dog"])
    again = Corrections(place).of(Path("source/train/dog.2.jpg").read_bytes()).lines["cat"]
    assert again == "dog.2,cat,\n"
    with place.verdicts.open("a") as file:
        file.write(again)
    decided = verdicts.read(place, photos.read(place), ["cat", "dog"])
    assert {name: x.verdict for name, x in decided.items()} == {"cat.1": "dog", "dog.2": "cat"}


@pytest.mark.skipif(sys.platform != "linux", reason="127.0.0.2 is an address on Linux alone")
def test_at_another_address_than_the_loopback_it_asks_for_the_token(made, tmp_path, browser):
    folder = copy_of(made, tmp_path / "network")
    photo = (folder / "source/test/1.jpg").read_bytes()
    with serving(folder, "--recipe", "tiny.toml", "--host", "127.0.0.2") as (_, address):
        port, token = re.fullmatch(
            r"http://127\.0\.0\.2:(\d+)/\?token=([\w-]{22})", address
        ).groups()
        with pytest.raises(OSError, match="refused"):
            socket.create_connection(("127.0.0.1", int(port)), timeout=5)

        def asked(path: str, **headers: str) -> int:
            connection = http.client.HTTPConnection("127.0.0.2", int(port), timeout=120)
            connection.request("POST" if "predict" in path else "GET", path, photo, headers)
            response = connection.getresponse()
            data = response.read()
            connection.close()
            if response.status == 401:
                assert json.loads(data)["problem"].startswith("This page needs its token: ")
            return response.status

        for path in "/", "/predict", "/?token=", f"/?token={token}x", "/predict?token=ü":
            assert asked(quote(path, safe="/?=")) == 401
        assert asked(f"/?token={token}") == asked(f"/predict?token={token}") == 200
        assert asked(f"/predict?token={token}", Host=f"machine.local:{port}") == 200
        assert asked(f"/predict?token={token}", Origin="http://evil.example") == 403
        page = browser.new_page()
        page.goto(address)
        page.set_input_files("#file", folder / "source/test/1.jpg")
        page.locator("#state", has_text=re.compile(r"^1\.jpg: (cat|dog|unlike)")).wait_for()
        page.close()


def test_an_address_of_all_networks_or_of_another_machine_is_refused(refuse_here):
    assert "'0.0.0.0' is not an IPv4 address of this machine" in refuse_here("--host", "0.0.0.0")
    assert "'here' is not an IPv4 address" in refuse_here("--host", "here")
    assert "HOST=192.0.2.1 is no address of this machine." in refuse_here("--host", "192.0.2.1")


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
    from dogs_vs_cats.inference import explained, predictor, web_app

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

    model = explained.ExplainedPredictor(Noticing(), Flat(), 32)
    models = web_app.Models({"tiny": None}, lambda recipe: model)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda data: models.predict("tiny", data), [encoded(picture(1))] * 24))
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


@pytest.fixture
def open_page(server, trained, browser):
    """Open the page in a window of a width, and a colour scheme; return it, and what it said."""
    contexts = []

    def opened(width: int = 1280, scheme: str = "light"):
        context = browser.new_context(
            viewport={"width": width, "height": 844}, color_scheme=scheme, reduced_motion="reduce"
        )
        contexts.append(context)
        page, said = context.new_page(), []
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.goto(f"http://127.0.0.1:{server[1]}/")
        return page, said

    yield opened
    for context in contexts:
        context.close()


def wait_for(page, words: str) -> None:
    page.locator("#state:not(.busy)", has_text=re.compile(words)).wait_for()


def bars(card) -> list[list[str]]:
    """Return the classes on a card: name and percentage."""
    return [row.split("\n") for row in card.locator("li").all_inner_texts()]


@pytest.mark.parametrize("width", [1280, 390])
def test_a_photo_that_is_chosen_dropped_or_pasted_is_predicted_in_a_browser(
    server, open_page, width
):
    expected = submitted("tiny")
    page, said = open_page(width)
    requests = []
    page.on("request", lambda request: requests.append(request.url))
    assert page.inner_text("h1").lower() == "cat or dog?"
    assert "Trained on source, it knows cat and dog only" in page.inner_text(".lead")
    assert page.inner_text("footer").startswith("tiny: ")

    def predicted(number: int) -> None:
        wait_for(page, rf"^{number}\.jpg: ")
        card = page.locator("article")
        p = float(expected[str(number)])
        assert bars(card) == [["cat", f"{100 * (1 - p):.2f}%"], ["dog", f"{100 * p:.2f}%"]]
        for name in "photo", "heat":
            image = card.locator(f".{name}")
            assert image.evaluate("x => x.decode().then(() => x.naturalWidth)") == 60
            assert image.is_visible()

    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
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
    widths = page.evaluate(
        "[...document.querySelectorAll('.bar i')].map(x => parseFloat(x.style.width))"
    )
    assert widths == pytest.approx([100 * (1 - float(expected["3"])), 100 * float(expected["3"])])
    page.uncheck("#show")
    assert page.is_hidden(".heat")
    assert page.is_visible(".photo")
    assert page.evaluate("document.documentElement.scrollWidth") == width, "nothing sticks out"
    assert said == []
    own = f"http://127.0.0.1:{server[1]}/"
    assert all(url.startswith((own, "data:")) for url in requests)


def test_a_bad_files_message_stands_where_the_old_answer_was(open_page, trained):
    page, _ = open_page()
    page.set_input_files("#file", "source/test/1.jpg")
    wait_for(page, r"^1\.jpg: ")
    requests = []
    page.on("request", lambda request: requests.append(request.url))
    page.evaluate(DROP, [[*b"I am no photo"], "text.jpg"])
    wait_for(page, r"^text\.jpg: This photo can't be read")
    assert page.locator("article").count() == 1
    assert page.inner_text("article").split("\n") == [
        "text.jpg",
        "",
        "This photo can't be read: not an image.",
    ]
    assert page.locator("figure").is_hidden()
    large = Path(trained, "large.jpg")
    large.write_bytes(bytes(31 * MEGABYTE))
    page.set_input_files("#file", large)
    wait_for(page, "more than 30 MB")
    assert "more than 30 MB" in page.inner_text("article")
    assert len(requests) == 1, "the large one was not sent"


@pytest.mark.parametrize(
    ("width", "scheme"), [(1280, "light"), (1280, "dark"), (390, "light"), (390, "dark")]
)
def test_several_photos_are_a_grid_and_another_recipe_predicts_them_again(
    open_page, trained, width, scheme
):
    """With a training photo, a picture of noise, and a file that is none."""
    page, said = open_page(width, scheme)
    Image.effect_noise((64, 64), 120).save("noise.png")
    Path("none.jpg").write_bytes(b"I am no photo")
    names = ["source/train/cat.1.jpg", "source/test/1.jpg", "noise.png", "none.jpg"]
    page.set_input_files("#file", names)
    wait_for(page, "^4 photos: .*1 not predicted$")
    cards = page.locator("article")
    assert cards.locator(".name").all_inner_texts() == [Path(name).name for name in names]
    tops = cards.evaluate_all("cards => cards.map(x => x.getBoundingClientRect().top)")
    assert len(set(tops)) == (2 if width == 1280 else 4), "beside or below each other"
    assert cards.nth(2).locator("h2").inner_text() == "Unlike the training photos"
    assert "times the limit), so this answer means little." in cards.nth(2).inner_text()
    assert "can't be read" in cards.nth(3).inner_text()
    assert not cards.nth(0).locator("table").is_visible(), "tiny is no blend"
    # A correction is offered for the training photo alone.
    assert cards.locator(".wrong:visible").count() == 1
    cards.nth(0).get_by_role("button", name="The label is wrong").click()
    page.keyboard.press("Enter")  # the first of the choices has the focus: "It is dog"
    assert cards.nth(0).locator("pre").inner_text() == "photo,verdict,why\ncat.1,dog,\n"
    assert "data/source/verdicts.csv" in cards.nth(0).inner_text()
    # Another recipe: the same photos, and what its members say.
    page.select_option("#recipe", "tiny+other")
    wait_for(page, "^4 photos: ")
    p = float(submitted("tiny+other")["1"])
    assert bars(cards.nth(1)) == [["cat", f"{100 * (1 - p):.2f}%"], ["dog", f"{100 * p:.2f}%"]]
    members = cards.nth(1).locator("tbody th")
    assert members.all_inner_texts() == ["tiny", "other"]
    assert page.inner_text("footer").startswith("tiny+other: ")
    assert cards.locator(".wrong:visible").count() == 0, "it is being decided"
    assert violations(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") == width
    assert [x for x in said if "422" not in x] == [], "the browser logs the status of the bad one"


def made_up(probabilities: list[float], **more) -> dict:
    """Return an answer of /predict, of classes a, b, c, ..."""
    classes = [{"name": chr(97 + i), "p": p} for i, p in enumerate(probabilities)]
    best = max(classes, key=lambda row: row["p"])["name"]
    plain = {"photo": "data:,", "heat": "data:,", "members": [], "training": None, "explained": ""}
    return {"class": best, "classes": classes, "unlike": False, "unlikeness": 0.5, **plain, **more}


def test_of_many_classes_the_four_likeliest_are_shown_and_the_rest_together(open_page):
    page, _ = open_page()
    answer = made_up([0.01, 0.2, 0.02, 0.5, 0.03, 0.24])
    page.route("**/predict*", lambda route: route.fulfill(json=answer))
    page.set_input_files("#file", "source/test/1.jpg")
    wait_for(page, r"^1\.jpg: d, 50\.00%")
    assert bars(page.locator("article")) == [
        ["d", "50.00%"],
        ["f", "24.00%"],
        ["b", "20.00%"],
        ["e", "3.00%"],
        ["2 other classes", "3.00%"],
    ]


def test_of_more_than_a_hundred_photos_the_others_are_said_to_be_left_out(open_page):
    page, _ = open_page()
    answers = [made_up([0.9, 0.1]), made_up([0.2, 0.8]), made_up([0.2, 0.8], unlike=True)]
    page.route("**/predict*", lambda route: route.fulfill(json=answers[0]))
    page.route("**/predict*", lambda route: route.fulfill(json=answers.pop()), times=2)
    small = [{"name": f"{i}.jpg", "mimeType": "image/jpeg", "buffer": b"x"} for i in range(103)]
    page.set_input_files("#file", small)
    wait_for(page, r"^100 photos: 1 b, 98 a, 1 unlike the training photos\. 3 more were left out: ")
    assert page.locator("article").count() == 100


def test_a_server_that_is_gone_is_said_so(open_page):
    page, _ = open_page()
    page.route("**/predict*", lambda route: route.abort())
    page.set_input_files("#file", "source/test/1.jpg")
    wait_for(page, "No response. Is make try still running?")


def test_only_the_newest_photo_is_shown(open_page):
    page, _ = open_page()
    page.evaluate(
        "window.said = []; new MutationObserver(() => said.push(state.textContent))"
        ".observe(state, {childList: true})"
    )
    for number in 1, 2, 3:
        page.evaluate(DROP, [[*Path(f"source/test/{number}.jpg").read_bytes()], f"{number}.jpg"])
    wait_for(page, r"^3\.jpg: ")
    page.wait_for_timeout(1000)  # the others' predictions have come by now
    assert page.locator("#state", has_text=re.compile(r"^3\.jpg: ")).count() == 1
    assert page.locator("article .name").all_inner_texts() == ["3.jpg"]
    assert not [text for text in page.evaluate("said") if "No response" in text]
