variable "project" {
  description = "Google Cloud project that everything is created in."
  type        = string
}

variable "regions" {
  description = "Regions that the gateways run in; the Management API runs in the first. More than one needs a load balancer to be of use."
  type        = list(string)
  validation {
    condition     = length(var.regions) > 0 && length(distinct(var.regions)) == length(var.regions)
    error_message = "Name at least one region, and each only once."
  }
}

variable "name_prefix" {
  description = "Start of the names of services, service accounts and other resources; 2 to 10 characters."
  type        = string
  default     = "perigee"
  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,8}[a-z0-9]$", var.name_prefix))
    error_message = "A prefix has 2 to 10 lower case letters, digits and hyphens."
  }
}

variable "organization" {
  description = "Name of the Apigee organization that is served."
  type        = string
}

variable "labels" {
  description = "Labels of every resource that takes some."
  type        = map(string)
  default     = {}
}

variable "runtime" {
  description = "How both planes run: \"function\" (Cloud Run functions, built from source_archive) or \"container\" (Cloud Run, from image)."
  type        = string
  default     = "container"
  validation {
    condition     = contains(["function", "container"], var.runtime)
    error_message = "The runtime is function or container."
  }
}

variable "image" {
  description = "Image of both planes for runtime \"container\", best by digest: REGION-docker.pkg.dev/PROJECT/REPOSITORY/perigee@sha256:..."
  type        = string
  default     = ""
}

variable "source_archive" {
  description = "Zip of the source for runtime \"function\", as scripts/package-function.sh makes it."
  type        = string
  default     = ""
}

variable "function_runtime" {
  description = "Runtime of functions; the module needs Go 1.26."
  type        = string
  default     = "go126"
}

variable "gateways" {
  description = <<-EOT
    The data planes, one service per entry and region, keyed by environment group.
    Each has a service account of its own.
      hostnames        host names of the environment group, for the load balancer
      environments     environments it serves; none: all of the organization
      any_host         answer host names that no environment group has
      invokers         who may call it; allUsers leaves authentication to the proxies
      ingress          all, internal or internal-and-cloud-load-balancing
      min_instances    instances per region that are kept warm
      max_instances    instances per region at most
      concurrency      requests that one instance answers at a time
      cpu, memory      of one instance
      timeout          seconds that a request may take
      http2            whether requests arrive as HTTP/2, which gRPC needs (containers)
      service_accounts e-mail addresses of accounts that proxies are deployed with
      topics           Pub/Sub topics that PublishMessage writes to
      cloud_logging    whether MessageLogging writes to Cloud Logging
      tracing          whether traces and metrics are exported to Google Cloud
      security_policy  Cloud Armor policy at the load balancer
      environment_variables  further PERIGEE_ variables
  EOT
  type = map(object({
    hostnames             = optional(list(string), [])
    environments          = optional(list(string), [])
    any_host              = optional(bool, false)
    invokers              = optional(list(string), ["allUsers"])
    ingress               = optional(string, "all")
    min_instances         = optional(number, 0)
    max_instances         = optional(number, 10)
    concurrency           = optional(number, 80)
    cpu                   = optional(string, "1")
    memory                = optional(string, "512Mi")
    timeout               = optional(number, 60)
    http2                 = optional(bool, false)
    service_accounts      = optional(list(string), [])
    topics                = optional(list(string), [])
    cloud_logging         = optional(bool, false)
    tracing               = optional(bool, false)
    security_policy       = optional(string)
    environment_variables = optional(map(string), {})
  }))
  validation {
    condition     = length(var.gateways) > 0 && alltrue([for name, _ in var.gateways : can(regex("^[a-z][a-z0-9-]{0,14}[a-z0-9]$", name))])
    error_message = "There is at least one gateway, and names have 2 to 16 lower case letters, digits and hyphens."
  }
  validation {
    condition     = alltrue([for g in values(var.gateways) : contains(["all", "internal", "internal-and-cloud-load-balancing"], g.ingress)])
    error_message = "Ingress is all, internal or internal-and-cloud-load-balancing."
  }
  validation {
    condition     = alltrue([for g in values(var.gateways) : g.min_instances <= g.max_instances && g.max_instances >= 1 && g.concurrency >= 1 && g.concurrency <= 1000 && g.timeout >= 1 && g.timeout <= 3600])
    error_message = "min_instances must not exceed max_instances, concurrency is 1 to 1000, timeout 1 to 3600 seconds."
  }
  validation {
    condition     = length(flatten([for g in values(var.gateways) : g.hostnames])) == length(distinct(flatten([for g in values(var.gateways) : g.hostnames])))
    error_message = "A host name belongs to one environment group only."
  }
}

variable "management" {
  description = <<-EOT
    The Management API. It authenticates every call itself, as apigee.googleapis.com
    does; invokers restricts who reaches it at all, by Cloud Run's IAM, and callers then
    send their ID token in X-Serverless-Authorization.
  EOT
  type = object({
    hostname              = optional(string)
    invokers              = optional(list(string), ["allUsers"])
    ingress               = optional(string, "all")
    max_instances         = optional(number, 2)
    concurrency           = optional(number, 20)
    cpu                   = optional(string, "1")
    memory                = optional(string, "1Gi")
    timeout               = optional(number, 300)
    security_policy       = optional(string)
    environment_variables = optional(map(string), {})
  })
  default = {}
  validation {
    condition     = contains(["all", "internal", "internal-and-cloud-load-balancing"], var.management.ingress)
    error_message = "Ingress is all, internal or internal-and-cloud-load-balancing."
  }
}

variable "instance_budget" {
  description = "Instances of all services and regions together at most: the plan fails if maxima exceed it."
  type        = number
  default     = 100
}

variable "refresh" {
  description = "How often a warm gateway looks for changes: the delay of deployments and revocations, against one read per instance."
  type        = string
  default     = "1s"
}

variable "log_level" {
  description = "debug, info, warn or error; info writes a line per call."
  type        = string
  default     = "info"
}

variable "firestore" {
  description = "The database. location is a region, or nam5 or eur3 (multi-region). delete_protection holds it through terraform destroy."
  type = object({
    location                = string
    database                = optional(string, "perigee")
    delete_protection       = optional(bool, true)
    point_in_time_recovery  = optional(bool, true)
    daily_backup_retention  = optional(string, "604800s")
    weekly_backup_retention = optional(string, "8467200s")
  })
}

variable "load_balancer" {
  description = "A global external HTTPS load balancer for the host names of gateways and management. Its certificate is Google-managed and issued once DNS points at the output load_balancer_address."
  type = object({
    enabled      = optional(bool, false)
    certificates = optional(list(string), [])
    log_rate     = optional(number, 0)
  })
  default = {}
}

variable "alerts" {
  description = "Thresholds of the alerts; none are created without notification channels."
  type = object({
    notification_channels = optional(list(string), [])
    error_ratio           = optional(number, 0.05)
    latency_p99_ms        = optional(number, 2000)
    instance_share        = optional(number, 0.8)
  })
  default = {}
}

variable "enable_services" {
  description = "Whether to enable the APIs that are used; false where another configuration does."
  type        = bool
  default     = true
}

variable "build_service_account" {
  description = "Service account that builds functions, projects/PROJECT/serviceAccounts/EMAIL; one with the roles it needs is made when empty."
  type        = string
  default     = ""
}
