variable "name" {
  description = "Name of the function, its role and its log group."
  type        = string
  default     = "perigee-gateway"
  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,26}[a-z0-9]$", var.name))
    error_message = "A name has 3 to 28 lower case letters, digits and hyphens."
  }
}

variable "zip" {
  description = "The zip that scripts/build-lambda.sh made, for the architecture."
  type        = string
}

variable "architecture" {
  description = "arm64 or x86_64; scripts/build-lambda.sh calls the latter amd64."
  type        = string
  default     = "arm64"
  validation {
    condition     = contains(["arm64", "x86_64"], var.architecture)
    error_message = "The architecture is arm64 or x86_64."
  }
}

variable "memory" {
  description = "MB of memory; CPU grows with it, a whole one at 1769."
  type        = number
  default     = 512
}

variable "timeout" {
  description = "Seconds that a request may take; an HTTP API gives up after 30."
  type        = number
  default     = 30
  validation {
    condition     = var.timeout >= 1 && var.timeout <= 900
    error_message = "The timeout is 1 to 900 seconds."
  }
}

variable "concurrency" {
  description = "Instances at most; -1 leaves it to the account's limit."
  type        = number
  default     = 100
}

variable "provisioned_concurrency" {
  description = "Instances that are kept warm."
  type        = number
  default     = 0
}

variable "endpoint" {
  description = "function_url (streams), http_api (API Gateway, custom domains) or none (behind a load balancer of your own)."
  type        = string
  default     = "function_url"
  validation {
    condition     = contains(["function_url", "http_api", "none"], var.endpoint)
    error_message = "The endpoint is function_url, http_api or none."
  }
}

variable "public" {
  description = "Whether anyone may call the function URL; proxies then authenticate callers. Otherwise callers sign with AWS credentials."
  type        = bool
  default     = true
}

variable "organization" {
  description = "Name of the Apigee organization that is served."
  type        = string
}

variable "environments" {
  description = "Environments that are served; none: all of the organization."
  type        = list(string)
  default     = []
}

variable "any_host" {
  description = "Answer host names that no environment group has, such as the function URL's."
  type        = bool
  default     = false
}

variable "environment_variables" {
  description = "Further PERIGEE_ variables."
  type        = map(string)
  default     = {}
}

variable "google" {
  description = <<-EOT
    Where the store is: project, database, and the location of the function's Google
    identity. pool is the id of the workload identity pool to make.
  EOT
  type = object({
    project  = string
    database = optional(string, "perigee")
    pool     = optional(string, "perigee-aws")
  })
}

variable "log_retention_days" {
  description = "Days that log lines are kept."
  type        = number
  default     = 30
}

variable "alarm_topics" {
  description = "SNS topics that are told of errors and throttled calls; no alarms without one."
  type        = list(string)
  default     = []
}

variable "tags" {
  description = "Tags of the AWS resources."
  type        = map(string)
  default     = {}
}
