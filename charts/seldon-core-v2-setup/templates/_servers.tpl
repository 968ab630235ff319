{{- /* Pieces of the two ServerConfigs. `server` is mlserver or triton. */ -}}

{{- define "bailie.serverConfig" -}}
{{- $config := .root.Values.serverConfig -}}
{{- $own := index $config .server -}}
apiVersion: mlops.seldon.io/v1alpha1
kind: ServerConfig
metadata:
  name: {{ .server }}
  namespace: {{ .root.Release.Namespace }}
  labels:
    {{- include "bailie.labels" .root | nindent 4 }}
spec:
  podSpec:
    serviceAccountName: seldon-server
    automountServiceAccountToken: false
    terminationGracePeriodSeconds: {{ $config.terminationGracePeriodSeconds | int64 }}
    {{- with .root.Values.imagePullSecrets }}
    imagePullSecrets:
      {{- toYaml . | nindent 6 }}
    {{- end }}
    securityContext:
      {{- include "bailie.podSecurity" $config.securityContext | nindent 6 }}
    containers:
    {{- include "bailie.agent" . | nindent 4 }}
    {{- include (printf "bailie.%s" .server) . | nindent 4 }}
    volumes:
    - {{- include "bailie.tokenVolume" .root | nindent 6 }}
    - {{- include "bailie.accountVolume" .root | nindent 6 }}
    - name: config
      configMap: {name: seldon-agent, optional: true}
    - name: agent-tmp
      emptyDir: {sizeLimit: 1Gi}
    - name: {{ .server }}-tmp
      emptyDir: {}
    {{- if eq .server "triton" }}
    - name: shared-memory
      emptyDir: {medium: Memory, sizeLimit: 256Mi}
    {{- end }}
    {{- if not $own.modelVolumeStorage }}
    - name: {{ .server }}-models
      emptyDir: {}
    {{- end }}
  {{- if $own.modelVolumeStorage }}
  volumeClaimTemplates:
  - name: {{ .server }}-models
    spec:
      accessModes: [ReadWriteOnce]
      resources:
        requests:
          storage: {{ $own.modelVolumeStorage | quote }}
  {{- end }}
{{- end -}}

