"""The preflight: what late stages read is checked before hours are spent on features or heads."""

from dogs_vs_cats.data import dataset
from dogs_vs_cats.errors import UserError
from dogs_vs_cats.kaggle import ledger
from dogs_vs_cats.kaggle.retries import Limits
from dogs_vs_cats.submission import check
from dogs_vs_cats.workspace import Workspace


def require_inputs(workspace: Workspace) -> None:
    """Raise UserError for what training, the CSV or its upload would refuse.

    These are verdicts.csv, classes that aren't the competition's, Kaggle's sample submission, the
    ledger, and KAGGLE_TIMEOUT and KAGGLE_PATIENCE.
    """
    from dogs_vs_cats.data import photos, verdicts

    table = photos.read(workspace, ("id", "label", "problem"))
    classes = photos.read_classes(workspace)
    decided = verdicts.read(workspace, table, classes)
    verdicts.corrected_labels(decided, photos.train(table), classes)
    competition = dataset.read(workspace).competition
    if competition:
        check.require_classes(classes, competition)
        Limits.from_environment()
    check.require_sample(workspace, set(photos.test(table)["id"]))
    ledger.read()


def require_photos(workspace: Workspace) -> None:
    """Raise UserError if the file of a photo that could be read is gone."""
    from dogs_vs_cats.data import photos, remote_listing

    paths = (
        path
        for table in photos.parts(workspace, ("path", "problem"))
        for path in table.loc[table["problem"] == "", "path"]
    )
    missing = remote_listing.first_missing(paths)
    if missing is not None:
        raise UserError(
            f"The photo {missing} is no longer there. Run `make data` again, with the same SOURCE."
        )
