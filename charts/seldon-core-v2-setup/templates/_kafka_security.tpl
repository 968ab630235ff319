{{- /* How the pipeline gateways prove who they are to a message broker. */ -}}

{{- /* The Secrets that are mounted, by the folder below /mnt/kafka, as JSON. */ -}}
{{- define "bailie.kafkaSecrets" -}}
{{- $found := dict -}}
{{- if hasPrefix "SASL" .protocol -}}
{{- with .sasl.client.secret }}{{ $_ := set $found "sasl" . }}{{ end -}}
{{- end -}}
{{- if hasSuffix "SSL" .protocol -}}
{{- with .ssl.client.secret }}{{ $_ := set $found "client" . }}{{ end -}}
{{- with .ssl.client.brokerValidationSecret }}{{ $_ := set $found "broker" . }}{{ end -}}
{{- end -}}
{{- toJson $found -}}
{{- end -}}

{{- define "bailie.kafkaVariables" -}}
{{- $found := dict "KAFKA_SECURITY_PROTOCOL" .protocol -}}
{{- if hasPrefix "SASL" .protocol -}}
{{- $_ := set $found "KAFKA_SASL_MECHANISM" .sasl.mechanism -}}
{{- $_ := set $found "KAFKA_CLIENT_SASL_USERNAME" .sasl.client.username -}}
{{- $_ := set $found "KAFKA_CLIENT_SASL_PASSWORD_LOCATION" (printf "/mnt/kafka/sasl/%s" (base .sasl.client.passwordPath)) -}}
{{- end -}}
{{- if hasSuffix "SSL" .protocol -}}
{{- $client := .ssl.client -}}
{{- $_ := set $found "KAFKA_CLIENT_TLS_KEY_LOCATION" (printf "/mnt/kafka/client/%s" (base $client.keyPath)) -}}
{{- $_ := set $found "KAFKA_CLIENT_TLS_CRT_LOCATION" (printf "/mnt/kafka/client/%s" (base $client.crtPath)) -}}
{{- $_ := set $found "KAFKA_CLIENT_TLS_CA_LOCATION" (printf "/mnt/kafka/client/%s" (base $client.caPath)) -}}
{{- $_ := set $found "KAFKA_BROKER_TLS_CA_LOCATION" (printf "/mnt/kafka/broker/%s" (base $client.brokerCaPath)) -}}
{{- $_ := set $found "KAFKA_CLIENT_TLS_ENDPOINT_IDENTIFICATION_ALGORITHM" $client.endpointIdentificationAlgorithm -}}
{{- end -}}
{{- range $name, $value := $found }}
- {name: {{ $name }}, value: {{ $value | quote }}}
{{- end -}}
{{- end -}}
