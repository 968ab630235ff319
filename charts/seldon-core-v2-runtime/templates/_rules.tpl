{{- /* Written by tools/charts.py; do not edit. */ -}}
{{- define "bailie.rules.scheduler" -}}
- apiGroups: [mlops.seldon.io]
  resources: [models, pipelines, experiments, servers]
  verbs: [get, list, watch]
- apiGroups: [mlops.seldon.io]
  resources: [models/status, pipelines/status, experiments/status, servers/status]
  verbs: [get, patch, update]
- apiGroups: [mlops.seldon.io]
  resources: [models]
  verbs: [patch]
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  verbs: [get, list, watch, create, delete, patch, update]
- apiGroups: ['']
  resources: [events]
  verbs: [create, patch]
- apiGroups: ['']
  resources: [configmaps]
  verbs: [get, list, watch]
- apiGroups: [discovery.k8s.io]
  resources: [endpointslices]
  resourceNames: [seldon-scheduler]
  verbs: [get, patch]
{{- end }}

{{- define "bailie.rules.agent" -}}
- apiGroups: ['']
  resources: [secrets]
  verbs: [get]
- apiGroups: ['']
  resources: [configmaps]
  verbs: [get]
{{- end }}
