# What a developer needs; `make` lists it. CI runs .ci/run, which is `make check`.

TESTRUN := go run ./internal/cmd/testrun -install
# More packages at a time than processors: their tests mostly wait for leases.
TESTFLAGS ?= -p 4 -timeout 15m
PKG ?= ./...

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 10

build: ## build everything, and bin/spool
	go build ./...
	go build -o bin/ ./cmd/spool

demo: ## see it work: jobs pushed, worked, retried and failed on a real store
	go run ./cmd/spool demo

test: ## every test, on private servers (installs missing ones: Debian, root); PKG=./redisqueue for one
	$(TESTRUN) -- $(TESTFLAGS) $(PKG)

race: ## the same under the race detector, the long runs and those beside PHP left out
	$(TESTRUN) -- $(TESTFLAGS) -p 2 -race -short $$(go list $(PKG) | grep -v /interop/ || echo $(PKG))

bench: ## rates and latencies beside the raw store, in turns; ARGS='-driver redis -case drain', ARGS=-h for more
	go -C bench run . $(ARGS)

microbench: ## Go benchmarks of the hot path, for benchstat; PKG=./worker for one package
	$(TESTRUN) -exec -- go test -run '^$$' -bench . -benchmem -count 6 -p 1 -timeout 30m $(PKG)

fmt: ## format the code
	gofmt -w -s .

fmt-check: ## fail if something isn't formatted
	@out=$$(gofmt -l -s .); test -z "$$out" || { echo "not formatted, run make fmt:"; echo "$$out"; exit 1; }

vet: ## go vet
	go vet ./... && go -C bench vet ./...

lint: bin/golangci-lint ## golangci-lint, see .golangci.yml
	bin/golangci-lint run ./...

bin/golangci-lint: tools/go.mod
	go -C tools build -o ../bin/ github.com/golangci/golangci-lint/v2/cmd/golangci-lint

cross: ## build and vet for the other systems that we promise
	GOOS=darwin go build ./... && GOOS=darwin go vet ./...
	GOOS=windows go build ./... && GOOS=windows go vet ./...

tidy: ## go mod tidy, all modules
	go mod tidy && go -C tools mod tidy && go -C bench mod tidy

check: fmt-check build vet cross lint test race ## everything that CI asks for

clean: ## remove what was built
	rm -rf bin

.PHONY: help build demo test race bench microbench fmt fmt-check vet lint cross tidy check clean
.DEFAULT_GOAL := help
