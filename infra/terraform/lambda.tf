# The autoscaler as a function, if `lambda` is given.

locals {
  function_variables = merge(
    {
      LEASEHOLD_AUTOSCALE_MODE        = var.mode
      LEASEHOLD_AUTOSCALE_STREAMS     = join(",", keys(var.streams))
      LEASEHOLD_AUTOSCALE_TABLE       = local.journal_table
      LEASEHOLD_AUTOSCALE_AUDIT_TABLE = aws_dynamodb_table.audit.name
    },
    trimspace(var.policy) == "" ? {} : { LEASEHOLD_AUTOSCALE_POLICY = var.policy },
    length(var.applications) == 0 ? {} : { LEASEHOLD_AUTOSCALE_APPLICATIONS = join(",", var.applications) },
  )
}

data "aws_iam_policy_document" "assumed_by_function" {
  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["lambda.amazonaws.com"]
    }
  }
}

resource "aws_iam_role" "function" {
  count = local.has_function ? 1 : 0

  name_prefix        = "${var.deployment}-fn-"
  description        = "The Leasehold autoscaler as a function."
  assume_role_policy = data.aws_iam_policy_document.assumed_by_function.json
  tags               = var.tags
}

resource "aws_iam_role_policy_attachment" "function_observe" {
  count = local.has_function ? 1 : 0

  role       = aws_iam_role.function[0].name
  policy_arn = aws_iam_policy.observe.arn
}

resource "aws_iam_role_policy_attachment" "function_apply" {
  count = local.has_function && var.mode == "apply" ? 1 : 0

  role       = aws_iam_role.function[0].name
  policy_arn = aws_iam_policy.apply[0].arn
}

resource "aws_iam_role_policy" "log" {
  count = local.has_function ? 1 : 0

  name = "log"
  role = aws_iam_role.function[0].name
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid      = "WriteOwnLog"
      Effect   = "Allow"
      Action   = ["logs:CreateLogStream", "logs:PutLogEvents"]
      Resource = "${aws_cloudwatch_log_group.function[0].arn}:*"
    }]
  })
}

resource "aws_cloudwatch_log_group" "function" {
  count = local.has_function ? 1 : 0

  name              = "/aws/lambda/${var.deployment}-autoscaler"
  retention_in_days = var.lambda.log_retention_days
  tags              = var.tags
}

# One at a time: two runs would only wait for each other's lock. The reservation also keeps the function from taking
# concurrency that others need.
resource "aws_lambda_function" "autoscaler" {
  count = local.has_function ? 1 : 0

  function_name                  = "${var.deployment}-autoscaler"
  description                    = "Looks at Kinesis streams and plans or changes their shards."
  runtime                        = "provided.al2023"
  handler                        = "bootstrap"
  architectures                  = [var.lambda.architecture]
  memory_size                    = 256
  timeout                        = 60
  reserved_concurrent_executions = 1
  role                           = aws_iam_role.function[0].arn
  filename                       = var.lambda.archive
  source_code_hash               = filebase64sha256(var.lambda.archive)
  tags                           = var.tags

  environment {
    variables = local.function_variables
  }

  lifecycle {
    # Lambda measures the bytes of the variables as JSON, of which base64 makes four of three.
    precondition {
      condition     = length(base64encode(jsonencode(local.function_variables))) <= 5464
      error_message = "Lambda takes 4 KB for all variables together: leave out comments of the policy and what is the default."
    }
  }

  depends_on = [aws_cloudwatch_log_group.function, aws_iam_role_policy.log]
}

# What the policy says cannot be read here, but that there is none can be seen.
check "function_has_the_bounds_of_the_alarms" {
  assert {
    condition = !local.has_function || trimspace(var.policy) != "" || alltrue([
      for stream in values(var.streams) : stream.shards_min == 1 && stream.shards_max == 1000
    ])
    error_message = "The function plans by the default policy, 1 to 1000 shards, while alarms compare with other bounds: give the policy."
  }
}

# A run that failed is made good by the next look, so an event is tried once more and then dropped.
resource "aws_lambda_function_event_invoke_config" "autoscaler" {
  count = local.has_function ? 1 : 0

  function_name                = aws_lambda_function.autoscaler[0].function_name
  maximum_event_age_in_seconds = 300
  maximum_retry_attempts       = 1
}

resource "aws_lambda_event_source_mapping" "wake" {
  count = local.has_function ? 1 : 0

  function_name           = aws_lambda_function.autoscaler[0].arn
  event_source_arn        = aws_sqs_queue.wake.arn
  batch_size              = 10
  function_response_types = ["ReportBatchItemFailures"]

  # The least that Lambda takes: fewer pollers, fewer throttles by the reservation.
  scaling_config {
    maximum_concurrency = 2
  }

  depends_on = [aws_iam_role_policy_attachment.function_observe]
}

resource "aws_lambda_permission" "alarms" {
  count = local.has_function ? 1 : 0

  function_name  = aws_lambda_function.autoscaler[0].function_name
  action         = "lambda:InvokeFunction"
  principal      = "lambda.alarms.cloudwatch.amazonaws.com"
  source_account = local.account
  source_arn     = "${local.alarm_arns}/wake/*"
}

resource "aws_cloudwatch_event_rule" "look" {
  for_each = try(var.lambda.timer, null) == null ? {} : {
    for name in keys(var.streams) : name => "${var.deployment}-look-${name}"
  }

  name                = length(each.value) <= 64 ? each.value : "${substr(each.value, 0, 55)}-${substr(sha1(each.value), 0, 8)}"
  description         = "Looks at the stream that no alarm asked for."
  schedule_expression = var.lambda.timer
  tags                = var.tags
}

resource "aws_cloudwatch_event_target" "look" {
  for_each = aws_cloudwatch_event_rule.look

  rule      = each.value.name
  target_id = "queue"
  arn       = aws_sqs_queue.wake.arn
  input     = jsonencode({ stream = each.key })

  retry_policy {
    maximum_event_age_in_seconds = 60
    maximum_retry_attempts       = 0
  }

  depends_on = [aws_sqs_queue_policy.wake]
}
