{{/* Names and labels. */}}

{{- define "statekeep.name" -}}
{{- .Values.nameOverride | default .Chart.Name | trunc 52 | trimSuffix "-" }}
{{- end }}

{{/* Leaves room for "-operator" within the 63 characters of a Service. */}}
{{- define "statekeep.fullname" -}}
{{- $name := include "statekeep.name" . }}
{{- $full := ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) }}
{{- .Values.fullnameOverride | default $full | trunc 52 | trimSuffix "-" }}
{{- end }}

{{/* For what belongs to this release and to no namespace: releases of one name may stand in several. */}}
{{- define "statekeep.clusterName" -}}
{{- printf "%s-%s" .Release.Namespace (include "statekeep.fullname" .) }}
{{- end }}

{{/* What finds the pods of a component; never changes. Takes the root and "component". */}}
{{- define "statekeep.selector" -}}
app.kubernetes.io/name: {{ include "statekeep.name" .root }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{/* Takes the root, perhaps a "component", and perhaps "more" labels. */}}
{{- define "statekeep.labels" -}}
{{- $root := .root }}
{{- $fixed := dict
  "helm.sh/chart" (printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_")
  "app.kubernetes.io/name" (include "statekeep.name" $root)
  "app.kubernetes.io/instance" $root.Release.Name
  "app.kubernetes.io/version" $root.Chart.AppVersion
  "app.kubernetes.io/managed-by" $root.Release.Service }}
{{- with .component }}
{{- $_ := set $fixed "app.kubernetes.io/component" . }}
{{- end }}
{{- merge $fixed (.more | default dict) $root.Values.commonLabels | toYaml }}
{{- end }}

{{/* Takes the root and the "component" whose values name it. */}}
{{- define "statekeep.serviceAccount" -}}
{{- $account := (index .root.Values .component).serviceAccount }}
{{- $own := printf "%s-%s" (include "statekeep.fullname" .root) .component }}
{{- $account.name | default (ternary $own "default" $account.create) }}
{{- end }}

{{/* Whether callers are asked for tokens of the cluster; empty means no. */}}
{{- define "statekeep.asksKubernetes" -}}
{{- if has "kubernetes" (splitList "," .Values.api.auth) }}yes{{ end }}
{{- end }}
