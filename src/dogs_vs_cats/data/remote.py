"""Remote files: photos at s3://, gs:// and https:// URLs, read in place through fsspec.

A photo in a tar is named as fsspec does, and by its bytes, so that one request reads it alone:
tar://train/cat.0.jpg::s3://bucket/0001.tar#bytes=1536-25847
"""

import errno
import functools
import os
import random
import re
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import unquote, urlsplit

from dogs_vs_cats import environment
from dogs_vs_cats.errors import UserError, first_line

SCHEMES = ("s3", "gs", "http", "https")
URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
MEMBER = re.compile(
    r"tar://(?P<name>.*)::(?P<tar>.*)#bytes=(?P<first>\d+)-(?P<last>\d+)", re.DOTALL
)
FETCHES = 16  # requests under way at once: they wait for the network, not for a core
TRIES = 6
PAUSE = 0.25  # seconds before the second try; each further one waits twice as long
# Of another library's message: a URL's query, which may be a signature, and what isn't so here.
NOISE = re.compile(r"\?[^\s'\"]+| \(reached max retries: 0\)")
# fsspec's settings. Tries are counted here, for all schemes alike; a photo is one request.
OPTIONS: dict[str, dict[str, Any]] = {
    "s3": {
        "max_concurrency": 1,
        "config_kwargs": {"retries": {"max_attempts": 0}, "max_pool_connections": FETCHES},
    },
    "http": {"client_kwargs": {"trust_env": True}},  # proxies
}
HINTS = {
    "s3": "Check the credentials (AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY), "
    "which must be allowed to list and read it. For a public bucket set FSSPEC_S3_ANON=true",
    "gs": "Run `gcloud auth application-default login` with an account that may list and read it",
    "http": "Files on a web server must need no login, and its folders must be listed (autoindex)",
}
T = TypeVar("T")
_one_at_a_time = threading.Lock()


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file at a URL, which is read like a path: by read_bytes, and nothing else.

    version: its size and tag when it was listed, "" if it was not.
    """

    url: str
    version: str = ""

    def __str__(self) -> str:
        return self.url

    def read_bytes(self) -> bytes:
        """Return its bytes. OSError if it is gone, UserError if it can't be fetched."""
        member = MEMBER.fullmatch(self.url)
        if member:
            return read(member["tar"], range(int(member["first"]), int(member["last"]) + 1))
        return read(self.url)


def is_url(text: str) -> bool:
    """Return whether a text is a URL, of any scheme of two letters or more: C://x is a path."""
    return URL.match(text) is not None


def photo(path: str) -> Path | RemoteFile:
    """Return what a path in photos.csv names: a file on the disk, or one at a URL."""
    return RemoteFile(path) if is_url(path) else Path(path)


def member_url(tar: str, name: str, first: int, size: int) -> str:
    """Return the URL of a file in a tar. first: the place of its first byte."""
    return f"tar://{name}::{tar}#bytes={first}-{first + size - 1}"


def container(url: str) -> str:
    """Return the URL of the file to ask the server for: the tar of a photo in a tar."""
    member = MEMBER.fullmatch(url)
    return member["tar"] if member else url


def place(path: str) -> str:
    """Return a photo's path as people know it: a tar stands for the files in it."""
    if not is_url(path):
        return path
    url, member = container(path), MEMBER.fullmatch(path)
    url = unquote(url) if url.startswith("http") else url
    return f"{url.rpartition('/')[0]}/{member['name']}" if member else url


def threads(are_remote: bool, cores: int) -> int:
    """Return how many threads read and decode photos: more than cores if they are remote."""
    return max(cores, FETCHES) if are_remote else cores


def checked(text: str) -> str:
    """Return SOURCE, a URL, without the slashes at its end.

    UserError if it is of another scheme, or holds a password or a signature: it would stand in
    photos.csv and in every message.
    """
    scheme, _, rest = text.partition("://")
    if scheme.lower() not in SCHEMES:
        raise UserError(
            f"SOURCE begins with {scheme}://; photos are read from {'://, '.join(SCHEMES)}://."
        )
    host = rest.partition("/")[0]
    if "@" in host or "?" in rest or "#" in rest:
        found = "a name or password" if "@" in host else "'?' or '#', as signatures have"
        raise UserError(
            f"The URL in SOURCE has {found}. It would stand in photos.csv and in messages: give it "
            "without, and credentials through AWS_PROFILE and the like."
        )
    if not host:
        raise UserError(f"SOURCE={text!r} names no bucket. Give one, as in s3://bucket/photos.")
    return f"{scheme.lower()}://{rest.rstrip('/')}"


