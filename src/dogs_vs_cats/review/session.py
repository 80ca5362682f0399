"""The session of a review: the issues, the user's decisions about them, and what these changed."""

import threading
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import pandas as pd

from dogs_vs_cats import artifacts, files
from dogs_vs_cats.analysis import verdict_effects
from dogs_vs_cats.config.engines import Engine
from dogs_vs_cats.config.recipes import Blend, Recipe, members
from dogs_vs_cats.data import photos, verdict_writer, verdicts
from dogs_vs_cats.data.verdict_writer import EditedMeanwhileError, Written
from dogs_vs_cats.data.verdicts import LabelledPhotos, Verdict
from dogs_vs_cats.errors import UserError
from dogs_vs_cats.legible import legible
from dogs_vs_cats.modeling import out_of_fold, training
from dogs_vs_cats.review import issues, neighbours
from dogs_vs_cats.review.issues import ReviewIssue
from dogs_vs_cats.review.neighbours import FeatureSpace
from dogs_vs_cats.workspace import Workspace

NEIGHBOURS = 6
DUPLICATES = 12  # shown of a photo's


@dataclass
class ReviewSession:
    """table: photos.csv, by id, as it was when the session began; `photos_digest` says which.

    named: its labelled photos. command: trains the recipe. undone_by: what takes each decision of
    this session back, the last one last.
    """

    workspace: Workspace
    recipe: Recipe | Blend
    command: str
    table: pd.DataFrame
    photos_digest: str
    named: LabelledPhotos
    classes: list[str]
    issues: list[ReviewIssue]
    space: FeatureSpace | None
    undone_by: list[Written] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def _decided(self) -> dict[str, Verdict]:
        return verdicts.read(self.workspace, self.table, self.classes, self.named)

    def state(self) -> dict[str, Any]:
        """Return what was decided, ready for JSON: `digest` of the file, verdicts, undo.

        UserError if verdicts.csv is not valid.
        """
        digest = verdict_writer.digest(self.workspace)
        decided = self._decided()
        can_undo = bool(self.undone_by) and self.undone_by[-1].digest == digest
        return {
            "digest": digest,
            "verdicts": {photo: asdict(verdict) for photo, verdict in decided.items()},
            "undo": can_undo,
        }

    def decide(self, photo: str, verdict: str, seen: str) -> dict[str, Any]:
        """Write a verdict on one of the issues; return the state after it.

        seen: the digest of the state that the user saw. UserError, and nothing is written, if the
        file or the table of photos has changed since, or there is no such issue or verdict.
        """
        why = next((legible(x.issue.why) for x in self.issues if x.issue.id == photo), None)
        if why is None or verdict not in verdict_writer.choices(self.classes):
            raise UserError(f"There is no label issue {photo!r}, or no verdict {verdict!r}.")
        if files.digest(self.workspace.table) != self.photos_digest:
            raise UserError(
                f"{self.workspace.table} has changed since this review began. Nothing was written. "
                "End `make review` with Ctrl-C and run it again."
            )
        with self.lock:
            self.state()  # UserError if the file is not valid
            written = verdict_writer.write(self.workspace, photo, verdict, why, seen, self.named)
            self.undone_by.append(written)
            return self.state()

    def undo(self, seen: str) -> dict[str, Any]:
        """Take the last decision of this session back; return the state, as `decide` does."""
        with self.lock:
            if not self.undone_by:
                raise UserError("There is nothing to undo: nothing was decided in this review yet.")
            last = self.undone_by[-1]
            if last.digest != seen:
                raise EditedMeanwhileError(
                    f"{self.workspace.verdicts} was changed by hand after the last decision, so it "
                    "can't be undone. Decide again about its photo."
                )
            verdict_writer.put_back(self.workspace, last.before, seen)
            self.undone_by.pop()
            return self.state()

    def page(self) -> dict[str, Any]:
        """Return what the page is about, ready for JSON: the issues and the verdicts there are."""
        return {
            "choices": verdict_writer.choices(self.classes),
            "classes": self.classes,
            "issues": [
                {
                    **asdict(x.issue),
                    "sha256": self.table.at[x.issue.id, "sha256"],
                    "opinions": [asdict(opinion) for opinion in x.opinions],
                    "classes": x.classes[:9],  # for which there are keys
                }
                for x in self.issues
            ],
        }

    def around(self, number: int) -> dict[str, Any]:
        """Return the near-duplicates and the nearest neighbours of an issue, ready for JSON."""
        issue = self.issues[number]
        near = []
        if self.space is not None:
            near = self.space.nearest(issue.issue.id, NEIGHBOURS, issue.duplicates)
        return {
            "duplicates": [self._photo(x) for x in issue.duplicates[:DUPLICATES]],
            "more": max(0, len(issue.duplicates) - DUPLICATES),
            "neighbours": [self._photo(x.id) | {"similarity": x.similarity} for x in near],
        }

    def _photo(self, photo: str) -> dict[str, Any]:
        row = self.table.loc[photo]
        return {"id": photo, "label": row["label"], "sha256": row["sha256"]}

    def effects(self) -> dict[str, Any]:
        """Return what a training with the verdicts changed, ready for JSON.

        command: what to run to see it, "" if nothing. recipes: a list of name and `all` and `left`,
        two VerdictEffects; text: what is said instead, or "".
        """
        decided = self._decided()
        now = verdicts.changes(self.workspace, self.named)
        recipes = []
        for member in members(self.recipe):
            folder = self.workspace.model(member.name)
            stamp = artifacts.read(folder / "stamp.json")
            if stamp is None or stamp["inputs"].get("verdicts") != now:
                return {"command": self.command, "recipes": [], "text": ""}
            found = verdict_effects.effects(folder, out_of_fold.read(folder), decided)
            if found:
                everything, left = map(asdict, found)
                recipes.append({"recipe": member.name, "all": everything, "left": left})
        return {
            "command": "",
            "recipes": recipes,
            "text": "" if recipes else self._why_none(decided),
        }

    def _why_none(self, decided: dict[str, Verdict]) -> str:
        """Return why there are no effects to show, though the heads are trained on the verdicts."""
        if not decided:
            return "You have given no verdicts yet."
        if not any(verdicts.counts(decided, self.table).values()):
            return "Nothing: your verdicts leave every label as it is."
        return (
            f"Not known: {self.recipe.name} was never trained without your verdicts. `make report` "
            "says how to measure it."
        )


