# What is planned for the ways the module is used. The provider is mocked: nothing
# is called, and computed values are made up.

mock_provider "google" {
  mock_data "google_project" {
    defaults = { number = "123456789012" }
  }
}

variables {
  project      = "acme-apis"
  regions      = ["europe-west1"]
  organization = "acme"
  image        = "europe-west1-docker.pkg.dev/acme-apis/perigee/perigee@sha256:0"
  firestore    = { location = "europe-west1" }
  gateways     = { test = { environments = ["test"], hostnames = ["api.example.com"] } }
}

run "container" {
  command = plan

  assert {
    condition     = length(google_cloud_run_v2_service.gateway) == 1 && length(google_cloud_run_v2_service.management) == 1
    error_message = "one service for each plane"
  }
  assert {
    condition     = length(google_cloudfunctions2_function.gateway) == 0 && length(google_storage_bucket.source) == 0 && length(google_service_account.build) == 0
    error_message = "nothing of the other runtime"
  }
  assert {
    condition     = google_cloud_run_v2_service.gateway["test/europe-west1"].template[0].containers[0].args == tolist(["gateway"]) && google_cloud_run_v2_service.management[0].template[0].containers[0].args == tolist(["management"])
    error_message = "the image is run as the plane"
  }
  assert {
    condition = { for e in google_cloud_run_v2_service.gateway["test/europe-west1"].template[0].containers[0].env : e.name => e.value } == {
      PERIGEE_ORG          = "acme"
      PERIGEE_ENVIRONMENTS = "test"
      PERIGEE_ANY_HOST     = "false"
      PERIGEE_STORE        = "firestore:acme-apis/perigee"
      PERIGEE_KEYSTORE     = "secretmanager:acme-apis"
      PERIGEE_REFRESH      = "1s"
      PERIGEE_REGION       = "europe-west1"
      PERIGEE_LOG_LEVEL    = "info"
      GOOGLE_CLOUD_PROJECT = "acme-apis"
    }
    error_message = "the gateway's environment"
  }
  assert {
    condition     = google_cloud_run_v2_service.gateway["test/europe-west1"].template[0].max_instance_request_concurrency == 80 && google_cloud_run_v2_service.gateway["test/europe-west1"].template[0].scaling[0].max_instance_count == 10
    error_message = "the gateway's budgets"
  }
  assert {
    condition     = google_firestore_database.perigee.delete_protection_state == "DELETE_PROTECTION_ENABLED" && google_firestore_database.perigee.point_in_time_recovery_enablement == "POINT_IN_TIME_RECOVERY_ENABLED"
    error_message = "the database is protected unless asked otherwise"
  }
  assert {
    condition     = length(google_compute_url_map.this) == 0 && length(google_monitoring_alert_policy.errors) == 0 && output.load_balancer_address == null
    error_message = "no load balancer and no alerts unless asked for"
  }
  assert {
    condition     = !contains(keys(google_project_service.used), "compute.googleapis.com") && !contains(keys(google_project_service.used), "cloudbuild.googleapis.com")
    error_message = "only the APIs that are used"
  }
}

run "least_roles" {
  command = plan

  assert {
    condition     = [for m in google_project_iam_member.gateway_store : m.role] == ["roles/datastore.user"] && [for m in google_project_iam_member.gateway_secrets : m.role] == ["roles/secretmanager.secretAccessor"]
    error_message = "a gateway uses the store and reads secrets"
  }
  assert {
    condition     = length(google_project_iam_member.gateway_logging) + length(google_project_iam_member.gateway_tracing) + length(google_service_account_iam_member.gateway_tokens) + length(google_pubsub_topic_iam_member.gateway_publisher) == 0
    error_message = "and nothing else unless asked for"
  }
  assert {
    condition     = google_project_iam_member.gateway_store["test"].condition[0].expression == "resource.name == \"projects/acme-apis/databases/perigee\""
    error_message = "in its own database"
  }
  assert {
    condition     = google_project_iam_member.gateway_secrets["test"].condition[0].expression == "resource.name.startsWith(\"projects/123456789012/secrets/perigee-\")"
    error_message = "its own secrets"
  }
  assert {
    condition     = !contains(google_project_iam_custom_role.secrets_writer.permissions, "secretmanager.secrets.setIamPolicy") && !contains(google_project_iam_custom_role.secrets_creator.permissions, "secretmanager.versions.access")
    error_message = "the Management API does not say who reads secrets, nor reads those of others"
  }
}

run "roles_asked_for" {
  command = plan
  variables {
    gateways = {
      test = {
        service_accounts = ["orders@acme-apis.iam.gserviceaccount.com"]
        topics           = ["events"]
        cloud_logging    = true
        tracing          = true
      }
      other = {}
    }
  }

  assert {
    condition     = google_service_account_iam_member.gateway_tokens["test/orders@acme-apis.iam.gserviceaccount.com"].role == "roles/iam.serviceAccountTokenCreator" && length(google_service_account_iam_member.gateway_tokens) == 1
    error_message = "tokens for the accounts that are listed, to the gateway that lists them"
  }
  assert {
    condition     = google_pubsub_topic_iam_member.gateway_publisher["test/events"].role == "roles/pubsub.publisher" && length(google_pubsub_topic_iam_member.gateway_publisher) == 1
    error_message = "publisher of the topics that are listed"
  }
  assert {
    condition     = keys(google_project_iam_member.gateway_logging) == ["test"] && length(google_project_iam_member.gateway_tracing) == 2
    error_message = "logging and tracing where asked for"
  }
}

