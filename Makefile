# Two commands matter: `make book` and `make test`. `make help` lists the rest.
PROFILE ?= laptop
SEEDS ?= 0
TABLES ?= 1
ON ?= local
# Here, all there is. On a cluster the profile of the place says how many jobs, and GPUS what a run asks for.
ifeq ($(ON),local)
JOBS ?= $(shell getconf _NPROCESSORS_ONLN)
GPUS ?= $(shell nvidia-smi -L 2>/dev/null | grep -c GPU)
else
GPUS ?= $(if $(filter paper,$(PROFILE)),1,0)
endif

export PATH := $(CURDIR)/.venv/bin:$(PATH)
export PYTHONNOUSERSITE := 1
ifdef MATLIB_REAL_DATA
# abspath would take each word of a name with spaces for a name.
export MATLIB_REAL_DATA := $(if $(filter /%,$(firstword $(MATLIB_REAL_DATA))),,$(CURDIR)/)$(MATLIB_REAL_DATA)
endif
PROFILE_FILE = $(or $(wildcard workflow/profiles/$(ON)/config.yaml),$(error ON is one of: $(notdir $(wildcard workflow/profiles/*))))
BUILD = python workflow/cluster.py $(ON) && snakemake --workflow-profile $(PROFILE_FILE) $(if $(JOBS),--jobs $(JOBS)) \
	$(if $(filter local,$(ON)),$(if $(GPUS),--resources gpu=$(GPUS))) \
	--config profile=$(PROFILE) seeds="$(SEEDS)" tables="$(TABLES)" on=$(ON) gpus=$(or $(GPUS),0)

.DEFAULT_GOAL := help
.PHONY: help book pdf table1 table2 table3 reproduce plan test test-cluster lab lock environment strip clean clean-runs

help:  ## list the targets
	@echo "make TARGET [PROFILE=laptop|town|paper|smoke] [SEEDS=\"0 1 2\"] [TABLES=\"1 2 3\"] [ON=local|slurm|kubernetes] [JOBS=n] [GPUS=n]"
	@sed -n 's/^\([a-z0-9 -]*\):.*  ## \(.*\)/  \1\t\2/p' $(MAKEFILE_LIST) | expand -t 26

# The scripts in an environment name the place where it was made; where the clone has moved, it is made anew.
ifeq ($(shell grep -sF ' $(CURDIR)/.venv' .venv/pyvenv.cfg),)
.PHONY: .venv/installed
endif
.venv/installed: requirements.lock pyproject.toml
	@tools/install.sh

book: .venv/installed  ## data, training, notebooks, HTML; goes on where it was stopped
	@$(BUILD)
	@echo "The book: $(CURDIR)/_build/html/index.html"

pdf: book  ## the same as one PDF; printed by chromium
	@python workflow/book_pdf.py _build/html _build/book.pdf
	@echo "The PDF: $(CURDIR)/_build/book.pdf"

table1 table2 table3: table%: .venv/installed  ## one table's runs, and the book with them
	@$(MAKE) --no-print-directory book TABLES=$*

reproduce: .venv/installed  ## all three tables
	@$(MAKE) --no-print-directory book TABLES="1 2 3"

plan: .venv/installed  ## what `make book` would do now, and about how long; with TABLES, for those
	@$(BUILD) --dry-run

test: .venv/installed  ## everything: unit tests, notebooks, the whole pipeline on tiny data
	@OMP_NUM_THREADS=1 tools/test.sh

test-cluster: .venv/installed  ## the build on a real SLURM, and one training on two machines, all started here
	@OMP_NUM_THREADS=1 tools/test_cluster.sh

lab: .venv/installed  ## JupyterLab on the notebooks
	@PYTHONWARNINGS="ignore:IProgress not found" jupyter lab book --allow-root --MappingKernelManager.root_dir='$(CURDIR)'

lock: .venv/installed  ## choose new versions: write requirements.lock from pyproject.toml
	@python -m pip install --quiet "uv>=0.5"
	@uv pip compile pyproject.toml --universal --fork-strategy fewest --python-version 3.11 \
		--extra book --extra test --upgrade --custom-compile-command "make lock" --quiet -o requirements.lock

environment: .venv/installed  ## write environment.yml from pyproject.toml
	@python tools/environment.py > environment.yml

strip: .venv/installed  ## take outputs and run metadata out of the notebooks before a commit
	@nbstripout --extra-keys "metadata.papermill cell.metadata.papermill" book/*.ipynb

clean:  ## remove the built book; runs and data stay
	rm -rf _build

clean-runs:  ## remove the runs, so that `make book` trains again
	rm -rf runs
