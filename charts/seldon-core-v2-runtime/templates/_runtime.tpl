{{- define "bailie.override" -}}
disable: {{ .disable }}
{{- if not (kindIs "invalid" .replicas) }}
replicas: {{ .replicas | int64 }}
{{- end }}
{{- if .keepService }}
keepService: true
{{- end }}
{{- with .podSpec }}
podSpec:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- /* Settings that go before those of the SeldonConfig; empty if there are none. */ -}}
{{- define "bailie.config" -}}
{{- $found := dict -}}
{{- with compact .agentConfig.rclone.configSecrets -}}
{{- $_ := set $found "agentConfig" (dict "rclone" (dict "config_secrets" .)) -}}
{{- end -}}
{{- $service := dict -}}
{{- with .serviceConfig.serviceGRPCPrefix }}{{ $_ := set $service "grpcServicePrefix" . }}{{ end -}}
{{- with .serviceConfig.serviceType }}{{ $_ := set $service "serviceType" . }}{{ end -}}
{{- if $service }}{{ $_ := set $found "serviceConfig" $service }}{{ end -}}
{{- $scaling := dict -}}
{{- with .scalingConfig.models.enabled }}{{ $_ := set $scaling "models" (dict "enabled" .) }}{{ end -}}
{{- $servers := dict -}}
{{- if not .scalingConfig.servers.enabled }}{{ $_ := set $servers "enabled" false }}{{ end -}}
{{- with .scalingConfig.servers.scaleDownPackingEnabled }}{{ $_ := set $servers "scaleDownPackingEnabled" . }}{{ end -}}
{{- if $servers }}{{ $_ := set $scaling "servers" $servers }}{{ end -}}
{{- if $scaling }}{{ $_ := set $found "scalingConfig" $scaling }}{{ end -}}
{{- with include "bailie.kafkaConfig" .kafkaConfig | fromJson }}{{ $_ := set $found "kafkaConfig" . }}{{ end -}}
{{- $tracing := dict -}}
{{- range $key, $value := .tracingConfig -}}
{{- with $value }}{{ $_ := set $tracing $key . }}{{ end -}}
{{- end -}}
{{- if $tracing }}{{ $_ := set $found "tracingConfig" $tracing }}{{ end -}}
{{- if $found }}{{ toYaml $found }}{{ end -}}
{{- end -}}
