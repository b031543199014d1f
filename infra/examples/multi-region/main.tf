# Two environment groups in two regions behind one address: callers reach the
# nearest region, and the other one if it fails. The store is multi-regional.

terraform {
  required_version = ">= 1.9"
  required_providers {
    google = {
      source  = "hashicorp/google"
      version = "~> 6.50"
    }
  }
}

variable "project" {
  type = string
}

variable "image" {
  type = string
}

variable "domain" {
  description = "Domain that api., partners. and manage. are made in."
  type        = string
}

variable "notification_channels" {
  type    = list(string)
  default = []
}

provider "google" {
  project = var.project
}

# Limits what one address may send, before it costs an instance.
resource "google_compute_security_policy" "api" {
  project = var.project
  name    = "perigee-api"
  rule {
    action   = "throttle"
    priority = 1000
    match {
      versioned_expr = "SRC_IPS_V1"
      config {
        src_ip_ranges = ["*"]
      }
    }
    rate_limit_options {
      conform_action = "allow"
      exceed_action  = "deny(429)"
      enforce_on_key = "IP"
      rate_limit_threshold {
        count        = 3000
        interval_sec = 60
      }
    }
  }
  rule {
    action   = "allow"
    priority = 2147483647
    match {
      versioned_expr = "SRC_IPS_V1"
      config {
        src_ip_ranges = ["*"]
      }
    }
  }
}

module "perigee" {
  source       = "../../gcp"
  project      = var.project
  regions      = ["europe-west1", "us-central1"]
  organization = "example"
  image        = var.image
  firestore    = { location = "eur3" }
  gateways = {
    public = {
      hostnames       = ["api.${var.domain}"]
      environments    = ["prod"]
      ingress         = "internal-and-cloud-load-balancing"
      min_instances   = 1
      max_instances   = 40
      security_policy = google_compute_security_policy.api.id
      cloud_logging   = true
    }
    partners = {
      hostnames     = ["partners.${var.domain}"]
      environments  = ["prod-partners"]
      ingress       = "internal-and-cloud-load-balancing"
      max_instances = 10
    }
  }
  management = {
    hostname = "manage.${var.domain}"
    ingress  = "internal-and-cloud-load-balancing"
  }
  load_balancer   = { enabled = true, log_rate = 0.1 }
  instance_budget = 120
  alerts          = { notification_channels = var.notification_channels }
}

output "address" {
  description = "Point the A records of api., partners. and manage. here."
  value       = module.perigee.load_balancer_address
}
