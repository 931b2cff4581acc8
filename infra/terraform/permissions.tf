# What the autoscaler may do. Changes belong into autoscaler/src/alarms/permission.rs.

data "aws_iam_policy_document" "observe" {
  # >>> observe: written by `alarms render`
  statement {
    sid       = "SeeStreams"
    actions   = ["kinesis:DescribeStreamSummary", "kinesis:ListShards", "kinesis:ListStreamConsumers"]
    resources = [for name in keys(var.streams) : "arn:${local.partition}:kinesis:${local.region}:${local.account}:stream/${name}"]
  }

  statement {
    sid       = "SeeShardLimitOfAccount"
    actions   = ["kinesis:DescribeLimits"]
    resources = ["*"]
  }

  statement {
    sid       = "ReadMetrics"
    actions   = ["cloudwatch:GetMetricData"]
    resources = ["*"]
  }

  statement {
    sid       = "PublishOwnMetrics"
    actions   = ["cloudwatch:PutMetricData"]
    resources = ["*"]

    condition {
      test     = "StringEquals"
      variable = "cloudwatch:namespace"
      values   = ["Leasehold"]
    }
  }

  statement {
    sid       = "LeadAndKeepTheJournal"
    actions   = ["dynamodb:GetItem", "dynamodb:UpdateItem"]
    resources = ["${local.table_arns}/${local.journal_table}"]
  }

  dynamic "statement" {
    for_each = length(local.reader_tables) > 0 ? [1] : []

    content {
      sid       = "SeeHowFarReadersAre"
      actions   = ["dynamodb:Scan"]
      resources = [for name in local.reader_tables : "${local.table_arns}/${name}"]
    }
  }

  statement {
    sid       = "KeepTheAudit"
    actions   = ["dynamodb:PutItem"]
    resources = [aws_dynamodb_table.audit.arn]
  }

  statement {
    sid       = "TakeWakeUps"
    actions   = ["sqs:ChangeMessageVisibility", "sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ReceiveMessage"]
    resources = [aws_sqs_queue.wake.arn]
  }

  dynamic "statement" {
    for_each = var.kms_key_arn == null ? [] : [1]

    content {
      sid       = "ReadEncryptedWakeUps"
      actions   = ["kms:Decrypt"]
      resources = [var.kms_key_arn]
    }
  }
  # <<< observe
}

data "aws_iam_policy_document" "apply" {
  # >>> apply: written by `alarms render`
  statement {
    sid       = "Reshard"
    actions   = ["kinesis:MergeShards", "kinesis:SplitShard", "kinesis:UpdateShardCount"]
    resources = [for name in keys(var.streams) : "arn:${local.partition}:kinesis:${local.region}:${local.account}:stream/${name}"]
  }
  # <<< apply
}

data "aws_iam_policy_document" "tell" {
  count = length(var.telemetry_table_names) > 0 ? 1 : 0

  # >>> tell: written by `alarms render`
  statement {
    sid       = "TellTelemetry"
    actions   = ["dynamodb:BatchWriteItem", "dynamodb:CreateTable", "dynamodb:DescribeTable", "dynamodb:UpdateTimeToLive"]
    resources = [for name in var.telemetry_table_names : "${local.table_arns}/${name}"]
  }
  # <<< tell
}

resource "aws_iam_policy" "observe" {
  name_prefix = "${var.deployment}-observe-"
  description = "See streams and their readers, decide, and publish what was decided. Changes no stream."
  policy      = data.aws_iam_policy_document.observe.json
  tags        = var.tags
}

resource "aws_iam_policy" "apply" {
  count = var.mode == "apply" ? 1 : 0

  name_prefix = "${var.deployment}-apply-"
  description = "Change the shards of the streams."
  policy      = data.aws_iam_policy_document.apply.json
  tags        = var.tags
}

resource "aws_iam_policy" "tell" {
  count = length(data.aws_iam_policy_document.tell)

  name_prefix = "${var.deployment}-tell-"
  description = "For workers, to write their telemetry."
  policy      = data.aws_iam_policy_document.tell[0].json
  tags        = var.tags
}

data "aws_iam_policy_document" "assumed_by_process" {
  count = var.role_for_service == null ? 0 : 1

  statement {
    actions = concat(["sts:AssumeRole"], var.role_for_service == "pods.eks.amazonaws.com" ? ["sts:TagSession"] : [])

    principals {
      type        = "Service"
      identifiers = [var.role_for_service]
    }
    condition {
      test     = "StringEqualsIfExists"
      variable = "aws:SourceAccount"
      values   = [local.account]
    }
  }
}

resource "aws_iam_role" "process" {
  count = var.role_for_service == null ? 0 : 1

  name_prefix        = "${var.deployment}-"
  description        = "The Leasehold autoscaler as a process."
  assume_role_policy = data.aws_iam_policy_document.assumed_by_process[0].json
  tags               = var.tags
}

resource "aws_iam_role_policy_attachment" "process_observe" {
  count = length(aws_iam_role.process)

  role       = aws_iam_role.process[0].name
  policy_arn = aws_iam_policy.observe.arn
}

resource "aws_iam_role_policy_attachment" "process_apply" {
  count = var.mode == "apply" ? length(aws_iam_role.process) : 0

  role       = aws_iam_role.process[0].name
  policy_arn = aws_iam_policy.apply[0].arn
}
