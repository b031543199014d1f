output "gateway_urls" {
  description = "URL of each gateway, keyed by environment group and region."
  value       = { for key, s in local.gateway_services : key => s.url }
}

output "management_url" {
  description = "URL of the Management API: the --server of perigee and apigeecli."
  value       = local.management_service.url
}

output "gateway_service_accounts" {
  description = "Service account of each environment group's gateway."
  value       = { for name, a in google_service_account.gateway : name => a.email }
}

output "management_service_account" {
  description = "Service account of the Management API."
  value       = google_service_account.management.email
}

output "store" {
  description = "Value of PERIGEE_STORE, for the CLI and for gateways elsewhere."
  value       = local.environment_variables.PERIGEE_STORE
}

output "load_balancer_address" {
  description = "Address that the host names' A records must have; null without a load balancer."
  value       = one(google_compute_global_address.this[*].address)
}

output "instances_at_most" {
  description = "Instances of all services and regions together at most."
  value       = local.instances_at_most
}
