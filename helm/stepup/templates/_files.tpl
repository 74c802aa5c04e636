{{/* What is mounted as files, and the variables that tell stepup where. */}}

{{- define "stepup.preferencesConfigMap" -}}
{{- if .Values.preferences.existingConfigMap -}}
{{- .Values.preferences.existingConfigMap -}}
{{- else if .Values.preferences.documents -}}
{{- include "stepup.fullname" . }}-preferences
{{- end -}}
{{- end -}}

{{/* The Secrets by what they are for: existing, made from plain values, or none. */}}
{{- define "stepup.secretNames" -}}
{{- $name := include "stepup.fullname" . -}}
{{- $secrets := .Values.secrets -}}
kafka: {{ default ($secrets.kafka.values | empty | ternary "" (printf "%s-kafka" $name)) $secrets.kafka.existingSecret | quote }}
redis: {{ default ($secrets.redis.value | empty | ternary "" (printf "%s-redis" $name)) $secrets.redis.existingSecret | quote }}
sessionApi: {{ default ($secrets.sessionApi.value | empty | ternary "" (printf "%s-session-api" $name)) $secrets.sessionApi.existingSecret | quote }}
tenants: {{ default ($secrets.tenants.values | empty | ternary list (list (printf "%s-tenants" $name))) $secrets.tenants.existingSecrets | toJson }}
{{- end -}}

{{/* librdkafka properties that are in files: property and key. A Secret of ours has them under their own names. */}}
{{- define "stepup.kafkaFiles" -}}
{{- $files := dict -}}
{{- range $property, $_ := .Values.secrets.kafka.values -}}
{{- $_ := set $files $property $property -}}
{{- end -}}
{{- merge $files .Values.secrets.kafka.properties | toJson -}}
{{- end -}}

{{- define "stepup.variable" -}}
{{- upper . | replace "." "_" -}}
{{- end -}}

