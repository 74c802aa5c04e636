{{/* The alerts: files/alerts.yaml with what the values say filled in. */}}

{{/* How a rule finds the series of this release. */}}
{{- define "stepup.matchers" -}}
{{- if .Values.prometheusRule.matchers -}}
{{- tpl .Values.prometheusRule.matchers . -}}
{{- else -}}
namespace="{{ .Release.Namespace }}",pod=~"{{ include "stepup.fullname" . }}-(evaluate|dispatch)-.+"
{{- end -}}
{{- end -}}

{{- define "stepup.alerts" -}}
{{- $config := include "stepup.config" . | fromYaml -}}
{{- $topics := include "stepup.topics" . | fromYaml -}}
{{- $fresh := dig "preferences" "ttl" "60s" $config | include "stepup.milliseconds" | int64 -}}
{{- $stale := dig "preferences" "max_stale" "15m" $config | include "stepup.milliseconds" | int64 -}}
{{- $filled := dict
  "matchers" (include "stepup.matchers" .)
  "release" (printf "%s/%s" .Release.Namespace .Release.Name)
  "runbook" .Values.prometheusRule.runbookUrl
  "retries" $topics.retries
  "staleSeconds" (add 5 (div (add (mul 8 $stale) (mul 2 $fresh)) 10000)) -}}
{{- $text := .Files.Get "files/alerts.yaml" -}}
{{- range $name, $value := merge $filled .Values.prometheusRule.thresholds -}}
{{- $text = replace (printf "<<%s>>" $name) (toString $value) $text -}}
{{- end -}}
{{- $text -}}
{{- end -}}

{{/* Whether a role may have no pods at all, as it is meant. Takes the role's values. */}}
{{- define "stepup.mayBeAbsent" -}}
{{- if .keda.enabled -}}
{{- .keda.minReplicas | int | eq 0 | ternary "yes" "" -}}
{{- else if not .autoscaling.enabled -}}
{{- .replicas | int | eq 0 | ternary "yes" "" -}}
{{- end -}}
{{- end -}}

{{/* The rule groups after what is left out and changed. */}}
{{- define "stepup.ruleGroups" -}}
{{- $rule := .Values.prometheusRule -}}
{{- $roles := (include "stepup.roles" . | fromYaml).roles -}}
{{- $groups := list -}}
{{- range $group := (include "stepup.alerts" . | fromYaml).groups -}}
{{- $rules := list -}}
{{- range $one := $group.rules -}}
{{- $name := default "" $one.alert -}}
{{- $role := default "" (get (default dict $one.labels) "role") -}}
{{- $absent := and (eq $name "StepupAbsent") (include "stepup.mayBeAbsent" (get $.Values $role)) -}}
{{- if not (or $absent (and $name (has $name $rule.disabled)) (and $role (not (has $role $roles)))) -}}
{{- if $name -}}
{{- $labels := merge (dict) (default dict $one.labels) $rule.alertLabels -}}
{{- with get $rule.severities $name }}{{- $_ := set $labels "severity" . -}}{{- end -}}
{{- $_ := set $one "labels" $labels -}}
{{- with get $rule.for $name }}{{- $_ := set $one "for" . -}}{{- end -}}
{{- end -}}
{{- $rules = append $rules $one -}}
{{- end -}}
{{- end -}}
{{- if $rules -}}
{{- $groups = append $groups (dict "name" $group.name "rules" $rules) -}}
{{- end -}}
{{- end -}}
{{- concat $groups $rule.additionalGroups | toYaml -}}
{{- end -}}

{{- define "stepup.problems.rules" -}}
{{- $names := list -}}
{{- range (include "stepup.alerts" . | fromYaml).groups -}}
{{- range .rules -}}
{{- if .alert }}{{- $names = append $names .alert -}}{{- end -}}
{{- end -}}
{{- end -}}
{{- $rule := .Values.prometheusRule -}}
{{- range $name := concat $rule.disabled (keys $rule.severities) (keys $rule.for) -}}
{{- if not (has $name $names) }}
prometheusRule names the alert {{ $name }}, and there is none; there are {{ join ", " $names }}.
{{- end -}}
{{- end -}}
{{- if contains "<<" (include "stepup.alerts" .) }}
files/alerts.yaml has a placeholder that no value fills.
{{- end -}}
{{- end -}}
