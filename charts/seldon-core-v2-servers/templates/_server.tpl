{{- define "bailie.server" -}}
{{- $own := index .root.Values .server -}}
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
  {{- include "bailie.scale" $own | fromJson | toYaml | nindent 2 }}
  statefulSetPersistentVolumeClaimRetentionPolicy:
    {{- toYaml $own.statefulSetPersistentVolumeClaimRetentionPolicy | nindent 4 }}
  {{- with $own.podSpec }}
  podSpec:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end -}}
{{- end -}}

{{- /* How many replicas: never fewer than the least, and as many as asked for, whatever the most is. As JSON. */ -}}
{{- define "bailie.scale" -}}
{{- $replicas := int64 .replicas -}}
{{- $scale := dict -}}
{{- if not (kindIs "invalid" .minReplicas) -}}
{{- $_ := set $scale "minReplicas" (int64 .minReplicas) -}}
{{- $replicas = max $replicas .minReplicas -}}
{{- end -}}
{{- if not (kindIs "invalid" .maxReplicas) -}}
{{- $_ := set $scale "maxReplicas" (max $replicas .maxReplicas) -}}
{{- end -}}
{{- $_ := set $scale "replicas" $replicas -}}
{{- toJson $scale -}}
{{- end -}}

{{- /* For the notes: what of `replicas`, `minReplicas` and `maxReplicas` was changed to agree with the others. */ -}}
{{- define "bailie.widened" -}}
{{- $scale := include "bailie.scale" .own | fromJson -}}
{{- $said := list -}}
{{- range $key := list "replicas" "maxReplicas" -}}
{{- $given := index $.own $key -}}
{{- if and (not (kindIs "invalid" $given)) (ne (int64 $given) (int64 (index $scale $key))) -}}
{{- $said = append $said (printf "%s.%s is %d, not %d, so that %s.replicas, minReplicas and maxReplicas agree." $.server $key (int64 (index $scale $key)) (int64 $given) $.server) -}}
{{- end -}}
{{- end -}}
{{- join " " $said -}}
{{- end -}}