{{/* Environment variables of our own making; takes root and role, which the check has none of. */}}
{{- define "stepup.env" -}}
{{- $root := .root -}}
{{- $values := $root.Values -}}
{{- $names := include "stepup.secretNames" $root | fromYaml -}}
{{- $env := list -}}
{{- if $names.kafka -}}
{{- range $property, $_ := include "stepup.kafkaFiles" $root | fromJson -}}
{{- $variable := printf "STEPUP__KAFKA__PROPERTIES_FILES__%s" (include "stepup.variable" $property) -}}
{{- $env = append $env (dict "name" $variable "value" (printf "/etc/stepup/secrets/kafka/%s" $property)) -}}
{{- end -}}
{{- end -}}
{{- if $values.secrets.kafkaCertificate.existingSecret -}}
{{- $env = concat $env (list
  (dict "name" "STEPUP__KAFKA__PROPERTIES__SSL_CERTIFICATE_LOCATION" "value" "/etc/stepup/secrets/kafka-certificate/tls.crt")
  (dict "name" "STEPUP__KAFKA__PROPERTIES__SSL_KEY_LOCATION" "value" "/etc/stepup/secrets/kafka-certificate/tls.key")) -}}
{{- end -}}
{{- if include "stepup.trust" (dict "root" $root "for" "kafka") -}}
{{- $env = append $env (dict "name" "STEPUP__KAFKA__PROPERTIES__SSL_CA_LOCATION" "value" "/etc/stepup/trust/kafka/ca.crt") -}}
{{- else if and (include "stepup.kafkaTls" $root) (not (include "stepup.property" (dict "root" $root "name" "ssl.ca.location"))) -}}
{{- /* The image's OpenSSL does not look for the system's authorities unless it is told to. */ -}}
{{- $env = append $env (dict "name" "STEPUP__KAFKA__PROPERTIES__SSL_CA_LOCATION" "value" "probe") -}}
{{- end -}}
{{- if $names.redis -}}
{{- $env = append $env (dict "name" "STEPUP__REDIS__PASSWORD_FILE" "value" "/etc/stepup/secrets/redis/password") -}}
{{- end -}}
{{- if include "stepup.trust" (dict "root" $root "for" "redis") -}}
{{- $env = append $env (dict "name" "STEPUP__REDIS__CA_FILE" "value" "/etc/stepup/trust/redis/ca.crt") -}}
{{- end -}}
{{- if $names.tenants -}}
{{- $env = append $env (dict "name" "STEPUP__SESSION_API__CREDENTIALS_DIR" "value" "/etc/stepup/secrets/tenants") -}}
{{- end -}}
{{- if $names.sessionApi -}}
{{- $env = append $env (dict "name" "STEPUP__SESSION_API__CREDENTIAL_FILE" "value" "/etc/stepup/secrets/session-api/token") -}}
{{- end -}}
{{- if include "stepup.trust" (dict "root" $root "for" "sessionApi") -}}
{{- $env = append $env (dict "name" "STEPUP__SESSION_API__CA_FILE" "value" "/etc/stepup/trust/session-api/ca.crt") -}}
{{- end -}}
{{- if include "stepup.preferencesConfigMap" $root -}}
{{- $env = concat $env (list
  (dict "name" "STEPUP__PREFERENCES__SOURCE" "value" "directory")
  (dict "name" "STEPUP__PREFERENCES__DIRECTORY" "value" "/etc/stepup/preferences")) -}}
{{- end -}}
{{- if $values.simulator.enabled -}}
{{- $url := include "stepup.simulatorUrl" $root -}}
{{- $env = concat $env (list
  (dict "name" "STEPUP__SESSION_API__URL" "value" $url)
  (dict "name" "STEPUP__PREFERENCES__URL" "value" (printf "%s/api/v1/kyc/preferences" $url))) -}}
{{- end -}}
{{- if not .role -}}
{{- $roles := include "stepup.roles" $root | fromYaml -}}
{{- $env = append $env (dict "name" "STEPUP__ROLES" "value" (join "," $roles.roles)) -}}
{{- else if (get $values .role).staticMembership.enabled -}}
{{- $name := dict "fieldRef" (dict "fieldPath" "metadata.name") -}}
{{- $env = append $env (dict "name" "STEPUP__KAFKA__PROPERTIES__GROUP_INSTANCE_ID" "valueFrom" $name) -}}
{{- $property := dict "root" $root "name" "session.timeout.ms" -}}
{{- $protocol := include "stepup.property" (dict "root" $root "name" "group.protocol") -}}
{{- if not (or (include "stepup.property" $property) (eq $protocol "consumer")) -}}
{{- $timeout := (get $values .role).staticMembership.sessionTimeoutMs | int64 | toString -}}
{{- $env = append $env (dict "name" "STEPUP__KAFKA__PROPERTIES__SESSION_TIMEOUT_MS" "value" $timeout) -}}
{{- end -}}
{{- end -}}
{{- /* A variable that stands twice counts once: the role's own, then that for all pods, then ours. */ -}}
{{- $seen := dict -}}
{{- $kept := list -}}
{{- range concat (.role | empty | ternary list (get $values (default "evaluate" .role)).extraEnv) $values.extraEnv $env -}}
{{- if not (hasKey $seen .name) -}}
{{- $_ := set $seen .name true -}}
{{- $kept = append $kept . -}}
{{- end -}}
{{- end -}}
{{- with $kept -}}
env:
  {{- tpl (toYaml .) $root | nindent 2 }}
{{- end }}
{{- with $values.extraEnvFrom }}
envFrom:
  {{- tpl (toYaml .) $root | nindent 2 }}
{{- end }}
{{- end -}}

