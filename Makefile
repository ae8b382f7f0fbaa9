# Assay: every target is one line, `make help` lists them. Scripts call driver/assay instead: make
# turns every failure into a 2, driver/assay passes the exit code on.
SHELL := /bin/sh
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

# A variable is the option of the same name in lower case: CASE=sam is --case sam. Its value travels
# in the environment and is quoted, so that no character of it is code, make's ($) or the shell's.
PLAN := CASE VENDOR STACK ENGINE PRECISION BS CHIP DEVICE RUNNER TIER DATA WEIGHTS LIMIT REPEAT INPUT PREPROCESS STEPS PROMPTS FORMAT
KNOWN := $(PLAN) A AGAIN ALL ARGS B ASSAY_HOME BASE DRY_RUN FAIL_BELOW INSTALLERS INTO MD5 NAME OUT RATIO REFERENCE_PYTHON SIMULATED SRC STACK_PYTHON SYNTHETIC TABLE TORCH_INDEX VENDOR_PATH
$(foreach v,$(KNOWN),$(if $(value $v),$(eval override $v := $$(value $v))$(eval export $v)))
lower = $(subst A,a,$(subst B,b,$(subst C,c,$(subst D,d,$(subst E,e,$(subst F,f,$(subst G,g,$(subst H,h,$(subst I,i,$(subst J,j,$(subst K,k,$(subst L,l,$(subst M,m,$(subst N,n,$(subst O,o,$(subst P,p,$(subst Q,q,$(subst R,r,$(subst S,s,$(subst T,t,$(subst U,u,$(subst V,v,$(subst W,w,$(subst X,x,$(subst Y,y,$(subst Z,z,$(subst _,-,$1)))))))))))))))))))))))))))
options = $(foreach v,$1,$(if $(value $v),--$(call lower,$v) "$$$v"))
flags = $(foreach v,$1,$(if $(value $v),--$(call lower,$v)))

.PHONY: help run sweep list report compare published check doctor images wheelhouse data new-vendor new-case test test-slow test-vendors test-full-size lint bench clean lock pin schemas

help: ## show this list
	@awk 'BEGIN { FS = ":.*## " } /^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' Makefile

run: ## measure one case on one vendor: CASE=vit_digits VENDOR=cpu, and STACK ENGINE PRECISION BS CHIP DEVICE RUNNER TIER DATA WEIGHTS LIMIT REPEAT
	@driver/assay run $(call options,$(PLAN))

sweep: ## measure all combinations: BS=1,4,8 PRECISION=fp32,bf16 …; goes on where it stopped; RATIO=310P/T4 AGAIN=1 DRY_RUN=1
	@driver/assay sweep $(call options,$(PLAN) RATIO) $(call flags,AGAIN DRY_RUN)

list: ## show cases, vendors, stacks, engines, precisions and chips
	@driver/assay list $(call options,FORMAT)

report: ## tables and one HTML page of all results: OUT LANG=zh SIMULATED=1 SYNTHETIC=1 FORMAT=table|json; TABLE=flagperf|throughput|modelzoo CASE
	@driver/assay report $(call options,FORMAT TABLE CASE) $(call flags,SIMULATED SYNTHETIC)

compare: ## may two results be compared, and which is faster: A=<result> B=<result|published> FAIL_BELOW=0.97
	@driver/assay compare $(call options,A B FAIL_BELOW FORMAT)

published: ## the figures that others printed, with what contradicts itself: CASE
	@driver/assay published $(call options,CASE FORMAT)

check: ## check a vendor's or a case's folder and list what is missing: VENDOR or CASE
	@driver/assay check $(call options,VENDOR CASE RUNNER FORMAT)

doctor: ## say what this machine has and lacks, and how to get it: VENDOR STACK DEVICE
	@driver/assay doctor $(call options,VENDOR STACK DEVICE FORMAT)

images: ## build the reference image and a vendor's, network off: VENDOR STACK BASE=<image>|debootstrap
	@driver/assay images $(call options,VENDOR STACK BASE)

wheelhouse: ## fetch the wheels that images and environments are made of: VENDOR STACK
	@driver/assay wheelhouse $(call options,VENDOR STACK)

data: ## prepare a dataset: CASE=vit_l_16 SRC=<folder or tar> MD5=<of another archive>
	@driver/assay data $(call options,CASE SRC MD5 FORMAT)

new-vendor: ## lay out a vendor's folder that passes its check: NAME=acme INTO=<folder outside the tree>
	@driver/assay new-vendor $(call options,NAME INTO)

new-case: ## lay out a case's folder that passes its check: NAME=resnet_50
	@driver/assay new-case $(call options,NAME)

test: ## run the tests; on a machine without Docker it says what it left out: ARGS="-k wheelhouse"
	@tests/run -n auto --maxprocesses 4 --dist loadfile $$ARGS

test-slow: ## run the long tests only
	@tests/run -m slow $$ARGS

test-vendors: ## build every vendor's image on stand-ins of its base and installers, and run every engine in its container: ARGS="-k ascend"
	@tests/run -m vendors $$ARGS

test-full-size: ## run every case at its true size in its container: about 20 minutes on two cores
	@tests/run -m full_size -s $$ARGS

lint: ## ruff, mypy strict, vermin, shellcheck, hadolint
	@tests/lint

bench: ## ours against a bare loop or the vendor's own tool, as ratios: VENDOR=cpu|intel, CASE=report|overlap, ARGS
	@tests/bench/run $$ARGS

clean: ## remove caches and left-over work folders; ALL=1 also environments and wheels
	@driver/assay clean $(call flags,ALL)

lock: ## make the lock files whose requirements.in changed; ALL=1 makes all
	@driver/assay lock $(call flags,ALL)

pin: ## write into stack.toml the digests of base images, where a registry answers, and the installers' sha256: VENDOR STACK INSTALLERS=<folder>
	@driver/assay pin $(call options,VENDOR STACK)

schemas: ## write the JSON Schemas of the contract, and the page of manifest keys, from the typed models
	@driver/assay schemas
