# Several streams with bounds of their own, an encrypted queue, and a role that may reshard.

provider "aws" {
  region = "eu-west-1"
}

module "leasehold" {
  source = "../.."

  mode = "apply"
  streams = {
    orders = {
      shards_min      = 4
      shards_max      = 64
      lag_max_seconds = 60
      consumers       = ["fraud", "search"]
    }
    clicks = {
      shards_min      = 16
      shards_max      = 512
      retention_hours = 168
    }
    audit = {
      grow_above = 0.6
      doublings  = 0
    }
  }
  applications = ["orders-worker", "clicks-worker"]
  kms_key_arn  = aws_kms_key.wake.arn
  tags         = { team = "streams" }
}

resource "aws_kms_key" "wake" {
  description         = "Topics and queues that wake the autoscaler."
  enable_key_rotation = true
  policy              = data.aws_iam_policy_document.key.json
}

data "aws_caller_identity" "current" {}

# Without the second statement alarms are lost, and no error says so.
data "aws_iam_policy_document" "key" {
  statement {
    actions   = ["kms:*"]
    resources = ["*"]

    principals {
      type        = "AWS"
      identifiers = [data.aws_caller_identity.current.account_id]
    }
  }
  statement {
    actions   = ["kms:Decrypt", "kms:GenerateDataKey*"]
    resources = ["*"]

    principals {
      type        = "Service"
      identifiers = ["cloudwatch.amazonaws.com", "events.amazonaws.com", "sns.amazonaws.com"]
    }
    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [data.aws_caller_identity.current.account_id]
    }
  }
}
