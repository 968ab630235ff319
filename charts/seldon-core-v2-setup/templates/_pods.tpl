{{- /* Pieces of pods. */ -}}

{{- /* An image: `own` of the component over `image`. */ -}}
{{- define "bailie.image" -}}
{{- $shared := .root.Values.image -}}
{{- $registry := .own.registry | default $shared.registry -}}
{{- $repository := .own.repository | default $shared.repository -}}
{{- $tag := .own.tag | default $shared.tag | default .root.Chart.AppVersion -}}
{{- if regexMatch "(^|/)seldonv?2?-" $repository -}}
{{- fail (printf "the image repository \"%s\" is one of Seldon Core's components, which do not run here; remove the value and set image.registry and image.repository to where Bailie's image is." $repository) -}}
{{- end -}}
{{- if $registry }}{{ trimSuffix "/" $registry }}/{{ end }}{{ $repository }}:{{ $tag }}
{{- end -}}

{{- define "bailie.pullPolicy" -}}
{{- .own.pullPolicy | default .root.Values.image.pullPolicy | default "IfNotPresent" -}}
{{- end -}}

{{- define "bailie.resources" -}}
requests:
  {{- with .cpu }}
  cpu: {{ . | quote }}
  {{- end }}
  {{- with .memory }}
  memory: {{ . | quote }}
  {{- end }}
{{- with .memoryLimit | default .memory }}
limits:
  memory: {{ . | quote }}
{{- end }}
{{- end -}}

{{- /* A container that may write nowhere but to its mounts. */ -}}
{{- define "bailie.restricted" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}

{{- /* Security context of a pod: that of the values, with the default seccomp profile. */ -}}
{{- define "bailie.podSecurity" -}}
{{- merge (deepCopy (. | default dict)) (dict "seccompProfile" (dict "type" "RuntimeDefault")) | toYaml -}}
{{- end -}}

{{- /* A level as Bailie knows it. */ -}}
{{- define "bailie.logLevel" -}}
{{- $level := .own.logLevel | default .root.Values.logging.logLevel | default "info" -}}
{{- get (dict "warn" "warning" "fatal" "error" "panic" "error") $level | default $level -}}
{{- end -}}

{{- /* Environment that every component has. */ -}}
{{- define "bailie.identity" -}}
- name: POD_NAME
  valueFrom: {fieldRef: {fieldPath: metadata.name}}
- name: POD_NAMESPACE
  valueFrom: {fieldRef: {fieldPath: metadata.namespace}}
- name: POD_IP
  valueFrom: {fieldRef: {fieldPath: status.podIP}}
- name: SELDON_LOG_LEVEL
  value: {{ include "bailie.logLevel" . }}
{{- end -}}

{{- /* What clients of the API look for at its usual place; only containers that call the API mount it. */ -}}
{{- define "bailie.accountVolume" -}}
name: account
projected:
  sources:
  - serviceAccountToken: {path: token, expirationSeconds: 3607}
  - configMap: {name: kube-root-ca.crt, items: [{key: ca.crt, path: ca.crt}]}
  - downwardAPI: {items: [{path: namespace, fieldRef: {fieldPath: metadata.namespace}}]}
{{- end -}}

{{- define "bailie.accountMount" -}}
{name: account, mountPath: /var/run/secrets/kubernetes.io/serviceaccount, readOnly: true}
{{- end -}}

{{- define "bailie.tokenVolume" -}}
name: token
secret:
  secretName: {{ .Values.security.controlplane.token.existingSecret | default "seldon-control-plane" }}
  items:
  - {key: token, path: token}
{{- end -}}