run "function" {
  command = plan
  variables {
    runtime        = "function"
    image          = ""
    source_archive = "versions.tf"
  }

  assert {
    condition     = google_cloudfunctions2_function.gateway["test/europe-west1"].build_config[0].entry_point == "Gateway" && google_cloudfunctions2_function.management[0].build_config[0].entry_point == "Management"
    error_message = "the entry points of function.go"
  }
  assert {
    condition     = google_cloudfunctions2_function.gateway["test/europe-west1"].service_config[0].environment_variables["PERIGEE_STORE"] == "firestore:acme-apis/perigee"
    error_message = "the store"
  }
  assert {
    condition     = length(google_cloud_run_v2_service.gateway) == 0 && length(google_cloud_run_v2_service.management) == 0
    error_message = "nothing of the other runtime"
  }
  assert {
    condition     = toset(keys(google_project_iam_member.build)) == toset(["roles/artifactregistry.writer", "roles/logging.logWriter", "roles/storage.objectViewer"])
    error_message = "roles of builds"
  }
  assert {
    condition     = google_storage_bucket_object.source[0].name == "perigee-${filesha256("versions.tf")}.zip"
    error_message = "the archive is named after its contents"
  }
  assert {
    condition     = google_cloud_run_v2_service_iam_member.gateway_invoker["test/europe-west1/allUsers"].name == "perigee-gw-test"
    error_message = "callers are let into the function's service"
  }
}

run "load_balancer" {
  command = apply
  variables {
    regions       = ["europe-west1", "us-central1"]
    load_balancer = { enabled = true }
    management    = { hostname = "manage.example.com" }
    gateways = {
      public   = { hostnames = ["api.example.com", "www.example.com"], security_policy = "projects/acme-apis/global/securityPolicies/p" }
      partners = { hostnames = ["partners.example.com"] }
      internal = { ingress = "internal", invokers = ["serviceAccount:a@b.iam.gserviceaccount.com"] }
    }
    alerts = { notification_channels = ["projects/acme-apis/notificationChannels/1"] }
  }

  assert {
    condition = { for r in google_compute_url_map.this[0].host_rule : r.path_matcher => sort(r.hosts) } == {
      gw-public   = tolist(["api.example.com", "www.example.com"])
      gw-partners = tolist(["partners.example.com"])
      management  = tolist(["manage.example.com"])
    }
    error_message = "each environment group's host names lead to it"
  }
  assert {
    condition     = { for m in google_compute_url_map.this[0].path_matcher : m.name => m.default_service }["gw-partners"] == google_compute_backend_service.gateway["partners"].id
    error_message = "to its own backend"
  }
  assert {
    condition     = alltrue([for b in google_compute_backend_service.gateway : length(b.backend) == 2])
    error_message = "a backend in every region"
  }
  assert {
    condition     = google_compute_backend_service.gateway["public"].security_policy == "projects/acme-apis/global/securityPolicies/p"
    error_message = "Cloud Armor where asked for"
  }
  assert {
    condition     = !contains(keys(google_compute_backend_service.gateway), "internal") && google_cloud_run_v2_service.gateway["internal/us-central1"].ingress == "INGRESS_TRAFFIC_INTERNAL_ONLY"
    error_message = "what has no host name is not behind it"
  }
  assert {
    condition     = toset(google_compute_managed_ssl_certificate.this[0].managed[0].domains) == toset(["api.example.com", "manage.example.com", "partners.example.com", "www.example.com"])
    error_message = "the certificate has every host name"
  }
  assert {
    condition     = google_compute_url_map.redirect[0].default_url_redirect[0].https_redirect
    error_message = "http goes to https"
  }
  assert {
    condition     = length(google_cloud_run_v2_service.management) == 1 && google_cloud_run_v2_service.management[0].location == "europe-west1"
    error_message = "the Management API runs in the first region"
  }
  assert {
    condition     = length(google_monitoring_alert_policy.instances) == 3 && output.instances_at_most == 62
    error_message = "alerts, and 3 gateways in 2 regions with 10 instances each, and management"
  }
}

run "instance_budget" {
  command = plan
  variables {
    instance_budget = 11
  }
  expect_failures = [google_cloud_run_v2_service_iam_member.management_invoker]
}

run "no_image" {
  command = plan
  variables {
    image = ""
  }
  expect_failures = [google_cloud_run_v2_service.gateway, google_cloud_run_v2_service.management]
}

run "host_name_twice" {
  command = plan
  variables {
    gateways = { aa = { hostnames = ["api.example.com"] }, bb = { hostnames = ["api.example.com"] } }
  }
  expect_failures = [var.gateways]
}

run "long_name" {
  command = plan
  variables {
    gateways = { this-name-is-too-long = {} }
  }
  expect_failures = [var.gateways]
}

run "no_region" {
  command = plan
  variables {
    regions = []
  }
  expect_failures = [var.regions]
}
