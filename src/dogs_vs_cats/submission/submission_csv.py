"""The CSV: a row for each test photo.

Its columns are those of the competition (kaggle/competitions.py), such as id,label where label is
the probability of dog. Classes of no known competition have a column each, named after the class,
in the order of the class table.
"""

from dogs_vs_cats.kaggle import competitions


def columns(classes: list[str], slug: str = "") -> list[str]:
    """Return the columns of a submission: those of the competition, if there is a known one."""
    known = competitions.matching(classes, slug)
    return list(known.columns) if known else ["id", *classes]


def encode(
    probabilities: dict[str, list[float]], classes: list[str], header: list[str], metric: str
) -> bytes:
    """Return the bytes of the CSV with the columns `header`.

    probabilities: photo id -> one for each class. metric: log_loss or accuracy.
    """
    import pandas as pd

    frame = pd.DataFrame(list(probabilities.values()), columns=classes)  # (n, classes)
    if len(header) == 2:
        frame = frame[[classes[1]]]
        if metric == "accuracy":
            frame = (frame > 0.5).astype(int)
    frame = frame.set_axis(header[1:], axis=1)
    frame.insert(0, header[0], [int(photo) for photo in probabilities])
    text: str = frame.to_csv(index=False, lineterminator="\n")
    return text.encode(errors="surrogateescape")
