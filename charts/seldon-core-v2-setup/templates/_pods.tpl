{{- /* Pieces of pods. */ -}}

{{- /*
An image: `own` of the component over `image`. Of an image of Seldon Core's components only the registry counts, and
docker.io beside it is where theirs are, not where Bailie's is.
*/ -}}
{{- define "bailie.image" -}}
{{- $own := .own -}}
{{- if include "bailie.isSeldons" $own.repository -}}
{{- $own = dict "registry" (ternary "" $own.registry (eq $own.registry "docker.io")) -}}
{{- end -}}
{{- $shared := .root.Values.image -}}
{{- if include "bailie.isSeldons" $shared.repository -}}
{{- $shared = dict "registry" (ternary "" $shared.registry (eq $shared.registry "docker.io")) "repository" "bailie" -}}
{{- end -}}
{{- $registry := $own.registry | default $shared.registry -}}
{{- $repository := $own.repository | default $shared.repository -}}
{{- $tag := $own.tag | default $shared.tag | default .root.Chart.AppVersion -}}
{{- if $registry }}{{ trimSuffix "/" $registry }}/{{ end }}{{ $repository }}:{{ $tag }}
{{- end -}}

{{- /* Not empty for the image of one of Seldon Core's components; MLServer's is no such. */ -}}
{{- define "bailie.isSeldons" -}}
{{- if regexMatch "(^|/)(seldonv2-controller|seldon-(controller|scheduler|envoy|agent|rclone|modelgateway|pipelinegateway|dataflow-engine|hodometer))([:@].*)?$" (. | default "") }}true{{ end -}}
{{- end -}}

{{- /* For the notes: the keys with images of Seldon Core's components. */ -}}
{{- define "bailie.replacedImages" -}}
{{- $images := dict "image" .Values.image "serverConfig.agent.image" .Values.serverConfig.agent.image -}}
{{- range $name := list "controller" "scheduler" "envoy" "pipelinegateway" }}{{ $_ := set $images (printf "%s.image" $name) (index $.Values $name).image }}{{ end -}}
{{- $found := list -}}
{{- range $path, $image := $images -}}
{{- if include "bailie.isSeldons" $image.repository }}{{ $found = append $found $path }}{{ end -}}
{{- end -}}
{{- join ", " $found -}}
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
{{- $limits := dict -}}
{{- with .limits.cpu }}{{ $_ := set $limits "cpu" (include "bailie.larger" (list . $.cpu)) }}{{ end -}}
{{- with .limits.memory | default .memory }}{{ $_ := set $limits "memory" (include "bailie.larger" (list . $.memory)) }}{{ end -}}
{{- with $limits }}
limits:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- /* The larger of two quantities: Kubernetes takes no pod whose limit is below its request. */ -}}
{{- define "bailie.larger" -}}
{{- $first := first . -}}
{{- $second := last . | default "0" -}}
{{- if lt (include "bailie.amount" $first | float64) (include "bailie.amount" $second | float64) }}{{ $second }}{{ else }}{{ $first }}{{ end -}}
{{- end -}}

{{- /* A quantity of Kubernetes as a number. */ -}}
{{- define "bailie.amount" -}}
{{- $factors := dict "n" 1e-9 "u" 1e-6 "m" 1e-3 "k" 1e3 "M" 1e6 "G" 1e9 "T" 1e12 "P" 1e15 "E" 1e18 "Ki" 1024.0 "Mi" 1048576.0 "Gi" 1073741824.0 "Ti" 1099511627776.0 "Pi" 1125899906842624.0 "Ei" 1152921504606846976.0 -}}
{{- with get $factors (regexReplaceAll "^[0-9.]+" . "") }}{{ mulf (regexFind "^[0-9.]+" $) . }}{{ else }}{{ float64 . }}{{ end -}}
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
  secretName: {{ .Values.security.controlplane.token.existingSecret | default "seldon-control-plane" | quote }}
  items:
  - {key: token, path: token}
{{- end -}}
