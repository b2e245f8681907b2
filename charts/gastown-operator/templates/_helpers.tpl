{{- define "gastown-operator.name" -}}
{{- .Values.nameOverride | default .Chart.Name | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- /* As the release is called where that holds the chart's name already, else both. 42 characters leave room for suffixes. */}}
{{- define "gastown-operator.fullname" -}}
{{- $name := .Values.nameOverride | default .Chart.Name -}}
{{- $full := ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) -}}
{{- .Values.fullnameOverride | default $full | trunc 42 | trimSuffix "-" }}
{{- end }}

{{- define "gastown-operator.selector" -}}
app.kubernetes.io/name: {{ include "gastown-operator.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
control-plane: controller-manager
{{- end }}

{{- define "gastown-operator.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{ include "gastown-operator.selector" . }}
{{- end }}

{{- define "gastown-operator.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- .Values.serviceAccount.name | default (include "gastown-operator.fullname" .) }}
{{- else -}}
{{- required "serviceAccount.create is false: name an account in serviceAccount.name" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{- /* An image's full name, from (dict "image" IMAGE "root" $). A repository with a registry of its own keeps it. */}}
{{- define "gastown-operator.image" -}}
{{- $repository := .image.repository -}}
{{- $first := splitList "/" $repository | first -}}
{{- $placed := and (contains "/" $repository) (or (contains "." $first) (contains ":" $first) (eq $first "localhost")) -}}
{{- if and .root.Values.image.registry (not $placed) -}}
{{- $repository = printf "%s/%s" (trimSuffix "/" .root.Values.image.registry) $repository -}}
{{- end -}}
{{- printf "%s:%s" $repository (.image.tag | default .root.Chart.AppVersion) }}
{{- end }}

{{- /* The image of an agent that has one of its own, from (dict "agent" NAME "root" $): unset it is the variant of images.agent,
which is a tag of that image as `make images` calls it; nothing where images.agent is somebody's own, which then holds all agents. */}}
{{- define "gastown-operator.variant" -}}
{{- $shared := .root.Values.images.agent -}}
{{- $own := index .root.Values.images .agent | default dict -}}
{{- if $own.repository -}}
{{- include "gastown-operator.image" (dict "image" $own "root" .root) }}
{{- else if eq (splitList "/" $shared.repository | last) "polecat-agent" -}}
{{- $tag := $own.tag | default (printf "%s-%s" ($shared.tag | default .root.Chart.AppVersion) .agent) -}}
{{- include "gastown-operator.image" (dict "image" (dict "repository" $shared.repository "tag" $tag) "root" .root) }}
{{- end }}
{{- end }}

{{- /* The namespaces that are served, when not all are, as a JSON list; the release's own is one of them. */}}
{{- define "gastown-operator.served" -}}
{{- if .Values.watchNamespaces -}}
{{- prepend .Values.watchNamespaces .Release.Namespace | uniq | toJson }}
{{- else -}}
[]
{{- end }}
{{- end }}

{{- /* Values that nothing reads any more, one a line. */}}
{{- define "gastown-operator.unused" -}}
{{- if .Values.gtConfig }}
gtConfig has no effect: the operator does not call the gt program, so it needs neither a town's folder nor its path.
{{- end }}
{{- if or .Values.volumes.enabled .Values.volumes.hostPath }}
volumes has no effect: nothing of a node is mounted; each polecat clones into a volume of its own pod.
{{- end }}
{{- if .Values.metrics.secure }}
metrics.secure has no effect: metrics are plain HTTP and hold no secret; networkPolicy.metricsFrom says who may scrape them.
{{- end }}
{{- range .Values.extraEnv }}
{{- if has .name (list "GASTOWN_GIT_IMAGE" "GASTOWN_TELEMETRY_IMAGE" "GT_TOWN_ROOT" "GT_PATH") }}
extraEnv {{ .name }} has no effect; images are set by images.harness and images.agent.
{{- end }}
{{- end }}
{{- end }}
