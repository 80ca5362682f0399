"""The stamp of a dataset, for tests that need one but no photos."""

from dogs_vs_cats.artifacts import Artifact
from dogs_vs_cats.data.dataset import Dataset
from dogs_vs_cats.workspace import Workspace


def record_dataset(workspace: Workspace, competition: str = "", listed_photos: int = 0) -> None:
    """Write the stamp of a dataset of two classes that holds nothing yet."""
    dataset = Dataset(
        competition=competition,
        metric="log_loss",
        classes=["cat", "dog"],
        photos_per_class={},
        test_photos=0,
        unreadable_test_photos=0,
        has_answers=False,
        listed_photos=listed_photos,
        grouped_photos=0,
        problems={},
        seconds=1.0,
    )
    Artifact(workspace.data_stamp, {}, Dataset).record([], dataset)
