# `make help` lists targets and variables. A stage is a command in scripts/; variables are its options.

SHELL := /bin/sh
.DEFAULT_GOAL := help
TARGETS := help setup data features train submit report review predict try export kaggle-dataset upload \
           scores compare search demo rehearse check status clean bench figures test lint packages own \
           exportable servable copyable switches hub
.PHONY: $(TARGETS)
# Each stage needs the one before it: -j must not run them in parallel.
.NOTPARALLEL:

# All that may be set on make's command line: make itself would ignore a slip such as UPLAOD=0
# without a word. Add a new variable here.
VARIABLES := AGAIN BATCH CLUSTER COMPETITION CSV DATASET ENGINE EXTRAS FIGURES GPU HOST INSECURE JSON \
             KERAS_BACKEND MATRIX NESTED OUTPUT PHOTOS PORT PRECISION PYTHON RECIPE ROUNDS SOURCE SPACE TESTS THREADS \
             UPLOAD WEIGHTS YES
# Make's own, and what programs take from the environment.
OUTSIDE := SHELL MAKEFLAGS MAKEFILES HOME PATH TMPDIR LANG LC_ALL CUDA_VISIBLE_DEVICES \
           OMP_NUM_THREADS KAGGLE_API_TOKEN KAGGLE_USERNAME KAGGLE_KEY KAGGLE_CONFIG_DIR \
           KAGGLE_TIMEOUT KAGGLE_PATIENCE WEIGHTS_URL MICROSOFT_URL REQUESTS_CA_BUNDLE CURL_CA_BUNDLE
PREFIXES := AWS_% FSSPEC_% GOOGLE_% TF_% XLA_% JAX_% RAY_% PIP_% %_PROXY %_proxy
# $(call like,NAME,KNOWN): " Did you mean X?", or nothing where nothing is like NAME.
like = $(shell python3 -c 'import difflib, sys; known = {x.lower(): x for x in sys.argv[2:]}; \
  print(*[" Did you mean " + known[x] + "?" for x in \
  difflib.get_close_matches(sys.argv[1].lower(), known, 1)])' '$(subst ','\'',$1)' $2 2>/dev/null)
# $(.VARIABLES) and not MAKEOVERRIDES, since values may have blanks and "=".
SLIP := $(firstword $(filter-out $(VARIABLES) $(OUTSIDE) $(PREFIXES),\
        $(foreach name,$(.VARIABLES),$(if $(filter command,$(origin $(name))),$(name)))))
ifdef SLIP
  $(error There is no variable $(SLIP), as in '$(SLIP)=$(value $(SLIP))'.$(call \
    like,$(SLIP),$(VARIABLES) $(OUTSIDE)) `make help` lists them; one for another program goes \
    before make)
endif
SLIP := $(firstword $(filter-out $(TARGETS) .venv/%,$(MAKECMDGOALS)))
ifdef SLIP
  $(error There is no target '$(SLIP)'.$(call like,$(SLIP),$(TARGETS) \
    $(VARIABLES:%=%=)) `make help` lists them)
endif

