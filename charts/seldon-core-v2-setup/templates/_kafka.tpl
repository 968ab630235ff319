{{- /* Written by tools/charts.py; do not edit. */ -}}
{{- /*
The message broker as `kafkaConfig` of a SeldonConfig or SeldonRuntime, as JSON. Seldon Core's chart has properties with
capitals in place of dots: sessionTimeoutMs is session.timeout.ms.
*/ -}}
{{- define "bailie.kafkaConfig" -}}
{{- $found := dict -}}
{{- with .bootstrap }}{{ $_ := set $found "bootstrap.servers" . }}{{ end -}}
{{- $values := . -}}
{{- range $key := list "topicPrefix" "consumerGroupIdPrefix" "debug" -}}
{{- with index $values $key }}{{ $_ := set $found $key . }}{{ end -}}
{{- end -}}
{{- range $section := list "consumer" "producer" -}}
{{- $properties := dict -}}
{{- range $key, $value := index $values $section -}}
{{- $name := regexReplaceAll "([A-Z])" $key ".${1}" | lower -}}
{{- with include "bailie.intOrString" $value }}{{ $_ := set $properties $name . }}{{ end -}}
{{- end -}}
{{- if $properties }}{{ $_ := set $found $section $properties }}{{ end -}}
{{- end -}}
{{- $topics := dict -}}
{{- range $key, $value := $values.topics -}}
{{- with include "bailie.intOrString" $value }}{{ $_ := set $topics $key . }}{{ end -}}
{{- end -}}
{{- if $topics }}{{ $_ := set $found "topics" $topics }}{{ end -}}
{{- toJson $found -}}
{{- end -}}

{{- /* A number or a text, as text; also as Kubernetes' type has them, {intVal: 4} or {strVal: x}. */ -}}
{{- define "bailie.intOrString" -}}
{{- if kindIs "map" . -}}
{{- $text := include "bailie.text" .strVal -}}
{{- if $text }}{{ $text }}{{ else }}{{ include "bailie.text" .intVal }}{{ end -}}
{{- else -}}
{{- include "bailie.text" . -}}
{{- end -}}
{{- end -}}
