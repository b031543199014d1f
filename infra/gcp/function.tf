# Runtime "function": Cloud Run functions, built by Google's Go buildpack from the
# archive of the source.

resource "google_storage_bucket" "source" {
  count                       = local.function ? 1 : 0
  project                     = var.project
  name                        = "${var.project}-${var.name_prefix}-source"
  location                    = local.management_region
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"
  force_destroy               = true
  labels                      = local.labels
  versioning {
    enabled = true
  }
  lifecycle_rule {
    action {
      type = "Delete"
    }
    condition {
      num_newer_versions = 10
    }
  }
  depends_on = [google_project_service.used]
}

# A new name for new contents: functions are built anew when it changes.
resource "google_storage_bucket_object" "source" {
  count  = local.function ? 1 : 0
  name   = "perigee-${filesha256(var.source_archive)}.zip"
  bucket = google_storage_bucket.source[0].name
  source = var.source_archive
}

locals {
  build_service_account = !local.function ? null : var.build_service_account != "" ? var.build_service_account : google_service_account.build[0].id
}

resource "google_cloudfunctions2_function" "gateway" {
  for_each = local.function ? local.gateways : {}
  project  = var.project
  name     = "${var.name_prefix}-gw-${each.value.group}"
  location = each.value.region
  labels   = merge(local.labels, { plane = "gateway", envgroup = each.value.group })

  build_config {
    runtime         = var.function_runtime
    entry_point     = "Gateway"
    service_account = local.build_service_account
    source {
      storage_source {
        bucket = google_storage_bucket.source[0].name
        object = google_storage_bucket_object.source[0].name
      }
    }
  }
  service_config {
    service_account_email            = google_service_account.gateway[each.value.group].email
    ingress_settings                 = local.ingress_function[each.value.ingress]
    timeout_seconds                  = each.value.timeout
    min_instance_count               = each.value.min_instances
    max_instance_count               = each.value.max_instances
    max_instance_request_concurrency = each.value.concurrency
    available_cpu                    = each.value.cpu
    available_memory                 = each.value.memory
    all_traffic_on_latest_revision   = true
    environment_variables            = merge(local.environment_variables, local.gateway_variables[each.key])
  }
  depends_on = [google_project_service.used, google_project_iam_member.build, google_project_iam_member.gateway_store, google_project_iam_member.gateway_secrets]
}

resource "google_cloudfunctions2_function" "management" {
  count    = local.function ? 1 : 0
  project  = var.project
  name     = "${var.name_prefix}-management"
  location = local.management_region
  labels   = merge(local.labels, { plane = "management" })

  build_config {
    runtime         = var.function_runtime
    entry_point     = "Management"
    service_account = local.build_service_account
    source {
      storage_source {
        bucket = google_storage_bucket.source[0].name
        object = google_storage_bucket_object.source[0].name
      }
    }
  }
  service_config {
    service_account_email            = google_service_account.management.email
    ingress_settings                 = local.ingress_function[var.management.ingress]
    timeout_seconds                  = var.management.timeout
    min_instance_count               = 0
    max_instance_count               = var.management.max_instances
    max_instance_request_concurrency = var.management.concurrency
    available_cpu                    = var.management.cpu
    available_memory                 = var.management.memory
    all_traffic_on_latest_revision   = true
    environment_variables            = merge(local.environment_variables, local.management_variables)
  }
  depends_on = [google_project_service.used, google_project_iam_member.build, google_project_iam_member.management_store, google_project_iam_member.management_secrets, google_project_iam_member.management_secrets_writer]
}
