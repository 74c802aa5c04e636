{{/* What a process can hold, against what its container may use. */}}

{{/* MiB that a process of each role holds at the most, and what comes on top: `tenant` bytes for each of
preferences.max_tenants, `source` for each source of preferences, `traces` where there are any, and `rest` for the program
itself. The program sums up the same without `rest`, and logs it at the start as memory_bound_mib. */}}
{{- define "stepup.memory" -}}
evaluate: 168
dispatch: 192
tenant: 1400
source: 40
traces: 10
rest: 32
{{- end -}}

{{/* MiB that a process of the role holds at the most, as it logs it. Takes root and role. */}}
{{- define "stepup.memoryBound" -}}
{{- $config := include "stepup.config" .root | fromYaml -}}
{{- $memory := include "stepup.memory" . | fromYaml -}}
{{- $bound := get $memory .role | int64 -}}
{{- if eq .role "evaluate" -}}
{{- $candidate := dig "evaluate" "candidate" dict $config -}}
{{- $sources := or $candidate.url $candidate.directory | empty | ternary 1 2 -}}
{{- $tenants := div (mul $sources (dig "preferences" "max_tenants" 200000 $config | int64) $memory.tenant) 1048576 -}}
{{- $bound = add $bound $tenants (mul $sources $memory.source) -}}
{{- end -}}
{{- if dig "traces" "endpoint" "" $config -}}
{{- $bound = add $bound $memory.traces -}}
{{- end -}}
{{- $bound -}}
{{- end -}}

{{/* MiB that the limit of a role should have. Takes root and role. */}}
{{- define "stepup.memoryNeeded" -}}
{{- include "stepup.memoryBound" . | int64 | add (include "stepup.memory" . | fromYaml).rest -}}
{{- end -}}

{{/* Whether the configuration says all that the bound goes by. */}}
{{- define "stepup.memoryBoundIsKnown" -}}
{{- $elsewhere := "" -}}
{{- range list "preferences.max_tenants" "evaluate.candidate.url" "evaluate.candidate.directory" "traces.endpoint" -}}
{{- $elsewhere = printf "%s%s" $elsewhere (include "stepup.setElsewhere" (dict "root" $ "key" .)) -}}
{{- end -}}
{{- $elsewhere | empty | ternary "yes" "" -}}
{{- end -}}

{{/* The MiB of a role's limit; nothing where there is none. Takes root and role. */}}
{{- define "stepup.memoryLimit" -}}
{{- $resources := default dict (get .root.Values .role).resources -}}
{{- $limit := get (default dict $resources.limits) "memory" -}}
{{- if $limit -}}
{{- $units := dict "m" 0.001 "k" 1e3 "M" 1e6 "G" 1e9 "T" 1e12 "Ki" 1024 "Mi" 1048576 "Gi" 1073741824 "Ti" 1099511627776 -}}
{{- $unit := kindIs "string" $limit | ternary (regexFind "[a-zA-Z]+$" (toString $limit)) "" -}}
{{- $amount := kindIs "string" $limit | ternary (trimSuffix $unit (toString $limit)) $limit | float64 -}}
{{- divf (mulf $amount (default 1 (get $units $unit))) 1048576 | floor | int64 -}}
{{- end -}}
{{- end -}}
