# The gateway on AWS Lambda, with its store in Firestore. docs/DEPLOY.md leads
# through it.

data "aws_region" "this" {}

data "aws_iam_policy_document" "trust" {
  statement {
    actions = ["sts:AssumeRole"]
    principals {
      type        = "Service"
      identifiers = ["lambda.amazonaws.com"]
    }
  }
}

# Its own log group is all the function may touch: calling sts:GetCallerIdentity
# needs no permission.
data "aws_iam_policy_document" "logs" {
  statement {
    actions   = ["logs:CreateLogStream", "logs:PutLogEvents"]
    resources = ["${aws_cloudwatch_log_group.function.arn}:*"]
  }
}

resource "aws_iam_role" "function" {
  name               = var.name
  assume_role_policy = data.aws_iam_policy_document.trust.json
  tags               = var.tags
}

resource "aws_iam_role_policy" "logs" {
  name   = "logs"
  role   = aws_iam_role.function.id
  policy = data.aws_iam_policy_document.logs.json
}

resource "aws_cloudwatch_log_group" "function" {
  name              = "/aws/lambda/${var.name}"
  retention_in_days = var.log_retention_days
  tags              = var.tags
}

resource "aws_lambda_function" "gateway" {
  function_name                  = var.name
  role                           = aws_iam_role.function.arn
  runtime                        = "provided.al2023"
  handler                        = "bootstrap"
  architectures                  = [var.architecture]
  filename                       = var.zip
  source_code_hash               = filebase64sha256(var.zip)
  memory_size                    = var.memory
  timeout                        = var.timeout
  reserved_concurrent_executions = var.concurrency
  publish                        = true
  tags                           = var.tags

  environment {
    variables = merge({
      PERIGEE_ORG                = var.organization
      PERIGEE_ENVIRONMENTS       = join(",", var.environments)
      PERIGEE_ANY_HOST           = tostring(var.any_host)
      PERIGEE_STORE              = "firestore:${var.google.project}/${var.google.database}"
      PERIGEE_KEYSTORE           = "secretmanager:${var.google.project}"
      PERIGEE_REGION             = data.aws_region.this.region
      PERIGEE_LAMBDA_STREAMING   = tostring(var.endpoint == "function_url")
      PERIGEE_GOOGLE_CREDENTIALS = local.google_credentials
      GOOGLE_CLOUD_PROJECT       = var.google.project
    }, var.environment_variables)
  }
  depends_on = [aws_iam_role_policy.logs]
}

# Callers use the alias: it moves to a new version at once, and back.
resource "aws_lambda_alias" "live" {
  name             = "live"
  function_name    = aws_lambda_function.gateway.function_name
  function_version = aws_lambda_function.gateway.version
}

resource "aws_lambda_provisioned_concurrency_config" "live" {
  count                             = var.provisioned_concurrency > 0 ? 1 : 0
  function_name                     = aws_lambda_function.gateway.function_name
  qualifier                         = aws_lambda_alias.live.name
  provisioned_concurrent_executions = var.provisioned_concurrency
}

resource "aws_lambda_function_url" "live" {
  count              = var.endpoint == "function_url" ? 1 : 0
  function_name      = aws_lambda_function.gateway.function_name
  qualifier          = aws_lambda_alias.live.name
  authorization_type = var.public ? "NONE" : "AWS_IAM"
  invoke_mode        = "RESPONSE_STREAM"
}

# A public function URL needs both permissions; the second only through the URL.
resource "aws_lambda_permission" "url" {
  count                  = var.endpoint == "function_url" && var.public ? 1 : 0
  statement_id           = "FunctionURLAllowPublicAccess"
  action                 = "lambda:InvokeFunctionUrl"
  function_name          = aws_lambda_function.gateway.function_name
  qualifier              = aws_lambda_alias.live.name
  principal              = "*"
  function_url_auth_type = "NONE"
}

resource "aws_lambda_permission" "url_invoke" {
  count                    = var.endpoint == "function_url" && var.public ? 1 : 0
  statement_id             = "FunctionURLInvokeAllowPublicAccess"
  action                   = "lambda:InvokeFunction"
  function_name            = aws_lambda_function.gateway.function_name
  qualifier                = aws_lambda_alias.live.name
  principal                = "*"
  invoked_via_function_url = true
}

resource "aws_apigatewayv2_api" "http" {
  count         = var.endpoint == "http_api" ? 1 : 0
  name          = var.name
  protocol_type = "HTTP"
  tags          = var.tags
}

resource "aws_apigatewayv2_integration" "gateway" {
  count                  = var.endpoint == "http_api" ? 1 : 0
  api_id                 = aws_apigatewayv2_api.http[0].id
  integration_type       = "AWS_PROXY"
  integration_uri        = aws_lambda_alias.live.invoke_arn
  payload_format_version = "2.0"
}

resource "aws_apigatewayv2_route" "default" {
  count     = var.endpoint == "http_api" ? 1 : 0
  api_id    = aws_apigatewayv2_api.http[0].id
  route_key = "$default"
  target    = "integrations/${aws_apigatewayv2_integration.gateway[0].id}"
}

resource "aws_apigatewayv2_stage" "default" {
  count       = var.endpoint == "http_api" ? 1 : 0
  api_id      = aws_apigatewayv2_api.http[0].id
  name        = "$default"
  auto_deploy = true
  tags        = var.tags
}

resource "aws_lambda_permission" "http_api" {
  count         = var.endpoint == "http_api" ? 1 : 0
  statement_id  = "HttpApiInvoke"
  action        = "lambda:InvokeFunction"
  function_name = aws_lambda_function.gateway.function_name
  qualifier     = aws_lambda_alias.live.name
  principal     = "apigateway.amazonaws.com"
  source_arn    = "${aws_apigatewayv2_api.http[0].execution_arn}/*"
}

resource "aws_cloudwatch_metric_alarm" "errors" {
  for_each            = length(var.alarm_topics) > 0 ? toset(["Errors", "Throttles"]) : toset([])
  alarm_name          = "${var.name}-${lower(each.value)}"
  namespace           = "AWS/Lambda"
  metric_name         = each.value
  dimensions          = { FunctionName = aws_lambda_function.gateway.function_name }
  statistic           = "Sum"
  period              = 60
  evaluation_periods  = 5
  threshold           = 0
  comparison_operator = "GreaterThanThreshold"
  treat_missing_data  = "notBreaching"
  alarm_actions       = var.alarm_topics
  tags                = var.tags
}
