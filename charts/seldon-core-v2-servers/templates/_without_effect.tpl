{{- /* Written by tools/charts.py; do not edit. */ -}}
{{- /* For the notes: a line for each key that is set and has no effect here. */ -}}
{{- define "bailie.withoutEffect" -}}
{{- $values := .Values -}}
{{- range $path, $why := .Files.Get "without-effect.yaml" | fromYaml -}}
{{- $node := $values -}}
{{- $there := true -}}
{{- range $key := splitList "." $path -}}
{{- if and $there (kindIs "map" $node) (hasKey $node $key) -}}
{{- $node = index $node $key -}}
{{- else -}}
{{- $there = false -}}
{{- end -}}
{{- end -}}
{{- if $there }}
  {{ $path }}: has no effect; {{ $why }}.
{{- end -}}
{{- end -}}
{{- end -}}
