# One service account per gateway and one for the Management API, each with no more
# than its plane needs. docs/SECURITY.md says what each role is for.

locals {
  # Roles of the database and of secrets are bound to what is perigee's.
  own_database = "resource.name == \"projects/${var.project}/databases/${var.firestore.database}\""
  own_secrets  = "resource.name.startsWith(\"projects/${data.google_project.this.number}/secrets/perigee-\")"
}

resource "google_service_account" "gateway" {
  for_each     = var.gateways
  project      = var.project
  account_id   = "${var.name_prefix}-gw-${each.key}"
  display_name = "perigee gateway ${each.key}"
}

resource "google_service_account" "management" {
  project      = var.project
  account_id   = "${var.name_prefix}-management"
  display_name = "perigee Management API"
}

# Firestore.
resource "google_project_iam_member" "gateway_store" {
  for_each = var.gateways
  project  = var.project
  role     = "roles/datastore.user"
  member   = google_service_account.gateway[each.key].member
  condition {
    title      = "perigee database"
    expression = local.own_database
  }
}

resource "google_project_iam_member" "management_store" {
  project = var.project
  role    = "roles/datastore.user"
  member  = google_service_account.management.member
  condition {
    title      = "perigee database"
    expression = local.own_database
  }
}

# Secret Manager: gateways read; the Management API writes.
resource "google_project_iam_member" "gateway_secrets" {
  for_each = var.gateways
  project  = var.project
  role     = "roles/secretmanager.secretAccessor"
  member   = google_service_account.gateway[each.key].member
  condition {
    title      = "perigee secrets"
    expression = local.own_secrets
  }
}

resource "google_project_iam_member" "management_secrets" {
  project = var.project
  role    = "roles/secretmanager.secretAccessor"
  member  = google_service_account.management.member
  condition {
    title      = "perigee secrets"
    expression = local.own_secrets
  }
}

resource "google_project_iam_member" "management_secrets_writer" {
  project = var.project
  role    = google_project_iam_custom_role.secrets_writer.id
  member  = google_service_account.management.member
  condition {
    title      = "perigee secrets"
    expression = local.own_secrets
  }
}

# What Secret Manager Admin has for one secret, without changing who may read it.
resource "google_project_iam_custom_role" "secrets_writer" {
  project = var.project
  role_id = "${replace(var.name_prefix, "-", "_")}_secrets_writer"
  title   = "perigee secrets writer"
  permissions = [
    "secretmanager.secrets.get",
    "secretmanager.secrets.update",
    "secretmanager.secrets.delete",
    "secretmanager.versions.add",
    "secretmanager.versions.get",
    "secretmanager.versions.destroy",
  ]
}

# Creating and listing are asked of the project, whose name no condition on
# secrets matches.
resource "google_project_iam_custom_role" "secrets_creator" {
  project     = var.project
  role_id     = "${replace(var.name_prefix, "-", "_")}_secrets_creator"
  title       = "perigee secrets creator"
  permissions = ["secretmanager.secrets.create", "secretmanager.secrets.list"]
}

resource "google_project_iam_member" "management_secrets_creator" {
  project = var.project
  role    = google_project_iam_custom_role.secrets_creator.id
  member  = google_service_account.management.member
}

# Tokens for the accounts that proxies are deployed with (<Authentication>).
resource "google_service_account_iam_member" "gateway_tokens" {
  for_each = merge([for name, g in var.gateways : {
    for account in g.service_accounts : "${name}/${account}" => { gateway = name, account = account }
  }]...)
  service_account_id = "projects/-/serviceAccounts/${each.value.account}"
  role               = "roles/iam.serviceAccountTokenCreator"
  member             = google_service_account.gateway[each.value.gateway].member
}

resource "google_pubsub_topic_iam_member" "gateway_publisher" {
  for_each = merge([for name, g in var.gateways : {
    for topic in g.topics : "${name}/${topic}" => { gateway = name, topic = topic }
  }]...)
  project = var.project
  topic   = each.value.topic
  role    = "roles/pubsub.publisher"
  member  = google_service_account.gateway[each.value.gateway].member
}

# Standard output needs no role; MessageLogging's <CloudLogging> does.
resource "google_project_iam_member" "gateway_logging" {
  for_each = { for name, g in var.gateways : name => g if g.cloud_logging }
  project  = var.project
  role     = "roles/logging.logWriter"
  member   = google_service_account.gateway[each.key].member
}

resource "google_project_iam_member" "gateway_tracing" {
  for_each = merge([for name, g in var.gateways : g.tracing ? {
    "${name}/roles/cloudtrace.agent"        = { gateway = name, role = "roles/cloudtrace.agent" }
    "${name}/roles/monitoring.metricWriter" = { gateway = name, role = "roles/monitoring.metricWriter" }
  } : {}]...)
  project = var.project
  role    = each.value.role
  member  = google_service_account.gateway[each.value.gateway].member
}

# Building functions.
resource "google_service_account" "build" {
  count        = local.function && var.build_service_account == "" ? 1 : 0
  project      = var.project
  account_id   = "${var.name_prefix}-build"
  display_name = "perigee function builds"
}

resource "google_project_iam_member" "build" {
  for_each = local.function && var.build_service_account == "" ? toset([
    "roles/artifactregistry.writer",
    "roles/logging.logWriter",
    "roles/storage.objectViewer",
  ]) : toset([])
  project = var.project
  role    = each.value
  member  = google_service_account.build[0].member
}
