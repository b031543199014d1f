# What is alike for both runtimes. A function of the second generation is a Cloud
# Run service of the same name.

locals {
  gateway_variables = { for key, g in local.gateways : key => merge({
    PERIGEE_ENVIRONMENTS = join(",", g.environments)
    PERIGEE_ANY_HOST     = tostring(g.any_host)
    PERIGEE_REFRESH      = var.refresh
    PERIGEE_REGION       = g.region
  }, g.environment_variables) }

  management_variables = var.management.environment_variables

  gateway_services = { for key, g in local.gateways : key => {
    name   = local.function ? google_cloudfunctions2_function.gateway[key].name : google_cloud_run_v2_service.gateway[key].name
    url    = local.function ? google_cloudfunctions2_function.gateway[key].url : google_cloud_run_v2_service.gateway[key].uri
    region = g.region
    group  = g.group
  } }

  management_service = {
    name = local.function ? google_cloudfunctions2_function.management[0].name : google_cloud_run_v2_service.management[0].name
    url  = local.function ? google_cloudfunctions2_function.management[0].url : google_cloud_run_v2_service.management[0].uri
  }

  instances_at_most = sum([for g in values(local.gateways) : g.max_instances]) + var.management.max_instances
}

resource "google_cloud_run_v2_service_iam_member" "gateway_invoker" {
  for_each = merge([for key, g in local.gateways : { for who in g.invokers : "${key}/${who}" => { key = key, who = who } }]...)
  project  = var.project
  location = local.gateways[each.value.key].region
  name     = local.gateway_services[each.value.key].name
  role     = "roles/run.invoker"
  member   = each.value.who
}

resource "google_cloud_run_v2_service_iam_member" "management_invoker" {
  for_each = toset(var.management.invokers)
  project  = var.project
  location = local.management_region
  name     = local.management_service.name
  role     = "roles/run.invoker"
  member   = each.value

  lifecycle {
    precondition {
      condition     = local.instances_at_most <= var.instance_budget
      error_message = "The services may start ${local.instances_at_most} instances together, more than instance_budget (${var.instance_budget})."
    }
  }
}
