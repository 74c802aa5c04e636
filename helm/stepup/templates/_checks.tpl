{{/* What each value allows by itself and the whole does not. Every sentence names the keys; all are told at once. */}}

{{/* The variable that sets a key of the configuration. */}}
{{- define "stepup.variableOf" -}}
STEPUP__{{ upper . | replace "." "__" }}
{{- end -}}

{{/* Whether extraEnv has the variable of a key. Takes root and key. */}}
{{- define "stepup.setByVariable" -}}
{{- $values := .root.Values -}}
{{- $variable := include "stepup.variableOf" .key -}}
{{- range concat $values.extraEnv $values.evaluate.extraEnv $values.dispatch.extraEnv -}}
{{- if eq .name $variable -}}yes{{- end -}}
{{- end -}}
{{- end -}}

{{/* Whether a key of the configuration is set by a variable or may be. Takes root and key. */}}
{{- define "stepup.setElsewhere" -}}
{{- if or .root.Values.existingConfigMap.name .root.Values.extraEnvFrom -}}yes{{- end -}}
{{- include "stepup.setByVariable" . -}}
{{- end -}}

{{/* What is missing. */}}
{{- define "stepup.problems.missing" -}}
{{- $config := include "stepup.config" . | fromYaml -}}
{{- $files := include "stepup.preferencesConfigMap" . -}}
{{- $fromFiles := or $files (eq (dig "preferences" "source" "http" $config) "directory") -}}
{{- $required := dict
  "kafka.brokers" "say where Kafka's brokers are"
  "redis.url" "say where Redis is (or config.redis.cluster)" -}}
{{- if not (or $fromFiles .Values.simulator.enabled) -}}
{{- $_ := set $required "preferences.url" "say where a tenant's preferences are asked for (or give preferences.documents for a trial)" -}}
{{- end -}}
{{- if and .Values.dispatch.enabled (not .Values.simulator.enabled) -}}
{{- $_ := set $required "session_api.url" "say where the verification service is (or set simulator.enabled for a trial)" -}}
{{- end -}}
{{- range $key, $sentence := $required -}}
{{- $parts := splitList "." $key -}}
{{- $given := dig (first $parts) (last $parts) "" $config -}}
{{- if and (eq $key "redis.url") (dig "redis" "cluster" "" $config) -}}{{- $given = "cluster" -}}{{- end -}}
{{- if not (or $given (include "stepup.setElsewhere" (dict "root" $ "key" $key))) }}
config.{{ $key }} is missing: {{ $sentence }}.
{{- end -}}
{{- end -}}
{{- if and $fromFiles (not $files) (not (dig "preferences" "directory" "" $config)) }}
config.preferences.source is directory and nothing says which: give preferences.documents or preferences.existingConfigMap, or mount one with extraVolumes and name it in config.preferences.directory.
{{- end -}}
{{- if not (or .Values.evaluate.enabled .Values.dispatch.enabled) }}
evaluate.enabled and dispatch.enabled are both false: nothing would run.
{{- end -}}
{{- end -}}

{{/* What in `config` a chart cannot do. */}}
{{- define "stepup.problems.config" -}}
{{- $config := include "stepup.config" . | fromYaml -}}
{{- if and .Values.existingConfigMap.name .Values.config }}
config and existingConfigMap.name are both set: keep one of the two.
{{- end -}}
{{- if hasKey $config "roles" }}
config.roles has no effect here, for every role is a Deployment of its own: use evaluate.enabled and dispatch.enabled.
{{- end -}}
{{- if eq (dig "windows" "store" "redis" $config) "memory" }}
config.windows.store: memory is for the demo: a restarted pod would have forgotten every window.
{{- end -}}
{{- if regexMatch "^(127\\.|localhost|\\[::1\\])" (dig "http" "listen" "" $config) }}
config.http.listen is a loopback address: the kubelet's probes could not reach it; use 0.0.0.0:9090 or [::]:9090.
{{- end -}}
{{- if dig "redis" "password" "" $config }}
config.redis.password would stand in a ConfigMap: put it into a Secret and name that in secrets.redis.existingSecret.
{{- end -}}
{{- range include "stepup.redisUrls" . | fromJsonArray -}}
{{- if contains "@" . }}
config.redis.url or config.redis.cluster names a user or password, which would stand in a ConfigMap: use config.redis.username and secrets.redis.existingSecret.
{{- end -}}
{{- end -}}
{{- range $property, $_ := dig "kafka" "properties" dict $config -}}
{{- if or (regexMatch "(?i)password|secret|token|private" $property) (has $property (list "ssl.key.pem" "sasl.oauthbearer.config")) }}
config.kafka.properties.{{ $property }} would stand in a ConfigMap: put it into a Secret and name that in secrets.kafka.existingSecret and secrets.kafka.properties.
{{- end -}}
{{- end -}}
{{- if dig "kafka" "properties" "group.instance.id" "" $config }}
config.kafka.properties.group.instance.id would give every pod the same: use staticMembership.enabled of the role.
{{- end -}}
{{- end -}}

