{{- define "bailie.override" -}}
disable: {{ .disable }}
replicas: {{ .replicas }}
{{- if .keepService }}
keepService: true
{{- end }}
{{- with .podSpec }}
podSpec:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}
