# What is planned for the ways the module is used, with mocked providers.

mock_provider "google" {
  mock_data "google_project" {
    defaults = { number = "123456789012" }
  }
  mock_resource "google_service_account" {
    defaults = { email = "perigee-gateway-l@acme-apis.iam.gserviceaccount.com" }
  }
  mock_resource "google_iam_workload_identity_pool" {
    defaults = { name = "projects/123456789012/locations/global/workloadIdentityPools/perigee-aws" }
  }
}

mock_provider "aws" {
  mock_data "aws_caller_identity" {
    defaults = { account_id = "210987654321" }
  }
  mock_data "aws_region" {
    defaults = { region = "eu-west-1" }
  }
  mock_data "aws_iam_policy_document" {
    defaults = { json = "{}" }
  }
  mock_resource "aws_iam_role" {
    defaults = { arn = "arn:aws:iam::210987654321:role/perigee-gateway" }
  }
}

variables {
  zip          = "versions.tf"
  organization = "acme"
  google       = { project = "acme-apis" }
}

run "function_url" {
  command = apply

  assert {
    condition     = aws_lambda_function.gateway.runtime == "provided.al2023" && aws_lambda_function.gateway.architectures == tolist(["arm64"]) && aws_lambda_function.gateway.publish
    error_message = "the function"
  }
  assert {
    condition     = aws_lambda_function_url.live[0].invoke_mode == "RESPONSE_STREAM" && aws_lambda_function.gateway.environment[0].variables["PERIGEE_LAMBDA_STREAMING"] == "true"
    error_message = "the URL and the function agree on streaming"
  }
  assert {
    condition     = aws_lambda_function_url.live[0].qualifier == "live" && length(aws_lambda_permission.url) == 1 && aws_lambda_permission.url_invoke[0].invoked_via_function_url
    error_message = "anyone calls the alias, through the URL only"
  }
  assert {
    condition = jsondecode(aws_lambda_function.gateway.environment[0].variables["PERIGEE_GOOGLE_CREDENTIALS"]) == {
      type                              = "external_account"
      audience                          = "//iam.googleapis.com/projects/123456789012/locations/global/workloadIdentityPools/perigee-aws/providers/aws"
      subject_token_type                = "urn:ietf:params:aws:token-type:aws4_request"
      token_url                         = "https://sts.googleapis.com/v1/token"
      service_account_impersonation_url = "https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/perigee-gateway-l@acme-apis.iam.gserviceaccount.com:generateAccessToken"
      credential_source = {
        environment_id                 = "aws1"
        regional_cred_verification_url = "https://sts.{region}.amazonaws.com?Action=GetCallerIdentity&Version=2011-06-15"
      }
    }
    error_message = "the credentials it finds Google with"
  }
  assert {
    condition     = google_iam_workload_identity_pool_provider.aws.attribute_condition == "assertion.arn.startsWith('arn:aws:sts::210987654321:assumed-role/perigee-gateway/')"
    error_message = "only this function's role"
  }
  assert {
    condition     = google_service_account_iam_member.federated.member == "principalSet://iam.googleapis.com/projects/123456789012/locations/global/workloadIdentityPools/perigee-aws/attribute.aws_role/perigee-gateway"
    error_message = "may be the service account"
  }
  assert {
    condition     = length(aws_apigatewayv2_api.http) == 0 && length(aws_cloudwatch_metric_alarm.errors) == 0 && length(aws_lambda_provisioned_concurrency_config.live) == 0
    error_message = "nothing that was not asked for"
  }
}

run "http_api" {
  command = plan
  variables {
    endpoint                = "http_api"
    provisioned_concurrency = 2
    alarm_topics            = ["arn:aws:sns:eu-west-1:210987654321:ops"]
  }

  assert {
    condition     = aws_apigatewayv2_integration.gateway[0].payload_format_version == "2.0" && aws_apigatewayv2_route.default[0].route_key == "$default"
    error_message = "every call, as functions/lambda reads them"
  }
  assert {
    condition     = aws_lambda_function.gateway.environment[0].variables["PERIGEE_LAMBDA_STREAMING"] == "false" && length(aws_lambda_function_url.live) == 0
    error_message = "no streaming behind API Gateway"
  }
  assert {
    condition     = length(aws_cloudwatch_metric_alarm.errors) == 2 && length(aws_lambda_provisioned_concurrency_config.live) == 1
    error_message = "alarms and warm instances"
  }
}

run "private" {
  command = plan
  variables {
    public = false
  }
  assert {
    condition     = aws_lambda_function_url.live[0].authorization_type == "AWS_IAM" && length(aws_lambda_permission.url) == 0 && length(aws_lambda_permission.url_invoke) == 0
    error_message = "callers sign"
  }
}

run "no_endpoint" {
  command = plan
  variables {
    endpoint = "none"
  }
  assert {
    condition     = length(aws_lambda_function_url.live) == 0 && length(aws_apigatewayv2_api.http) == 0 && output.url == null
    error_message = "for a load balancer of one's own"
  }
}

run "unknown_endpoint" {
  command = plan
  variables {
    endpoint = "rest"
  }
  expect_failures = [var.endpoint]
}
