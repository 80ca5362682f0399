"""Transfer: one large file over HTTP, resumed where it broke off."""

import http.client
import json
import os
import re
import ssl
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from dogs_vs_cats import files, progress
from dogs_vs_cats.errors import UserError
from dogs_vs_cats.kaggle import retries
from dogs_vs_cats.kaggle.retries import Limits

# Returns a file's URL, or the whole request for it; signed URLs expire, so it may be asked again.
Address = Callable[[], str | urllib.request.Request]
BLOCK = 1 << 16  # bytes read at a time
RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+)")
MB = 1_000_000


class DamagedError(UserError):
    """A file isn't what it should be; fetching it once more may help."""


class _BrokenError(Exception):
    """A try failed and another may not; the text is the reason.

    wait: seconds that the server asks to wait, if it does.
    """

    def __init__(self, reason: str, wait: float | None = None):
        super().__init__(reason)
        self.wait = wait


def is_web_page(start: bytes) -> bool:
    """Return whether a file's first bytes are those of HTML."""
    return start.lstrip().lower().startswith((b"<!doctype html", b"<html"))


def web_page(path: Path) -> str:
    """Return what is wrong with a file that is HTML."""
    return f"{path.name} is a web page (HTML), such as a login or error page."


def wrong_size(path: Path, received: int, expected: int) -> str:
    """Return what is wrong with a file that has `received` bytes."""
    return f"{path.name} has {received:,} bytes instead of {expected:,}."


