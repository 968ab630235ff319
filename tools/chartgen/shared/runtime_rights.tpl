{{- /*
What pods of a runtime need in their namespace: service accounts, Roles, the control plane's token. The setup
chart makes it in the namespaces it lists, the runtime chart in its own. Kept when a release ends, or when a
namespace leaves the list, because its workloads go on. Objects that others made are left alone.
*/ -}}
{{- define "bailie.runtimeRights" -}}
{{- $root := .root -}}
{{- $namespace := .namespace -}}
{{- range $name := list "seldon-scheduler" "seldon-server" "seldon-envoy" -}}
{{- $id := dict "root" $root "version" "v1" "kind" "ServiceAccount" "namespace" $namespace "name" $name -}}
{{- if not (include "bailie.foreign" $id) }}
---
apiVersion: v1
kind: ServiceAccount
{{ include "bailie.kept" $id }}
{{- end -}}
{{- end -}}
{{- $roles := list
  (dict "role" "seldon-scheduler-role" "binding" "seldon-scheduler-rolebinding" "rules" "bailie.rules.scheduler" "account" "seldon-scheduler")
  (dict "role" "agent-role" "binding" "agent-rolebinding" "rules" "bailie.rules.agent" "account" "seldon-server") -}}
{{- range $roles -}}
{{- $role := dict "root" $root "version" "rbac.authorization.k8s.io/v1" "kind" "Role" "namespace" $namespace "name" .role -}}
{{- $binding := dict "root" $root "version" "rbac.authorization.k8s.io/v1" "kind" "RoleBinding" "namespace" $namespace "name" .binding -}}
{{- if not (include "bailie.foreign" $role) }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
{{ include "bailie.kept" $role }}
rules:
{{ include .rules $root | trim }}
{{- if eq .role "agent-role" }}
{{- include "bailie.modelSecrets" $root }}
{{- end }}
{{- end -}}
{{- if not (include "bailie.foreign" $binding) }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
{{ include "bailie.kept" $binding }}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: Role
  name: {{ .role }}
subjects:
- kind: ServiceAccount
  name: {{ .account }}
  namespace: {{ $namespace }}
{{- end -}}
{{- end -}}
{{- include "bailie.tokenSecret" . -}}
{{- end -}}

{{- /* The rule for the Secrets that Models may name; a rule without names would be for all of them. */ -}}
{{- define "bailie.modelSecrets" -}}
{{- $names := .Values.security.modelSecrets -}}
{{- $configured := dig "config" "agentConfig" "rclone" "configSecrets" list .Values -}}
{{- with concat $names $configured | compact | uniq | sortAlpha }}
- apiGroups: ['']
  resources: [secrets]
  {{- if not (has "*" .) }}
  resourceNames: {{ toJson . }}
  {{- end }}
  verbs: [get]
{{- end -}}
{{- end -}}

{{- /* The Secret of the token, unless it exists already. */ -}}
{{- define "bailie.tokenSecret" -}}
{{- $settings := .root.Values.security.controlplane.token -}}
{{- if and $settings.existingSecret $settings.value -}}
{{- fail "security.controlplane.token: existingSecret and value contradict each other; give one of them." -}}
{{- end -}}
{{- if and $settings.value (lt (len $settings.value) 32) -}}
{{- fail "security.controlplane.token.value is too short to be secret; give at least 32 characters." -}}
{{- end -}}
{{- if not $settings.existingSecret -}}
{{- $id := dict "root" .root "version" "v1" "kind" "Secret" "namespace" .namespace "name" "seldon-control-plane" -}}
{{- if not (include "bailie.foreign" $id) }}
---
apiVersion: v1
kind: Secret
{{ include "bailie.kept" $id }}
type: Opaque
data:
  token: {{ include "bailie.token" . }}
{{- end -}}
{{- end -}}
{{- end -}}

{{- /* The token of a namespace, encoded: derived from the value, else the one that is there, else a new one. */ -}}
{{- define "bailie.token" -}}
{{- $settings := .root.Values.security.controlplane.token -}}
{{- $present := lookup "v1" "Secret" .namespace "seldon-control-plane" -}}
{{- if $settings.value -}}
{{- sha256sum (printf "%s/%s" .namespace $settings.value) | b64enc -}}
{{- else if $present -}}
{{- index $present.data "token" -}}
{{- else -}}
{{- randAlphaNum 43 | b64enc -}}
{{- end -}}
{{- end -}}

{{- /* Not empty if the object is in the cluster and no part of this release. */ -}}
{{- define "bailie.foreign" -}}
{{- $found := lookup .version .kind .namespace .name -}}
{{- if $found -}}
{{- $marks := $found.metadata.annotations | default dict -}}
{{- $release := .root.Release -}}
{{- if or (ne (get $marks "meta.helm.sh/release-name") $release.Name) (ne (get $marks "meta.helm.sh/release-namespace") $release.Namespace) -}}
foreign
{{- end -}}
{{- end -}}
{{- end -}}

{{- /* Not empty if the Roles of a namespace belong to a SeldonRuntime, as Seldon Core's operator makes them. */ -}}
{{- define "bailie.rolesOfSeldonCore" -}}
{{- with lookup "rbac.authorization.k8s.io/v1" "Role" . "seldon-scheduler-role" -}}
{{- range .metadata.ownerReferences -}}
{{- if eq .kind "SeldonRuntime" }}true{{ end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "bailie.kept" -}}
metadata:
  name: {{ .name }}
  namespace: {{ .namespace }}
  labels:
    {{- include "bailie.labels" .root | nindent 4 }}
  annotations:
    helm.sh/resource-policy: keep
{{- end -}}

{{- define "bailie.labels" -}}
app.kubernetes.io/part-of: bailie
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/instance: {{ .Release.Name }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version | replace "+" "_" }}
{{- end -}}
