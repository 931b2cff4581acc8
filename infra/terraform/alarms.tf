# The alarms. They compare with bounds and shares and never with the number of shards, so no reshard has to rewrite them.
# Changes belong into autoscaler/src/alarms/catalog.rs, which writes the CloudFormation of them, too.

# >>> alarms: written by `alarms render`
resource "aws_cloudwatch_metric_alarm" "bytes_above_floor" {
  for_each = local.streams

  alarm_name          = "${var.deployment}/wake/${each.value.stream}/bytes-above-floor"
  alarm_description   = "The bytes written to ${each.value.stream} exceed ${each.value.grow_above} of what ${each.value.shards_min} shards take, the fewest that it may have. Wakes the autoscaler, which looks and decides; nothing to do for people. It compares with the bound of the policy and not with the shards of today, so a reshard never has to rewrite it. Bytes count only when accepted: on a throttled stream the demand is higher. No data means no puts, which ends the alarm so that the next surge sets it off again."
  comparison_operator = "GreaterThanThreshold"
  threshold           = each.value.grow_above
  evaluation_periods  = 3
  datapoints_to_alarm = 2
  treat_missing_data  = "notBreaching"
  alarm_actions       = local.wake_actions
  ok_actions          = local.wake_actions
  tags                = var.tags

  metric_query {
    id          = "share"
    label       = "bytes written, as a share of what the least layout takes"
    expression  = "bytes / (60 * ${each.value.write_bytes_per_second} * ${each.value.shards_min})"
    return_data = true
  }
  metric_query {
    id          = "bytes"
    return_data = false

    metric {
      namespace   = "AWS/Kinesis"
      metric_name = "IncomingBytes"
      stat        = "Sum"
      period      = 60
      dimensions  = { StreamName = each.value.stream }
    }
  }
}

resource "aws_cloudwatch_metric_alarm" "records_above_floor" {
  for_each = local.streams

  alarm_name          = "${var.deployment}/wake/${each.value.stream}/records-above-floor"
  alarm_description   = "The records written to ${each.value.stream} exceed ${each.value.grow_above} of what ${each.value.shards_min} shards take, the fewest that it may have. A shard takes ${each.value.write_records_per_second} records a second however small they are: with records below 1 kB this limit binds before the bytes do, and aggregating them in the producer is cheaper than shards. Wakes the autoscaler; nothing to do for people."
  comparison_operator = "GreaterThanThreshold"
  threshold           = each.value.grow_above
  evaluation_periods  = 3
  datapoints_to_alarm = 2
  treat_missing_data  = "notBreaching"
  alarm_actions       = local.wake_actions
  ok_actions          = local.wake_actions
  tags                = var.tags

  metric_query {
    id          = "share"
    label       = "records written, as a share of what the least layout takes"
    expression  = "records / (60 * ${each.value.write_records_per_second} * ${each.value.shards_min})"
    return_data = true
  }
  metric_query {
    id          = "records"
    return_data = false

    metric {
      namespace   = "AWS/Kinesis"
      metric_name = "IncomingRecords"
      stat        = "Sum"
      period      = 60
      dimensions  = { StreamName = each.value.stream }
    }
  }
}

resource "aws_cloudwatch_metric_alarm" "demand_doubled" {
  for_each = local.doublings

  alarm_name          = "${var.deployment}/wake/${each.value.stream}/demand-doubled-x${each.value.factor}"
  alarm_description   = "The demand on ${each.value.stream} exceeds ${each.value.grow_above} of ${each.value.factor} x ${each.value.shards_min} shards. Alarms act when their state changes and not while it lasts, so one level would wake the autoscaler once, however far a surge climbs. These levels lie a doubling apart: each doubling of the demand changes the state of one of them. Wakes the autoscaler; nothing to do for people."
  comparison_operator = "GreaterThanThreshold"
  threshold           = each.value.grow_above
  evaluation_periods  = 3
  datapoints_to_alarm = 2
  treat_missing_data  = "notBreaching"
  alarm_actions       = local.wake_actions
  ok_actions          = local.wake_actions
  tags                = var.tags

  metric_query {
    id          = "share"
    label       = "bytes or records, as a share of what so many shards take"
    expression  = "MAX([bytes / (60 * ${each.value.write_bytes_per_second} * ${each.value.shards_min} * ${each.value.factor}), records / (60 * ${each.value.write_records_per_second} * ${each.value.shards_min} * ${each.value.factor})])"
    return_data = true
  }
  metric_query {
    id          = "bytes"
    return_data = false

    metric {
      namespace   = "AWS/Kinesis"
      metric_name = "IncomingBytes"
      stat        = "Sum"
      period      = 60
      dimensions  = { StreamName = each.value.stream }
    }
  }
  metric_query {
    id          = "records"
    return_data = false

    metric {
      namespace   = "AWS/Kinesis"
      metric_name = "IncomingRecords"
      stat        = "Sum"
      period      = 60
      dimensions  = { StreamName = each.value.stream }
    }
  }
}

