locals {
  partition = data.aws_partition.current.partition
  region    = data.aws_region.current.name
  account   = data.aws_caller_identity.current.account_id

  alarm_arns = "arn:${local.partition}:cloudwatch:${local.region}:${local.account}:alarm:${var.deployment}"
  rule_arns  = "arn:${local.partition}:events:${local.region}:${local.account}:rule/${var.deployment}"
  table_arns = "arn:${local.partition}:dynamodb:${local.region}:${local.account}:table"

  journal_table = coalesce(var.journal_table_name, "${var.deployment}_autoscaler")
  reader_tables = flatten([for name in var.applications : [name, "${name}-Telemetry"]])

  streams = {
    for name, stream in var.streams : name => merge(stream, {
      stream               = name
      lag_max_milliseconds = stream.lag_max_seconds * 1000
      doublings            = coalesce(stream.doublings, min(6, floor(log(stream.shards_max / stream.shards_min, 2) + 0.000001)))
    })
  }
  doublings = merge([
    for name, stream in local.streams : {
      for doubling in range(1, stream.doublings + 1) : "${name}/${doubling}" => merge(stream, { factor = pow(2, doubling) })
    }
  ]...)
  consumers = merge([
    for name, stream in local.streams : {
      for consumer in stream.consumers : "${name}/${consumer}" => merge(stream, { consumer = consumer })
    }
  ]...)

  has_function = var.lambda != null
  wake_actions = [try(var.lambda.alarms_call, false) ? aws_lambda_function.autoscaler[0].arn : aws_sns_topic.wake.arn]
  tell_actions = [aws_sns_topic.operators.arn]
}