def read(url: str, span: range | None = None) -> bytes:
    """Return the bytes of the file at `url`, or those of them in `span`.

    OSError if it is gone or shorter than that, UserError if it can't be fetched.
    """
    if span is None:
        return attempt(url, lambda: bytes(filesystem(url).cat_file(url)))
    if not span:
        return b""
    data = attempt(
        url, lambda: bytes(filesystem(url).cat_file(url, start=span.start, end=span.stop))
    )
    if len(data) > len(span) and span.start:
        raise UserError(
            f"{urlsplit(url).netloc} sends the whole of a tar where a part of it is asked for "
            "(it ignores Range). Serve it from another server, or give its files unpacked."
        )
    if len(data) < len(span):
        raise _shorter(url)
    return data[: len(span)]


@functools.cache
def _filesystem(scheme: str) -> Any:
    """Return fsspec's file system of a scheme, for all threads; UserError says what to install."""
    if scheme == "gs":
        environment.versions("gcsfs", setup=f"{sys.executable} -m pip install gcsfs")
    else:
        environment.versions("s3fs", setup="make setup EXTRAS=s3")
    import fsspec

    made = fsspec.filesystem(
        scheme, skip_instance_cache=True, use_listings_cache=False, **OPTIONS.get(scheme, {})
    )
    if scheme == "s3":
        made.retries = 1
    return made


def filesystem(url: str) -> Any:
    """Return fsspec's file system for a URL; UserError says what to install."""
    with _one_at_a_time:  # threads that begin together share one, and its connections
        return _filesystem(_scheme(url))


def _scheme(url: str) -> str:
    """Return s3, gs or http, which stands for https too."""
    scheme = url.partition("://")[0]
    return "http" if scheme == "https" else scheme


def attempt(url: str, call: Callable[[], T]) -> T:
    """Return what `call` does; what may pass (throttling, a cut connection) is tried again.

    FileNotFoundError if there is nothing at `url`, OSError if a tar is shorter than it was, and
    UserError for all else.
    """
    for number in range(TRIES):
        try:
            return call()
        except UserError:
            raise
        except Exception as error:  # each file system has its own
            known = _known(url, error)
            if known is not None:
                raise known from error
            if number == TRIES - 1:
                raise _failed(url, error) from error
        # Not at the same moment as other threads.
        time.sleep(PAUSE * 2**number * random.uniform(0.5, 1.5))
    raise AssertionError


def _known(url: str, error: Exception) -> Exception | None:
    """Return what to raise for an error that no further try can help, None if one may."""
    cause, status = _cause(error)
    if status == 404 or (isinstance(error, FileNotFoundError) and cause is error):
        return FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), url)
    if status == 416:
        return _shorter(url)
    if status in (408, 429) or isinstance(error, TimeoutError):
        return None
    lacking = "Credentials" in type(cause).__name__  # botocore's and Google's errors
    if lacking or status in (401, 403) or isinstance(error, PermissionError):
        return UserError(f"{url} may not be read: {_reason(cause)}. {HINTS[_scheme(url)]}.")
    if status is not None and 300 <= status < 500:
        where = " Check the region and the endpoint (AWS_REGION, AWS_ENDPOINT_URL)."
        where = where if _scheme(url) == "s3" else ""
        return UserError(f"{url} can't be read: {_reason(cause)}.{where}")
    return None


def _failed(url: str, error: Exception) -> UserError:
    cause, status = _cause(error)
    if status in (429, 503):
        advice = "The server is throttling its clients: wait a while"
    else:
        advice = "Check the network"
        advice += ", and AWS_ENDPOINT_URL if it is set" if _scheme(url) == "s3" else ""
    return UserError(
        f"{url} can't be read, after {TRIES} tries: {_reason(cause)}. {advice}, then run the same "
        "command again: finished work is kept."
    )


def _shorter(url: str) -> OSError:
    return OSError(errno.EIO, "the tar is shorter than when `make data` listed it", url)


def _cause(error: Exception) -> tuple[Exception, int | None]:
    """Return the error that a file system has translated, and its HTTP status if it has one.

    A FileNotFoundError of fsspec's may be any failure of the request that it is raised from.
    """
    cause = error.__cause__
    of_boto = isinstance(getattr(cause, "response", None), dict)
    if isinstance(cause, Exception) and (of_boto or isinstance(error, FileNotFoundError)):
        return cause, _status(cause)
    return error, _status(error)


def _status(error: Exception) -> int | None:
    """Return the HTTP status in an error of botocore, aiohttp or gcsfs."""
    response = getattr(error, "response", None)
    if isinstance(response, dict):
        status = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    else:
        status = getattr(error, "status", getattr(error, "code", None))
    return int(status) if str(status).isdecimal() else None


def _reason(error: Exception) -> str:
    return NOISE.sub("", first_line(error)).rstrip(".")
