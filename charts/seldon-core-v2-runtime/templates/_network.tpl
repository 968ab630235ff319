{{- /* Who may read metrics: all of this namespace, and who monitors. */ -}}
{{- define "bailie.watchers" -}}
- podSelector: # of this namespace, but none that runs models' code
    matchExpressions:
    - {key: app.kubernetes.io/name, operator: NotIn, values: [seldon-server]}
{{- with .Values.networkPolicies.monitoring }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- /* The namespaces that the scheduler serves, as a peer's selector. */ -}}
{{- define "bailie.servedNamespaces" -}}
{{- if has "*" . -}}
namespaceSelector: {}
{{- else -}}
namespaceSelector:
  matchExpressions:
  - {key: kubernetes.io/metadata.name, operator: In, values: {{ toJson . }}}
{{- end -}}
{{- end -}}
