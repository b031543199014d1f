# Runtime "container": one image, run as gateway or management.

resource "google_cloud_run_v2_service" "gateway" {
  for_each            = local.function ? {} : local.gateways
  project             = var.project
  name                = "${var.name_prefix}-gw-${each.value.group}"
  location            = each.value.region
  ingress             = local.ingress_container[each.value.ingress]
  labels              = merge(local.labels, { plane = "gateway", envgroup = each.value.group })
  deletion_protection = false

  template {
    service_account                  = google_service_account.gateway[each.value.group].email
    timeout                          = "${each.value.timeout}s"
    max_instance_request_concurrency = each.value.concurrency
    scaling {
      min_instance_count = each.value.min_instances
      max_instance_count = each.value.max_instances
    }
    containers {
      image = var.image
      args  = ["gateway"]
      resources {
        limits            = { cpu = each.value.cpu, memory = each.value.memory }
        cpu_idle          = true
        startup_cpu_boost = true
      }
      ports {
        name           = each.value.http2 ? "h2c" : "http1"
        container_port = 8080
      }
      # Answered as soon as the process listens: nothing is opened before a request.
      startup_probe {
        period_seconds    = 1
        failure_threshold = 10
        tcp_socket {
          port = 8080
        }
      }
      dynamic "env" {
        for_each = merge(local.environment_variables, local.gateway_variables[each.key])
        content {
          name  = env.key
          value = env.value
        }
      }
    }
  }

  lifecycle {
    precondition {
      condition     = var.image != ""
      error_message = "Runtime \"container\" needs an image."
    }
    # scripts/deploy.sh brings new images and moves traffic between revisions.
    ignore_changes = [traffic, client, client_version, template[0].revision, template[0].containers[0].image]
  }
  depends_on = [google_project_service.used, google_project_iam_member.gateway_store, google_project_iam_member.gateway_secrets]
}

resource "google_cloud_run_v2_service" "management" {
  count               = local.function ? 0 : 1
  project             = var.project
  name                = "${var.name_prefix}-management"
  location            = local.management_region
  ingress             = local.ingress_container[var.management.ingress]
  labels              = merge(local.labels, { plane = "management" })
  deletion_protection = false

  template {
    service_account                  = google_service_account.management.email
    timeout                          = "${var.management.timeout}s"
    max_instance_request_concurrency = var.management.concurrency
    scaling {
      min_instance_count = 0
      max_instance_count = var.management.max_instances
    }
    containers {
      image = var.image
      args  = ["management"]
      resources {
        limits            = { cpu = var.management.cpu, memory = var.management.memory }
        cpu_idle          = true
        startup_cpu_boost = true
      }
      ports {
        container_port = 8080
      }
      dynamic "env" {
        for_each = merge(local.environment_variables, local.management_variables)
        content {
          name  = env.key
          value = env.value
        }
      }
    }
  }

  lifecycle {
    precondition {
      condition     = var.image != ""
      error_message = "Runtime \"container\" needs an image."
    }
    ignore_changes = [traffic, client, client_version, template[0].revision, template[0].containers[0].image]
  }
  depends_on = [google_project_service.used, google_project_iam_member.management_store, google_project_iam_member.management_secrets, google_project_iam_member.management_secrets_writer]
}
