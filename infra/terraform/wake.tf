# Topic and queue that wake the autoscaler, and the topic for people.

resource "aws_sns_topic" "wake" {
  name              = "${var.deployment}-wake"
  kms_master_key_id = var.kms_key_arn
  tags              = var.tags
}

resource "aws_sns_topic" "operators" {
  name              = "${var.deployment}-operators"
  kms_master_key_id = var.kms_key_arn
  tags              = var.tags
}

resource "aws_sns_topic_subscription" "operators" {
  for_each = var.operators_emails

  topic_arn = aws_sns_topic.operators.arn
  protocol  = "email"
  endpoint  = each.value
}

data "aws_iam_policy_document" "topic" {
  for_each = { wake = aws_sns_topic.wake.arn, tell = aws_sns_topic.operators.arn }

  statement {
    sid       = "AlarmsOfThisDeployment"
    actions   = ["sns:Publish"]
    resources = [each.value]

    principals {
      type        = "Service"
      identifiers = ["cloudwatch.amazonaws.com"]
    }
    condition {
      test     = "ArnLike"
      variable = "aws:SourceArn"
      values   = ["${local.alarm_arns}/${each.key}/*"]
    }
    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [local.account]
    }
  }
}

resource "aws_sns_topic_policy" "wake" {
  arn    = aws_sns_topic.wake.arn
  policy = data.aws_iam_policy_document.topic["wake"].json
}

resource "aws_sns_topic_policy" "operators" {
  arn    = aws_sns_topic.operators.arn
  policy = data.aws_iam_policy_document.topic["tell"].json
}

# A wake-up older than an hour says nothing that the autoscaler's own looks have not seen. Ten receives: a function that
# runs once at a time is throttled now and then, and each throttle counts as a receive.
resource "aws_sqs_queue" "wake" {
  name                       = "${var.deployment}-wake"
  message_retention_seconds  = 3600
  visibility_timeout_seconds = 360
  receive_wait_time_seconds  = 20
  kms_master_key_id          = var.kms_key_arn
  sqs_managed_sse_enabled    = var.kms_key_arn == null ? true : null
  tags                       = var.tags

  redrive_policy = jsonencode({
    deadLetterTargetArn = aws_sqs_queue.dead_letters.arn
    maxReceiveCount     = 10
  })
}

resource "aws_sqs_queue" "dead_letters" {
  name                      = "${var.deployment}-dead-letters"
  message_retention_seconds = 1209600
  kms_master_key_id         = var.kms_key_arn
  sqs_managed_sse_enabled   = var.kms_key_arn == null ? true : null
  tags                      = var.tags
}

resource "aws_sqs_queue_redrive_allow_policy" "dead_letters" {
  queue_url = aws_sqs_queue.dead_letters.id

  redrive_allow_policy = jsonencode({
    redrivePermission = "byQueue"
    sourceQueueArns   = [aws_sqs_queue.wake.arn]
  })
}

data "aws_iam_policy_document" "queue" {
  for_each = { wake = aws_sqs_queue.wake.arn, dead_letters = aws_sqs_queue.dead_letters.arn }

  statement {
    sid       = "WakeTopic"
    actions   = ["sqs:SendMessage"]
    resources = [each.value]

    principals {
      type        = "Service"
      identifiers = ["sns.amazonaws.com"]
    }
    condition {
      test     = "ArnEquals"
      variable = "aws:SourceArn"
      values   = [aws_sns_topic.wake.arn]
    }
  }

  statement {
    sid       = "Rules"
    actions   = ["sqs:SendMessage"]
    resources = [each.value]

    principals {
      type        = "Service"
      identifiers = ["events.amazonaws.com"]
    }
    condition {
      test     = "ArnLike"
      variable = "aws:SourceArn"
      values   = ["${local.rule_arns}-wake", "${local.rule_arns}-look-*"]
    }
  }
}

resource "aws_sqs_queue_policy" "wake" {
  queue_url = aws_sqs_queue.wake.id
  policy    = data.aws_iam_policy_document.queue["wake"].json
}

resource "aws_sqs_queue_policy" "dead_letters" {
  queue_url = aws_sqs_queue.dead_letters.id
  policy    = data.aws_iam_policy_document.queue["dead_letters"].json
}

resource "aws_sns_topic_subscription" "wake" {
  topic_arn = aws_sns_topic.wake.arn
  protocol  = "sqs"
  endpoint  = aws_sqs_queue.wake.arn

  redrive_policy = jsonencode({ deadLetterTargetArn = aws_sqs_queue.dead_letters.arn })

  depends_on = [aws_sqs_queue_policy.wake, aws_sqs_queue_policy.dead_letters]
}

resource "aws_cloudwatch_event_rule" "wake" {
  count = var.event_bridge_wakes ? 1 : 0

  name        = "${var.deployment}-wake"
  description = "Alarms that wake the autoscaler, to its queue."
  tags        = var.tags

  event_pattern = jsonencode({
    source      = ["aws.cloudwatch"]
    detail-type = ["CloudWatch Alarm State Change"]
    resources   = [{ prefix = "${local.alarm_arns}/wake/" }]
    detail      = { state = { value = ["ALARM", "OK"] } }
  })
}

resource "aws_cloudwatch_event_target" "wake" {
  count = var.event_bridge_wakes ? 1 : 0

  rule      = aws_cloudwatch_event_rule.wake[0].name
  target_id = "queue"
  arn       = aws_sqs_queue.wake.arn

  dead_letter_config {
    arn = aws_sqs_queue.dead_letters.arn
  }
  retry_policy {
    maximum_event_age_in_seconds = 3600
    maximum_retry_attempts       = 24
  }

  depends_on = [aws_sqs_queue_policy.wake]
}
