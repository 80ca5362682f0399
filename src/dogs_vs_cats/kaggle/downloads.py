"""Downloads: large files over HTTP, resumed where they broke off, checked whole before they count.

`Limits` also rules the calls to Kaggle: nothing waits without end.
"""

import email.utils
import http.client
import json
import os
import re
import ssl
import time
import urllib.error
import urllib.parse
import urllib.request
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from dogs_vs_cats import files, progress
from dogs_vs_cats.errors import UserError

MICROSOFT = (
    "https://download.microsoft.com/download/3/E/1/3E1C3F21-ECDB-4869-8368-6DEBA77B919F/"
    "kagglecatsanddogs_5340.zip"
)
BLOCK = 1 << 16
PASSING = {408, 425, 429, 500, 502, 503, 504}  # statuses that another try may not meet again
RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+)")
MB = 1_000_000


class Damaged(UserError):  # noqa: N818 - it is what the file is
    """A file that isn't what it should be; fetching it once more may mend that."""


class _Broken(Exception):  # noqa: N818
    """A try that failed and that another may not; the text is the reason."""

    def __init__(self, reason: str, asked: float | None = None):
        super().__init__(reason)
        self.asked = asked  # seconds that the server asks to wait


@dataclass(frozen=True)
class Limits:
    """How long to wait. `KAGGLE_TIMEOUT` and `KAGGLE_PATIENCE` in the environment change it."""

    timeout: float = 30  # seconds without a connection or a byte that end a try
    patience: float = 90  # seconds that the tries of one call or download may take together
    tries: int = 4

    @classmethod
    def from_environment(cls) -> "Limits":
        """Return the limits that the environment names; UserError if one is no number above 0."""
        timeout = _seconds("KAGGLE_TIMEOUT", cls.timeout)
        return cls(timeout, _seconds("KAGGLE_PATIENCE", cls.patience))


def _seconds(name: str, default: float) -> float:
    text = os.environ.get(name) or str(default)
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < 1e6:
        raise UserError(f"Expected {name} to be a number of seconds above 0. Received {text!r}.")
    return value


def pause(limits: Limits, tried: int, began: float, reason: str, asked: float | None) -> bool:
    """Wait before the next try and return True; False if tries or patience have run out.

    `tried` counts the tries so far, `began` is time.monotonic() at the first, `asked` the seconds
    that the server asked for. The waits double: 3, 6 and 12 s with the usual patience.
    """
    delay = limits.patience / 60 * 2**tried if asked is None else asked
    if tried >= limits.tries or time.monotonic() - began + delay > limits.patience:
        return False
    progress.say(f"{reason}; trying again in {delay:.0f} s")
    time.sleep(delay)
    return True


def retry_after(text: str | None) -> float | None:
    """Return the seconds of a Retry-After header, a number or a date (RFC 9110, 10.2.3)."""
    if not text:
        return None
    if text.strip().isdecimal():
        return float(text)
    try:
        moment = email.utils.parsedate_to_datetime(text)
    except ValueError:
        return None
    return max(0.0, moment.timestamp() - time.time())


def obtain(address: Callable[[], str], path: Path, size: int | None = None) -> Path:
    """Return `path` when it holds a file that was checked whole, downloading it only if need be.

    `address` returns the URL; it is called before each try, for signed ones expire. `size` is the
    bytes to expect. What was checked once is not read again. A file that is there but damaged is
    removed and fetched again, at most twice in all; then Damaged (a UserError).
    """
    if checked(path, size):
        return path
    with files.locked(path.with_name(f".{path.name}.lock"), path.name):
        if path.exists() and not checked(path, size):
            try:
                _check_and_mark(path, size)
            except Damaged as error:
                progress.say(f"{error} Removed; fetching it again")
                _remove(path)
        if path.exists():
            return path
        for last in (False, True):
            try:
                fetch(address, path, size)
                _check_and_mark(path, size)
                break
            except Damaged as error:
                _remove(path)
                if last:
                    raise Damaged(
                        f"{error} It came twice like that and was removed. Try again later, or "
                        f"get it in your browser and put it at {path}."
                    ) from error
                progress.say(f"{error} Removed; fetching it again")
    return path