{{/* Secrets and authorities that are given twice or in part. */}}
{{- define "stepup.problems.secrets" -}}
{{- $config := include "stepup.config" . | fromYaml -}}
{{- $secrets := .Values.secrets -}}
{{- range $name, $plain := dict "kafka" "values" "redis" "value" "sessionApi" "value" -}}
{{- $secret := get $secrets $name -}}
{{- if and $secret.existingSecret (get $secret $plain) }}
secrets.{{ $name }}.existingSecret and secrets.{{ $name }}.{{ $plain }} are both set: keep one of the two.
{{- end -}}
{{- end -}}
{{- if and $secrets.tenants.existingSecrets $secrets.tenants.values }}
secrets.tenants.existingSecrets and secrets.tenants.values are both set: keep one of the two.
{{- end -}}
{{- $names := include "stepup.secretNames" . | fromYaml -}}
{{- if and $names.tenants $names.sessionApi }}
secrets.tenants and secrets.sessionApi are both set: a tenant has a credential of its own, or all share one.
{{- end -}}
{{- if and $secrets.kafka.existingSecret (not $secrets.kafka.properties) }}
secrets.kafka.existingSecret is set and secrets.kafka.properties is empty: say which property is under which key, such as sasl.password: password.
{{- end -}}
{{- if and $secrets.kafka.properties (not $secrets.kafka.existingSecret) }}
secrets.kafka.properties names keys of a Secret that secrets.kafka.existingSecret does not name.
{{- end -}}
{{- range $for, $trust := .Values.trust -}}
{{- if and $trust.existingSecret $trust.existingConfigMap }}
trust.{{ $for }}.existingSecret and trust.{{ $for }}.existingConfigMap are both set: keep one of the two.
{{- end -}}
{{- end -}}
{{- $trusts := dict -}}
{{- range $for := list "kafka" "redis" "sessionApi" -}}
{{- $_ := set $trusts $for (include "stepup.trust" (dict "root" $ "for" $for)) -}}
{{- end -}}
{{- $set := dict
  "redis.password_file" (list $names.redis "secrets.redis")
  "redis.ca_file" (list $trusts.redis "trust.redis")
  "session_api.credentials_dir" (list (or $names.tenants $names.sessionApi) "secrets.tenants or secrets.sessionApi")
  "session_api.credential_file" (list (or $names.tenants $names.sessionApi) "secrets.tenants or secrets.sessionApi")
  "session_api.ca_file" (list $trusts.sessionApi "trust.sessionApi")
  "preferences.url" (list (or (include "stepup.preferencesConfigMap" .) .Values.simulator.enabled) "preferences or simulator.enabled")
  "preferences.directory" (list (or (include "stepup.preferencesConfigMap" .) .Values.simulator.enabled) "preferences or simulator.enabled")
  "session_api.url" (list .Values.simulator.enabled "simulator.enabled") -}}
{{- range $key, $by := $set -}}
{{- $parts := splitList "." $key -}}
{{- if and (first $by) (dig (first $parts) (last $parts) "" $config) }}
config.{{ $key }} is set, and {{ last $by }} sets it too: keep one of the two.
{{- end -}}
{{- end -}}
{{- $properties := merge (dict) (dig "kafka" "properties" dict $config) (dig "kafka" "properties_files" dict $config) -}}
{{- $ours := $names.kafka | empty | ternary dict (include "stepup.kafkaFiles" . | fromJson) -}}
{{- range $property, $_ := $ours -}}
{{- if hasKey $properties $property }}
config.kafka sets {{ $property }}, and secrets.kafka sets it too: keep one of the two.
{{- end -}}
{{- end -}}
{{- if and $trusts.kafka (hasKey $properties "ssl.ca.location") }}
config.kafka.properties.ssl.ca.location is set, and trust.kafka sets it too: keep one of the two.
{{- end -}}
{{- if and $secrets.kafkaCertificate.existingSecret (or (hasKey $properties "ssl.certificate.location") (hasKey $properties "ssl.key.location")) }}
config.kafka.properties sets ssl.certificate.location or ssl.key.location, and secrets.kafkaCertificate sets them too: keep one of the two.
{{- end -}}
{{- if not (or .Values.existingConfigMap.name (include "stepup.setElsewhere" (dict "root" . "key" "kafka.properties.security.protocol"))) -}}
{{- if and (or $trusts.kafka $secrets.kafkaCertificate.existingSecret) (not (include "stepup.kafkaTls" .)) }}
trust.kafka and secrets.kafkaCertificate need TLS: set config.kafka.properties.security.protocol to SSL or SASL_SSL.
{{- end -}}
{{- range include "stepup.redisUrls" . | fromJsonArray -}}
{{- if and $trusts.redis (not (hasPrefix "rediss:" (lower .))) }}
trust.redis needs TLS: {{ . }} has to begin with rediss://.
{{- end -}}
{{- end -}}
{{- end -}}
{{- if and .Values.preferences.existingConfigMap .Values.preferences.documents }}
preferences.existingConfigMap and preferences.documents are both set: keep one of the two.
{{- end -}}
{{- if and (include "stepup.preferencesConfigMap" .) (eq (dig "preferences" "source" "directory" $config) "http") }}
preferences gives files, and config.preferences.source is http: keep one of the two.
{{- end -}}
{{- if .Values.simulator.enabled -}}
{{- if include "stepup.preferencesConfigMap" . }}
simulator.preferences and preferences are both set: the simulator serves its documents to stepup too.
{{- end -}}
{{- if not .Values.simulator.preferences }}
simulator.enabled is true and simulator.preferences is empty: it would know no tenant.
{{- end -}}
{{- end -}}
{{- end -}}

