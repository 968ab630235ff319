{{- /* Written by tools/charts.py; do not edit. */ -}}
{{- /* The PodMonitors of monitoring/monitors.yaml. */ -}}
{{- define "bailie.podMonitors" -}}
{{- $root := . -}}
{{- range $name, $spec := .Files.Get "monitoring/monitors.yaml" | fromYaml }}
{{- range $endpoint := $spec.podMetricsEndpoints }}
{{- with $root.Values.monitoring.interval }}{{ $_ := set $endpoint "interval" . }}{{ end }}
{{- if and .metricRelabelings (eq (toString $root.Values.monitoring.modelTimes) "false") }}
{{- $_ := set . "metricRelabelings" (list (dict "action" "drop" "sourceLabels" (list "__name__") "regex" "envoy_seldon_.+")) }}
{{- end }}
{{- end }}
---
apiVersion: monitoring.coreos.com/v1
kind: PodMonitor
metadata:
  name: {{ $name }}
  namespace: {{ $root.Release.Namespace }}
  labels:
    {{- include "bailie.monitoringLabels" $root | nindent 4 }}
spec:
  {{- toYaml $spec | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "bailie.monitoringLabels" -}}
{{- merge dict .Values.monitoring.labels (include "bailie.labels" . | fromYaml) | toYaml -}}
{{- end -}}
