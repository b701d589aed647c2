{{/* What the pods have in common. */}}

{{- define "statekeep.image" -}}
{{- with .Values.image }}
{{- .repository }}
{{- if .digest }}@{{ .digest }}{{ else }}:{{ .tag | default $.Chart.AppVersion }}{{ end }}
{{- end }}
{{- end }}

{{- define "statekeep.databaseSecret" -}}
{{- required "database.existingSecret is missing: name a Secret whose key database.key (\"uri\") holds the URL of Postgres, such as CloudNativePG's <cluster>-app" .Values.database.existingSecret }}
{{- end }}

{{- define "statekeep.encryptionSecret" -}}
{{- required "encryption.existingSecret is missing: name a Secret whose key encryption.key (\"keyring\") holds the key ring, made by: kubectl create secret generic statekeep-keys --from-literal=keyring=\"k1: $(openssl rand -base64 32)\"" .Values.encryption.existingSecret }}
{{- end }}

{{/* Takes the "name" of a Secret and its "key". */}}
{{- define "statekeep.databaseUrl" -}}
- name: STATEKEEP_DATABASE_URL
  valueFrom:
    secretKeyRef:
      name: {{ .name }}
      key: {{ .key }}
{{- end }}

{{/* How every container is run. */}}
{{- define "statekeep.container" -}}
image: {{ include "statekeep.image" . | quote }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
securityContext: {{- toYaml .Values.securityContext | nindent 2 }}
{{- end }}

{{- define "statekeep.mounts" -}}
- name: tmp
  mountPath: /tmp
{{- with .Values.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "statekeep.volumes" -}}
- name: tmp
  emptyDir: {}
{{- with .Values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* enableServiceLinks: a Service called "statekeep" would set STATEKEEP_PORT in every pod beside it. */}}
{{- define "statekeep.pod" -}}
enableServiceLinks: false
securityContext: {{- toYaml .Values.podSecurityContext | nindent 2 }}
{{- with .Values.imagePullSecrets }}
imagePullSecrets: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* Where a component's pods may run; takes its values. */}}
{{- define "statekeep.placement" -}}
{{- with .nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .affinity }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- end }}

{{/* The container that brings the schema to this release. */}}
{{- define "statekeep.migrate" -}}
- name: migrate
  {{- include "statekeep.container" . | nindent 2 }}
  args: [db, upgrade]
  env:
    {{- if .Values.migrations.existingSecret }}
    {{- include "statekeep.databaseUrl" (dict "name" .Values.migrations.existingSecret "key" .Values.migrations.key) | nindent 4 }}
    {{- else }}
    {{- include "statekeep.databaseUrl" (dict "name" (include "statekeep.databaseSecret" .) "key" .Values.database.key) | nindent 4 }}
    {{- end }}
    {{- with .Values.extraEnv }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  resources: {{- toYaml .Values.migrations.resources | nindent 4 }}
  volumeMounts: {{- include "statekeep.mounts" . | nindent 4 }}
{{- end }}
