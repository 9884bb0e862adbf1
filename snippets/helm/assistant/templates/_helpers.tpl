{{- /* The metadata of what belongs to no part: (dict "root" $ "name" NAME). */ -}}
{{- define "assistant.metadata" -}}
name: {{ .name }}
namespace: {{ .root.Release.Namespace }}
labels:
  app.kubernetes.io/part-of: assistant
{{- end }}

{{- /* The labels of a part: its name. */ -}}
{{- define "assistant.labels" -}}
{{ include "assistant.selector" . }}
app.kubernetes.io/part-of: assistant
{{- end }}

{{- /* The labels by which the pods of a part are found: its name. */ -}}
{{- define "assistant.selector" -}}
app.kubernetes.io/name: assistant
app.kubernetes.io/component: {{ . }}
{{- end }}

{{- define "assistant.image" -}}
{{- with .Values.image -}}
{{- if eq .tag "latest" }}
{{- fail "image.tag: latest is moved, and then nodes run different code under one name; name a version" }}
{{- end -}}
{{ .repository }}{{ if .digest }}@{{ .digest }}{{ else }}:{{ .tag | default $.Chart.AppVersion }}{{ end }}
{{- end }}
{{- end }}

{{- /* Changed settings are changed pods. */ -}}
{{- define "assistant.checksum" -}}
checksum/settings: {{ .Values.settings | toJson | sha256sum }}
{{- end }}

{{- /* What every pod is to the node: PART. */ -}}
{{- define "assistant.pod" -}}
serviceAccountName: {{ . }}
automountServiceAccountToken: false
enableServiceLinks: false
shareProcessNamespace: true
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  seccompProfile:
    type: RuntimeDefault
{{- end }}

{{- /* What every container may do, and what it finds. */ -}}
{{- define "assistant.container" -}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities:
    drop:
      - ALL
volumeMounts:
  - name: tmp
    mountPath: /tmp
  - name: secrets
    mountPath: /run/secrets
    readOnly: true
{{- end }}

{{- define "assistant.settings" -}}
envFrom:
  - configMapRef:
      name: settings
{{- end }}

{{- /* What a pod may use: (dict "cpu" CPU "memory" MEMORY). */ -}}
{{- define "assistant.resources" -}}
requests:
  cpu: {{ .cpu }}
  memory: {{ .memory }}
limits:
  memory: {{ .memory }}
{{- end }}

{{- /* The volumes of a pod that needs some of the secrets: (dict "root" $ "keys" KEYS). */ -}}
{{- define "assistant.volumes" -}}
- name: tmp
  emptyDir:
    sizeLimit: 64Mi
- name: secrets
  secret:
    secretName: {{ .root.Values.secrets.name }}
    # 0440
    defaultMode: 288
    items:
      {{- range .keys }}
      - key: {{ . }}
        path: {{ . }}
      {{- end }}
{{- end }}

{{- /* One pod for each node, as far as it goes: (dict "name" PART "when" WHAT-ELSE). */ -}}
{{- define "assistant.spread" -}}
- topologyKey: kubernetes.io/hostname
  maxSkew: 1
  whenUnsatisfiable: {{ .when }}
  nodeTaintsPolicy: Honor
  matchLabelKeys:
    - pod-template-hash
  labelSelector:
    matchLabels:
      {{- include "assistant.selector" .name | nindent 6 }}
{{- end }}

{{- /* A schema can't compare two numbers: (dict "name" PART "replicas" REPLICAS). */ -}}
{{- define "assistant.replicas" -}}
{{- if gt (int .replicas.min) (int .replicas.max) }}
{{- fail (printf "%s.replicas: min is %d and above max, which is %d" .name (int .replicas.min) (int .replicas.max)) }}
{{- end }}
{{- end }}
