"""A small Kaggle on this machine, for the real client to talk to.

It has one competition: its files, its hidden answers, the submissions it received. Nothing leaves
the machine, and no account is needed.
"""

import os
import site
from collections.abc import Sequence
from pathlib import Path

from dogs_vs_cats.rehearsal.book import HostedCompetition, ReceivedSubmission
from dogs_vs_cats.rehearsal.faults import Fault, Faults
from dogs_vs_cats.rehearsal.routes import Routes
from dogs_vs_cats.rehearsal.server import Server

# Variables that change where the client goes even when they are empty, so they must not be set.
REMOVE = (
    "KAGGLE_TOKEN",
    "KAGGLE_PROXY",
    "KAGGLE_PATH",
    "KAGGLE_COMPETITION",
    "KAGGLE_KERNEL_RUN_TYPE",
    "KAGGLE_COMPETITION_SUBMISSION_MODEL_VERSION_ID",
    "VERBOSE",
    "VERBOSE_OUTPUT",
    "NETRC",
)


class SmallKaggle:
    """A Kaggle on loopback with one competition; a context manager.

    folder: where uploads and `submissions.json` are kept; another SmallKaggle with the same folder
    and slug knows the earlier submissions. faults: what goes wrong, once each or more often.
    `url` is where it listens; `requests` lists what it answered: (method, call or path, status),
    with status 0 where it gave no answer.
    """

    def __init__(self, competition: HostedCompetition, folder: Path, faults: Sequence[Fault] = ()):
        left = Faults(faults)
        self.routes = Routes(competition, folder / competition.slug, left)
        left.require_names(self.routes.names())
        self._server = Server(self.routes, left)
        self.url = self.routes.url = self._server.url
        self.requests = self.routes.requests

    def __enter__(self) -> "SmallKaggle":
        self._server.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._server.stop()
        self.routes.close()

    @property
    def submissions(self) -> list[ReceivedSubmission]:
        """The submissions received, oldest first, as Kaggle would show them now."""
        return self.routes.submissions()

    def environment(self, home: Path) -> dict[str, str]:
        """Return the variables with which a process's Kaggle client talks to this server.

        The variables in REMOVE must not be set. `home` becomes the process's home, where the
        client keeps its files. A request to any other host ends at this server, refused.
        """
        return {
            "KAGGLE_API_ENVIRONMENT": "LOCALHOST",
            "KAGGLE_CONFIG_DIR": str(home / ".kaggle"),
            "KAGGLE_USERNAME": self.routes.username,
            "KAGGLE_KEY": self.routes.key,
            "KAGGLE_API_TOKEN": "",
            "HOME": str(home),
            "USERPROFILE": str(home),
            # Another home must not hide packages installed in the user's own.
            "PYTHONUSERBASE": site.getuserbase(),
            # In this environment the client asks http://localhost, which reaches the server as its
            # proxy; files and uploads are on 127.0.0.1, which it asks directly.
            **dict.fromkeys(("http_proxy", "HTTP_PROXY"), self.url),
            **dict.fromkeys(("https_proxy", "HTTPS_PROXY"), self.url),
            **dict.fromkeys(("no_proxy", "NO_PROXY"), "127.0.0.1"),
        }

    def process_environment(self, home: Path) -> dict[str, str]:
        """Return this process's variables, without REMOVE and with those of `environment`."""
        kept = {name: value for name, value in os.environ.items() if name not in REMOVE}
        return kept | self.environment(home)