{{/* What contradicts itself among the objects. */}}
{{- define "stepup.problems.objects" -}}
{{- $config := include "stepup.config" . | fromYaml -}}
{{- range $role := (include "stepup.roles" . | fromYaml).roles -}}
{{- $own := get $.Values $role -}}
{{- if and $own.autoscaling.enabled $own.keda.enabled }}
{{ $role }}.autoscaling.enabled and {{ $role }}.keda.enabled are both true, and KEDA makes an autoscaler of its own: keep one of the two.
{{- end -}}
{{- range $name := list "autoscaling" "keda" -}}
{{- $scaling := get $own $name -}}
{{- if gt (int $scaling.minReplicas) (int $scaling.maxReplicas) }}
{{ $role }}.{{ $name }}.minReplicas ({{ $scaling.minReplicas }}) is more than maxReplicas ({{ $scaling.maxReplicas }}).
{{- end -}}
{{- end -}}
{{- if and $own.autoscaling.enabled (not (or $own.autoscaling.targetCPUUtilizationPercentage $own.autoscaling.targetMemoryUtilizationPercentage)) }}
{{ $role }}.autoscaling has no target: set targetCPUUtilizationPercentage or targetMemoryUtilizationPercentage.
{{- end -}}
{{- $budget := $own.podDisruptionBudget -}}
{{- if and (hasKey $budget "minAvailable") (hasKey $budget "maxUnavailable") }}
{{ $role }}.podDisruptionBudget has minAvailable and maxUnavailable: keep one of the two.
{{- end -}}
{{- $rolling := dig "rollingUpdate" dict (default dict $own.strategy) | default dict -}}
{{- if and (eq (include "stepup.strategyType" $own) "RollingUpdate") (not $own.staticMembership.enabled) (regexMatch "^0+%?$" (toString $rolling.maxSurge)) (regexMatch "^0+%?$" (toString $rolling.maxUnavailable)) }}
{{ $role }}.strategy.rollingUpdate has maxSurge and maxUnavailable 0: no pod could ever be replaced.
{{- end -}}
{{- $limit := include "stepup.memoryLimit" (dict "root" $ "role" $role) -}}
{{- $bound := include "stepup.memoryBound" (dict "root" $ "role" $role) | int64 -}}
{{- if and $limit (include "stepup.memoryBoundIsKnown" $) (lt ($limit | int64) $bound) }}
{{ $role }}.resources.limits.memory ({{ $limit }} MiB) is less than the {{ $bound }} MiB that the process may hold under this configuration: set {{ include "stepup.memoryNeeded" (dict "root" $ "role" $role) }}Mi or more{{ eq $role "evaluate" | ternary ", or lower config.preferences.max_tenants" "" }}.
{{- end -}}
{{- if $own.keda.enabled -}}
{{- $protocol := include "stepup.property" (dict "root" $ "name" "security.protocol") -}}
{{- $mechanism := include "stepup.property" (dict "root" $ "name" "sasl.mechanism") | default (include "stepup.property" (dict "root" $ "name" "sasl.mechanisms")) -}}
{{- if not (dig "kafka" "brokers" "" $config) }}
{{ $role }}.keda needs config.kafka.brokers, to tell KEDA where the lag is.
{{- end -}}
{{- if and (hasPrefix "sasl" $protocol) (not $own.keda.authenticationRef) (not (has $mechanism (list "plain" "scram-sha-256" "scram-sha-512"))) }}
{{ $role }}.keda knows no way to log in by sasl.mechanism {{ $mechanism | quote }}: name a TriggerAuthentication of your own in {{ $role }}.keda.authenticationRef.
{{- end -}}
{{- end -}}
{{- end -}}
{{- if and .Values.metrics.podMonitor.enabled .Values.metrics.serviceMonitor.enabled }}
metrics.podMonitor.enabled and metrics.serviceMonitor.enabled are both true: everything would be counted twice; keep one of the two.
{{- end -}}
{{- $drain := include "stepup.drainSeconds" . | int -}}
{{- if lt (include "stepup.gracePeriod" . | int) $drain }}
terminationGracePeriodSeconds ({{ .Values.terminationGracePeriodSeconds }}) is shorter than the {{ $drain }} s that stepup may need to finish what it has at hand: it would be killed in the middle.
{{- end -}}
{{- if and (kindIs "invalid" .Values.terminationGracePeriodSeconds) (include "stepup.setByVariable" (dict "root" . "key" "session_api.timeout")) }}
extraEnv sets {{ include "stepup.variableOf" "session_api.timeout" }}, and the grace period of the pods goes by config.session_api.timeout: set it there, or set terminationGracePeriodSeconds to what it takes and 20 s more.
{{- end -}}
{{- if and .Values.networkPolicy.enabled (or .Values.existingConfigMap.name .Values.extraEnvFrom) -}}
{{- range $what := list "kafka" "redis" "sessionApi" -}}
{{- if not (get $.Values.networkPolicy $what).ports }}
networkPolicy.{{ $what }}.ports is empty, and the chart cannot see the addresses that your own configuration names: set it.
{{- end -}}
{{- end -}}
{{- end -}}
{{- $objects := include "stepup.chartLabels" (dict "root" . "component" "any") | fromYaml -}}
{{- $pods := include "stepup.selectorLabels" (dict "root" . "component" "any") | fromYaml -}}
{{- range $where, $both := dict
  "commonLabels" (list .Values.commonLabels $objects)
  "podLabels" (list .Values.podLabels $pods)
  "evaluate.podLabels" (list .Values.evaluate.podLabels $pods)
  "dispatch.podLabels" (list .Values.dispatch.podLabels $pods)
  "metrics.podMonitor.labels" (list .Values.metrics.podMonitor.labels $objects)
  "metrics.serviceMonitor.labels" (list .Values.metrics.serviceMonitor.labels $objects)
  "prometheusRule.labels" (list .Values.prometheusRule.labels $objects)
  "dashboard.labels" (list .Values.dashboard.labels $objects) -}}
{{- range $label, $_ := first $both -}}
{{- if hasKey (last $both) $label }}
{{ $where }} has {{ $label }}, which the chart sets itself: leave it out.
{{- end -}}
{{- end -}}
{{- end -}}
{{- if not .Values.serviceAccount.create -}}
{{- if .Values.serviceAccount.annotations }}
serviceAccount.annotations has no effect where serviceAccount.create is false.
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "stepup.problems" -}}
{{- range list "missing" "config" "secrets" "objects" "rules" -}}
{{- include (printf "stepup.problems.%s" .) $ -}}
{{- end -}}
{{- end -}}