def fetch(address: Address, path: Path, size: int | None = None) -> None:
    """Download to `path`, which appears when it has all its bytes.

    Until then they are in `<name>.part`; a later call resumes there if the server still has the
    same file (its ETag or Last-Modified). `address` is called before each try. Proxies are those
    of the environment. UserError after a few tries; DamagedError if the server sends a web page
    or another number of bytes than `size`.
    """
    limits = Limits.from_environment()
    part = _part(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    began, tries = time.monotonic(), 0
    while True:
        request = _request(address(), path)
        before = files.size_of(part)
        tries += 1
        try:
            _try(request, part, path, size, limits)
            break
        except _BrokenError as error:
            if files.size_of(part) >= before + MB:
                began, tries = time.monotonic(), 1  # progress: a flaky line is no reason to stop
            if not retries.pause(limits, tries, began, f"{path.name}: {error}", error.wait):
                host = urllib.parse.urlsplit(request.full_url).netloc
                raise UserError(
                    f"Could not download {path.name} from {host}: {error}. Run the same command "
                    "again: it goes on where it ended."
                ) from error
    os.replace(part, path)
    _sidecar(part).unlink(missing_ok=True)


def _request(address: str | urllib.request.Request, path: Path) -> urllib.request.Request:
    """Return an address as a request of ours; UserError if it is no web address."""
    url = address if isinstance(address, str) else address.full_url
    if urllib.parse.urlsplit(url).scheme not in ("http", "https"):
        raise UserError(f"{url[:100]!r} is no web address to download {path.name} from.")
    request = urllib.request.Request(address) if isinstance(address, str) else address
    request.add_header("User-Agent", "dogs-vs-cats")
    request.add_header("Accept-Encoding", "identity")
    return request


def _try(
    request: urllib.request.Request, part: Path, path: Path, size: int | None, limits: Limits
) -> None:
    """Bring `part` to its full length with one request; _BrokenError if that failed."""
    known = _known(part)
    start = files.size_of(part) if known else 0
    if known and start == known["size"]:
        return
    if known and start:
        request.add_header("Range", f"bytes={start}-")
        request.add_header("If-Range", known["validator"])
    try:
        answer = _opener().open(request, timeout=limits.timeout)
    except urllib.error.HTTPError as error:
        raise _refused(error, part, path) from error
    except (OSError, http.client.HTTPException) as error:
        raise _BrokenError(_reason(error, limits)) from error
    with answer:
        total = _total(answer, start, part, known)
        if answer.headers.get_content_type() == "text/html" and _begins_as_page(answer, limits):
            raise DamagedError(web_page(path))
        if size is not None and total is not None and total != size:
            raise DamagedError(wrong_size(path, total, size))
        if answer.status != 206:
            start = 0  # the whole file comes, whatever range was asked for
        files.require_free(path.parent, (total or 0) - start, path.name)
        _receive(answer, part, start, total, limits)


def _begins_as_page(answer: Any, limits: Limits) -> bool:
    """Return whether what comes is HTML. Its type alone proves nothing: a store may err."""
    try:
        return is_web_page(answer.peek(512))
    except (OSError, http.client.HTTPException) as error:
        raise _BrokenError(_reason(error, limits)) from error


def _opener() -> urllib.request.OpenerDirector:
    """Return an opener with the proxies and certificate authorities of the environment.

    Some Pythons come without certificate authorities. So certifi's are added, or those that the
    environment names for the requests package: we reach whatever Kaggle's client can reach.
    """
    import certifi

    named = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE")
    context = ssl.create_default_context()
    context.load_verify_locations(named or certifi.where())
    return urllib.request.build_opener(urllib.request.HTTPSHandler(context=context))


def _refused(error: urllib.error.HTTPError, part: Path, path: Path) -> Exception:
    """Return the exception for a status of 300 or above. Its body is never written anywhere."""
    with error:
        if error.code == 416:
            # The bytes that are here can't be the beginning of the server's file.
            part.unlink(missing_ok=True)
            return _BrokenError("the file has changed on the server")
        text = f"{error.code}, {error.reason}"
        if error.code in retries.PASSING:
            return _BrokenError(text, retries.retry_after(error.headers.get("Retry-After")))
    host = urllib.parse.urlsplit(error.url).netloc
    return UserError(
        f"Could not download {path.name} from {host}: {text}. Try again later; if that doesn't "
        "help, get the file in your browser."
    )


def _total(answer: Any, start: int, part: Path, known: dict[str, Any] | None) -> int | None:
    """Return how many bytes the whole file has, None where the server doesn't say."""
    if answer.status == 206:
        match = RANGE.fullmatch(answer.headers.get("Content-Range", ""))
        # Only the very next bytes of the very same file may be added.
        if not known or not match or [int(match[1]), int(match[3])] != [start, known["size"]]:
            part.unlink(missing_ok=True)
            raise _BrokenError("the server sent another part of the file than was asked for")
        return int(match[3])
    if answer.status != 200:
        raise _BrokenError(f"an unexpected answer, {answer.status}")
    length = answer.headers.get("Content-Length", "")
    return int(length) if length.isdecimal() else None


def _receive(answer: Any, part: Path, start: int, total: int | None, limits: Limits) -> None:
    with part.open("ab" if start else "wb") as file:
        if not start:
            # Only now, when the old bytes are gone, may the new file be described.
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
        raise _BrokenError(f"the connection ended after {done:,} of {total:,} bytes")


def _blocks(answer: Any, limits: Limits) -> Iterator[bytes]:
    """Yield what is received. Only reading can break: a full disk is no broken connection."""
    while True:
        try:
            block = answer.read1(BLOCK)
        except (OSError, http.client.HTTPException) as error:
            raise _BrokenError(_reason(error, limits)) from error
        if not block:
            return
        yield block


def _reason(error: Exception, limits: Limits) -> str:
    reason = getattr(error, "reason", None) or error
    if isinstance(reason, TimeoutError):
        return f"nothing came for {limits.timeout:.0f} s"
    return f"{reason}" or type(reason).__name__


def _part(path: Path) -> Path:
    return path.with_name(f"{path.name}.part")


def _sidecar(part: Path) -> Path:
    return part.with_name(f"{part.name}.json")


def _describe(part: Path, headers: Any, total: int | None) -> None:
    """Keep what identifies the server's file; without it nothing is resumed."""
    validator = headers.get("ETag", "")
    if not validator or validator.startswith("W/"):  # If-Range takes no weak one
        validator = headers.get("Last-Modified", "")
    if validator and total:
        files.write_text(_sidecar(part), json.dumps({"validator": validator, "size": total}))
    else:
        _sidecar(part).unlink(missing_ok=True)


def _known(part: Path) -> dict[str, Any] | None:
    """Return the description of the file that `part` is the beginning of, or None."""
    try:
        known: dict[str, Any] = json.loads(_sidecar(part).read_text(encoding="utf-8"))
        fits = 0 < part.stat().st_size <= known["size"] and known["validator"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return known if fits else None
