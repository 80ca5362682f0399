"""Kaggle credentials: which ones the official client would use, without importing it."""

import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path

from dogs_vs_cats.errors import UserError
from dogs_vs_cats.kaggle.competitions import REDUX

SETTINGS = "https://www.kaggle.com/settings"
TOKEN = "KGAT_"  # what tokens begin with; the keys of kaggle.json are 32 hexadecimal digits
EXPECTED = '{"username": "...", "key": "..."}'
HELP = f"""Kaggle needs to know who you are. You do this once:

  1. Have an account (https://www.kaggle.com) and accept the competition's rules:
     https://www.kaggle.com/c/{REDUX}/rules
  2. Make a token: {SETTINGS}, under API, "Generate New Token".
  3. Save it in one of these places (the first one that exists is used):
       KAGGLE_API_TOKEN         in the environment: the token, or the path of a file with it
       ~/.kaggle/access_token   a file with the token
       KAGGLE_USERNAME and KAGGLE_KEY in the environment, or ~/.kaggle/kaggle.json:
                                {EXPECTED}
       `kaggle auth login`      in your browser; the client saves the login

Two sources of photos need no account:

  make data SOURCE=microsoft    the same 25,000 labelled photos (786 MB)
  make data SOURCE=sample       400 drawings, made on this machine"""


@dataclass(frozen=True)
class Credentials:
    """The credentials that the client will use: where they are, never the secret itself.

    where: such as "the token in ~/.kaggle/access_token". shadows: others that exist and so are
    not used. notes: what was ignored as empty or malformed.
    """

    where: str
    shadows: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def describe(self) -> str:
        """Return a phrase for an error: what is used, what it shadows, what was ignored."""
        parts = [self.where]
        if self.shadows:
            parts.append(f"which shadows {' and '.join(self.shadows)}")
        return ", ".join(parts) + "".join(f" ({note})" for note in self.notes)


def find() -> Credentials | None:
    """Return the credentials that the client would use, or None where there are none.

    The order is that of kaggle 2.2.4: a token, then kaggle.json overridden by KAGGLE_USERNAME and
    KAGGLE_KEY, then those of `kaggle auth login`. Unlike there, an empty variable counts as
    absent. UserError if the only credentials are malformed, or a token's file can't be read.
    """
    notes = [f"{name} is empty and counts as absent" for name in empty_variables()]
    candidates = [*_tokens(notes), *_keys(notes), *_logins()]
    if candidates:
        return Credentials(candidates[0], tuple(candidates[1:]), tuple(notes))
    path = _key_file()
    problem = _problem(path) if path.exists() else ""
    if problem:
        advice = f"It should be {EXPECTED}. Make a new one at {SETTINGS}, under API."
        raise UserError(
            f"{_short(path)} is {problem}. " + ("Move it there." if TOKEN in problem else advice)
        )
    return None


def username() -> str | None:
    """Return the user's name on Kaggle, None where it isn't known: a token doesn't say whose it is.

    Read from KAGGLE_USERNAME, kaggle.json or the login of `kaggle auth login`.
    """
    name = os.environ.get("KAGGLE_USERNAME")
    for path in (_key_file(), _home() / "credentials.json"):
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        if isinstance(content, dict):
            name = name or content.get("username")
    return name or None


def missing() -> UserError:
    """Return the error for no credentials, in one line; HELP says more."""
    notes = [f"{name} is empty" for name in empty_variables()]
    _tokens(notes)
    _keys(notes)
    return UserError(
        f"There are no Kaggle credentials{''.join(f' ({note})' for note in notes)}. "
        f"Make a token at {SETTINGS}, under API, and save it in ~/.kaggle/access_token. "
        "`make data SOURCE=microsoft` and `make data SOURCE=sample` need no account."
    )


def empty_variables() -> list[str]:
    """Return the names of the credential variables that are set to an empty text."""
    names = ("KAGGLE_API_TOKEN", "KAGGLE_USERNAME", "KAGGLE_KEY", "KAGGLE_TOKEN")
    return [name for name in names if os.environ.get(name) == ""]