{{- define "bailie.agent" -}}
{{- $agent := .root.Values.serverConfig.agent -}}
{{- $own := index .root.Values.serverConfig .server -}}
{{- $seconds := mul 60 (int64 $agent.maxLoadElapsedTimeMinutes) -}}
- name: agent
  image: {{ include "bailie.image" (dict "root" .root "own" $agent.image) | quote }}
  imagePullPolicy: {{ include "bailie.pullPolicy" (dict "root" .root "own" $agent.image) }}
  args: [agent]
  env:
  {{- include "bailie.identity" (dict "root" .root "own" $agent) | nindent 2 }}
  - {name: BAILIE_TOKEN_FILE, value: /var/run/secrets/bailie/token}
  - {name: SELDON_SCHEDULER_HOST, value: seldon-scheduler}
  - {name: SELDON_SCHEDULER_PORT, value: "9005"}
  - {name: SELDON_SERVER_HTTP_PORT, value: "9000"}
  - {name: SELDON_SERVER_GRPC_PORT, value: "9500"}
  - {name: SELDON_METRICS_PORT, value: "9006"}
  - {name: SELDON_SERVER_TYPE, value: {{ .server }}}
  - name: SELDON_SERVER_CAPABILITIES
    value: {{ $own.serverCapabilities | quote }}
  - name: MEMORY_REQUEST
    valueFrom: {resourceFieldRef: {containerName: {{ .server }}, resource: requests.memory}}
  - {name: SELDON_OVERCOMMIT_PERCENTAGE, value: {{ $agent.overcommitPercentage | int64 | quote }}}
  - {name: SELDON_ENVOY_HOST, value: seldon-mesh}
  - {name: SELDON_ENVOY_PORT, value: "80"}
  - {name: BAILIE_AGENT_FOLDER, value: /mnt/agent}
  - {name: BAILIE_AGENT_CONFIG_FOLDER, value: /mnt/config}
  - {name: BAILIE_DOWNLOAD_SECONDS, value: {{ $seconds | quote }}}
  - {name: BAILIE_LOAD_SECONDS, value: {{ $seconds | quote }}}
  - {name: BAILIE_HUNG_SECONDS, value: {{ $agent.hungServerSeconds | int64 | quote }}}
  {{- with compact $agent.localRoots }}
  - {name: BAILIE_LOCAL_ROOTS, value: {{ join ":" . | quote }}}
  {{- end }}
  {{- with compact $agent.allowedNetworks }}
  - {name: BAILIE_ALLOWED_NETWORKS, value: {{ join "," . | quote }}}
  {{- end }}
  {{- if $agent.cloudIdentity }}
  - {name: BAILIE_CLOUD_IDENTITY, value: "true"}
  {{- end }}
  {{- with $agent.artifactMaxBytes }}
  - {name: BAILIE_ARTIFACT_BYTES, value: {{ . | int64 | quote }}}
  {{- end }}
  {{- with $agent.artifactMaxFiles }}
  - {name: BAILIE_ARTIFACT_FILES, value: {{ . | int64 | quote }}}
  {{- end }}
  {{- if eq .server "mlserver" }}
  - {name: MLSERVER_PARALLEL_WORKERS, value: {{ $own.parallel_workers | int64 | quote }}}
  {{- end }}
  ports:
  - {name: metrics, containerPort: 9006, protocol: TCP}
  startupProbe:
    httpGet: {path: /live, port: metrics}
    periodSeconds: 1
    timeoutSeconds: 5
    failureThreshold: 300
  readinessProbe:
    httpGet: {path: /ready, port: metrics}
    periodSeconds: 2
    timeoutSeconds: 5
  livenessProbe:
    httpGet: {path: /live, port: metrics}
    periodSeconds: 10
    timeoutSeconds: 5
  resources:
    {{- include "bailie.resources" $agent.resources | nindent 4 }}
  securityContext:
    {{- include "bailie.restricted" .root | nindent 4 }}
  volumeMounts:
  - {name: {{ .server }}-models, mountPath: /mnt/agent}
  - {name: token, mountPath: /var/run/secrets/bailie, readOnly: true}
  - {{ include "bailie.accountMount" .root }}
  - {name: config, mountPath: /mnt/config, readOnly: true}
  - {name: agent-tmp, mountPath: /tmp}
{{- end -}}

{{- /*
Liveness is the agent's word, a file on the volume of both: only the agent knows whether a server that does not answer
is at a load. An agent that is away says nothing, and nothing is restarted.
*/ -}}
{{- define "bailie.serverLiveness" -}}
livenessProbe:
  exec:
    command: [test, "!", -e, /mnt/agent/models/.server-hung]
  periodSeconds: 5
  timeoutSeconds: 5
  terminationGracePeriodSeconds: 5
{{- end -}}

{{- /* The agent answers when the replica's models are answered elsewhere; the server is told to end then. */ -}}
{{- define "bailie.drained" -}}
lifecycle:
  preStop:
    httpGet: {path: /drained, port: 9006}
{{- end -}}

