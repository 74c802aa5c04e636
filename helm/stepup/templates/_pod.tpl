{{/* What the pods of stepup have in common. */}}

{{/* The parts of a pod's spec that say who it runs as; takes the root. */}}
{{- define "stepup.podIdentity" -}}
serviceAccountName: {{ include "stepup.serviceAccountName" . }}
automountServiceAccountToken: {{ .Values.serviceAccount.automountServiceAccountToken }}
enableServiceLinks: false
securityContext:
  {{- toYaml .Values.podSecurityContext | nindent 2 }}
{{- with include "stepup.pullSecrets" . }}
{{ . }}
{{- end }}
{{- end -}}

{{/* A container's image and rights; takes the root. */}}
{{- define "stepup.containerIdentity" -}}
image: {{ include "stepup.image" . | quote }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
securityContext:
  {{- toYaml .Values.containerSecurityContext | nindent 2 }}
{{- end -}}

{{/* The role's own value where it is set, else that for all pods. Takes root, role and name. */}}
{{- define "stepup.own" -}}
{{- default (get .root.Values .name) (get (get .root.Values .role) .name) | toJson -}}
{{- end -}}

{{/* How a role's Deployment replaces its pods; takes the role's values. */}}
{{- define "stepup.strategyType" -}}
{{- default "RollingUpdate" (default dict .strategy).type -}}
{{- end -}}

{{/* Where a role's pods may and should run. Takes root and role. */}}
{{- define "stepup.placement" -}}
{{- $root := .root -}}
{{- $role := .role -}}
{{- range $name := list "nodeSelector" "tolerations" "affinity" }}
{{- with include "stepup.own" (dict "root" $root "role" $role "name" $name) | printf `{"it":%s}` | fromJson }}
{{- with .it }}
{{ $name }}:
  {{- tpl (toYaml .) $root | nindent 2 }}
{{- end }}
{{- end }}
{{- end }}
{{- $spread := get (include "stepup.own" (dict "root" $root "role" $role "name" "topologySpreadConstraints") | printf `{"it":%s}` | fromJson) "it" }}
{{- if $spread }}
topologySpreadConstraints:
  {{- tpl (toYaml $spread) $root | nindent 2 }}
{{- else if $root.Values.defaultTopologySpread }}
topologySpreadConstraints:
{{- $revision := (get $root.Values $role).staticMembership.enabled | ternary "controller-revision-hash" "pod-template-hash" }}
{{- range list "kubernetes.io/hostname" "topology.kubernetes.io/zone" }}
  - maxSkew: 1
    topologyKey: {{ . }}
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- include "stepup.selectorLabels" (dict "root" $root "component" $role) | nindent 8 }}
    matchLabelKeys: [{{ $revision }}]
{{- end }}
{{- end }}
{{- with default $root.Values.priorityClassName (get $root.Values $role).priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with $root.Values.runtimeClassName }}
runtimeClassName: {{ . }}
{{- end }}
{{- with $root.Values.dnsConfig }}
dnsConfig:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $root.Values.hostAliases }}
hostAliases:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* Annotations of a role's pods: a new configuration is a new revision. Takes root and role. */}}
{{- define "stepup.podAnnotations" -}}
{{- $root := .root -}}
{{- if not $root.Values.existingConfigMap.name }}
checksum/config: {{ include "stepup.config" $root | sha256sum }}
{{- end }}
{{- with $root.Values.preferences.documents }}
checksum/preferences: {{ toJson . | sha256sum }}
{{- end }}
{{- $plain := pick $root.Values.secrets "kafka" "redis" "tenants" "sessionApi" }}
{{- if include "stepup.plainSecrets" $root }}
checksum/secrets: {{ toJson $plain | sha256sum }}
{{- end }}
{{- if $root.Values.metrics.annotations }}
prometheus.io/scrape: "true"
prometheus.io/port: {{ include "stepup.port" $root | quote }}
prometheus.io/path: /metrics
{{- end }}
{{- $given := mergeOverwrite (dict) $root.Values.commonAnnotations $root.Values.podAnnotations (get $root.Values .role).podAnnotations }}
{{- with $given }}
{{ tpl (toYaml .) $root }}
{{- end }}
{{- end -}}

{{/* The pod template of a role. Takes root and role. */}}
{{- define "stepup.podTemplate" -}}
{{- $root := .root -}}
{{- $role := .role -}}
{{- $values := $root.Values -}}
{{- $own := get $values $role -}}
metadata:
  annotations:
    {{- include "stepup.podAnnotations" . | trim | nindent 4 }}
    kubectl.kubernetes.io/default-container: stepup
  labels:
    {{- include "stepup.selectorLabels" (dict "root" $root "component" $role) | nindent 4 }}
    {{- with mergeOverwrite (dict) $values.commonLabels $values.podLabels $own.podLabels }}
    {{- tpl (toYaml .) $root | nindent 4 }}
    {{- end }}
spec:
  {{- include "stepup.podIdentity" $root | nindent 2 }}
  terminationGracePeriodSeconds: {{ include "stepup.gracePeriod" $root }}
  {{- with include "stepup.placement" . | trim }}
  {{- nindent 2 . }}
  {{- end }}
  {{- with $values.initContainers }}
  initContainers:
    {{- tpl (toYaml .) $root | nindent 4 }}
  {{- end }}
  containers:
    - name: stepup
      {{- include "stepup.containerIdentity" $root | nindent 6 }}
      args: [run, --config, /etc/stepup/config/stepup.yaml, --roles, {{ $role }}]
      {{- with include "stepup.env" . }}
      {{- nindent 6 . }}
      {{- end }}
      ports:
        - name: metrics
          containerPort: {{ include "stepup.port" $root }}
      startupProbe:
        httpGet: { path: /livez, port: metrics }
        {{- toYaml $values.startupProbe | nindent 8 }}
      livenessProbe:
        httpGet: { path: /livez, port: metrics }
        {{- toYaml $values.livenessProbe | nindent 8 }}
      readinessProbe:
        httpGet: { path: /readyz, port: metrics }
        {{- toYaml $values.readinessProbe | nindent 8 }}
      resources:
        {{- toYaml $own.resources | nindent 8 }}
      {{- include "stepup.volumeMounts" $root | nindent 6 }}
    {{- with $values.extraContainers }}
    {{- tpl (toYaml .) $root | nindent 4 }}
    {{- end }}
  {{- include "stepup.volumes" $root | nindent 2 }}
{{- end -}}
