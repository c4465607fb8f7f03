{{/*
The agent's resources, with the memory of the models that it runs itself added: the scheduler and the
kernel count it as the agent's own.
*/}}
{{- define "foreshore-agent.resources" -}}
{{- $resources := deepCopy .Values.resources -}}
{{- $models := .Values.modelMemory | default 0 | int -}}
{{- if $models -}}
{{- range $kind := list "requests" "limits" -}}
{{- $part := get $resources $kind | default dict -}}
{{- with get $part "memory" -}}
{{- if not (regexMatch "^[0-9]+[MG]i$" (toString .)) -}}
{{- fail (printf "with modelMemory, resources.%s.memory must be whole Mi or Gi, not %s: modelMemory is added to it" $kind (toString .)) -}}
{{- end -}}
{{- $unit := ternary 1024 1 (hasSuffix "Gi" .) -}}
{{- $own := mul (regexFind "^[0-9]+" . | int) $unit | int -}}
{{- $_ := set $part "memory" (printf "%dMi" (add $own $models)) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- toYaml $resources -}}
{{- end -}}
