{{- /* Written by tools/charts.py; do not edit. */ -}}
{{- /*
How each kind of key is read. Each of these gets `given`, which is neither null nor blank, with the `row` of keys.yaml
and the `path`, and says `value` as JSON, or nothing of it where the given cannot be read. `path` and `shown` then say
which part cannot.
*/ -}}
{{- define "bailie.read.text" -}}
{{- $text := include "bailie.text" .given -}}
{{- if $text }}{{ dict "value" $text | toJson }}{{ else }}{}{{ end -}}
{{- end -}}

{{- define "bailie.read.flag" -}}
{{- $text := include "bailie.text" .given | lower -}}
{{- if has $text (list "true" "yes" "on" "1") -}}
{"value": true}
{{- else if has $text (list "false" "no" "off" "0") -}}
{"value": false}
{{- else -}}
{}
{{- end -}}
{{- end -}}

{{- define "bailie.read.count" -}}
{{- $text := include "bailie.text" .given -}}
{{- $number := int64 0 -}}
{{- $fits := regexMatch "^[0-9]{1,15}$" $text -}}
{{- if $fits }}{{ $number = regexReplaceAll "^0+([0-9])" $text "${1}" | int64 }}{{ end -}}
{{- if and $fits (ge $number (int64 (.row.least | default 0))) (or (not .row.most) (le $number (int64 .row.most))) -}}
{{- dict "value" $number | toJson -}}
{{- else -}}
{}
{{- end -}}
{{- end -}}

{{- define "bailie.read.quantity" -}}
{{- $text := include "bailie.text" .given -}}
{{- if regexMatch .row.pattern $text }}{{ dict "value" $text | toJson }}{{ else }}{}{{ end -}}
{{- end -}}

{{- define "bailie.read.choice" -}}
{{- $text := include "bailie.text" .given | lower -}}
{{- $found := dict -}}
{{- range .row.choices -}}
{{- if eq (lower .) $text }}{{ $_ := set $found "value" . }}{{ end -}}
{{- end -}}
{{- toJson $found -}}
{{- end -}}

{{- /* Names separated by commas, or a list of them. */ -}}
{{- define "bailie.read.words" -}}
{{- if kindIs "slice" .given -}}
{{- $found := include "bailie.read.texts" . | fromJson -}}
{{- if hasKey $found "value" }}{{ $_ := set $found "value" (join "," $found.value) }}{{ end -}}
{{- toJson $found -}}
{{- else -}}
{{- include "bailie.read.text" . -}}
{{- end -}}
{{- end -}}

{{- /*
A list of texts, or one text with commas. A blank item stays, and a list of nulls is one: the scope refuses it, for an
empty list of namespaces may stand for the whole cluster.
*/ -}}
{{- define "bailie.read.texts" -}}
{{- $found := dict -}}
{{- $items := list -}}
{{- $given := .given -}}
{{- if not (kindIs "slice" .given) }}{{ $given = include "bailie.text" .given | splitList "," }}{{ end -}}
{{- range $index, $item := $given -}}
{{- $text := include "bailie.text" $item -}}
{{- $bad := or (kindIs "map" $item) (kindIs "slice" $item) -}}
{{- if and $text $.row.pattern }}{{ $bad = not (regexMatch $.row.pattern $text) }}{{ end -}}
{{- if and $text $.row.choices }}{{ $text = lower $text }}{{ $bad = not (has $text $.row.choices) }}{{ end -}}
{{- if $bad -}}
{{- $_ := set $found "path" (printf "%s[%d]" $.path $index) -}}
{{- $_ := set $found "shown" $item -}}
{{- else if not (kindIs "invalid" $item) -}}
{{- $items = append $items $text -}}
{{- end -}}
{{- end -}}
{{- if and $given (not $items) }}{{ $items = list "" }}{{ end -}}
{{- if not (or $found.path (kindIs "map" .given)) }}{{ $_ := set $found "value" $items }}{{ end -}}
{{- toJson $found -}}
{{- end -}}

{{- /* A list of `{name: …}`, of names, or one text with commas. */ -}}
{{- define "bailie.read.secrets" -}}
{{- $named := list -}}
{{- $given := ternary .given (list .given) (kindIs "slice" .given) -}}
{{- $bad := false -}}
{{- range include "bailie.pruned" $given | fromJsonArray -}}
{{- if kindIs "map" . -}}
{{- if not .name }}{{ $bad = true }}{{ end -}}
{{- $named = append $named . -}}
{{- else -}}
{{- range include "bailie.text" . | splitList "," | compact }}{{ $named = append $named (dict "name" (trim .)) }}{{ end -}}
{{- end -}}
{{- end -}}
{{- if $bad }}{}{{ else }}{{ dict "value" $named | toJson }}{{ end -}}
{{- end -}}

{{- define "bailie.read.objects" -}}
{{- $given := ternary .given (list .given) (kindIs "slice" .given) -}}
{{- $bad := false -}}
{{- $kept := include "bailie.pruned" $given | fromJsonArray -}}
{{- range $kept }}{{ if not (kindIs "map" .) }}{{ $bad = true }}{{ end }}{{ end -}}
{{- if $bad }}{}{{ else }}{{ dict "value" $kept | toJson }}{{ end -}}
{{- end -}}

{{- define "bailie.read.object" -}}
{{- if kindIs "map" .given }}{"value": {{ include "bailie.pruned" .given }}}{{ else }}{}{{ end -}}
{{- end -}}

{{- /* A map of texts, such as labels. */ -}}
{{- define "bailie.read.map" -}}
{{- $found := dict -}}
{{- $texts := dict -}}
{{- if kindIs "map" .given -}}
{{- range $key, $value := .given -}}
{{- if or (kindIs "map" $value) (kindIs "slice" $value) -}}
{{- $_ := set $found "path" (printf "%s.%s" $.path $key) -}}
{{- $_ := set $found "shown" $value -}}
{{- else if not (kindIs "invalid" $value) -}}
{{- $_ := set $texts $key (include "bailie.text" $value) -}}
{{- end -}}
{{- end -}}
{{- if not $found.path }}{{ $_ := set $found "value" $texts }}{{ end -}}
{{- end -}}
{{- toJson $found -}}
{{- end -}}
