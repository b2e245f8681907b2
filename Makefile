# The one menu of tasks; CI calls the same targets. Everything is built of the whole workspace: with -p cargo chooses other features, and
# builds the same libraries a second time.
CARGO ?= cargo
BIN := target/debug

.PHONY: help demo test agents test-agents lint generate check-generated kubectl cluster cluster-up cluster-down differential validate cel126 dist clean build e2e

help: ## this menu
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 18

build: ## gastown, the harness, the operator, the plugin
	$(CARGO) build --locked --workspace --bins
	@ln -sfn $(BIN)/gastown gastown

demo: ## eight tasks slung, tested and landed on this machine (the first build takes 3 to 4 minutes on two cores)
	@test -x $(BIN)/gastown || echo "building; the first time takes 3 to 4 minutes on two cores"
	@$(CARGO) build --locked --quiet --workspace --bins
	@ln -sfn $(BIN)/gastown gastown
	@demo/run.sh $(BIN)/gastown

test: ## what is tested in Rust and sh, but the scenarios (about 8 minutes after the demo's build, 2½ when nothing is to be built)
	@e2e/test.sh

test: export KUBECTL ?= $(if $(wildcard target/kubectl),$(CURDIR)/target/kubectl)

agents: ## the real coding agents, pinned, from npm and PyPI, into target/agents
	e2e/agents/fetch.sh

test-agents: agents ## contract tests: the real agents against a scripted model, faults included (about 8 minutes)
	GASTOWN_AGENTS=$(CURDIR)/target/agents $(CARGO) test --locked --workspace --test agents -- --nocapture --test-threads=2
	GASTOWN_AGENTS=$(CURDIR)/target/agents $(CARGO) test --locked --workspace --test one_machine real_agents -- --nocapture --test-threads=1

kubectl: target/kubectl ## the real kubectl for its transcripts, where Go is; without it they are skipped, and say so

target/kubectl: target/cluster
	ln -sfn cluster target/kubectl

cluster: target/cluster ## etcd, Kubernetes and kubectl in one binary, for tests, where Go is (6 minutes cold)

# From 1.21 on, Go fetches the release that a module asks for.
GO_FETCHES_GO = go env GOVERSION | grep -qE '^go1\.(2[1-9]|[3-9][0-9])' || \
	{ echo "$$(go version) is too old to build Kubernetes: install Go 1.25 or newer (https://go.dev/dl)" >&2; exit 1; }

