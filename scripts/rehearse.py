"""Rehearse the whole competition on any cats and dogs, against a Kaggle on this machine."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from dogs_vs_cats import console, stopping
from dogs_vs_cats.config import engines, recipe_files
from dogs_vs_cats.data import dataset, sources
from dogs_vs_cats.errors import UserError
from dogs_vs_cats.kaggle.competitions import REHEARSAL
from dogs_vs_cats.workspace import Workspace, check_dataset_name

HERE = Path(__file__).parent


def main() -> None:
    parser = console.arguments(__doc__)
    parser.add_argument("--source", default="sample", help="microsoft, sample, or a path")
    parser.add_argument("--photos", help="a name for the source's own dataset")
    parser.add_argument("--batch", type=console.positive, help="photos a step")
    args = parser.parse_args()
    recipe_files.read(args.recipe)
    engines.choose(args.engine, args.precision)
    source = sources.parse(args.source)
    if source.kind == "url":
        raise UserError(
            "A rehearsal packs the photos into a zip, so they must be on this machine: download "
            "them, and give their folder as SOURCE."
        )
    photos = Workspace(check_dataset_name(args.photos or source.name))
    workspace = Workspace(check_dataset_name(args.dataset or f"{source.name}-rehearsal"))
    if dataset.artifact(source, photos).fresh() is None:
        dataset.build(source, photos)

    from dogs_vs_cats.rehearsal import rehearse
    from dogs_vs_cats.rehearsal.small_kaggle import SmallKaggle

    competition = rehearse.competition(photos, workspace)
    home = workspace.rehearsal / "home"
    home.mkdir(parents=True, exist_ok=True)
    with SmallKaggle(competition, workspace.rehearsal / "state") as kaggle:
        print(
            f"rehearsal: a Kaggle at {kaggle.url} for this command alone, with "
            f"{len(competition.answers):,} of the labels hidden",
            flush=True,
        )
        # Only the stages that talk to Kaggle run against it, with a home of their own.
        at_kaggle = kaggle.process_environment(home.resolve())
        dataset_option = ["--dataset", workspace.dataset]
        options = ["--recipe", args.recipe, "--engine", args.engine, "--precision", args.precision]
        options += dataset_option
        options += ["--threads", str(args.threads)] if args.threads else []
        batch = ["--batch", str(args.batch)] if args.batch else []
        source_options = ["--source", "kaggle", "--competition", REHEARSAL, "--keep-current"]
        run_stage("data", at_kaggle, *source_options, *dataset_option)
        run_stage("features", os.environ, *batch, *options)
        run_stage("train", os.environ, *options)
        run_stage("submit", at_kaggle, *options)


def run_stage(script: str, environment: Mapping[str, str], *arguments: str) -> None:
    """Run a stage as make does; end with its status if it fails."""
    command = [sys.executable, str(HERE / f"{script}.py"), *arguments]
    # The stage gets Ctrl-C by itself, and answers it.
    with stopping.answered(""), subprocess.Popen(command, env=dict(environment)) as stage:
        try:
            status = stage.wait()
        except KeyboardInterrupt as error:
            # Unlike subprocess.run, wait until it cleaned up.
            if isinstance(error, stopping.Terminated):
                stage.terminate()
            stage.wait()
            raise
    if status:
        sys.exit(status)


if __name__ == "__main__":
    console.run(main, speaks=False)
