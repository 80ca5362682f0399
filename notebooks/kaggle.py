# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Dogs vs. Cats: from nothing to a submission
#
# Three cells take the competition's photos to `/kaggle/working/submission.csv`, by transfer
# learning from ImageNet. Before you run them:
#
# 1. **Add Input**: the competition *Dogs vs. Cats Redux: Kernels Edition*. Accept its rules.
# 2. **Add Input**: the dataset that `make kaggle-dataset` built (code, recipes, weights, packages).
#    Or switch the internet on, and name the repository in the first cell.
# 3. **Settings, Accelerator**: a GPU, if you like. The recipe `light` does without.
#
# To go on after a session that was stopped, add the output of this notebook's last version as
# input. `docs/notebooks.md` in the repository says more.
#
# ## 1. Set-up

# %%
import os
import subprocess
import sys
from itertools import islice
from pathlib import Path

REPOSITORY = ""  # without the dataset: the address of the repository that this notebook is from,
TAG = "v0.1.0"  # and the version to take


class SetUpError(Exception):
    def _render_traceback_(self):
        return [f"error: {self}"]


inputs = Path(os.environ.get("KAGGLE_INPUT") or "/kaggle/input")
level = [inputs] if inputs.is_dir() else []
found = set()
for _ in range(4):  # of a folder with many entries only some are looked at: it holds photos
    level = [Path(x) for folder in level for x in islice(os.scandir(folder), 200) if x.is_dir()]
    found |= {folder.resolve() for folder in level if (folder / "src/dogs_vs_cats").is_dir()}
ours = sorted(found)
if not ours and REPOSITORY:
    ours = [inputs.with_name("temp") / "dogs-vs-cats"]
    if not ours[0].exists():
        clone = ["git", "clone", "--quiet", "--depth=1", f"--branch={TAG}", REPOSITORY, ours[0]]
        done = subprocess.run(clone, capture_output=True, text=True)
        if done.returncode:
            reason = done.stderr.strip().splitlines()[-1]
            raise SetUpError(
                f"git clone of {REPOSITORY} at {TAG} failed: {reason}. Check REPOSITORY and TAG in "
                "this cell, and that the internet is on."
            )
if not ours:
    raise SetUpError(
        "There is no code. Choose Add Input, and the dataset that `make kaggle-dataset` built. "
        "Or switch the internet on, and write the repository's address into REPOSITORY."
    )
if len(ours) > 1:
    raise SetUpError(f"There are two datasets with the code, {ours[0]} and {ours[1]}. Remove one.")

sys.dont_write_bytecode = True  # the input stays as it is
os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
sys.path.insert(0, str(ours[0] / "src"))

from dogs_vs_cats.hosted import kaggle_session

session = kaggle_session.start()

# %% [markdown]
# ## 2. Photos, features, heads, submission
#
# `light` takes minutes. `champion`, the best single recipe, takes about ten times as long. Each is
# measured out of fold, so you know about which score to expect before you submit. Afterwards:
# *Save Version*, *Save & Run All*, and *Submit* in the version's *Output*.

# %%
from dogs_vs_cats import stages

RECIPE = "light"
stages.data(source=session.photos, competition=session.competition)
stages.submit(RECIPE, upload=False, output=session.csv)

# %% [markdown]
# ## 3. What was trained, and where it is wrong
#
# The page has photos of the competition in it: leave this cell out of a notebook that you publish.

# %%
stages.report(RECIPE)
