# The smallest useful deployment: one environment, one region, no load balancer.
#
#   terraform init
#   terraform apply -var project=PROJECT -var image=IMAGE
#
# The gateway answers at its run.app address (any_host), since the environment group
# has no host name of its own yet.

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
  description = "As scripts/image.sh prints it."
  type        = string
}

variable "region" {
  type    = string
  default = "europe-west1"
}

variable "organization" {
  type    = string
  default = "example"
}

variable "admin" {
  description = "Who administers the organization: user:ada@example.com"
  type        = string
  default     = ""
}

provider "google" {
  project = var.project
  region  = var.region
}

module "perigee" {
  source       = "../../gcp"
  project      = var.project
  regions      = [var.region]
  organization = var.organization
  image        = var.image
  firestore    = { location = var.region }
  gateways = {
    test = {
      environments  = ["test"]
      any_host      = true
      max_instances = 3
    }
  }
  instance_budget = 5
}

output "gateway_url" {
  value = module.perigee.gateway_urls["test/${var.region}"]
}

output "management_url" {
  value = module.perigee.management_url
}
