"""A session of the notebook on Colab: what its first cell prepares once our code can be imported.

Cache and results are on the user's Drive, which outlives the session; photos are unpacked on the
machine's own disk, as Drive is slow with many files. Standard library and google.colab.
"""

import os
from dataclasses import dataclass
from pathlib import Path

from dogs_vs_cats import cells, progress
from dogs_vs_cats.errors import UserError, first_line
from dogs_vs_cats.hosted import machine, packages

TOKEN, PAIR = "KAGGLE_API_TOKEN", ("KAGGLE_USERNAME", "KAGGLE_KEY")


@dataclass(frozen=True)
class Session:
    """What the next cells need. source: kaggle, or microsoft where there are no credentials."""

    source: str


@cells.stage("notebook")
def start(content: Path) -> Session:
    """Prepare the session, and make a folder on Drive the current one; say what was found.

    content: Colab's /content. UserError if Drive can't be mounted, a secret can't be read, or
    packages can't be installed.
    """
    drive = _drive(content / "drive")
    machine.say("Runtime, Change runtime type", machine.online())
    packages.ensure(content / "packages")
    secrets = _secrets()
    os.environ.update(secrets)
    if secrets:
        progress.say(f"notebook: photos from Kaggle, with the secrets {' and '.join(secrets)}")
    else:
        progress.say(
            "notebook: photos from Microsoft, nothing is uploaded: there are no Kaggle "
            f"credentials among Colab's secrets ({TOKEN}, or {' and '.join(PAIR)})"
        )
    os.environ["UNPACKED"] = str(content / "photos")
    work = drive / "dogs-vs-cats"
    work.mkdir(exist_ok=True)
    os.chdir(work)
    progress.say(f"notebook: works in {work}, and goes on there next time")
    return Session("kaggle" if secrets else "microsoft")


def _drive(point: Path) -> Path:
    """Mount the user's Drive, unless it is; return its folder."""
    from google.colab import drive, errors

    try:
        drive.mount(str(point))
    except (errors.Error, ValueError) as error:  # refused by the user, or by Drive
        raise UserError(
            f"Drive can't be mounted ({first_line(error)}). Run this cell again, and let Colab "
            "connect to your Drive."
        ) from error
    return point / "MyDrive"


def _secrets() -> dict[str, str]:
    """Return the credentials among Colab's secrets: a token, else name and key, else nothing.

    UserError if a secret is there that this notebook may not read, or is half of a pair.
    """
    token = _secret(TOKEN)
    if token:
        return {TOKEN: token}
    pair = {name: secret for name in PAIR if (secret := _secret(name))}
    if len(pair) == 1:
        missing = next(name for name in PAIR if name not in pair)
        raise UserError(
            f"Colab's secrets have {next(iter(pair))} but not {missing}. Add it, or a token as "
            f"{TOKEN} (the key at the left), and run this cell again."
        )
    return pair


def _secret(name: str) -> str:
    """Return a secret, "" if there is none; UserError if this notebook may not read it."""
    from google.colab import userdata

    try:
        return str(userdata.get(name)).strip()
    except userdata.SecretNotFoundError:
        return ""
    except userdata.NotebookAccessError as error:
        raise UserError(
            f"This notebook may not read the secret {name}. Switch on its notebook access (the "
            "key at the left), and run this cell again."
        ) from error
