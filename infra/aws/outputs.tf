output "url" {
  description = "URL of the gateway; null for endpoint none."
  value       = one(concat(aws_lambda_function_url.live[*].function_url, aws_apigatewayv2_stage.default[*].invoke_url))
}

output "alias_arn" {
  description = "ARN of the alias live, for a load balancer's target group."
  value       = aws_lambda_alias.live.arn
}

output "role_arn" {
  description = "ARN of the function's role."
  value       = aws_iam_role.function.arn
}

output "google_service_account" {
  description = "The function's service account at Google."
  value       = google_service_account.gateway.email
}

output "google_credentials" {
  description = "The external_account configuration the function is given; it holds no secret."
  value       = local.google_credentials
}
