# Metrics from the log, and alerts. Latencies, counts and instances are metrics of
# Cloud Run's own.

locals {
  service_names  = distinct(concat([for g in values(local.gateways) : "${var.name_prefix}-gw-${g.group}"], ["${var.name_prefix}-management"]))
  service_filter = "resource.labels.service_name = monitoring.regex.full_match(\"${join("|", local.service_names)}\")"
  log_filter     = "resource.type=\"cloud_run_revision\" AND resource.labels.service_name=(${join(" OR ", [for n in local.service_names : "\"${n}\""])})"
  alerts         = length(var.alerts.notification_channels) > 0
}

resource "google_logging_metric" "errors" {
  project     = var.project
  name        = "${var.name_prefix}/errors"
  description = "Log lines of severity ERROR and above: configuration, store or proxies that cannot be read, panics."
  filter      = "${local.log_filter} AND severity>=ERROR"
  metric_descriptor {
    metric_kind = "DELTA"
    value_type  = "INT64"
    labels {
      key         = "message"
      description = "What failed"
    }
  }
  label_extractors = { message = "EXTRACT(jsonPayload.message)" }
  depends_on       = [google_project_service.used]
}

resource "google_logging_metric" "start_failures" {
  project     = var.project
  name        = "${var.name_prefix}/start-failures"
  description = "Requests that were answered 503 because an instance could not start or read its configuration."
  filter      = "${local.log_filter} AND (jsonPayload.message=\"cannot start\" OR jsonPayload.message=\"configuration cannot be read\")"
  metric_descriptor {
    metric_kind = "DELTA"
    value_type  = "INT64"
  }
  depends_on = [google_project_service.used]
}

resource "google_logging_metric" "faults" {
  project     = var.project
  name        = "${var.name_prefix}/faults"
  description = "Calls that ended in a fault, by fault code, proxy and environment."
  filter      = "${local.log_filter} AND jsonPayload.message=\"call\" AND jsonPayload.fault:*"
  metric_descriptor {
    metric_kind = "DELTA"
    value_type  = "INT64"
    labels {
      key         = "fault"
      description = "Fault code"
    }
    labels {
      key         = "proxy"
      description = "API proxy"
    }
    labels {
      key         = "environment"
      description = "Environment"
    }
  }
  label_extractors = {
    fault       = "EXTRACT(jsonPayload.fault)"
    proxy       = "EXTRACT(jsonPayload.proxy)"
    environment = "EXTRACT(jsonPayload.environment)"
  }
  depends_on = [google_project_service.used]
}

resource "google_logging_metric" "changes" {
  project     = var.project
  name        = "${var.name_prefix}/management-changes"
  description = "Changes over the Management API, made and refused."
  filter      = "${local.log_filter} AND (jsonPayload.message=\"changed\" OR jsonPayload.message=\"change refused\")"
  metric_descriptor {
    metric_kind = "DELTA"
    value_type  = "INT64"
    labels {
      key         = "outcome"
      description = "changed or change refused"
    }
  }
  label_extractors = { outcome = "EXTRACT(jsonPayload.message)" }
  depends_on       = [google_project_service.used]
}

resource "google_monitoring_alert_policy" "errors" {
  count                 = local.alerts ? 1 : 0
  project               = var.project
  display_name          = "${var.name_prefix}: share of 5xx responses"
  combiner              = "OR"
  notification_channels = var.alerts.notification_channels
  user_labels           = local.labels
  conditions {
    display_name = "5xx above ${var.alerts.error_ratio * 100}% for 5 minutes"
    condition_threshold {
      filter             = "metric.type=\"run.googleapis.com/request_count\" AND resource.type=\"cloud_run_revision\" AND ${local.service_filter} AND metric.labels.response_code_class=\"5xx\""
      denominator_filter = "metric.type=\"run.googleapis.com/request_count\" AND resource.type=\"cloud_run_revision\" AND ${local.service_filter}"
      comparison         = "COMPARISON_GT"
      threshold_value    = var.alerts.error_ratio
      duration           = "300s"
      aggregations {
        alignment_period     = "60s"
        per_series_aligner   = "ALIGN_RATE"
        cross_series_reducer = "REDUCE_SUM"
        group_by_fields      = ["resource.label.service_name"]
      }
      denominator_aggregations {
        alignment_period     = "60s"
        per_series_aligner   = "ALIGN_RATE"
        cross_series_reducer = "REDUCE_SUM"
        group_by_fields      = ["resource.label.service_name"]
      }
    }
  }
  documentation {
    content = "See docs/OPERATIONS.md: 5xx. Targets that fail are counted too: the metric ${google_logging_metric.faults.name} says which fault."
  }
}

resource "google_monitoring_alert_policy" "latency" {
  count                 = local.alerts ? 1 : 0
  project               = var.project
  display_name          = "${var.name_prefix}: latency"
  combiner              = "OR"
  notification_channels = var.alerts.notification_channels
  user_labels           = local.labels
  conditions {
    display_name = "99th percentile above ${var.alerts.latency_p99_ms} ms for 5 minutes"
    condition_threshold {
      filter          = "metric.type=\"run.googleapis.com/request_latencies\" AND resource.type=\"cloud_run_revision\" AND ${local.service_filter}"
      comparison      = "COMPARISON_GT"
      threshold_value = var.alerts.latency_p99_ms
      duration        = "300s"
      aggregations {
        alignment_period     = "60s"
        per_series_aligner   = "ALIGN_PERCENTILE_99"
        cross_series_reducer = "REDUCE_MAX"
        group_by_fields      = ["resource.label.service_name", "resource.label.location"]
      }
    }
  }
}

resource "google_monitoring_alert_policy" "instances" {
  for_each              = local.alerts ? var.gateways : {}
  project               = var.project
  display_name          = "${var.name_prefix}: instances of ${each.key}"
  combiner              = "OR"
  notification_channels = var.alerts.notification_channels
  user_labels           = local.labels
  conditions {
    display_name = "above ${var.alerts.instance_share * 100}% of max_instances for 5 minutes"
    condition_threshold {
      filter          = "metric.type=\"run.googleapis.com/container/instance_count\" AND resource.type=\"cloud_run_revision\" AND resource.labels.service_name=\"${var.name_prefix}-gw-${each.key}\""
      comparison      = "COMPARISON_GT"
      threshold_value = each.value.max_instances * var.alerts.instance_share
      duration        = "300s"
      aggregations {
        alignment_period     = "60s"
        per_series_aligner   = "ALIGN_MAX"
        cross_series_reducer = "REDUCE_SUM"
        group_by_fields      = ["resource.label.service_name", "resource.label.location"]
      }
    }
  }
}

resource "google_monitoring_alert_policy" "start_failures" {
  count                 = local.alerts ? 1 : 0
  project               = var.project
  display_name          = "${var.name_prefix}: instances that cannot start"
  combiner              = "OR"
  notification_channels = var.alerts.notification_channels
  user_labels           = local.labels
  conditions {
    display_name = "any within 5 minutes"
    condition_threshold {
      filter          = "metric.type=\"logging.googleapis.com/user/${google_logging_metric.start_failures.name}\" AND resource.type=\"cloud_run_revision\""
      comparison      = "COMPARISON_GT"
      threshold_value = 0
      duration        = "0s"
      aggregations {
        alignment_period     = "300s"
        per_series_aligner   = "ALIGN_SUM"
        cross_series_reducer = "REDUCE_SUM"
      }
    }
  }
}