{{- define "bailie.mlserver" -}}
{{- $own := .root.Values.serverConfig.mlserver -}}
- name: mlserver
  image: {{ include "bailie.image" (dict "root" .root "own" $own.image) | quote }}
  imagePullPolicy: {{ include "bailie.pullPolicy" (dict "root" .root "own" $own.image) }}
  env:
  - name: POD_IP
    valueFrom: {fieldRef: {fieldPath: status.podIP}}
  - {name: MLSERVER_HOST, value: $(POD_IP)}
  - {name: MLSERVER_HTTP_PORT, value: "9000"}
  - {name: MLSERVER_GRPC_PORT, value: "9500"}
  - {name: MLSERVER_METRICS_PORT, value: "8082"}
  - {name: MLSERVER_MODELS_DIR, value: /mnt/agent/models}
  - {name: MLSERVER_LOAD_MODELS_AT_STARTUP, value: "false"}
  - {name: MLSERVER_PARALLEL_WORKERS, value: {{ $own.parallel_workers | int64 | quote }}}
  - {name: MLSERVER_DEBUG, value: {{ $own.debug | toString | quote }}}
  - {name: MLSERVER_GZIP_ENABLED, value: "false"}
  - {name: MLSERVER_GRPC_MAX_MESSAGE_LENGTH, value: "1048576000"}
  - name: MLSERVER_TRACING_SERVER
    valueFrom: {configMapKeyRef: {name: bailie-tracing, key: MLSERVER_TRACING_SERVER, optional: true}}
  - {name: OTEL_TRACES_SAMPLER, value: parentbased_always_off}
  - {name: MLSERVER_ENVIRONMENTS_DIR, value: /tmp/.envs}
  - {name: BAILIE_HUNG_SECONDS, value: {{ $.root.Values.serverConfig.agent.hungServerSeconds | int64 | quote }}}
  - {name: MLSERVER_METRICS_DIR, value: /tmp/.metrics}
  - {name: HOME, value: /tmp}
  ports:
  - {name: server-http, containerPort: 9000, protocol: TCP}
  - {name: server-grpc, containerPort: 9500, protocol: TCP}
  - {name: server-metrics, containerPort: 8082, protocol: TCP}
  startupProbe:
    httpGet: {path: /v2/health/live, port: server-http}
    periodSeconds: 1
    timeoutSeconds: 5
    failureThreshold: 300
  readinessProbe:
    httpGet: {path: /v2/health/ready, port: server-http}
    periodSeconds: 2
    timeoutSeconds: 5
  {{- include "bailie.serverLiveness" . | nindent 2 }}
  {{- include "bailie.drained" . | nindent 2 }}
  resources:
    {{- include "bailie.resources" $own.resources | nindent 4 }}
  securityContext:
    {{- include "bailie.restricted" .root | nindent 4 }}
  volumeMounts:
  - {name: mlserver-models, mountPath: /mnt/agent/models, subPath: models}
  - {name: mlserver-tmp, mountPath: /tmp}
{{- end -}}

{{- /* Models come and go by command only (explicit control). The root file system stays writable: the image is not ours. */ -}}
{{- define "bailie.triton" -}}
{{- $own := .root.Values.serverConfig.triton -}}
- name: triton
  image: {{ include "bailie.image" (dict "root" .root "own" $own.image) | quote }}
  imagePullPolicy: {{ include "bailie.pullPolicy" (dict "root" .root "own" $own.image) }}
  command: [/opt/tritonserver/bin/tritonserver]
  args:
  - --model-repository=/mnt/agent/models
  - --model-control-mode=explicit
  - --http-address=$(POD_IP)
  - --http-port=9000
  - --grpc-address=$(POD_IP)
  - --grpc-port=9500
  - --metrics-port=8002
  - --backend-config=python,shm-default-byte-size=16777216
  env:
  - name: POD_IP
    valueFrom: {fieldRef: {fieldPath: status.podIP}}
  - {name: HOME, value: /tmp}
  ports:
  - {name: server-http, containerPort: 9000, protocol: TCP}
  - {name: server-grpc, containerPort: 9500, protocol: TCP}
  - {name: server-metrics, containerPort: 8002, protocol: TCP}
  startupProbe:
    httpGet: {path: /v2/health/live, port: server-http}
    periodSeconds: 2
    timeoutSeconds: 5
    failureThreshold: 150
  readinessProbe:
    httpGet: {path: /v2/health/ready, port: server-http}
    periodSeconds: 2
    timeoutSeconds: 5
  {{- include "bailie.serverLiveness" . | nindent 2 }}
  {{- include "bailie.drained" . | nindent 2 }}
  resources:
    {{- include "bailie.resources" $own.resources | nindent 4 }}
  securityContext:
    allowPrivilegeEscalation: false
    capabilities:
      drop: [ALL]
  volumeMounts:
  - {name: triton-models, mountPath: /mnt/agent/models, subPath: models}
  - {name: shared-memory, mountPath: /dev/shm}
  - {name: triton-tmp, mountPath: /tmp}
{{- end -}}