KUBERNETES := v1.35.4
target/cluster: $(wildcard e2e/cluster/*.go) e2e/cluster/go.mod e2e/cluster/go.sum
	@command -v go >/dev/null || { echo "no Go on the PATH, so nothing that needs a real Kubernetes runs here: install Go 1.25 or newer (https://go.dev/dl)" >&2; exit 1; }
	@$(GO_FETCHES_GO)
	mkdir -p target
	cd e2e/cluster && GOFLAGS=-mod=readonly go build -trimpath -o ../../target/cluster \
		-ldflags "-s -w -X k8s.io/component-base/version.gitVersion=$(KUBERNETES) -X k8s.io/client-go/pkg/version.gitVersion=$(KUBERNETES)" .

DIR ?= target/cluster-state
cluster-up: target/cluster ## a real control plane on loopback in seconds; DIR=folder, ARGS="--audit --openshift", and for a node --kubelet, --processes or --fake
	@e2e/cluster/up.sh $(ARGS) $(DIR)

# kubelet needs root, and the images of this checkout, which are made first (E2E_IMAGES= takes those that are there); where something
# is missing, it says so and that backend is skipped (E2E_STRICT=1: fails). Only some: make e2e ONLY=conflict. On a cluster of yours,
# BACKEND=kubeconfig: docs/INSTALL.md.
BACKEND ?= apiserver kube-apiserver kubelet openshift
E2E_IMAGES ?= operator harness polecat-agent polecat-agent-opencode
e2e: $(if $(filter-out apiserver,$(BACKEND)),helm target/cluster) ## one list of scenarios on four kinds of cluster, and on yours: BACKEND="apiserver kube-apiserver kubelet openshift kubeconfig"
	@$(if $(and $(filter kubelet openshift,$(BACKEND)),$(E2E_IMAGES)),[ "$$(id -u)" != 0 ] || \
		! bash -c '. images/engine.sh && find_engine' || $(MAKE) --no-print-directory images PROFILE=quick IMAGES="$(E2E_IMAGES)")
	$(CARGO) build --locked --workspace --bins --test scenarios
	@set -e; for backend in $(BACKEND); do \
		start=$$(date +%s); echo "== e2e $$backend"; \
		E2E_BACKEND=$$backend $(CARGO) test --locked --quiet --workspace --test scenarios -- $(ONLY); \
		echo "== e2e $$backend took $$(($$(date +%s) - start)) s"; \
	done

cluster-down: ## ends it and leaves nothing behind
	@e2e/cluster/down.sh $(DIR)

# RECORD=1 writes the recordings anew.
differential: ## our API server held to a real kube-apiserver's answers (skipped, loudly, without Go)
	@DIFFERENTIAL_RECORD=$(RECORD) e2e/cluster/with.sh "the differential suite" $(CARGO) test --locked --workspace --test differential -- --nocapture

.PHONY: transcripts
transcripts: ## the plugin's transcripts once more, on a real kube-apiserver (skipped, loudly, without Go)
	@e2e/cluster/with.sh "the second half of transcripts" $(CARGO) test --locked --quiet --workspace --test transcripts

MANIFESTS := templates README.md docs crates/api/tests/manifests
validate: ## templates and every manifest of README and docs, strictly, with nothing made: on our API server and on a real one
	$(CARGO) build --locked --quiet --workspace --bins
	$(BIN)/gastown validate $(MANIFESTS)
	@e2e/cluster/with.sh "the second half of validate" e2e/validate.sh $(MANIFESTS)

cel126: ## our CRDs and their CEL rules, judged by Kubernetes 1.26, the oldest release we promise
	cd e2e/cel126 && GOFLAGS=-mod=readonly go test -count=1 ./...

lint: ## rustfmt, clippy with all warnings denied, generated files in step
	$(CARGO) fmt --all --check
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings
	$(MAKE) --no-print-directory check-generated

generate: ## CRDs, their reference and the chart's rules from the code, the CLI reference from its words
	$(CARGO) build --locked --quiet --workspace --bins
	$(BIN)/xtask generate
	$(BIN)/kubectl-gt __reference > target/CLI_REFERENCE.md && mv target/CLI_REFERENCE.md docs/CLI_REFERENCE.md

check-generated:
	$(CARGO) build --locked --quiet --workspace --bins
	$(BIN)/xtask check

# Static programs of this machine's architecture, in target/$(TRIPLE) so that no other build's cache is touched. A release says
# PROFILE=release; CI and e2e say PROFILE=quick: the same programs in a third of the time, and larger.
PROFILE ?= release
TRIPLE ?= $(shell uname -m)-unknown-linux-gnu
ARCH := $(patsubst x86_64-%,amd64,$(patsubst aarch64-%,arm64,$(TRIPLE)))
DIST := dist/$(PROFILE)/linux-$(ARCH)
STATIC = CARGO_ENCODED_RUSTFLAGS="$$(printf '%s\037%s\037%s' -Ctarget-feature=+crt-static \
	"--remap-path-prefix=$(CURDIR)=/gastown" "--remap-path-prefix=$${CARGO_HOME:-$$HOME/.cargo}=/cargo")" \
	$(CARGO) build --locked --target $(TRIPLE) --profile
BUILT := target/$(TRIPLE)/$(PROFILE)
# The harness is copied into every pod: its release is the small one.
HARNESS_PROFILE := $(if $(filter release,$(PROFILE)),dist-small,$(PROFILE))

.PHONY: release-test workflows dist-pods images images-load images-test images-reproduce
dist: dist-pods ## static release programs in dist/ (PROFILE=quick: not optimized)
	$(STATIC) $(PROFILE) -p gastown -p kubectl-gt
	cp $(BUILT)/gastown $(BUILT)/kubectl-gt $(DIST)/
	ls -l $(DIST)

dist-pods: ## of these only what runs in pods: operator and harness
	$(STATIC) $(HARNESS_PROFILE) -p gastown-harness
	$(STATIC) $(PROFILE) -p gastown-operator
	mkdir -p $(DIST)
	cp target/$(TRIPLE)/$(HARNESS_PROFILE)/gastown-harness $(BUILT)/gastown-operator $(DIST)/

.PHONY: bench e2e-citizen
BENCH ?= full
BENCH_PAGE = $(if $(filter full,$(BENCH)),--page docs/BENCHMARKS.md)
bench: target/cluster ## every budget beside its floor on a real control plane, ten minutes; BENCH=quick: a smoke test of two
	$(CARGO) build --locked --release -p gastown-operator -p kubectl-gt -p gastown-bench
	RUSTFLAGS="-C target-feature=+crt-static" $(CARGO) build --locked --profile dist-small --target $(TRIPLE) -p gastown-harness
	$(if $(BENCH_PAGE),@$(MAKE) --no-print-directory demo)
	target/release/gastown-bench run --size $(BENCH) --harness target/$(TRIPLE)/dist-small/gastown-harness $(BENCH_PAGE)

e2e-citizen: target/cluster ## the operator under its own rights: API server and leader killed, its audit log held against deploy/install.yaml
	$(CARGO) build --locked --workspace --bins
	e2e/bench/citizen.sh $(BIN)

.PHONY: helm chart-test chart-generate e2e-install install uninstall deploy undeploy run-local kubectl-gt-install

# The version of Kubernetes that Helm renders for where no cluster is asked is linked in.
HELM_VERSION := v3.21.4
HELM_FLAGS := -s -w -X helm.sh/helm/v3/internal/version.version=$(HELM_VERSION) \
	-X helm.sh/helm/v3/pkg/chartutil.k8sVersionMajor=1 -X helm.sh/helm/v3/pkg/chartutil.k8sVersionMinor=35
helm: target/helm ## the real Helm, where Go is

target/helm:
	@command -v go >/dev/null || { echo "SKIPPED: Helm is built with Go, which is not here; chart-test and e2e-install cannot run without it" >&2; exit 1; }
	@$(GO_FETCHES_GO)
	mkdir -p target
	cd target && GOBIN="$(CURDIR)/target" GOFLAGS=-mod=mod go install -trimpath -ldflags "$(HELM_FLAGS)" helm.sh/helm/v3/cmd/helm@$(HELM_VERSION)

chart-test: helm ## the chart without a cluster: lint, snapshots, refusals, install.yaml
	e2e/chart/test.sh

chart-generate: helm generate ## snapshots and deploy/install.yaml from the chart
	e2e/chart/test.sh --update

e2e-install: helm target/cluster ## install, upgrade, uninstall, older releases: real Helm on a real control plane
	$(CARGO) build --locked --workspace --bins
	e2e/install/run.sh

# Where KUBECONFIG points.
NAMESPACE ?= gastown-system
IMG ?=
PREFIX ?= $(HOME)/.local
HELM ?= target/helm

install: ## the six definitions into the cluster of KUBECONFIG
	kubectl apply --server-side --force-conflicts -f charts/gastown-operator/files/crds/

uninstall: ## delete the six definitions, and with them every rig, polecat and convoy
	kubectl delete --ignore-not-found -f charts/gastown-operator/files/crds/

deploy: helm ## the chart, with the values that it has; IMG=registry/name:tag names the operator's image
	$(HELM) upgrade --install gastown-operator charts/gastown-operator --namespace $(NAMESPACE) --create-namespace --take-ownership --reset-then-reuse-values \
		$(if $(IMG),--set image.repository=$(shell echo '$(IMG)' | sed 's/:[^:/]*$$//') --set image.tag=$(shell echo '$(IMG)' | sed -n 's/.*:\([^:/]*\)$$/\1/p'))

undeploy: helm ## the release; definitions, rigs and polecats stay
	$(HELM) uninstall gastown-operator --namespace $(NAMESPACE)

run-local: ## the operator from this checkout, as yourself, against the cluster of KUBECONFIG, whose nodes have the images
	$(CARGO) run --locked -p gastown-operator -- --namespace $(NAMESPACE) --log-format text --leader-elect \
		--harness-image "$${GASTOWN_HARNESS_IMAGE:-$$(images/name.sh harness)}" --agent-image "$${GASTOWN_AGENT_IMAGE:-$$(images/name.sh polecat-agent)}" \
		--opencode-image "$${GASTOWN_OPENCODE_IMAGE:-$$(images/name.sh polecat-agent-opencode)}" --aider-image "$${GASTOWN_AIDER_IMAGE:-$$(images/name.sh polecat-agent-aider)}" \
		--metrics-bind-address 127.0.0.1:8443 --health-probe-bind-address 127.0.0.1:8081

kubectl-gt-install: ## kubectl gt into PREFIX/bin
	$(CARGO) install --locked --path crates/kubectl-gt --root $(PREFIX)

# What runs in a cluster. Variants of the agent's image: polecat-agent-opencode, polecat-agent-aider.
IMAGES ?= operator harness polecat-agent
WITH := PROFILE=$(PROFILE) ARCH=$(ARCH)

images: dist-pods ## container images, by docker, podman or buildah (IMAGES="operator harness", PROFILE=quick)
	$(WITH) images/build.sh $(IMAGES)

images-load: ## into a node's containerd: CONTAINERD_ADDRESS=/run/containerd/containerd.sock
	images/load.sh $(IMAGES)

images-test: ## what is in them, and that they run as any UID on a read-only root (as root)
	$(WITH) images/test.sh $(IMAGES)

images-reproduce: ## build them once more from nothing: the same digests, or it fails
	$(WITH) images/reproduce.sh $(IMAGES)

release-test: ## what can be tested of a release without making one
	release/test.sh

# A check of the workflows' syntax and expressions, by a pinned program from Go's proxy; where Go is missing it says so.
workflows: ## .github/workflows by actionlint
	@if command -v go >/dev/null; then \
		test -x target/actionlint || GOBIN="$(CURDIR)/target" go install github.com/rhysd/actionlint/cmd/actionlint@v1.7.7; \
		target/actionlint -shellcheck= -pyflakes= && echo "workflows: in order"; \
	else echo "SKIPPED: the workflows are not checked, Go is missing (https://go.dev/dl)"; fi

clean: ## what builds and demos leave
	$(CARGO) clean
	rm -rf dist .demo gastown
