# ---
# jupyter:
#   accelerator: GPU
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Dogs vs. Cats: from nothing to a scored submission
#
# Three cells take 25,000 photos to a submission for Kaggle's *Dogs vs. Cats Redux: Kernels
# Edition*, by transfer learning from ImageNet. What is computed is kept on your Drive, in
# `dogs-vs-cats`: after a session that was stopped, run the cells again, and they go on.
#
# For Kaggle's photos and a score, add your token as the secret `KAGGLE_API_TOKEN` (the key at the
# left), give this notebook access to it, and accept the competition's rules on Kaggle. Without it
# the notebook takes Microsoft's copy of the labelled photos, sets a tenth aside and scores itself.
# `docs/notebooks.md` in the repository says more.
#
# ## 1. Set-up

# %%
import os
import subprocess
import sys
from pathlib import Path

REPOSITORY = ""  # the address of the repository that this notebook is from,
TAG = "v0.1.0"  # and the version to take


class SetUpError(Exception):
    def _render_traceback_(self):
        return [f"error: {self}"]


content = Path(os.environ.get("COLAB_CONTENT") or "/content")
code = content / "dogs-vs-cats"
if not code.exists():
    if not REPOSITORY:
        raise SetUpError("Write the address of the repository into REPOSITORY, in this cell.")
    clone = ["git", "clone", "--quiet", "--depth=1", f"--branch={TAG}", REPOSITORY, code]
    done = subprocess.run(clone, capture_output=True, text=True)
    if done.returncode:
        reason = done.stderr.strip().splitlines()[-1]
        raise SetUpError(
            f"git clone of {REPOSITORY} at {TAG} failed: {reason}. Check REPOSITORY and TAG in "
            "this cell."
        )
sys.path.insert(0, str(code / "src"))

from dogs_vs_cats.hosted import colab_session

session = colab_session.start(content)

# %% [markdown]
# ## 2. Photos, features, heads, submission
#
# `light` takes minutes. `champion`, the best single recipe, takes about ten times as long. Each is
# measured out of fold, so you know about which score to expect.

# %%
from dogs_vs_cats import stages

RECIPE = "light"
stages.data(source=session.source)
stages.submit(RECIPE)

# %% [markdown]
# ## 3. What was trained, and where it is wrong
#
# The page has photos of the competition in it: leave this cell out of a notebook that you publish.

# %%
stages.report(RECIPE)
