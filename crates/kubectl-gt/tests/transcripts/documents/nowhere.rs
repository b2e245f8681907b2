//! What no test and no script of CI runs.

/// What is run nowhere, and why.
pub const NOWHERE: &[(&str, &str)] = &[
    (
        "make generate",
        "writes the files that make lint holds against the code",
    ),
    ("make generate lint", "likewise"),
    ("make chart-generate", "writes the files that make chart-test holds"),
    (
        "RECORD=1 make differential",
        "writes the recordings that make differential holds",
    ),
    ("make helm", "with two others in one line of .ci/run"),
    (
        "make cluster-up",
        "a script of one line, which make differential, transcripts and validate call",
    ),
    ("make cluster-down", "likewise"),
    ("make e2e", "one by one in .ci/run, each where its machine can"),
    ("make e2e BACKEND=apiserver", "likewise"),
    ("make e2e BACKEND=kube-apiserver ONLY=NAME", "likewise"),
    ("make e2e BACKEND=openshift", "of its scenarios .ci/run plays one"),
    ("make bench", "release builds, and ten minutes of a machine of its own"),
    ("BENCH=quick make bench", "release builds"),
    (
        "make dist",
        "release builds; images are made of the same with PROFILE=quick",
    ),
    ("make images images-test", "in .ci/run, with PROFILE=quick"),
    ("make images-reproduce", "builds all once more"),
    ("CA_BUNDLE=/path/to/ca.crt make images", "a proxy of the reader's"),
    ("BASE=name make images", "a base of the reader's"),
    (
        "make deploy IMG=registry.example.com/gastown/gastown-operator:dev",
        "e2e/install/run.sh deploys another image so",
    ),
    ("claude setup-token", "asks a person in a browser"),
    (
        "bd export -o .beads/issues.jsonl",
        "beads' own program, of which the reader has it",
    ),
    ("perf record -a", "how a figure was found, of a whole machine"),
    (
        "make images",
        "release builds and a registry's base image: CI makes the same with PROFILE=quick",
    ),
    ("make images PROFILE=quick", "with all four images named in .ci/run"),
    (
        "make images IMAGES=\"polecat-agent-opencode polecat-agent-aider\"",
        "aider's comes from PyPI for minutes",
    ),
    (
        "make images-load CONTAINERD_ADDRESS=/run/containerd/containerd.sock",
        "into the images of this machine's node",
    ),
    (
        "make images-test ; make images-reproduce",
        "the first in .ci/run; the second builds all once more",
    ),
    (
        "make helm kubectl-gt-install",
        "installs into the home of whoever runs it",
    ),
    ("make kubectl-gt-install", "likewise"),
    ("export KUBECONFIG=~/.kube/config", "a cluster of the reader's"),
    (
        "make e2e BACKEND=kubeconfig E2E_HELM=\"--set image.registry=registry.example.com/gastown\"",
        "likewise, and a registry; the backend is played by hand",
    ),
    ("kubectl auth whoami", "our API server has one user, and reviews none"),
    (
        "kubectl drain NODE --ignore-daemonsets --delete-emptydir-data",
        "no node that drains: scenarios delete the pods, as an eviction does",
    ),
    (
        "kubectl logs deployment/gastown-operator-controller-manager --namespace gastown-system",
        "an operator in a pod: only a node has its logs",
    ),
];