resource "aws_cloudwatch_metric_alarm" "writes_throttled" {
  for_each = local.streams

  alarm_name          = "${var.deployment}/wake/${each.value.stream}/writes-throttled"
  alarm_description   = "Records written to ${each.value.stream} were refused: some shard is full, although the stream as a whole may not be. Wakes the autoscaler at the first minute; it needs no telemetry and no shard count, so it works even if every metric of the tool is missing. The count includes retries, so it says that there is a shortage and not how great it is. The metric is absent while nothing is refused: no data is good news."
  comparison_operator = "GreaterThanThreshold"
  threshold           = 0
  evaluation_periods  = 1
  datapoints_to_alarm = 1
  treat_missing_data  = "notBreaching"
  alarm_actions       = local.wake_actions
  ok_actions          = local.wake_actions
  tags                = var.tags

  namespace   = "AWS/Kinesis"
  metric_name = "WriteProvisionedThroughputExceeded"
  statistic   = "Sum"
  period      = 60
  dimensions  = { StreamName = each.value.stream }
}

resource "aws_cloudwatch_metric_alarm" "writes_throttled_long" {
  for_each = local.streams

  alarm_name          = "${var.deployment}/tell/${each.value.stream}/writes-throttled-long"
  alarm_description   = "Writes to ${each.value.stream} were refused in 30 of the last 40 minutes; even a tenfold surge should be absorbed in 30. Ask `leasehold autoscale plan` what binds: shards_max, the day's UpdateShardCount calls, the account's shard limit, or one hot key that no split can divide and that its producer must spread."
  comparison_operator = "GreaterThanThreshold"
  threshold           = 0
  evaluation_periods  = 40
  datapoints_to_alarm = 30
  treat_missing_data  = "notBreaching"
  alarm_actions       = local.tell_actions
  ok_actions          = local.tell_actions
  tags                = var.tags

  namespace   = "AWS/Kinesis"
  metric_name = "WriteProvisionedThroughputExceeded"
  statistic   = "Sum"
  period      = 60
  dimensions  = { StreamName = each.value.stream }
}

resource "aws_cloudwatch_metric_alarm" "reads_throttled" {
  for_each = local.streams

  alarm_name          = "${var.deployment}/wake/${each.value.stream}/reads-throttled"
  alarm_description   = "Polling readers of ${each.value.stream} were refused in 3 of 5 minutes. They share 2 MB and 5 calls a second for each shard; single refusals are how pollers share, so one minute is no reason. Wakes the autoscaler. If it finds no shard over the byte limit, the calls are too many: poll less often, or use enhanced fan-out. No data means that nothing was refused."
  comparison_operator = "GreaterThanThreshold"
  threshold           = 0
  evaluation_periods  = 5
  datapoints_to_alarm = 3
  treat_missing_data  = "notBreaching"
  alarm_actions       = local.wake_actions
  ok_actions          = local.wake_actions
  tags                = var.tags

  namespace   = "AWS/Kinesis"
  metric_name = "ReadProvisionedThroughputExceeded"
  statistic   = "Sum"
  period      = 60
  dimensions  = { StreamName = each.value.stream }
}