def _tokens(notes: list[str]) -> list[str]:
    tokens = []
    # A notebook on kaggle.com brings its own token.
    if os.environ.get("KAGGLE_KERNEL_RUN_TYPE") and os.environ.get("KAGGLE_DATA_PROXY_URL"):
        path = os.environ.get("KAGGLE_API_V1_TOKEN")
        if path and _has_text(Path(path)):
            tokens.append("the token of this Kaggle notebook")
    value = os.environ.get("KAGGLE_API_TOKEN")
    if value and os.path.exists(value):
        if _has_text(Path(value)):
            tokens.append(f"the token in {value} (KAGGLE_API_TOKEN)")
        else:
            notes.append(f"the file {value} that KAGGLE_API_TOKEN names is empty")
            return tokens  # the client does not look at ~/.kaggle/access_token then
    elif value and value.startswith(("/", "./", "../", "~")):
        # The client would send the path itself as the token.
        raise UserError(
            f"KAGGLE_API_TOKEN is {value}, which isn't there. Set it to a token, or to the path of "
            "a file with one, or unset it."
        )
    elif value:
        tokens.append("the token in KAGGLE_API_TOKEN")
    for name in ("access_token", "access_token.txt"):
        if _has_text(_home() / name):
            tokens.append(f"the token in {_short(_home() / name)}")
    return tokens


def _has_text(path: Path) -> bool:
    """Return whether a file has a token; UserError if its text can't be one."""
    try:
        text = path.read_text(encoding="ascii").strip()
        if text.startswith("{"):
            raise ValueError("it holds what belongs in kaggle.json")
        if len(text.split()) > 1:
            raise ValueError("it has several words")
    except FileNotFoundError:
        return False
    except (OSError, ValueError) as error:
        raise UserError(
            f"{_short(path)} should hold a Kaggle token and nothing else, but {error}. Make a new "
            f"token at {SETTINGS}, under API."
        ) from error
    return bool(text)


def _keys(notes: list[str]) -> list[str]:
    names = list(_variables().values())
    path = _key_file()
    # The client uses this undocumented variable, but only together with a key.
    token = ["the token in KAGGLE_TOKEN"] if os.environ.get("KAGGLE_TOKEN") else []
    if len(names) == 2:
        return [*token, " and ".join(names), *([_short(path)] if path.exists() else [])]
    if not path.exists():
        notes.extend(f"{name} is set, but not the other of the pair" for name in names)
        return []
    problem = _problem(path)
    if problem:
        notes.append(f"{_short(path)} is {problem}")
        return []
    return [*token, _short(path) + "".join(f", with {name} in its place" for name in names)]


def _variables() -> dict[str, str]:
    """Return field of kaggle.json -> the variable in the environment that overrides it."""
    pairs = (("username", "KAGGLE_USERNAME"), ("key", "KAGGLE_KEY"))
    return {field: name for field, name in pairs if os.environ.get(name)}


def _problem(path: Path) -> str:
    """Return what is wrong with a kaggle.json; "" if it and the variables are enough."""
    try:
        data = path.read_bytes()
    except OSError as error:
        return f"a file that can't be read: {error.strerror}"
    problem = _flaw(data)
    if problem and TOKEN.encode() in data.replace(b"\0", b""):  # PowerShell writes UTF-16
        return f"{problem}; the token in it, {TOKEN}..., belongs in ~/.kaggle/access_token, alone"
    return problem


def _flaw(data: bytes) -> str:
    """Return why the bytes of a kaggle.json are not enough; "" if they are."""
    try:
        content = json.loads(data.decode())
    except ValueError as error:
        return f"not JSON: {error}"
    if not isinstance(content, dict):
        return "JSON, but not an object"
    for field in ("username", "key"):
        value = content.get(field)
        if field not in _variables() and not (isinstance(value, str) and value.strip()):
            return f"an object without {field!r}"
    return ""


def _logins() -> list[str]:
    path = _home() / "credentials.json"
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError):
        return []  # the client, too, ignores it then
    login = isinstance(content, dict) and content.get("refresh_token")
    return [f"the login in {_short(path)}"] if login else []


def _home() -> Path:
    return Path(os.path.expanduser("~"), ".kaggle")


def _key_file() -> Path:
    folder = os.environ.get("KAGGLE_CONFIG_DIR")
    if folder:
        return Path(folder) / "kaggle.json"
    if sys.platform.startswith("linux") and not _home().exists():
        config = os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")
        return Path(config, "kaggle", "kaggle.json")
    return _home() / "kaggle.json"


def _short(path: Path) -> str:
    """Return the path with ~ for the home folder."""
    home = os.path.expanduser("~")
    text = str(path)
    return f"~{text.removeprefix(home)}" if text.startswith(home + os.sep) else text
