{{- /* Written by tools/charts.py; do not edit. */ -}}
{{- /* The PodMonitors of monitoring/monitors.yaml. */ -}}
{{- define "bailie.podMonitors" -}}
{{- $root := . -}}
{{- range $name, $spec := .Files.Get "monitoring/monitors.yaml" | fromYaml }}
{{- with $root.Values.monitoring.interval }}
{{- range $spec.podMetricsEndpoints }}{{ $_ := set . "interval" $root.Values.monitoring.interval }}{{ end }}
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