def checked(path: Path, size: int | None = None) -> bool:
    """Return whether `path` is as it was when it was checked whole. Reads none of it."""
    try:
        stat = path.stat()
        marker = json.loads(_marker(path).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return marker == _look(stat) and size in (None, stat.st_size)


def _check_and_mark(path: Path, size: int | None) -> None:
    stat = path.stat()
    check_zip(path, size) if path.suffix == ".zip" else _check_plain(path, size)
    files.write_text(_marker(path), json.dumps(_look(stat)) + "\n")


def _look(stat: os.stat_result) -> dict:
    return {"size": stat.st_size, "mtime_ns": stat.st_mtime_ns}


def _marker(path: Path) -> Path:
    return path.with_name(f".{path.name}.checked")


def _remove(path: Path) -> None:
    # A `.part` stays: its bytes are proven to be the beginning of what the server has.
    path.unlink(missing_ok=True)
    _marker(path).unlink(missing_ok=True)


def check_zip(path: Path, size: int | None = None) -> None:
    """Read a zip and every file in it; Damaged if it is no zip, cut short or has a wrong CRC."""
    _check_plain(path, size)
    try:
        with zipfile.ZipFile(path) as opened:
            members = opened.infolist()
            with progress.bar(len(members), f"checking {path.name}", " files") as bar:
                for member in members:
                    with opened.open(member) as file:
                        while file.read(1 << 20):
                            pass  # reading to the end is what compares the CRC
                    bar.update()
    except (
        zipfile.BadZipFile,
        zlib.error,
        EOFError,
        NotImplementedError,
        RuntimeError,
        ValueError,
    ) as error:
        raise Damaged(
            f"Expected {path.name} to be a whole zip file. Received a damaged one: {error}."
        ) from error
    if not members:
        raise Damaged(f"Expected files in {path.name}. Received an empty zip.")


def _check_plain(path: Path, size: int | None) -> None:
    received = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(512).lstrip().lower()
    if start.startswith((b"<!doctype html", b"<html")):
        raise Damaged(_web_page(path))
    if size is not None and received != size:
        raise Damaged(f"Expected {size:,} bytes in {path.name}. Received {received:,}.")
    if not received:
        raise Damaged(f"Expected bytes in {path.name}. Received an empty file.")


def _web_page(path: Path) -> str:
    return (
        f"Expected the file {path.name}. Received a web page (HTML), such as a login or error page."
    )


def fetch(address: Callable[[], str], path: Path, size: int | None = None) -> None:
    """Download to `path`, which appears when it has all its bytes.

    Until then they are in `<name>.part`; a later call goes on where it ended if the server still
    has the same file (its ETag or time of change). `address` is called before each try. Proxies
    are those of the environment. UserError after a few tries; Damaged if what the server has is a
    web page or hasn't `size` bytes.
    """
    limits = Limits.from_environment()
    part = _part(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    began, tried = time.monotonic(), 0
    while True:
        url = address()
        before = files.size_of(part)
        tried += 1
        try:
            _try(url, part, path, size, limits)
            break
        except _Broken as error:
            if files.size_of(part) >= before + MB:
                began, tried = time.monotonic(), 1  # it gets on: a flaky line is no reason to stop
            if not pause(limits, tried, began, f"{path.name}: {error}", error.asked):
                raise UserError(
                    f"Expected to download {path.name} from {urllib.parse.urlsplit(url).netloc}. "
                    f"Received: {error}. Run the same command again: it goes on where it ended."
                ) from error
    os.replace(part, path)
    _sidecar(part).unlink(missing_ok=True)


def _try(url: str, part: Path, path: Path, size: int | None, limits: Limits) -> None:
    """Bring `part` to its full length by one request; _Broken if that didn't do."""
    if urllib.parse.urlsplit(url).scheme not in ("http", "https"):
        raise UserError(f"Expected a web address for {path.name}. Received {url[:100]!r}.")
    known = _known(part)
    start = files.size_of(part) if known else 0
    headers = {"User-Agent": "dogs-vs-cats", "Accept-Encoding": "identity"}
    if known and start == known["size"]:
        return
    if start:
        headers |= {"Range": f"bytes={start}-", "If-Range": known["validator"]}
    try:
        request = urllib.request.Request(url, headers=headers)
        answer = _opener().open(request, timeout=limits.timeout)
    except urllib.error.HTTPError as error:
        raise _refused(error, part, path) from error
    except (OSError, http.client.HTTPException) as error:
        raise _Broken(_reason(error, limits)) from error
    with answer:
        total = _total(answer, start, part, known)
        if answer.headers.get_content_type() == "text/html":
            raise Damaged(_web_page(path))
        if size is not None and total not in (None, size):
            raise Damaged(f"Expected {size:,} bytes in {path.name}. Received {total:,}.")
        if answer.status != 206:
            start = 0  # the whole file comes, whatever was asked
        files.require_free(path.parent, (total or 0) - start, path.name)
        _receive(answer, part, start, total, limits)


def _opener() -> urllib.request.OpenerDirector:
    """Return what opens addresses, by the proxies and authorities of the environment as it is now.

    Some Pythons come without any certificate authorities: certifi's are added, or those that the
    environment names for the requests package, so that what Kaggle's client can reach we can too.
    """
    import certifi

    named = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE")
    context = ssl.create_default_context()
    context.load_verify_locations(named or certifi.where())
    return urllib.request.build_opener(urllib.request.HTTPSHandler(context=context))


def _refused(error: urllib.error.HTTPError, part: Path, path: Path) -> Exception:
    """Return what a status of 300 or above means. Its body is never written anywhere."""
    with error:
        if error.code == 416:
            # What is here can't be the beginning of what is there.
            part.unlink(missing_ok=True)
            return _Broken("the file has changed on the server")
        text = f"{error.code}, {error.reason}"
        if error.code in PASSING:
            return _Broken(text, retry_after(error.headers.get("Retry-After")))
    host = urllib.parse.urlsplit(error.url).netloc
    return UserError(
        f"Expected to download {path.name} from {host}. Received: {text}. Try again later; if it "
        "stays so, get the file in your browser."
    )


def _total(answer, start: int, part: Path, known: dict | None) -> int | None:
    """Return the bytes of the whole file as the server says, None where it doesn't."""
    if answer.status == 206:
        match = RANGE.fullmatch(answer.headers.get("Content-Range", ""))
        # Only bytes that are the very next ones of the very same file may be added.
        if not known or not match or [int(match[1]), int(match[3])] != [start, known["size"]]:
            part.unlink(missing_ok=True)
            raise _Broken("the server sent another part of the file than was asked for")
        return int(match[3])
    if answer.status != 200:
        raise _Broken(f"an unexpected answer, {answer.status}")
    length = answer.headers.get("Content-Length", "")
    return int(length) if length.isdecimal() else None


def _receive(answer, part: Path, start: int, total: int | None, limits: Limits) -> None:
    with part.open("ab" if start else "wb") as file:
        if not start:
            # The old bytes are gone by now: never do they meet a new file's description.
            _describe(part, answer.headers, total)
        done = start
        with progress.bar((total or 0) // MB, part.stem, " MB", start // MB) as bar:
            for block in _blocks(answer, limits):
                file.write(block)
                bar.update((done + len(block)) // MB - done // MB)
                done += len(block)
        file.flush()
        os.fsync(file.fileno())
    if total is not None and done < total:
        raise _Broken(f"the connection ended after {done:,} of {total:,} bytes")


def _blocks(answer, limits: Limits) -> Iterator[bytes]:
    """Yield what comes. Only reading is within the try: a full disk is no broken connection."""
    while True:
        try:
            block = answer.read1(BLOCK)
        except (OSError, http.client.HTTPException) as error:
            raise _Broken(_reason(error, limits)) from error
        if not block:
            return
        yield block


def _reason(error: Exception, limits: Limits) -> str:
    error = getattr(error, "reason", None) or error
    if isinstance(error, TimeoutError):
        return f"nothing came for {limits.timeout:.0f} s"
    return f"{error}" or type(error).__name__


def _part(path: Path) -> Path:
    return path.with_name(f"{path.name}.part")


def _sidecar(part: Path) -> Path:
    return part.with_name(f"{part.name}.json")


def _describe(part: Path, headers, total: int | None) -> None:
    """Keep what tells the server's file from another; without it nothing is resumed."""
    validator = headers.get("ETag", "")
    if not validator or validator.startswith("W/"):  # If-Range takes no weak one
        validator = headers.get("Last-Modified", "")
    if validator and total:
        files.write_text(_sidecar(part), json.dumps({"validator": validator, "size": total}))
    else:
        _sidecar(part).unlink(missing_ok=True)


def _known(part: Path) -> dict | None:
    """Return the description of the file that `part` is the beginning of, or None."""
    try:
        known = json.loads(_sidecar(part).read_text(encoding="utf-8"))
        fits = 0 < part.stat().st_size <= known["size"] and known["validator"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return known if fits else None
