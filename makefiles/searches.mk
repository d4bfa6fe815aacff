# The searches of the presets under short names: thin calls of the workflow with a preset. Every target takes CONFIG (further
# overlays, as your own data), ARGS (further options, as --override key=value) and CORES. Give the same knobs in each call
# of a study: they are settings, and what they change is run again.
TASKS := criteria evidence share joint
RUN = $(BIN)/evidence-hpo run $(if $(CORES),--cores $(CORES))

.PHONY: hpo-best retrain-best stage1 stage2 hpo-report hpo-s0 hpo-s1 hpo-s2 refit full-hpo full-hpo-all \
	tune-criteria-max tune-evidence-max tune-share-max tune-joint-max maximal-hpo-all

# --- two stages, long: presets/two_stage_long.yaml ---------------------------------------------------------------
TRIALS_A ?= 380
EPOCHS_A ?= 100
TRIALS_B ?= 120
EPOCHS_B ?= 100
K_TOP ?= 5
SEED ?= 42
RETRAIN_SEEDS ?= 3
TIMEOUT ?= 604800
LONG = --configfile presets/two_stage_long.yaml $(OVERLAY) --time-budget $(TIMEOUT) --override study.seed=$(SEED) \
	--override search.stages.stage_a.trials=$(TRIALS_A) --override search.stages.stage_a.epochs=$(EPOCHS_A) \
	--override search.stages.stage_b.trials=$(TRIALS_B) --override search.stages.stage_b.epochs=$(EPOCHS_B) \
	--override retrain.top_k=$(K_TOP) --override retrain.seeds=$(RETRAIN_SEEDS) \
	--override retrain.final_seeds=$(RETRAIN_SEEDS)

hpo-best: $(INSTALLED)  ## Long search (TRIALS_A EPOCHS_A TRIALS_B EPOCHS_B K_TOP SEED TIMEOUT), up to its best K_TOP
	$(RUN) results/evidence/retrain/selected.json $(LONG)

retrain-best: $(INSTALLED)  ## The same search, its best retrained and evaluated (RETRAIN_SEEDS=3)
	$(RUN) $(LONG)

# --- two stages: presets/redsm5.yaml -----------------------------------------------------------------------------
TRIALS_1 ?= 350
TRIALS_2 ?= 150
TWO = --configfile presets/redsm5.yaml $(OVERLAY) --override search.stages.stage1.trials=$(TRIALS_1) \
	--override search.stages.stage2.trials=$(TRIALS_2)

stage1: $(INSTALLED)  ## First stage of the real study (TRIALS_1=350)
	$(RUN) results/criteria/stage1/summary.json results/evidence/stage1/summary.json $(TWO)

stage2: $(INSTALLED)  ## Both stages of the real study (TRIALS_1=350 TRIALS_2=150)
	$(RUN) results/criteria/stage2/summary.json results/evidence/stage2/summary.json $(TWO)

# --- several stages: presets/multi_stage.yaml --------------------------------------------------------------------
HPO_TASK ?= criteria
HPO_MODEL ?= roberta_base
SKIP_SANITY ?=
MULTI = --configfile presets/multi_stage.yaml $(OVERLAY) --override training.parameters.backbone=$(HPO_MODEL) \
	$(if $(SKIP_SANITY),--override 'search.skip=[sanity]')
ONE_TASK = --override 'study.architectures=[$(HPO_TASK)]'

hpo-s0: $(INSTALLED)  ## Stage 0, sanity (HPO_TASK=criteria HPO_MODEL=roberta_base)
	$(RUN) results/$(HPO_TASK)/sanity/summary.json $(MULTI) $(ONE_TASK)

hpo-s1: $(INSTALLED)  ## Stages up to 1, coarse (HPO_TASK HPO_MODEL SKIP_SANITY=1)
	$(RUN) results/$(HPO_TASK)/coarse/summary.json $(MULTI) $(ONE_TASK)

hpo-s2: $(INSTALLED)  ## Stages up to 2, fine (HPO_TASK HPO_MODEL SKIP_SANITY=1)
	$(RUN) results/$(HPO_TASK)/fine/summary.json $(MULTI) $(ONE_TASK)

refit: $(INSTALLED)  ## Stages up to 3: the winner refitted on training and validation posts (HPO_TASK HPO_MODEL)
	$(RUN) results/retrain_summary.json $(MULTI) $(ONE_TASK)

full-hpo: $(INSTALLED)  ## All stages and the evaluation of one architecture (HPO_TASK HPO_MODEL SKIP_SANITY=1)
	$(RUN) $(MULTI) $(ONE_TASK)

full-hpo-all: $(INSTALLED)  ## All stages and the evaluation of all architectures (HPO_MODEL SKIP_SANITY=1)
	$(RUN) $(MULTI)

# --- one large stage: presets/maximal.yaml -----------------------------------------------------------------------
N_TRIALS ?=
PARALLEL ?= 8
MAXIMAL = --configfile presets/maximal.yaml $(OVERLAY) $(if $(TIMEOUT_MAX),--time-budget $(TIMEOUT_MAX))
# A number of trials and of jobs at once in the stages that the given architectures have.
LARGE = $(foreach task,$(1),--override search.$(if $(filter criteria evidence,$(task)),stages_of.$(task),stages).maximal.shards=$(PARALLEL) \
	$(if $(N_TRIALS),--override search.$(if $(filter criteria evidence,$(task)),stages_of.$(task),stages).maximal.trials=$(N_TRIALS)))

tune-criteria-max tune-evidence-max tune-share-max tune-joint-max: tune-%-max: $(INSTALLED)  ## Largest search of one architecture (N_TRIALS PARALLEL=8 TIMEOUT_MAX)
	$(RUN) results/retrain_summary.json $(MAXIMAL) --override 'study.architectures=[$*]' $(call LARGE,$*)

maximal-hpo-all: $(INSTALLED)  ## Largest search of all architectures (N_TRIALS PARALLEL=8 TIMEOUT_MAX)
	$(RUN) $(MAXIMAL) $(call LARGE,$(TASKS))

# --- any search --------------------------------------------------------------------------------------------------
hpo-report: $(INSTALLED)  ## Best trials and importances of the search in results/ (ARGS="--architecture criteria --top 20")
	$(BIN)/evidence-hpo show-best $(ARGS)
