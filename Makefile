# Every target is one line; `make help` lists them. Scripts should call driver/assay instead, since
# make exits with 2 on every failure and driver/assay keeps the exit code.
SHELL := /bin/sh
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

# A variable becomes the option of the same name in lower case: CASE=sam is --case sam. Its value is
# passed through the environment, quoted, so that neither make ($) nor the shell interprets it.
PLAN := CASE VENDOR STACK ENGINE PRECISION BS CHIP DEVICE RUNNER TIER DATA WEIGHTS LIMIT REPEAT WAIT INPUT PREPROCESS SCENARIO LATENCY_BOUND TARGET_QPS FORMAT
FLAGS := AGAIN ALL DETACH DRY_RUN IMAGES RUN SIMULATED SYNTHETIC
# Read from the environment by the driver or the test scripts, for any target.
SURROUNDINGS := ALLOWED_SIGNERS ARGS ASSAY_HOME ASSAY_HOST_NAME ASSAY_LOCKS CASE_PATH HOST INSTALLERS OFFLINE OUT REFERENCE_PYTHON STACK_PYTHON TORCH_INDEX VENDOR_PATH
KNOWN := $(PLAN) $(FLAGS) $(SURROUNDINGS) A ATTACH B BASE BUNDLE CANCEL FAIL_BELOW INSIDE INTO KIND MD5 NAME RATIO REQUIRE_SIGNATURE RESULT SIGN SMALLEST SRC TABLE VOLUME WITH
# The variables on the command line. Names that a target does not know are passed on too: the driver
# treats them as options of the case, or suggests the nearest name.
TYPED := $(foreach v,$(.VARIABLES),$(if $(filter command,$(firstword $(origin $v))),$v))
$(foreach v,$(KNOWN) $(TYPED),$(if $(value $v),$(eval override $v := $$(value $v))$(eval export $v)))
export ASSAY_TYPED := $(TYPED)
lower = $(subst A,a,$(subst B,b,$(subst C,c,$(subst D,d,$(subst E,e,$(subst F,f,$(subst G,g,$(subst H,h,$(subst I,i,$(subst J,j,$(subst K,k,$(subst L,l,$(subst M,m,$(subst N,n,$(subst O,o,$(subst P,p,$(subst Q,q,$(subst R,r,$(subst S,s,$(subst T,t,$(subst U,u,$(subst V,v,$(subst W,w,$(subst X,x,$(subst Y,y,$(subst Z,z,$(subst _,-,$1)))))))))))))))))))))))))))
options = $(foreach v,$1,$(if $(value $v),--$(call lower,$v) "$$$v"))
flags = $(foreach v,$1,$(if $(value $v),--$(call lower,$v)))
# $(call assay,VERB,OPTIONS,FLAGS) calls the driver; $(call only,NAMES) refuses other variables.
assay = driver/assay $1 $(call options,$2) $(call flags,$3) $(call options,$(filter-out $2 $3 $(SURROUNDINGS),$(TYPED)))
only = $(foreach v,$(firstword $(filter-out $1 $(SURROUNDINGS),$(TYPED))),$(error unknown variable $v: this target takes $(or $1,ARGS); `make help` lists all variables))
# The targets below tests/ need a clone: a bundle leaves them out.
clone = $(if $(wildcard tests/run),,$(error this folder has no tests, since bundles leave them out: clone Assay to run them))

.PHONY: help run sweep list report compare published check doctor images wheelhouse data bundle load verify rerun audit new-vendor new-case dev test test-quick test-slow test-slurm test-vendors test-engines test-full-size test-mutants lint bench clean lock pin schemas

help: ## show this list
	@exec 3>&1; awk -v columns="$$(test -t 3 && stty size <&3 | cut -d' ' -f2)" 'BEGIN { FS = ":.*## " } /^[a-z-]+:.*## / { line = sprintf("  make %-14s", $$1); count = split($$2, words, " "); for (n = 1; n <= count; n++) { if (columns && n > 1 && length(line) + 1 + length(words[n]) > columns) { print line; line = sprintf("%21s", "") } line = line " " words[n] } print line }' Makefile

run: ## measure one case on one vendor: CASE=vit_digits VENDOR=cpu; also STACK ENGINE PRECISION BS CHIP DEVICE RUNNER TIER DATA WEIGHTS LIMIT REPEAT WAIT=0, SCENARIO=offline|singlestream|multistream|server with LATENCY_BOUND=15ms TARGET_QPS, and the case's own options (STEPS=3)
	@$(call assay,run,$(PLAN))

sweep: ## measure all combinations: BS=1,4,8 PRECISION=fp32,bf16 …; skips jobs that have a result; RATIO=310P/T4 AGAIN=1 DRY_RUN=1; on a cluster: RUNNER=slurm INSIDE=docker|apptainer|process DETACH=1, ATTACH=<id>, CANCEL=<id>
	@$(call assay,sweep,$(PLAN) RATIO INSIDE ATTACH CANCEL,AGAIN DETACH DRY_RUN)

list: ## show cases, vendors, stacks, engines, precisions and chips
	@$(call assay,list,FORMAT)

report: ## tables and one HTML page of all results: OUT LANG=zh ALL=1 SIMULATED=1 SYNTHETIC=1 FORMAT=table|json; TABLE=flagperf|throughput|modelzoo CASE
	@$(call assay,report,FORMAT TABLE CASE,ALL SIMULATED SYNTHETIC)

compare: ## whether two results are comparable, and which is faster: A=<result> B=<result|published> FAIL_BELOW=0.97 SMALLEST=0.02; RUN=1 measures both here in turns: REPEAT=<rounds> DATA WEIGHTS DEVICE
	@$(call assay,compare,A B FAIL_BELOW SMALLEST REPEAT DATA WEIGHTS DEVICE FORMAT,RUN)

