{{- /* What the chart knows of the scope. Every template that depends on it asks here. */ -}}

{{- /* The namespaces to serve, separated by commas; empty: all of the cluster. Refuses what cannot be a list. */ -}}
{{- define "bailie.namespaces" -}}
{{- $controller := .Values.controller -}}
{{- $names := list -}}
{{- range $index, $item := $controller.watchNamespaces -}}
{{- $name := trim $item -}}
{{- $where := printf "controller.watchNamespaces[%d]" $index -}}
{{- if not $name -}}
{{- fail (printf "%s is blank; remove the superfluous comma." $where) -}}
{{- else if regexMatch "[*?!\\[\\]]" $name -}}
{{- fail (printf "%s: \"%s\" is a pattern; name each namespace, patterns grant too much." $where $name) -}}
{{- else if not (regexMatch "^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$" $name) -}}
{{- fail (printf "%s: \"%s\" cannot be a namespace; names have lower-case letters, digits and \"-\" and at most 63 characters." $where $name) -}}
{{- else if has $name $names -}}
{{- fail (printf "%s: \"%s\" is in the list already." $where $name) -}}
{{- end -}}
{{- $names = append $names $name -}}
{{- end -}}
{{- if and $controller.namespaceSelector (or $names (not $controller.clusterwide)) -}}
{{- fail "controller.namespaceSelector narrows a cluster-wide operator: give it with controller.clusterwide=true and without controller.watchNamespaces. An operator with a list may not read namespaces." -}}
{{- end -}}
{{- if $names -}}
{{- join "," $names -}}
{{- else if not $controller.clusterwide -}}
{{- .Release.Namespace -}}
{{- end -}}
{{- end -}}

{{- /*
The namespaces of the list in which objects can be made. One that was deleted since the last upgrade would break every
further one. A namespace that is there has the account `default`; where there is no cluster to look at, all count.
*/ -}}
{{- define "bailie.presentNamespaces" -}}
{{- $names := splitList "," (include "bailie.namespaces" .) | compact -}}
{{- if and .Release.IsUpgrade (lookup "v1" "ServiceAccount" .Release.Namespace "default") -}}
{{- $present := list -}}
{{- range $names -}}
{{- if lookup "v1" "ServiceAccount" . "default" -}}
{{- $present = append $present . -}}
{{- end -}}
{{- end -}}
{{- $names = $present -}}
{{- end -}}
{{- join "," $names -}}
{{- end -}}

{{- define "bailie.clusterwide" -}}
{{- if not (include "bailie.namespaces" .) -}}true{{- end -}}
{{- end -}}

{{- define "bailie.makesClusterRole" -}}
{{- $controller := .Values.controller -}}
{{- if and (include "bailie.clusterwide" .) (not $controller.skipClusterRoleCreation) (not $controller.skipOperatorClusterRoleCreation) -}}true{{- end -}}
{{- end -}}

{{- /* Two operators cannot have the same namespace: the second install says whose it is. */ -}}
{{- define "bailie.refuseOtherOperator" -}}
{{- $found := lookup .version .kind .namespace .name -}}
{{- if $found -}}
{{- $home := .root.Release.Namespace -}}
{{- $namespace := .namespace -}}
{{- range $found.subjects -}}
{{- if and (eq .name "seldon-v2-controller-manager") (ne .namespace $home) -}}
{{- fail (printf "namespace \"%s\" belongs to the operator in \"%s\": take it out of that one's list first, and delete the RoleBinding seldon-v2-manager-rolebinding if it stays." $namespace .namespace) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- /* A misspelt list would open the whole cluster to an operator that is to serve a few namespaces. */ -}}
{{- define "bailie.refuseMisspeltList" -}}
{{- range include "bailie.unusedKeys" . | fromJsonArray -}}
{{- if and (eq .why (include "bailie.unknown" .)) (regexMatch "(?i)watch|name[-_]?space" .key) -}}
{{- fail (printf "%s is no key of this chart, and without a list the operator would get rights in the whole cluster; give controller.watchNamespaces, or controller.namespaceSelector, or remove the key." .key) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "bailie.operatorSelector" -}}
control-plane: v2-controller-manager
{{- end -}}

{{- /* Kubernetes never changes a Deployment's selector; this says so before anything of the upgrade is done. */ -}}
{{- define "bailie.refuseOtherSelector" -}}
{{- with lookup "apps/v1" "Deployment" .Release.Namespace "seldon-v2-controller-manager" -}}
{{- if ne (toJson .spec.selector.matchLabels) (include "bailie.operatorSelector" . | fromYaml | toJson) -}}
{{- fail (printf "the Deployment seldon-v2-controller-manager in %s has another selector than this chart's, and Kubernetes changes none: kubectl delete deployment seldon-v2-controller-manager --namespace %s, then run this again. Models go on answering meanwhile." .metadata.namespace .metadata.namespace) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- /* The scope as the values have it, to be compared with that of the last upgrade. */ -}}
{{- define "bailie.scopeValues" -}}
{{- include "bailie.namespaces" . -}};{{- .Values.controller.namespaceSelector -}}
{{- end -}}

{{- /* Not empty if the live scope is left as it is: the values' is that of the last upgrade, or names the same. */ -}}
{{- define "bailie.scopeStays" -}}
{{- $live := lookup "v1" "ConfigMap" .Release.Namespace "bailie-scope" -}}
{{- if and $live $live.data -}}
{{- $marks := $live.metadata.annotations | default dict -}}
{{- $there := splitList "\n" (get $live.data "namespaces") | compact | sortAlpha | join "," -}}
{{- $wanted := splitList "," (include "bailie.namespaces" .) | compact | sortAlpha | join "," -}}
{{- if or (eq (get $marks "bailie.io/values") (include "bailie.scopeValues" .)) (and $wanted (eq $there $wanted)) -}}true{{- end -}}
{{- end -}}
{{- end -}}
