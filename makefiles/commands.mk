# Single commands under short names: thin calls of evidence-hpo. ARGS passes further options.
STUDY_DIR ?= .
EXPERIMENTS_DIR ?= .
CHECKPOINT_PATH ?=
NUM_TRIALS ?= 100
CSV ?=

.PHONY: train resume hpo evaluate summarize clean-artifacts list-studies list-checkpoints doctor groundtruth

train: $(INSTALLED)  ## Train one model (ARGS="--override training.parameters.learning_rate=3e-5 --max-epochs 5")
	$(BIN)/evidence-hpo train $(OVERLAY)

resume: $(INSTALLED)  ## Go on training from a checkpoint (CHECKPOINT_PATH, ARGS="--max-epochs 20")
	$(if $(CHECKPOINT_PATH),,$(error CHECKPOINT_PATH: name the checkpoint to go on from))
	$(BIN)/evidence-hpo train --resume-from $(CHECKPOINT_PATH) $(OVERLAY)

hpo: $(INSTALLED)  ## One search of one stage (NUM_TRIALS=100, presets/single.yaml)
	$(BIN)/evidence-hpo tune --preset single --num-trials $(NUM_TRIALS) $(if $(CORES),--cores $(CORES)) $(OVERLAY)

evaluate: $(INSTALLED)  ## Evaluate a finished search on the test split (STUDY_DIR=.)
	$(BIN)/evidence-hpo evaluate-study --study-dir $(STUDY_DIR) $(OVERLAY)

summarize: $(INSTALLED)  ## Summary of a finished study as one document (STUDY_DIR=. ARGS="--architecture criteria")
	$(BIN)/evidence-hpo summarize-study --study-dir $(STUDY_DIR) $(OVERLAY)

clean-artifacts: $(INSTALLED)  ## Show what nothing refers to (STUDY_DIR=.); evidence-hpo cleanup removes it
	$(BIN)/evidence-hpo cleanup --study-dir $(STUDY_DIR) --orphaned-only --dry-run $(ARGS)

list-studies: $(INSTALLED)  ## Studies below a folder (EXPERIMENTS_DIR=.)
	$(BIN)/evidence-hpo list-studies --experiments-dir $(EXPERIMENTS_DIR) --format table $(ARGS)

list-checkpoints: $(INSTALLED)  ## Checkpoints of a study (STUDY_DIR=.)
	$(BIN)/evidence-hpo list-checkpoints --study-dir $(STUDY_DIR) $(ARGS)

doctor: $(INSTALLED)  ## What this machine has and lacks (CONFIG, ARGS="--preset redsm5")
	$(BIN)/evidence-hpo doctor $(OVERLAY)

groundtruth: $(INSTALLED)  ## Corpus, aligned evidence, splits and examples, no training (CSV=file: the aligned evidence)
	$(BIN)/evidence-hpo run $(if $(CORES),--cores $(CORES)) $(foreach task,criteria evidence,$(foreach split,train validation test,results/examples/$(task)/$(split).parquet)) $(OVERLAY)
	$(if $(CSV),$(BIN)/evidence-hpo export-groundtruth --output $(CSV))
