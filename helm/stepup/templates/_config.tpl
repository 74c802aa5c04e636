{{/* The configuration and what follows from it. */}}

{{/* `config` with its templates filled in. An empty key is as if not set, here as in the program; and Helm takes `off` for
false, which for these keys the program does not know. */}}
{{- define "stepup.config" -}}
{{- $config := include "stepup.withoutNulls" (default dict .Values.config) | fromJson -}}
{{- range $key := list "evaluate.receipts" "http.console" -}}
{{- $section := get $config (first (splitList "." $key)) -}}
{{- $name := last (splitList "." $key) -}}
{{- if and $section (kindIs "bool" (get $section $name)) -}}
{{- $_ := set $section $name "off" -}}
{{- end -}}
{{- end -}}
{{- tpl (toYaml $config) . -}}
{{- end -}}

{{- define "stepup.withoutNulls" -}}
{{- $kept := dict -}}
{{- range $key, $value := . -}}
{{- if kindIs "map" $value -}}
{{- $_ := set $kept $key (include "stepup.withoutNulls" $value | fromJson) -}}
{{- else if not (kindIs "invalid" $value) -}}
{{- $_ := set $kept $key $value -}}
{{- end -}}
{{- end -}}
{{- toJson $kept -}}
{{- end -}}

{{- define "stepup.configMapName" -}}
{{- default (printf "%s-config" (include "stepup.fullname" .)) .Values.existingConfigMap.name -}}
{{- end -}}

{{/* A duration such as 1h30m in milliseconds. */}}
{{- define "stepup.milliseconds" -}}
{{- $units := dict "h" 3600000 "m" 60000 "s" 1000 "ms" 1 -}}
{{- $total := 0 -}}
{{- range regexFindAll "[0-9]+(ms|h|m|s)" (toString .) -1 -}}
{{- $unit := regexFind "[a-z]+" . -}}
{{- $total = add $total (mul (trimSuffix $unit . | int64) (get $units $unit)) -}}
{{- end -}}
{{- $total -}}
{{- end -}}

{{/* How many seconds stepup may take to finish what it has at hand: 20, or those of a call and 10. */}}
{{- define "stepup.drainSeconds" -}}
{{- $config := include "stepup.config" . | fromYaml -}}
{{- $call := dig "session_api" "timeout" "5s" $config | include "stepup.milliseconds" | int64 -}}
{{- max 20 (add 10 (div (add $call 999) 1000)) -}}
{{- end -}}

{{- define "stepup.gracePeriod" -}}
{{- if kindIs "invalid" .Values.terminationGracePeriodSeconds -}}
{{- include "stepup.drainSeconds" . | int | add 10 -}}
{{- else -}}
{{- .Values.terminationGracePeriodSeconds | int -}}
{{- end -}}
{{- end -}}

{{/* The port that `http.listen` names. */}}
{{- define "stepup.port" -}}
{{- $config := include "stepup.config" . | fromYaml -}}
{{- dig "http" "listen" "0.0.0.0:9090" $config | toString | regexFind "[0-9]+$" -}}
{{- end -}}

{{- define "stepup.groupId" -}}
{{- $config := include "stepup.config" .root | fromYaml -}}
{{- dig "kafka" "group_id" "stepup" $config }}-{{ .role -}}
{{- end -}}

{{/* The topics, under their keys; activity is a list. */}}
{{- define "stepup.topics" -}}
{{- $given := dig "kafka" "topics" dict (include "stepup.config" . | fromYaml) -}}
{{- $activity := default (list "activity") $given.activity -}}
activity: {{ kindIs "string" $activity | ternary (splitList "," (toString $activity)) $activity | toJson }}
commands: {{ default "verification-commands" $given.commands }}
outcomes: {{ default "verification-outcomes" $given.outcomes }}
retries: {{ default "stepup-retries" $given.retries }}
dead_letters: {{ default "stepup-dead-letters" $given.dead_letters }}
{{- end -}}

{{/* A property of librdkafka as `config` sets it, in small letters. Takes root and name. */}}
{{- define "stepup.property" -}}
{{- $properties := dig "kafka" "properties" dict (include "stepup.config" .root | fromYaml) -}}
{{- get $properties .name | toString | lower -}}
{{- end -}}

{{- define "stepup.kafkaTls" -}}
{{- include "stepup.property" (dict "root" . "name" "security.protocol") | hasSuffix "ssl" | ternary "yes" "" -}}
{{- end -}}

{{/* The URLs of Redis, as JSON. */}}
{{- define "stepup.redisUrls" -}}
{{- $redis := dig "redis" dict (include "stepup.config" . | fromYaml) -}}
{{- $cluster := default list $redis.cluster -}}
{{- $cluster = kindIs "string" $cluster | ternary (splitList "," (toString $cluster)) $cluster -}}
{{- compact (append $cluster (default "" $redis.url)) | toJson -}}
{{- end -}}

{{- define "stepup.simulatorUrl" -}}
http://{{ include "stepup.fullname" . }}-simulator.{{ .Release.Namespace }}.svc:8080
{{- end -}}

{{/* The URLs that are called over HTTP, as JSON. */}}
{{- define "stepup.webUrls" -}}
{{- $config := include "stepup.config" . | fromYaml -}}
{{- $simulator := .Values.simulator.enabled | ternary (include "stepup.simulatorUrl" .) "" -}}
{{- $given := list (dig "session_api" "url" "" $config) (dig "preferences" "url" "" $config) (dig "evaluate" "candidate" dict $config).url -}}
{{- prepend $given $simulator | compact | toJson -}}
{{- end -}}

{{/* The URL of the collector of traces, as JSON in a list that is empty where there is none. */}}
{{- define "stepup.tracesUrls" -}}
{{- compact (list (dig "traces" "endpoint" "" (include "stepup.config" . | fromYaml))) | toJson -}}
{{- end -}}

{{/* The ports that addresses name, as JSON. Takes addresses, and the ports of those that name none by their scheme. */}}
{{- define "stepup.ports" -}}
{{- $ports := list -}}
{{- range $address := .addresses -}}
{{- $scheme := contains "://" $address | ternary (first (splitList "://" $address)) "" -}}
{{- $host := last (splitList "://" $address) | splitList "/" | first | splitList "@" | last -}}
{{- $port := regexFind ":[0-9]+$" $host | trimPrefix ":" -}}
{{- $ports = append $ports (default (get $.defaults $scheme | toString) $port | int) -}}
{{- end -}}
{{- $ports | uniq | toJson -}}
{{- end -}}