resource "aws_cloudwatch_metric_alarm" "readers_behind" {
  for_each = local.streams

  alarm_name          = "${var.deployment}/wake/${each.value.stream}/readers-behind"
  alarm_description   = "The slowest polling reader of ${each.value.stream} is more than ${each.value.lag_max_milliseconds} ms behind. Wakes the autoscaler, which stops merging; it adds no shards for it, because children are read only after their parents and new shards do not shorten an old backlog. The readers need more workers or less work for each record. No data means that nobody polls, which is neither good nor bad: the state is then unknown."
  comparison_operator = "GreaterThanThreshold"
  threshold           = each.value.lag_max_milliseconds
  evaluation_periods  = 5
  datapoints_to_alarm = 3
  treat_missing_data  = "missing"
  alarm_actions       = local.wake_actions
  ok_actions          = local.wake_actions
  tags                = var.tags

  namespace   = "AWS/Kinesis"
  metric_name = "GetRecords.IteratorAgeMilliseconds"
  statistic   = "Maximum"
  period      = 60
  dimensions  = { StreamName = each.value.stream }
}

resource "aws_cloudwatch_metric_alarm" "readers_near_loss" {
  for_each = local.streams

  alarm_name          = "${var.deployment}/tell/${each.value.stream}/readers-near-loss"
  alarm_description   = "A polling reader of ${each.value.stream} is behind by more than half of the ${each.value.retention_hours} hours that records are kept. What it does not read in time is lost. Raise the retention first (IncreaseStreamRetentionPeriod works at once), then the number of workers. A reader that stops while it is behind publishes nothing: no data leaves the alarm as it is and does not end it."
  comparison_operator = "GreaterThanThreshold"
  threshold           = 0.5
  evaluation_periods  = 5
  datapoints_to_alarm = 3
  treat_missing_data  = "ignore"
  alarm_actions       = local.tell_actions
  ok_actions          = local.tell_actions
  tags                = var.tags

  metric_query {
    id          = "share"
    label       = "age of the oldest unread record, as a share of the retention"
    expression  = "age / (3600000 * ${each.value.retention_hours})"
    return_data = true
  }
  metric_query {
    id          = "age"
    return_data = false

    metric {
      namespace   = "AWS/Kinesis"
      metric_name = "GetRecords.IteratorAgeMilliseconds"
      stat        = "Maximum"
      period      = 60
      dimensions  = { StreamName = each.value.stream }
    }
  }
}

resource "aws_cloudwatch_metric_alarm" "consumer_behind" {
  for_each = local.consumers

  alarm_name          = "${var.deployment}/wake/${each.value.stream}/consumer-behind/${each.value.consumer}"
  alarm_description   = "The fan-out consumer ${each.value.consumer} of ${each.value.stream} is more than ${each.value.lag_max_milliseconds} ms behind. Iterator age does not see fan-out consumers; this metric, one for each consumer, is the only one that does. Wakes the autoscaler, which stops merging. No data means that it is not subscribed: the state is then unknown."
  comparison_operator = "GreaterThanThreshold"
  threshold           = each.value.lag_max_milliseconds
  evaluation_periods  = 5
  datapoints_to_alarm = 3
  treat_missing_data  = "missing"
  alarm_actions       = local.wake_actions
  ok_actions          = local.wake_actions
  tags                = var.tags

  namespace   = "AWS/Kinesis"
  metric_name = "SubscribeToShardEvent.MillisBehindLatest"
  statistic   = "Maximum"
  period      = 60
  dimensions  = { StreamName = each.value.stream, ConsumerName = each.value.consumer }
}

resource "aws_cloudwatch_metric_alarm" "bytes_near_ceiling" {
  for_each = local.streams

  alarm_name          = "${var.deployment}/tell/${each.value.stream}/bytes-near-ceiling"
  alarm_description   = "The bytes written to ${each.value.stream} exceed ${each.value.grow_above} of what ${each.value.shards_max} shards take, the most that it may have. The autoscaler will stop there and the stream will throttle. Raise shards_max in its policy and here, after a look at the account's shard limit, or ask the producers. No data means no puts."
  comparison_operator = "GreaterThanThreshold"
  threshold           = each.value.grow_above
  evaluation_periods  = 3
  datapoints_to_alarm = 2
  treat_missing_data  = "notBreaching"
  alarm_actions       = local.tell_actions
  ok_actions          = local.tell_actions
  tags                = var.tags

  metric_query {
    id          = "share"
    label       = "bytes written, as a share of what the greatest layout takes"
    expression  = "bytes / (60 * ${each.value.write_bytes_per_second} * ${each.value.shards_max})"
    return_data = true
  }
  metric_query {
    id          = "bytes"
    return_data = false

    metric {
      namespace   = "AWS/Kinesis"
      metric_name = "IncomingBytes"
      stat        = "Sum"
      period      = 300
      dimensions  = { StreamName = each.value.stream }
    }
  }
}

