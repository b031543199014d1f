# A global external Application Load Balancer: one address and certificate, each
# host name to its environment group's gateway in the nearest region.

locals {
  balanced            = var.load_balancer.enabled ? { for name, g in var.gateways : name => g if length(g.hostnames) > 0 } : {}
  balanced_management = var.load_balancer.enabled && var.management.hostname != null
  hostnames           = distinct(concat(flatten([for g in values(local.balanced) : g.hostnames]), local.balanced_management ? [var.management.hostname] : []))
  # The certificate's name changes with its names, since one cannot be changed.
  certificate_hash = substr(sha1(join(",", sort(local.hostnames))), 0, 8)
}

resource "google_compute_global_address" "this" {
  count      = var.load_balancer.enabled ? 1 : 0
  project    = var.project
  name       = "${var.name_prefix}-address"
  depends_on = [google_project_service.used]
}

resource "google_compute_region_network_endpoint_group" "gateway" {
  for_each              = { for key, g in local.gateways : key => g if contains(keys(local.balanced), g.group) }
  project               = var.project
  name                  = "${var.name_prefix}-gw-${each.value.group}"
  region                = each.value.region
  network_endpoint_type = "SERVERLESS"
  cloud_run {
    service = local.gateway_services[each.key].name
  }
}

resource "google_compute_backend_service" "gateway" {
  for_each              = local.balanced
  project               = var.project
  name                  = "${var.name_prefix}-gw-${each.key}"
  load_balancing_scheme = "EXTERNAL_MANAGED"
  protocol              = "HTTPS"
  security_policy       = each.value.security_policy
  dynamic "backend" {
    for_each = toset(var.regions)
    content {
      group = google_compute_region_network_endpoint_group.gateway["${each.key}/${backend.value}"].id
    }
  }
  # A region whose instances fail is left for another while there is one.
  dynamic "outlier_detection" {
    for_each = length(var.regions) > 1 ? [1] : []
    content {
      consecutive_errors                    = 5
      enforcing_consecutive_errors          = 100
      max_ejection_percent                  = 50
      enforcing_consecutive_gateway_failure = 0
      enforcing_success_rate                = 0
      base_ejection_time {
        seconds = 30
      }
      interval {
        seconds = 10
      }
    }
  }
  log_config {
    enable      = var.load_balancer.log_rate > 0
    sample_rate = var.load_balancer.log_rate
  }
}

resource "google_compute_region_network_endpoint_group" "management" {
  count                 = local.balanced_management ? 1 : 0
  project               = var.project
  name                  = "${var.name_prefix}-management"
  region                = local.management_region
  network_endpoint_type = "SERVERLESS"
  cloud_run {
    service = local.management_service.name
  }
}

resource "google_compute_backend_service" "management" {
  count                 = local.balanced_management ? 1 : 0
  project               = var.project
  name                  = "${var.name_prefix}-management"
  load_balancing_scheme = "EXTERNAL_MANAGED"
  protocol              = "HTTPS"
  security_policy       = var.management.security_policy
  backend {
    group = google_compute_region_network_endpoint_group.management[0].id
  }
  log_config {
    enable      = true
    sample_rate = 1
  }
}

# A host name that no environment group has goes to the first gateway, which answers
# 404 as Apigee does.
resource "google_compute_url_map" "this" {
  count   = var.load_balancer.enabled ? 1 : 0
  project = var.project
  name    = "${var.name_prefix}-hosts"

  default_service = concat(
    [for name in sort(keys(local.balanced)) : google_compute_backend_service.gateway[name].id],
    google_compute_backend_service.management[*].id,
  )[0]

  dynamic "host_rule" {
    for_each = local.balanced
    content {
      hosts        = host_rule.value.hostnames
      path_matcher = "gw-${host_rule.key}"
    }
  }
  dynamic "path_matcher" {
    for_each = local.balanced
    content {
      name            = "gw-${path_matcher.key}"
      default_service = google_compute_backend_service.gateway[path_matcher.key].id
    }
  }
  dynamic "host_rule" {
    for_each = local.balanced_management ? [var.management.hostname] : []
    content {
      hosts        = [host_rule.value]
      path_matcher = "management"
    }
  }
  dynamic "path_matcher" {
    for_each = local.balanced_management ? [1] : []
    content {
      name            = "management"
      default_service = google_compute_backend_service.management[0].id
    }
  }
}

resource "google_compute_managed_ssl_certificate" "this" {
  count   = var.load_balancer.enabled && length(var.load_balancer.certificates) == 0 ? 1 : 0
  project = var.project
  name    = "${var.name_prefix}-${local.certificate_hash}"
  managed {
    domains = local.hostnames
  }
  lifecycle {
    create_before_destroy = true
    precondition {
      condition     = length(local.hostnames) > 0
      error_message = "The load balancer needs host names: gateways.*.hostnames or management.hostname."
    }
  }
}

resource "google_compute_ssl_policy" "this" {
  count           = var.load_balancer.enabled ? 1 : 0
  project         = var.project
  name            = "${var.name_prefix}-tls"
  profile         = "MODERN"
  min_tls_version = "TLS_1_2"
  depends_on      = [google_project_service.used]
}

resource "google_compute_target_https_proxy" "this" {
  count            = var.load_balancer.enabled ? 1 : 0
  project          = var.project
  name             = "${var.name_prefix}-https"
  url_map          = google_compute_url_map.this[0].id
  ssl_policy       = google_compute_ssl_policy.this[0].id
  ssl_certificates = length(var.load_balancer.certificates) > 0 ? var.load_balancer.certificates : [google_compute_managed_ssl_certificate.this[0].id]
}

resource "google_compute_global_forwarding_rule" "https" {
  count                 = var.load_balancer.enabled ? 1 : 0
  project               = var.project
  name                  = "${var.name_prefix}-https"
  load_balancing_scheme = "EXTERNAL_MANAGED"
  ip_address            = google_compute_global_address.this[0].id
  port_range            = "443"
  target                = google_compute_target_https_proxy.this[0].id
  labels                = local.labels
}

# API keys sent in the clear are not to be answered, only sent elsewhere.
resource "google_compute_url_map" "redirect" {
  count   = var.load_balancer.enabled ? 1 : 0
  project = var.project
  name    = "${var.name_prefix}-redirect"
  default_url_redirect {
    https_redirect         = true
    strip_query            = true
    redirect_response_code = "PERMANENT_REDIRECT"
  }
  depends_on = [google_project_service.used]
}

resource "google_compute_target_http_proxy" "redirect" {
  count   = var.load_balancer.enabled ? 1 : 0
  project = var.project
  name    = "${var.name_prefix}-http"
  url_map = google_compute_url_map.redirect[0].id
}

resource "google_compute_global_forwarding_rule" "http" {
  count                 = var.load_balancer.enabled ? 1 : 0
  project               = var.project
  name                  = "${var.name_prefix}-http"
  load_balancing_scheme = "EXTERNAL_MANAGED"
  ip_address            = google_compute_global_address.this[0].id
  port_range            = "80"
  target                = google_compute_target_http_proxy.redirect[0].id
  labels                = local.labels
}
