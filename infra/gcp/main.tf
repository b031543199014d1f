# Perigee on Google Cloud: a Firestore database, both planes as Cloud Run services
# or functions, a service account with least roles for each, and what watches them.
# docs/DEPLOY.md leads through it.

locals {
  function = var.runtime == "function"

  # One gateway service per environment group and region.
  gateways = merge([for region in var.regions : {
    for name, g in var.gateways : "${name}/${region}" => merge(g, { group = name, region = region })
  }]...)

  management_region = var.regions[0]

  database = "projects/${var.project}/databases/${google_firestore_database.perigee.name}"

  # What both planes are told.
  environment_variables = {
    PERIGEE_ORG          = var.organization
    PERIGEE_STORE        = "firestore:${var.project}/${google_firestore_database.perigee.name}"
    PERIGEE_KEYSTORE     = "secretmanager:${var.project}"
    PERIGEE_LOG_LEVEL    = var.log_level
    GOOGLE_CLOUD_PROJECT = var.project
  }

  ingress_container = {
    all                               = "INGRESS_TRAFFIC_ALL"
    internal                          = "INGRESS_TRAFFIC_INTERNAL_ONLY"
    internal-and-cloud-load-balancing = "INGRESS_TRAFFIC_INTERNAL_LOAD_BALANCER"
  }
  ingress_function = {
    all                               = "ALLOW_ALL"
    internal                          = "ALLOW_INTERNAL_ONLY"
    internal-and-cloud-load-balancing = "ALLOW_INTERNAL_AND_GCLB"
  }

  labels = merge({ app = "perigee" }, var.labels)
}

data "google_project" "this" {
  project_id = var.project
}

resource "google_project_service" "used" {
  for_each = var.enable_services ? toset(concat([
    "firestore.googleapis.com",
    "iam.googleapis.com",
    "iamcredentials.googleapis.com",
    "logging.googleapis.com",
    "monitoring.googleapis.com",
    "run.googleapis.com",
    "secretmanager.googleapis.com",
    ],
    local.function ? ["artifactregistry.googleapis.com", "cloudbuild.googleapis.com", "cloudfunctions.googleapis.com", "storage.googleapis.com"] : [],
    var.load_balancer.enabled ? ["compute.googleapis.com"] : [],
    anytrue([for g in values(var.gateways) : length(g.topics) > 0]) ? ["pubsub.googleapis.com"] : [],
    anytrue([for g in values(var.gateways) : g.tracing]) ? ["cloudtrace.googleapis.com"] : [],
  )) : toset([])
  project            = var.project
  service            = each.value
  disable_on_destroy = false
}
