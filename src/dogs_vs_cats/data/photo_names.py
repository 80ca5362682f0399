"""Photo names: which photo a name in groups.csv or verdicts.csv means. Standard library only."""

import os
import unicodedata
from collections import defaultdict
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path, PurePath, PurePosixPath

Parts = tuple[str, ...]


def same_form(text: str) -> str:
    """Return a text in one Unicode form, NFC: a Mac's é is an e and an accent."""
    return unicodedata.normalize("NFC", text)


class PhotoNames:
    """Photos by their names: id, path, file name, or as much of the end of a path as it takes.

    ids, paths: of each photo. base: the folder that relative paths start from.
    """

    def __init__(self, ids: Sequence[str], paths: Sequence[str], base: PurePath) -> None:
        self._ids, self._paths = ids, paths
        self._base = os.path.abspath(base)

    def find(self, name: str) -> list[int]:
        """Return the positions of the photos that a name may mean, one where it is clear.

        An id or a whole path means that photo alone. The Unicode form and the kind of slash matter
        only where two names differ in nothing else.
        """
        exact = self._exact.find(name, PurePosixPath(name).parts)
        return exact or self._loose.find(_slashed(name), _loose(name))

    @cached_property
    def _exact(self) -> "_Index":
        return _Index(self._ids, [Path(x).parts for x in self._paths], Path(self._base).parts)

    @cached_property
    def _loose(self) -> "_Index":
        return _Index(
            [*map(_slashed, self._ids)], [_loose(path) for path in self._paths], _loose(self._base)
        )


def _slashed(text: str) -> str:
    return same_form(text).replace("\\", "/")


def _loose(path: str) -> Parts:
    return PurePosixPath(_slashed(path)).parts


class _Index:
    """The photos by id and by the last part of their paths, which start from the folder `base`."""

    def __init__(self, ids: Sequence[str], paths: Sequence[Parts], base: Parts) -> None:
        self._paths, self._base = paths, base
        self._by_id: dict[str, list[int]] = defaultdict(list)
        self._by_name: dict[str, list[int]] = defaultdict(list)
        for position, (photo, parts) in enumerate(zip(ids, paths, strict=True)):
            self._by_id[photo].append(position)
            self._by_name[parts[-1]].append(position)

    def find(self, photo: str, parts: Parts) -> list[int]:
        if photo in self._by_id:
            return self._by_id[photo]
        named = self._by_name.get(parts[-1], []) if parts else []
        whole = [i for i in named if self._paths[i] == parts]
        ends = [i for i in named if (self._base + self._paths[i])[-len(parts) :] == parts]
        return whole or ends
