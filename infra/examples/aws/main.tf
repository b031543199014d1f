# The gateway on AWS Lambda behind a function URL that streams, over the store of a
# deployment on Google Cloud.
#
#   scripts/build-lambda.sh
#   terraform apply -var project=PROJECT

terraform {
  required_version = ">= 1.9"
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "~> 6.29"
    }
    google = {
      source  = "hashicorp/google"
      version = "~> 6.50"
    }
  }
}

variable "project" {
  description = "Google Cloud project of the store."
  type        = string
}

variable "region" {
  description = "AWS region, best one near the store's location."
  type        = string
  default     = "eu-west-1"
}

variable "zip" {
  type    = string
  default = "../../../dist/perigee-lambda-arm64.zip"
}

provider "aws" {
  region = var.region
}

provider "google" {
  project = var.project
}

module "gateway" {
  source       = "../../aws"
  zip          = var.zip
  organization = "example"
  environments = ["test"]
  any_host     = true
  google       = { project = var.project }
}

output "url" {
  value = module.gateway.url
}