{{/* The volume source of an authority, or nothing. Takes root and for. */}}
{{- define "stepup.trust" -}}
{{- with get .root.Values.trust .for -}}
{{- $items := list (dict "key" .key "path" "ca.crt") -}}
{{- if .existingSecret -}}
secret: {{ dict "secretName" .existingSecret "items" $items "defaultMode" 288 | toJson }}
{{- else if .existingConfigMap -}}
configMap: {{ dict "name" .existingConfigMap "items" $items | toJson }}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Volumes by name, each with its source and where it is mounted. A whole volume is mounted, never a subPath, for only so
does a rotated Secret reach the pod. 288 is 0440: readable for the pod's group. */}}
{{- define "stepup.mounts" -}}
{{- $values := .Values -}}
{{- $names := include "stepup.secretNames" . | fromYaml -}}
{{- $items := list (dict "key" .Values.existingConfigMap.key "path" "stepup.yaml") -}}
- name: config
  path: config
  source: {{ dict "configMap" (dict "name" (include "stepup.configMapName" .) "items" $items) | toJson }}
{{- if $names.kafka }}
{{- $items := list }}
{{- range $property, $key := include "stepup.kafkaFiles" . | fromJson }}
{{- $items = append $items (dict "key" $key "path" $property) }}
{{- end }}
- name: kafka
  path: secrets/kafka
  source: {{ dict "secret" (dict "secretName" $names.kafka "items" $items "defaultMode" 288) | toJson }}
{{- end }}
{{- with $values.secrets.kafkaCertificate }}
{{- if .existingSecret }}
{{- $items := list (dict "key" .certificateKey "path" "tls.crt") (dict "key" .privateKeyKey "path" "tls.key") }}
- name: kafka-certificate
  path: secrets/kafka-certificate
  source: {{ dict "secret" (dict "secretName" .existingSecret "items" $items "defaultMode" 288) | toJson }}
{{- end }}
{{- end }}
{{- if $names.redis }}
{{- $items := list (dict "key" $values.secrets.redis.key "path" "password") }}
- name: redis
  path: secrets/redis
  source: {{ dict "secret" (dict "secretName" $names.redis "items" $items "defaultMode" 288) | toJson }}
{{- end }}
{{- if $names.tenants }}
{{- $sources := list }}
{{- range $names.tenants }}
{{- $sources = append $sources (dict "secret" (dict "name" .)) }}
{{- end }}
- name: tenants
  path: secrets/tenants
  source: {{ dict "projected" (dict "sources" $sources "defaultMode" 288) | toJson }}
{{- end }}
{{- if $names.sessionApi }}
{{- $items := list (dict "key" $values.secrets.sessionApi.key "path" "token") }}
- name: session-api
  path: secrets/session-api
  source: {{ dict "secret" (dict "secretName" $names.sessionApi "items" $items "defaultMode" 288) | toJson }}
{{- end }}
{{- range $for := list "kafka" "redis" "sessionApi" }}
{{- with include "stepup.trust" (dict "root" $ "for" $for) }}
- name: trust-{{ kebabcase $for }}
  path: trust/{{ kebabcase $for }}
  source: {{ fromYaml . | toJson }}
{{- end }}
{{- end }}
{{- with include "stepup.preferencesConfigMap" . }}
- name: preferences
  path: preferences
  source: {{ dict "configMap" (dict "name" .) | toJson }}
{{- end }}
{{- end -}}

{{- define "stepup.volumes" -}}
volumes:
{{- range include "stepup.mounts" . | fromYamlArray }}
  - name: {{ .name }}
    {{- toYaml .source | nindent 4 }}
{{- end }}
{{- with .Values.extraVolumes }}
  {{- tpl (toYaml .) $ | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "stepup.volumeMounts" -}}
volumeMounts:
{{- range include "stepup.mounts" . | fromYamlArray }}
  - name: {{ .name }}
    mountPath: /etc/stepup/{{ .path }}
    readOnly: true
{{- end }}
{{- with .Values.extraVolumeMounts }}
  {{- tpl (toYaml .) $ | nindent 2 }}
{{- end }}
{{- end -}}

{{/* Secrets made from plain values. */}}
{{- define "stepup.plainSecrets" -}}
{{- $secrets := .Values.secrets -}}
{{- $made := dict
  "kafka" $secrets.kafka.values
  "redis" ($secrets.redis.value | empty | ternary dict (dict $secrets.redis.key $secrets.redis.value))
  "session-api" ($secrets.sessionApi.value | empty | ternary dict (dict $secrets.sessionApi.key $secrets.sessionApi.value))
  "tenants" $secrets.tenants.values -}}
{{- range $name, $data := $made }}
{{- if $data }}
---
apiVersion: v1
kind: Secret
metadata:
  {{- include "stepup.metadata" (dict "root" $ "name" (printf "%s-%s" (include "stepup.fullname" $) $name)) | nindent 2 }}
type: Opaque
data:
  {{- range $key, $value := $data }}
  {{ $key }}: {{ $value | toString | b64enc }}
  {{- end }}
{{- end }}
{{- end }}
{{- end -}}