resource "aws_cloudwatch_metric_alarm" "records_near_ceiling" {
  for_each = local.streams

  alarm_name          = "${var.deployment}/tell/${each.value.stream}/records-near-ceiling"
  alarm_description   = "The records written to ${each.value.stream} exceed ${each.value.grow_above} of what ${each.value.shards_max} shards take, the most that it may have. The autoscaler will stop there and the stream will throttle. Raise shards_max, or aggregate small records in the producers: a shard takes ${each.value.write_records_per_second} a second of any size. No data means no puts."
  comparison_operator = "GreaterThanThreshold"
  threshold           = each.value.grow_above
  evaluation_periods  = 3
  datapoints_to_alarm = 2
  treat_missing_data  = "notBreaching"
  alarm_actions       = local.tell_actions
  ok_actions          = local.tell_actions
  tags                = var.tags

  metric_query {
    id          = "share"
    label       = "records written, as a share of what the greatest layout takes"
    expression  = "records / (60 * ${each.value.write_records_per_second} * ${each.value.shards_max})"
    return_data = true
  }
  metric_query {
    id          = "records"
    return_data = false

    metric {
      namespace   = "AWS/Kinesis"
      metric_name = "IncomingRecords"
      stat        = "Sum"
      period      = 300
      dimensions  = { StreamName = each.value.stream }
    }
  }
}

resource "aws_cloudwatch_metric_alarm" "shards_full" {
  for_each = local.streams

  alarm_name          = "${var.deployment}/wake/${each.value.stream}/shards-full"
  alarm_description   = "The fullest shard of ${each.value.stream} is used above ${each.value.grow_above} of its limit, as the autoscaler or a worker measured it. Utilisation is a share of a shard, whatever the number of shards, so a reshard never has to rewrite this alarm. Wakes the autoscaler before its next slow look is due. Between two measurements there is no data: the state stays."
  comparison_operator = "GreaterThanThreshold"
  threshold           = each.value.grow_above
  evaluation_periods  = 1
  datapoints_to_alarm = 1
  treat_missing_data  = "ignore"
  alarm_actions       = local.wake_actions
  ok_actions          = local.wake_actions
  tags                = var.tags

  namespace   = "Leasehold"
  metric_name = "ShardUtilisation"
  statistic   = "Maximum"
  period      = 60
  dimensions  = { StreamName = each.value.stream }
}

resource "aws_cloudwatch_metric_alarm" "shards_full_long" {
  for_each = local.streams

  alarm_name          = "${var.deployment}/tell/${each.value.stream}/shards-full-long"
  alarm_description   = "The fullest shard of ${each.value.stream} has been used above ${each.value.grow_above} for 30 minutes, in which even a tenfold surge should have been absorbed. Ask `leasehold autoscale plan` what binds. In the mode `observe` the autoscaler only says what it would do. No data: the heartbeat alarm tells whether anybody measures."
  comparison_operator = "GreaterThanThreshold"
  threshold           = each.value.grow_above
  evaluation_periods  = 6
  datapoints_to_alarm = 6
  treat_missing_data  = "missing"
  alarm_actions       = local.tell_actions
  ok_actions          = local.tell_actions
  tags                = var.tags

  namespace   = "Leasehold"
  metric_name = "ShardUtilisation"
  statistic   = "Maximum"
  period      = 300
  dimensions  = { StreamName = each.value.stream }
}