def load(
    workspace: Workspace, recipe: Recipe | Blend, engine: Engine, command: str
) -> ReviewSession:
    """Return the session of a recipe. command: trains it.

    UserError if it is not trained, or verdicts.csv is not valid.
    """
    require_trained(workspace, recipe, engine, command)
    table, classes = photos.read(workspace), photos.read_classes(workspace)
    decided = verdicts.read(workspace, table, classes)
    asked = [member.name for member in members(recipe)]
    found = issues.load(workspace, asked[0], engine, table, decided)
    others = [opinion.recipe for x in found[:1] for opinion in x.opinions]
    space = neighbours.load(workspace, list(dict.fromkeys(asked + others)), engine)
    return ReviewSession(
        workspace,
        recipe,
        command,
        table.set_index("id", drop=False),
        files.digest(workspace.table),
        verdicts.labelled_photos(workspace),
        classes,
        found,
        space,
    )


def require_trained(
    workspace: Workspace, recipe: Recipe | Blend, engine: Engine, command: str
) -> None:
    """Raise UserError unless a recipe's heads are up to date but for verdicts.csv."""
    for member in members(recipe):
        wanted = training.artifact(workspace, member, engine)
        stamp = artifacts.read(wanted.stamp)
        before = stamp["inputs"].get("verdicts") if stamp else None
        if replace(wanted, inputs=wanted.inputs | {"verdicts": before}).fresh() is None:
            raise UserError(
                f"The heads of {member.name} are missing or stale. Run `{command}` first."
            )
