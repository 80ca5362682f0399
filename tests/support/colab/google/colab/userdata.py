"""Secrets: those in $COLAB_SECRETS, a JSON object."""

import json
import os

from google.colab import errors


class SecretNotFoundError(errors.Error):
    """There is no such secret."""


class NotebookAccessError(Exception):
    """The notebook may not read the secret."""


def get(key: str) -> str:
    """Return a secret."""
    secrets = json.loads(os.environ.get("COLAB_SECRETS", "{}"))
    if key not in secrets:
        raise SecretNotFoundError(key)
    return secrets[key]