# Optional packages are installed the first time a choice needs them.
EXTRAS := $(filter openvino,$(ENGINE)) $(filter jax,$(KERAS_BACKEND)) \
          $(if $(filter try review,$(MAKECMDGOALS)),try) $(if $(CLUSTER),ray) \
          $(if $(filter s3://% http://% https://%,$(value SOURCE)),s3) \
          $(if $(filter export,$(MAKECMDGOALS)),onnx) \
          $(if $(filter bench,$(MAKECMDGOALS)),$(if $(filter-out tensorflow,$(KERAS_BACKEND)),,openvino))
KNOWN := faiss heic hub jax notebook onnx openvino ray s3 try
SLIP := $(firstword $(filter-out $(KNOWN),$(EXTRAS)))
ifdef SLIP
  $(error EXTRAS='$(EXTRAS)' is not among $(KNOWN).$(call like,$(SLIP),$(KNOWN)))
endif
BLANK := $() $()
# PYTHON=python uses the current interpreter; otherwise .venv is made the first time it is needed.
ifdef PYTHON
  # The path may contain blanks. They are escaped, since quotes would keep ~ from being expanded.
  RUN := $(subst $(BLANK),\$(BLANK),$(PYTHON))
  READY := packages
else
  RUN := .venv/bin/python
  READY := .venv/ready $(EXTRAS:%=.venv/%)
endif

export PYTHONPATH := src:.
# Shells and conda set a HOST of their own in the environment, and CI may set an OUTPUT: only make's
# own count.
COPIED := $(if $(filter command,$(firstword $(origin OUTPUT))),--output="$$OUTPUT")
ASKED := $(if $(filter command,$(firstword $(origin HOST))),--host="$$HOST")
# Texts reach the scripts through the environment, unexpanded: paths may contain spaces, quotes and $.
TEXTS := CLUSTER SOURCE DATASET RECIPE CSV JSON PHOTOS COMPETITION SPACE ENGINE PRECISION THREADS BATCH PORT \
         HOST OUTPUT ROUNDS
$(foreach text,$(TEXTS),$(if $(value $(text)),$(eval override $(text) := $$(value $(text)))))
export $(TEXTS)
SLUG := $(if $(COMPETITION),--competition="$$COMPETITION")
PICK := $(if $(DATASET),--dataset="$$DATASET")
FROM := $(if $(SOURCE),--source="$$SOURCE")
STEP := $(if $(BATCH),--batch="$$BATCH")
CHOICE := $(if $(RECIPE),--recipe="$$RECIPE") $(if $(ENGINE),--engine="$$ENGINE") \
          $(if $(PRECISION),--precision="$$PRECISION") $(if $(THREADS),--threads="$$THREADS")
STAGE := $(PICK) $(CHOICE)
WHERE := $(if $(CLUSTER),--cluster="$$CLUSTER") $(if $(filter 1,$(INSECURE)),--insecure)

# A switch is 0 or 1; anything else (YES=no) is refused before anything runs.
MISTAKEN := $(firstword $(foreach switch,AGAIN GPU INSECURE MATRIX NESTED UPLOAD YES,\
            $(if $(filter [] [0] [1],[$($(switch))]),,$(switch))))

help: ## this page
	@echo "Dogs vs. Cats, from nothing to a scored submission. Start with: make demo"
	@echo
	@sed -n 's/^\([a-z-]*\):[^#]*## \(.*\)/  make \1|\2/p' $(MAKEFILE_LIST) | \
	  awk -F'|' '{ printf "%-21s %s\n", $$1, $$2 }'
	@echo "Variables, as in: make submit RECIPE=champion"
	@echo "  SOURCE=kaggle    where photos are: kaggle, microsoft, sample, a folder, zip or s3://bucket/folder"
	@echo "  COMPETITION=name dogs-vs-cats-redux-kernels-edition (scored late), or dogs-vs-cats"
	@echo "  DATASET=name     which dataset (default: the last make data's); YES=1 lets make clean remove"
	@echo "  RECIPE=fast      a name in recipes/, or a .toml file of your own; several are a blend"
	@echo "  ENGINE=keras     or openvino (faster on processors); PRECISION=auto, float32, bfloat16, int8"
	@echo "  BATCH=n          photos a step of make features; THREADS=n processor threads; ROUNDS=3 of bench"
	@echo "  CLUSTER=local    data, features, search by Ray, here; auto, host:port: there; INSECURE=1: no token"
	@echo "  KERAS_BACKEND=x  tensorflow (default), jax or torch; GPU=1 sets up TensorFlow's CUDA"
	@echo "  SPACE=file.toml  what make search tries; NESTED=1 searches anew for each fold of train"
	@echo "  CSV=path         of check, upload, predict; OUTPUT=path of submit; PHOTOS=path of predict, test"
	@echo "  UPLOAD=0         never uploads, AGAIN=1 even the same CSV; PORT=n of try, review; HOST= of try"
	@echo "  PYTHON=python    this interpreter, no .venv (conda); WEIGHTS=folder of the networks' weights"

setup: switches ## install the packages (other targets do it when they need to)
ifdef PYTHON
	@$(RUN) scripts/packages.py $(EXTRAS)
else
	@$(if $(filter 1,$(GPU)),rm -f .venv/ready)
	@$(MAKE) --no-print-directory $(READY)
endif

.venv/ready: requirements.txt | switches
	@python3 -c 'import sys; v = sys.version_info[:2]; sys.exit(None if (3, 11) <= v <= (3, 13) else \
	  "error: python3 is %d.%d, but 3.11, 3.12 or 3.13 is needed. Name another: make ... PYTHON=python3.12" % v)'
	@echo "setup: packages into .venv (once; about a minute on a fast line)"
	@python3 -m venv .venv
	@.venv/bin/python -m pip install $$([ -t 1 ] || echo -q) --disable-pip-version-check -r requirements.txt \
	  $(if $(filter 1,$(GPU)),"$$(sed -n 's/^tensorflow==\([0-9.]*\).*/tensorflow[and-cuda]==\1/p' requirements.txt)")
	@touch .venv/ready

$(KNOWN:%=.venv/%): .venv/%: requirements-%.txt | .venv/ready
	@echo "setup: packages for $* into .venv"
	@.venv/bin/python -m pip install $$([ -t 1 ] || echo -q) --disable-pip-version-check -r $<
	@touch $@

switches:
	$(if $(MISTAKEN),@echo "error: $(MISTAKEN)=$$$(MISTAKEN) means nothing:" \
	  "give $(MISTAKEN)=0 or $(MISTAKEN)=1." >&2; exit 1)

# Only a recipe's text says that its backbone is one of KerasHub.
hub: $(READY)
ifndef PYTHON
	@! grep -qsE '^ *backbone *= *"hub:' "$$RECIPE" $$RECIPE \
	  $$(printf 'recipes/%s.toml ' $$RECIPE) || \
	  $(MAKE) --no-print-directory .venv/hub
endif

packages: switches
	@$(RUN) scripts/packages.py --check $(EXTRAS) $(if $(filter test lint,$(MAKECMDGOALS)),dev)

data: $(READY) ## get the photos, decode and check them, split them into folds
	@$(RUN) scripts/data.py $(FROM) $(SLUG) $(STAGE) $(STEP) $(WHERE)

features: $(READY) hub ## run the photos once through the frozen network; cache the features
	@$(RUN) scripts/features.py $(STAGE) $(STEP) $(WHERE)

train: features ## train heads on the features, one per fold; measure them out of fold
	@$(RUN) scripts/train.py $(STAGE)

submit: train ## predict the test photos; write, check and upload the CSV; fetch its score
	@$(RUN) scripts/submit.py $(STAGE) $(if $(UPLOAD),--upload $(UPLOAD)) $(if $(filter 1,$(AGAIN)),--again) \
	  $(COPIED)

report: train ## a page on what was trained and what it sees: reports/<dataset>/<recipe>.html
	@$(RUN) scripts/report.py $(STAGE)

# Refuse mistakes before anything is computed, whatever goals come first: make data try PORT=80x.
data features: $(if $(filter predict,$(MAKECMDGOALS)),own) \
               $(if $(filter export,$(MAKECMDGOALS)),exportable) \
               $(if $(filter try,$(MAKECMDGOALS)),servable) \
               $(if $(COPIED),$(if $(filter submit,$(MAKECMDGOALS)),copyable))
own exportable servable copyable: $(READY)
own:
	@$(RUN) scripts/predict.py --check $(KEPT) -- "$$PHOTOS"
exportable:
	@$(RUN) scripts/export.py --check $(STAGE)
servable:
	@$(RUN) scripts/try.py --check $(SERVED)
copyable:
	@$(RUN) scripts/submit.py --check $(COPIED)
SERVED := $(if $(PORT),--port="$$PORT") $(ASKED)
KEPT := $(if $(CSV),--csv="$$CSV") $(if $(JSON),--json="$$JSON")

review: $(READY) ## decide label issues in a page on this machine; it writes verdicts.csv
	@exec $(RUN) scripts/review.py $(if $(PORT),--port="$$PORT") $(STAGE)

predict: own train ## predict your own photos: make predict PHOTOS=folder; CSV=path or JSON=path
	@$(RUN) scripts/predict.py $(KEPT) $(STAGE) -- "$$PHOTOS"

try: servable train ## a web page on this machine: drop photos, see the answers
	@exec $(RUN) scripts/try.py $(SERVED) $(STAGE)

export: exportable train ## one ONNX file from pixels to probabilities, checked against the pipeline
	@$(RUN) scripts/export.py $(STAGE)

kaggle-dataset: $(READY) ## what a Kaggle notebook without internet needs; RECIPE="light champion"
	@$(RUN) scripts/kaggle_dataset.py $(if $(RECIPE),--recipe="$$RECIPE")

upload: $(READY) ## upload any submission that passes the check: make upload CSV=path
	@$(RUN) scripts/upload.py $(if $(CSV),--csv="$$CSV") $(PICK) $(SLUG) $(if $(filter 1,$(AGAIN)),--again)

scores: $(READY) ## update submissions/ledger.csv from Kaggle; the best first
	@$(RUN) scripts/scores.py $(SLUG)

compare: $(READY) ## compare the trained recipes: log loss, cost, what may be noise; the frontier
	@$(RUN) scripts/compare.py $(PICK)

search: $(READY) ## try other settings of a head, on other folds than train's
	@$(RUN) scripts/search.py $(STAGE) $(if $(SPACE),--space="$$SPACE") $(if $(filter 1,$(NESTED)),--nested) \
	  $(WHERE)

rehearse: $(READY) hub ## the whole competition on your own photos, with a small Kaggle on this machine
	@$(RUN) scripts/rehearse.py $(FROM) $(STAGE) $(STEP)

demo: $(READY) hub ## the whole road in some minutes, on drawings; no account needed
	@$(RUN) scripts/rehearse.py --source sample --photos demo-drawings --dataset demo $(CHOICE)
	@echo
	@echo "That was the whole road, on drawings of cats and dogs and a Kaggle on this machine."
	@echo "With the real photos:"
	@echo "  make data                     from Kaggle (it says how to get in), or"
	@echo "  make data SOURCE=microsoft    the same photos without an account"
	@echo "  make submit                   then try: make submit RECIPE=champion"

check: $(READY) ## check any submission: make check CSV=path
	@$(RUN) scripts/check.py $(if $(CSV),--csv="$$CSV") $(PICK)

status: $(READY) ## how far each recipe is, what to run next, about how long it takes
	@$(RUN) scripts/status.py $(STAGE)

clean: $(READY) ## list what can be removed; YES=1 removes it; downloads are never touched
	@$(RUN) scripts/clean.py $(PICK) $(if $(filter 1,$(YES)),--yes)

bench: $(READY) ## measure how fast everything is here, compared with other ways; see benchmarks/
	@$(RUN) scripts/bench.py $(FROM) $(if $(ROUNDS),--rounds="$$ROUNDS")

figures: $(READY) ## measure the tables of README and docs again (hours); FIGURES=views for one
	@$(RUN) scripts/figures.py $(FIGURES)

test: $(READY) ## run the tests; TESTS=path for some, MATRIX=1 for each engine and backbone
	@$(RUN) -m pytest -n auto --dist loadfile --no-loadscope-reorder \
	  $(if $(TESTS),$(TESTS),-m "not notebook and $(if $(filter 1,$(MATRIX)),,not )(matrix or extra or browser)")

lint: $(READY) ## style, types, and the order of imports
	@$(RUN) -m ruff check .
	@$(RUN) -m ruff format --check .
	@$(RUN) -c 'import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports())'
	@$(RUN) -m mypy
