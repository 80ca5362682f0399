"""Kaggle Models: where KerasHub's presets are."""

from pathlib import Path

from dogs_vs_cats import progress
from dogs_vs_cats.errors import UserError, first_line

PAGE = "https://www.kaggle.com/models"


def download(handle: str, name: str) -> Path:
    """Return the folder of a model's files, downloaded unless kagglehub has them already.

    handle: owner/model/framework/variation/version. name: what a recipe calls it; UserError says
    which page has it and how a recipe names a folder.
    """
    import kagglehub
    from kagglehub import exceptions

    model = handle.split("/")[:4]
    page = f"{PAGE}/{'/'.join(model)}"
    progress.say(f"weights: downloading {name} from {page}")
    refused = (exceptions.BackendError, exceptions.CredentialError, exceptions.DataCorruptionError)
    try:
        return Path(kagglehub.model_download(handle))
    except (OSError, ValueError, *refused, exceptions.UnauthenticatedError) as error:
        raise UserError(
            f"{name} can't be downloaded ({first_line(error)}). Download {page} elsewhere, and "
            f'give its folder in the recipe: backbone = "hub:path/to/{model[-1]}".'
        ) from error
