# DynConfig. `make help` says what can be done; CI calls the same targets.

SHELL := /bin/bash -o pipefail

# Where the race detector finds things. It needs a C compiler; without one these packages are tested plainly, and make says so.
RACED := ./core/... ./client/... ./transport/... ./backends/memory/... ./backends/etcd/... ./backends/redis/...
RACE  := $(shell command -v $$(go env CC) >/dev/null && echo -race)
# How long each of the tests with a time budget takes in `make soak` (in `make test` it is about 20 s).
SOAK ?= 10m
FUZZTIME ?= 20s

LINTER := bin/golangci-lint-$(shell awk '$$1 ~ "/golangci-lint/v2$$" {print $$2}' tools/go.mod)

.PHONY: help run build test lint fmt bench conformance soak fuzz clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-12s %s\n", $$1, $$2}' Makefile

run: build ## build, then serve on 127.0.0.1:8080 with the embedded store in ./data
	./bin/dynconfig serve

build: ## bin/dynconfig
	go build -o bin/dynconfig ./cmd/dynconfig

test: ## every test: unit, conformance, end to end; with the race detector where it finds things
	$(if $(RACE),,@echo "make: no C compiler, hence no race detector (Debian: apt-get install gcc)")
	go test -timeout 30m $$(go list ./... | grep -vxF "$$(go list $(RACED))")
	go test -timeout 30m $(RACE) $(RACED)

lint: $(LINTER) ## linters, import rules, formatting, file lengths; all at zero
	$(LINTER) run ./...
	tools/check

fmt: $(LINTER) ## format every Go file
	$(LINTER) fmt ./...

bench: ## the benchmark table: every row beside its bare counterpart in the same run
	go run ./bench

conformance: ## the conformance suite against every backend
	go test -timeout 20m -count=1 ./conformance/... ./backends/...

soak: ## the long form of the tests with a time budget, SOAK=10m each
	DYNCONFIG_SOAK=$(SOAK) go test -timeout 0 -count=1 ./...

fuzz: ## every fuzz target, FUZZTIME=20s each
	tools/fuzz $(FUZZTIME)

clean: ## remove what was built, not ./data
	rm -rf bin

$(LINTER): tools/go.mod
	cd tools && go build -o ../$@ github.com/golangci/golangci-lint/v2/cmd/golangci-lint
