# The function's identity at Google: its AWS role, proven by a request to AWS STS
# that the function signs, is exchanged for tokens of a service account. No key is
# kept anywhere.

data "google_project" "this" {
  project_id = var.google.project
}

data "aws_caller_identity" "this" {}

resource "google_iam_workload_identity_pool" "aws" {
  project                   = var.google.project
  workload_identity_pool_id = var.google.pool
  display_name              = "perigee on AWS"
}

resource "google_iam_workload_identity_pool_provider" "aws" {
  project                            = var.google.project
  workload_identity_pool_id          = google_iam_workload_identity_pool.aws.workload_identity_pool_id
  workload_identity_pool_provider_id = "aws"
  display_name                       = "AWS account ${data.aws_caller_identity.this.account_id}"
  attribute_mapping = {
    "google.subject"     = "assertion.arn"
    "attribute.aws_role" = "assertion.arn.extract('assumed-role/{role}/')"
  }
  # Nobody else's role, even in this account.
  attribute_condition = "assertion.arn.startsWith('arn:aws:sts::${data.aws_caller_identity.this.account_id}:assumed-role/${aws_iam_role.function.name}/')"
  aws {
    account_id = data.aws_caller_identity.this.account_id
  }
}

resource "google_service_account" "gateway" {
  project      = var.google.project
  account_id   = "${var.name}-l"
  display_name = "perigee gateway on AWS"
}

resource "google_service_account_iam_member" "federated" {
  service_account_id = google_service_account.gateway.name
  role               = "roles/iam.workloadIdentityUser"
  member             = "principalSet://iam.googleapis.com/${google_iam_workload_identity_pool.aws.name}/attribute.aws_role/${aws_iam_role.function.name}"
}

resource "google_project_iam_member" "store" {
  project = var.google.project
  role    = "roles/datastore.user"
  member  = google_service_account.gateway.member
  condition {
    title      = "perigee database"
    expression = "resource.name == \"projects/${var.google.project}/databases/${var.google.database}\""
  }
}

resource "google_project_iam_member" "secrets" {
  project = var.google.project
  role    = "roles/secretmanager.secretAccessor"
  member  = google_service_account.gateway.member
  condition {
    title      = "perigee secrets"
    expression = "resource.name.startsWith(\"projects/${data.google_project.this.number}/secrets/perigee-\")"
  }
}

locals {
  google_credentials = templatefile("${path.module}/credentials.json.tftpl", {
    project_number  = data.google_project.this.number
    pool            = google_iam_workload_identity_pool.aws.workload_identity_pool_id
    provider        = google_iam_workload_identity_pool_provider.aws.workload_identity_pool_provider_id
    service_account = google_service_account.gateway.email
  })
}
