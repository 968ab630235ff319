{{- /* Written by tools/charts.py; do not edit. */ -}}
{{- /*
The values as the chart uses them, as JSON: each key of keys.yaml, in its type and with its default. A file may leave a
key empty, have a number or a flag as text, one item in place of a list. Each template begins with this; whatever
cannot be read ends the rendering with all of its problems. They are read once for all templates of the chart, which share
`.Release`; values cannot reach into it.
*/ -}}
{{- define "bailie.values" -}}
{{- $at := .Template.BasePath -}}
{{- if not (hasKey .Release $at) }}{{ $_ := set .Release $at (include "bailie.readValues" .) }}{{ end -}}
{{- get .Release $at -}}
{{- end -}}

{{- define "bailie.readValues" -}}
{{- $values := dict -}}
{{- $problems := list -}}
{{- range $path, $row := (.Files.Get "keys.yaml" | fromYaml).honoured -}}
{{- $given := $.Values -}}
{{- $at := list -}}
{{- range $key := splitList "." $path -}}
{{- if and $given (not (kindIs "map" $given)) (toString $given | trim) -}}
{{- $problems = append $problems (printf "%s is %s; give a map of its keys." (join "." $at) (include "bailie.shown" $given)) -}}
{{- end -}}
{{- $given = index (ternary $given dict (kindIs "map" $given)) $key -}}
{{- $at = append $at $key -}}
{{- end -}}
{{- $value := $row.default -}}
{{- if ne (toJson $given) (toJson $row.default) -}}
{{- $read := include "bailie.read" (dict "path" $path "row" $row "given" $given) | fromJson -}}
{{- with $read.problem }}{{ $problems = append $problems . }}{{ end -}}
{{- $value = $read.value -}}
{{- end -}}
{{- $node := $values -}}
{{- range $key := splitList "." $path | initial -}}
{{- if not (hasKey $node $key) }}{{ $_ := set $node $key dict }}{{ end -}}
{{- $node = index $node $key -}}
{{- end -}}
{{- $_ := set $node (splitList "." $path | last) $value -}}
{{- end -}}
{{- with uniq $problems -}}
{{- fail (printf "\n%s" (join "\n" .)) -}}
{{- end -}}
{{- toJson $values -}}
{{- end -}}

{{- /* A given value, or the default: `value`, or the `problem` with it. */ -}}
{{- define "bailie.read" -}}
{{- $given := .given -}}
{{- if and (kindIs "slice" $given) (has .row.kind (list "text" "flag" "count" "quantity" "choice")) -}}
{{- $given = include "bailie.pruned" $given | fromJsonArray -}}
{{- if lt (len $given) 2 }}{{ $given = first $given }}{{ end -}}
{{- end -}}
{{- $blank := and (kindIs "string" $given) (not (trim (toString $given))) -}}
{{- if kindIs "invalid" $given -}}
{{- dict "value" .row.default | toJson -}}
{{- else if and $blank .row.blank -}}
{{- dict "value" "" | toJson -}}
{{- else if $blank -}}
{{- dict "value" .row.default | toJson -}}
{{- else -}}
{{- $found := include (printf "bailie.read.%s" .row.kind) (dict "given" $given "row" .row "path" .path) | fromJson -}}
{{- if hasKey $found "value" -}}
{{- toJson $found -}}
{{- else -}}
{{- dict "problem" (printf "%s is %s; give %s." ($found.path | default .path) (include "bailie.shown" (get $found "shown" | default $given)) .row.may) | toJson -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- /* A value for people; of maps and lists, which may hold secrets, only the kind. */ -}}
{{- define "bailie.shown" -}}
{{- if kindIs "map" . }}a map{{ else if kindIs "slice" . }}a list{{ else }}{{ include "bailie.text" . | trunc 60 | quote }}{{ end -}}
{{- end -}}

{{- /* A number, a flag or a text as text; empty for everything else. Helm reads all numbers of a file as floats. */ -}}
{{- define "bailie.text" -}}
{{- if kindIs "string" . -}}
{{- trim . -}}
{{- else if kindIs "float64" . -}}
{{- if and (eq (floor .) .) (lt . 1e15) (gt . -1e15) }}{{ int64 . }}{{ else }}{{ . }}{{ end -}}
{{- else if not (or (kindIs "map" .) (kindIs "slice" .) (kindIs "invalid" .)) -}}
{{- toString . -}}
{{- end -}}
{{- end -}}

{{- /* A map or a list without what is null in it, as JSON. */ -}}
{{- define "bailie.pruned" -}}
{{- if kindIs "map" . -}}
{{- $kept := dict -}}
{{- range $key, $value := . -}}
{{- if not (kindIs "invalid" $value) }}{{ $_ := set $kept $key (index (include "bailie.pruned" $value | printf "[%s]" | fromJsonArray) 0) }}{{ end -}}
{{- end -}}
{{- toJson $kept -}}
{{- else if kindIs "slice" . -}}
{{- $kept := list -}}
{{- range . -}}
{{- if not (kindIs "invalid" .) }}{{ $kept = append $kept (index (include "bailie.pruned" . | printf "[%s]" | fromJsonArray) 0) }}{{ end -}}
{{- end -}}
{{- toJson $kept -}}
{{- else -}}
{{- toJson . -}}
{{- end -}}
{{- end -}}