resource "aws_cloudwatch_metric_alarm" "load_skewed" {
  for_each = local.streams

  alarm_name          = "${var.deployment}/tell/${each.value.stream}/load-skewed"
  alarm_description   = "For 30 minutes one shard of ${each.value.stream} has been above ${each.value.grow_above} and more than three times as full as the mean. Metrics of the whole stream cannot show this. The autoscaler splits hot shards, so what is left is most likely one hot partition key, which no split divides: `leasehold autoscale plan` names its hash, and its producer must spread it."
  comparison_operator = "GreaterThanThreshold"
  threshold           = 0
  evaluation_periods  = 6
  datapoints_to_alarm = 6
  treat_missing_data  = "missing"
  alarm_actions       = local.tell_actions
  ok_actions          = local.tell_actions
  tags                = var.tags

  metric_query {
    id          = "share"
    label       = "fullest shard by mean shard, while the fullest is above its target"
    expression  = "IF(fullest > ${each.value.grow_above} AND fullest > 3 * mean, fullest / mean, 0)"
    return_data = true
  }
  metric_query {
    id          = "fullest"
    return_data = false

    metric {
      namespace   = "Leasehold"
      metric_name = "ShardUtilisation"
      stat        = "Maximum"
      period      = 300
      dimensions  = { StreamName = each.value.stream }
    }
  }
  metric_query {
    id          = "mean"
    return_data = false

    metric {
      namespace   = "Leasehold"
      metric_name = "ShardUtilisation"
      stat        = "Average"
      period      = 300
      dimensions  = { StreamName = each.value.stream }
    }
  }
}

resource "aws_cloudwatch_metric_alarm" "throttle_ratio" {
  for_each = local.streams

  alarm_name          = "${var.deployment}/tell/${each.value.stream}/throttle-ratio"
  alarm_description   = "For 15 minutes more than 1 % of the records sent to ${each.value.stream} have been refused. Unlike the count of refusals, the ratio does not grow with the traffic, so one threshold fits every stream. Producers retry, and retries add load: look at their backoff, too. No data: the heartbeat alarm tells whether anybody measures."
  comparison_operator = "GreaterThanThreshold"
  threshold           = 0.01
  evaluation_periods  = 3
  datapoints_to_alarm = 3
  treat_missing_data  = "missing"
  alarm_actions       = local.tell_actions
  ok_actions          = local.tell_actions
  tags                = var.tags

  namespace   = "Leasehold"
  metric_name = "ThrottleRatio"
  statistic   = "Maximum"
  period      = 300
  dimensions  = { StreamName = each.value.stream }
}

resource "aws_cloudwatch_metric_alarm" "quota_low" {
  for_each = local.streams

  alarm_name          = "${var.deployment}/tell/${each.value.stream}/quota-low"
  alarm_description   = "Of the 10 UpdateShardCount calls that Kinesis allows ${each.value.stream} in any 24 hours fewer than 2 are left. Calls of other people and tools count as well: look for them in CloudTrail. The autoscaler goes on with splits, which have no daily quota but take one shard at a time. Calls return a day after they were made, so a gap in the data changes nothing: the state stays."
  comparison_operator = "LessThanThreshold"
  threshold           = 2
  evaluation_periods  = 1
  datapoints_to_alarm = 1
  treat_missing_data  = "ignore"
  alarm_actions       = local.tell_actions
  ok_actions          = local.tell_actions
  tags                = var.tags

  namespace   = "Leasehold"
  metric_name = "QuotaLeft"
  statistic   = "Minimum"
  period      = 300
  dimensions  = { StreamName = each.value.stream }
}

resource "aws_cloudwatch_metric_alarm" "failures" {
  for_each = local.streams

  alarm_name          = "${var.deployment}/tell/${each.value.stream}/failures"
  alarm_description   = "In two of three periods of five minutes the autoscaler of ${each.value.stream} had calls refused, gave up steps or refused triggers. Its log and `leasehold autoscale plan` name the call and the error; a missing permission is the usual one. Once may be chance, so one period is no reason. The counter is published only when it is above zero: no data means no failure."
  comparison_operator = "GreaterThanThreshold"
  threshold           = 0
  evaluation_periods  = 3
  datapoints_to_alarm = 2
  treat_missing_data  = "notBreaching"
  alarm_actions       = local.tell_actions
  ok_actions          = local.tell_actions
  tags                = var.tags

  namespace   = "Leasehold"
  metric_name = "Failures"
  statistic   = "Sum"
  period      = 300
  dimensions  = { StreamName = each.value.stream }
}