published: ## published figures, recomputed, with their contradictions: CASE
	@$(call assay,published,CASE FORMAT)

check: ## check a vendor's or a case's folder and list what is missing: VENDOR or CASE
	@$(call assay,check,VENDOR CASE RUNNER FORMAT)

doctor: ## what this machine has and lacks, and how to get it: VENDOR STACK DEVICE; with CASE, first what stops that run
	@$(call assay,doctor,CASE VENDOR STACK DEVICE FORMAT)

images: ## build the reference image and a vendor's, with the network off: VENDOR STACK BASE=<image>|debootstrap
	@$(call assay,images,VENDOR STACK BASE)

wheelhouse: ## fetch the wheels of the driver, of images and environments, for a machine without a network: VENDOR STACK
	@$(call assay,wheelhouse,VENDOR STACK)

data: ## prepare a dataset: CASE=vit_l_16 SRC=<folder or tar> MD5=<of another archive>; CASE=detr SRC=<COCO's folder>, texts with WEIGHTS, RUNNER
	@$(call assay,data,CASE SRC MD5 WEIGHTS RUNNER FORMAT)

bundle: ## write one file for a lab without a network: CASE VENDOR STACK RUNNER=docker,process RESULT WITH=weights,data,engines VOLUME=4G SIGN=<key> OUT=<file>
	@$(call assay,bundle,$(filter-out FORMAT,$(PLAN)) RESULT WITH OUT VOLUME SIGN)

load: ## verify and unpack a bundle: BUNDLE=<file> INTO=<folder> REQUIRE_SIGNATURE=1; in an unpacked one: load its images into the engine
	@$(call assay,load,BUNDLE INTO,REQUIRE_SIGNATURE)

verify: ## verify every byte of a bundle, or a result and its inputs: BUNDLE=<file> or RESULT=<folder>, REQUIRE_SIGNATURE=1
	@$(call assay,verify,BUNDLE RESULT FORMAT,REQUIRE_SIGNATURE)

rerun: ## run a result's job again and report whether it is reproduced: RESULT=<folder>; also DATA WEIGHTS DEVICE CHIP RUNNER, or VENDOR STACK ENGINE to compare another
	@$(call assay,rerun,RESULT DATA WEIGHTS DEVICE CHIP RUNNER WAIT VENDOR STACK ENGINE FORMAT)

audit: ## run a result's job again with every check at its strictest and report whether its figures hold: RESULT=<folder>; also DATA WEIGHTS DEVICE WAIT
	@$(call assay,audit,RESULT DATA WEIGHTS DEVICE WAIT FORMAT)

new-vendor: ## create a vendor's folder with the parts to fill in marked: NAME=acme INTO=<folder outside the tree>
	@$(call assay,new-vendor,NAME INTO)

new-case: ## create a case's folder with the parts to fill in marked: NAME=resnet_18 KIND=image|detection|text|generation|raw INTO=<folder outside the tree>
	@$(call assay,new-case,NAME KIND INTO)

dev: ## make an environment for an editor, link it as .venv, and print what to point the editor at
	@$(call only)$(clone)tests/dev

test: ## run the tests; without Docker, list the skipped ones: ARGS="-k wheelhouse"
	@$(call only)$(clone)tests/run --in-memory -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder $$ARGS

test-quick: ## run the tests that need no torch, Docker, browser, new environment or whole jobs: under two minutes
	@$(call only)$(clone)tests/run --quick --in-memory -n auto --maxprocesses 4 $$ARGS

test-slow: ## run only the slow tests
	@$(call only)$(clone)tests/run -n auto --maxprocesses 2 --dist worksteal -m slow $$ARGS

test-slurm: ## run sweeps on a real Slurm, started for the tests: needs slurm-wlm and munge
	@$(call only)$(clone)tests/run -m slurm $$ARGS

test-vendors: ## build every vendor's image on stand-ins for its base and installers, and run every engine in its container: ARGS="-k ascend"
	@$(call only)$(clone)tests/run -m vendors $$ARGS

test-engines: ## run the tests on real engines besides root's Docker (rootless Podman, another host by ssh): ARGS="-k podman"
	@$(call only)$(clone)tests/run -n auto --maxprocesses 2 --dist loadfile -m engines $$ARGS

test-full-size: ## run every case at full size in its container: about 20 minutes on two cores
	@$(call only)$(clone)tests/run -m full_size -s $$ARGS

test-mutants: ## apply single changes to copies of the tree, each of which some test must notice: ARGS="core gate"
	@$(call only)$(clone)tests/mutants/run $$ARGS

lint: ## ruff, mypy strict, vermin, shellcheck, hadolint
	@$(call only)$(clone)tests/lint

bench: ## compare Assay with a bare loop or the vendor's own tool, as ratios: VENDOR=cpu|intel|amd, CASE=report|loader|overlap|cold|export|bundle|rerun|compare|core|boundary|fleet|honest|decode|scenario|peers, ARGS
	@$(call only,CASE VENDOR)$(clone)tests/bench/run $$ARGS

clean: ## remove caches and what killed runs left, containers too; ALL=1: also environments and wheels; IMAGES=1: also Assay's images
	@$(call assay,clean,,ALL IMAGES)

lock: ## update the lock files whose requirements.in changed; ALL=1: all of them
	@$(call assay,lock,,ALL)

pin: ## write digests of base images (needs a registry) and sha256 of installers to stack.toml: VENDOR STACK INSTALLERS=<folder>
	@$(call assay,pin,VENDOR STACK)

schemas: ## generate the JSON Schemas of the contract and docs/manifest-keys.md from the typed models
	@$(call assay,schemas)
