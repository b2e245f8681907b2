{{- /* Generated from crates/operator/src/calls.rs by `make generate`. Do not edit. */}}
{{- define "gastown-operator.rules.cluster" -}}
# watched; patched to take the predecessor's finalizer off
- apiGroups: ["gastown.gastown.io"]
  resources: [rigs]
  verbs: [list, patch, watch]
# what is decided
- apiGroups: ["gastown.gastown.io"]
  resources: [rigs/status]
  verbs: [patch]
{{- end }}
{{- define "gastown-operator.rules.watched" -}}
# watched; created by convoys, got where the name was taken; patched to take the predecessor's finalizer off
- apiGroups: ["gastown.gastown.io"]
  resources: [polecats]
  verbs: [create, get, list, patch, watch]
# watched
- apiGroups: ["gastown.gastown.io"]
  resources: [convoys]
  verbs: [list, watch]
# watched
- apiGroups: ["gastown.gastown.io"]
  resources: [witnesses]
  verbs: [list, watch]
# watched
- apiGroups: ["gastown.gastown.io"]
  resources: [refineries]
  verbs: [list, watch]
# watched; patched to take the predecessor's finalizer off
- apiGroups: ["gastown.gastown.io"]
  resources: [beadstores]
  verbs: [list, patch, watch]
# what is decided
- apiGroups: ["gastown.gastown.io"]
  resources: [polecats/status]
  verbs: [patch]
# what is decided
- apiGroups: ["gastown.gastown.io"]
  resources: [convoys/status]
  verbs: [patch]
# what is decided
- apiGroups: ["gastown.gastown.io"]
  resources: [witnesses/status]
  verbs: [patch]
# what is decided
- apiGroups: ["gastown.gastown.io"]
  resources: [refineries/status]
  verbs: [patch]
# what is decided
- apiGroups: ["gastown.gastown.io"]
  resources: [beadstores/status]
  verbs: [patch]
# watched by our label; created, got where the name was taken, deleted; patched to nudge a silent agent
- apiGroups: [""]
  resources: [pods]
  verbs: [create, delete, get, list, patch, watch]
# texts too long for a pod's spec; got where the name was taken
- apiGroups: [""]
  resources: [configmaps]
  verbs: [create, get]
# what changed, and why; patched to count what happens again
- apiGroups: [""]
  resources: [events]
  verbs: [create, patch]
{{- end }}
{{- define "gastown-operator.rules.own" -}}
# a rig's; got where the name was taken
- apiGroups: ["gastown.gastown.io"]
  resources: [witnesses]
  verbs: [create, get]
# a rig's; got where the name was taken
- apiGroups: ["gastown.gastown.io"]
  resources: [refineries]
  verbs: [create, get]
# the election
- apiGroups: ["coordination.k8s.io"]
  resources: [leases]
  verbs: [create]
# the election
- apiGroups: ["coordination.k8s.io"]
  resources: [leases]
  resourceNames: [9a7b81dd.gastown.io]
  verbs: [get, update]
{{- end }}