resource "aws_cloudwatch_metric_alarm" "heartbeat_missing" {
  for_each = local.streams

  alarm_name          = "${var.deployment}/tell/${each.value.stream}/heartbeat-missing"
  alarm_description   = "For 15 minutes nobody has come to a decision about ${each.value.stream}: it keeps its shards, whatever its load. The autoscaler publishes a heartbeat for each decision, at least every five minutes. Is a process or the function running, may it read CloudWatch, does one of them hold the lock? This alarm alone notices an autoscaler that is gone, which is why missing data breach it. It rings until the autoscaler first runs."
  comparison_operator = "LessThanThreshold"
  threshold           = 1
  evaluation_periods  = 3
  datapoints_to_alarm = 3
  treat_missing_data  = "breaching"
  alarm_actions       = local.tell_actions
  ok_actions          = local.tell_actions
  tags                = var.tags

  namespace   = "Leasehold"
  metric_name = "Heartbeat"
  statistic   = "Sum"
  period      = 300
  dimensions  = { StreamName = each.value.stream }
}

resource "aws_cloudwatch_metric_alarm" "wakeups_waiting" {
  alarm_name          = "${var.deployment}/tell/wakeups-waiting"
  alarm_description   = "A wake-up has lain in the queue for 15 minutes. Nobody receives, or receives and fails. The autoscaler also looks by itself, so streams may still be scaled, only later. Wake-ups are thrown away after an hour: an old one says nothing. SQS publishes nothing about an idle queue: no data is good news."
  comparison_operator = "GreaterThanThreshold"
  threshold           = 900
  evaluation_periods  = 2
  datapoints_to_alarm = 2
  treat_missing_data  = "notBreaching"
  alarm_actions       = local.tell_actions
  ok_actions          = local.tell_actions
  tags                = var.tags

  namespace   = "AWS/SQS"
  metric_name = "ApproximateAgeOfOldestMessage"
  statistic   = "Maximum"
  period      = 300
  dimensions  = { QueueName = aws_sqs_queue.wake.name }
}

resource "aws_cloudwatch_metric_alarm" "dead_letters" {
  alarm_name          = "${var.deployment}/tell/dead-letters"
  alarm_description   = "Wake-ups were received ten times without success, or could not be delivered to the queue. They are kept for 14 days: the body names the stream and the alarm, the log of the autoscaler says why its look failed. A body that is no alarm never gets here, it is refused, counted and deleted. Nothing has to be redriven: the next look sees the stream as it is. SQS publishes nothing about an idle queue: no data is good news."
  comparison_operator = "GreaterThanThreshold"
  threshold           = 0
  evaluation_periods  = 1
  datapoints_to_alarm = 1
  treat_missing_data  = "notBreaching"
  alarm_actions       = local.tell_actions
  ok_actions          = local.tell_actions
  tags                = var.tags

  namespace   = "AWS/SQS"
  metric_name = "ApproximateNumberOfMessagesVisible"
  statistic   = "Maximum"
  period      = 300
  dimensions  = { QueueName = aws_sqs_queue.dead_letters.name }
}

resource "aws_cloudwatch_metric_alarm" "function_errors" {
  count = local.has_function ? 1 : 0

  alarm_name          = "${var.deployment}/tell/function-errors"
  alarm_description   = "The function failed in three of five minutes. Its log group has the reason. One failure is made good by the next run, which starts from the stream as it is. Throttles are no errors: the function runs once at a time on purpose. No data means that it was not invoked; the heartbeat alarm tells whether it should have."
  comparison_operator = "GreaterThanThreshold"
  threshold           = 0
  evaluation_periods  = 5
  datapoints_to_alarm = 3
  treat_missing_data  = "notBreaching"
  alarm_actions       = local.tell_actions
  ok_actions          = local.tell_actions
  tags                = var.tags

  namespace   = "AWS/Lambda"
  metric_name = "Errors"
  statistic   = "Sum"
  period      = 60
  dimensions  = { FunctionName = aws_lambda_function.autoscaler[0].function_name }
}
# <<< alarms
