{{- /* Written by tools/charts.py; do not edit. */ -}}
{{- /* For the notes: the keys that are set and have no effect here, a line for each reason, folded by their parents. */ -}}
{{- define "bailie.unused" -}}
{{- $reasons := dict -}}
{{- range include "bailie.unusedKeys" . | fromJsonArray -}}
{{- $branches := get $reasons .why | default dict -}}
{{- $_ := set $branches .branch (append (get $branches .branch | default list) .key) -}}
{{- $_ := set $reasons .why $branches -}}
{{- end -}}
{{- range $why, $branches := $reasons -}}
{{- $folded := list -}}
{{- range $branch, $keys := $branches -}}
{{- if and $branch (gt (len $keys) 1) -}}
{{- $folded = append $folded (printf (ternary "%s (%d keys)" "%s (%d of its keys)" (hasSuffix "*" $branch)) $branch (len $keys)) -}}
{{- else -}}
{{- $folded = concat $folded $keys -}}
{{- end -}}
{{- end }}
  {{ join ", " $folded }}: {{ $why }}.
{{- end -}}
{{- end -}}

{{- define "bailie.unknown" -}}
no keys of this chart; are they spelt as its README has them
{{- end -}}

{{- /* Each such key with its reason and its branch, as JSON. */ -}}
{{- define "bailie.unusedKeys" -}}
{{- $found := dict "keys" list -}}
{{- $table := .Files.Get "keys.yaml" | fromYaml -}}
{{- include "bailie.gatherUnused" (dict "node" (omit .Values "global") "at" "" "table" $table "found" $found) -}}
{{- toJson $found.keys -}}
{{- end -}}

{{- /* Goes down the branches that lead to keys with an effect, and gathers in `found` what is beside them. */ -}}
{{- define "bailie.gatherUnused" -}}
{{- range $name, $value := .node -}}
{{- $path := ternary (printf "%s.%s" $.at $name) $name (ne $.at "") -}}
{{- if hasKey $.table.honoured $path -}}
{{- else if and (has $path $.table.branches) (kindIs "map" $value) -}}
{{- include "bailie.gatherUnused" (dict "node" $value "at" $path "table" $.table "found" $.found) -}}
{{- else -}}
{{- $why := get $.table.without $path | default (include "bailie.unknown" $) -}}
{{- $branch := ternary (printf "%s.*" $path) $.at (kindIs "map" $value) -}}
{{- include "bailie.gatherLeaves" (dict "value" $value "at" $path "branch" $branch "why" $why "found" $.found) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "bailie.gatherLeaves" -}}
{{- if kindIs "map" .value -}}
{{- range $name, $value := .value -}}
{{- include "bailie.gatherLeaves" (dict "value" $value "at" (printf "%s.%s" $.at $name) "branch" $.branch "why" $.why "found" $.found) -}}
{{- end -}}
{{- else if or (include "bailie.text" .value) (and (kindIs "slice" .value) .value) -}}
{{- $_ := set .found "keys" (append .found.keys (dict "key" .at "branch" .branch "why" .why)) -}}
{{- end -}}
{{- end -}}
