{{- define "bailie.server" -}}
{{- $own := index .root.Values .server -}}
{{- include "bailie.refuseScaling" (dict "own" $own "server" .server) -}}
{{- if $own.enabled -}}
apiVersion: mlops.seldon.io/v1alpha1
kind: Server
metadata:
  name: {{ .server }}
  namespace: {{ .root.Release.Namespace }}
  {{- with $own.labels }}
  labels:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $own.annotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  serverConfig: {{ .server }}
  replicas: {{ $own.replicas }}
  {{- if not (kindIs "invalid" $own.minReplicas) }}
  minReplicas: {{ $own.minReplicas }}
  {{- end }}
  {{- if not (kindIs "invalid" $own.maxReplicas) }}
  maxReplicas: {{ $own.maxReplicas }}
  {{- end }}
  statefulSetPersistentVolumeClaimRetentionPolicy:
    {{- toYaml $own.statefulSetPersistentVolumeClaimRetentionPolicy | nindent 4 }}
  {{- with $own.podSpec }}
  podSpec:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end -}}
{{- end -}}

{{- define "bailie.refuseScaling" -}}
{{- $own := .own -}}
{{- $replicas := int $own.replicas -}}
{{- $least := int ($own.minReplicas | default 0) -}}
{{- if and $least (lt $replicas $least) -}}
{{- fail (printf "%s.replicas is %d, below %s.minReplicas, which is %d." .server $replicas .server $least) -}}
{{- end -}}
{{- if not (kindIs "invalid" $own.maxReplicas) -}}
{{- $most := int $own.maxReplicas -}}
{{- if gt $least $most -}}
{{- fail (printf "%s.minReplicas is %d, above %s.maxReplicas, which is %d." .server $least .server $most) -}}
{{- end -}}
{{- if gt $replicas $most -}}
{{- fail (printf "%s.replicas is %d, above %s.maxReplicas, which is %d." .server $replicas .server $most) -}}
{{- end -}}
{{- end -}}
{{- end -}}
