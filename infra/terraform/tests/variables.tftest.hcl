# What the module refuses, and how the values of a stream become alarms. Without an account: `terraform test`.

mock_provider "aws" {
  mock_data "aws_iam_policy_document" {
    defaults = { json = "{}" }
  }
  mock_data "aws_partition" {
    defaults = { partition = "aws" }
  }
  mock_data "aws_region" {
    defaults = { name = "eu-west-1" }
  }
  mock_data "aws_caller_identity" {
    defaults = { account_id = "123456789012" }
  }
}

variables {
  streams = { orders = {} }
}

run "refuses_no_stream" {
  command         = plan
  expect_failures = [var.streams]
  variables {
    streams = {}
  }
}

run "refuses_names_that_kinesis_does_not_take" {
  command         = plan
  expect_failures = [var.streams]
  variables {
    streams = { "or ders" = {} }
  }
}

run "refuses_bounds_in_the_wrong_order" {
  command         = plan
  expect_failures = [var.streams]
  variables {
    streams = { orders = { shards_min = 8, shards_max = 4 } }
  }
}

run "refuses_a_utilisation_above_one" {
  command         = plan
  expect_failures = [var.streams]
  variables {
    streams = { orders = { grow_above = 80 } }
  }
}

run "refuses_a_retention_that_kinesis_does_not_know" {
  command         = plan
  expect_failures = [var.streams]
  variables {
    streams = { orders = { retention_hours = 12 } }
  }
}

run "refuses_too_many_doublings" {
  command         = plan
  expect_failures = [var.streams]
  variables {
    streams = { orders = { doublings = 7 } }
  }
}

run "refuses_other_modes_names_services_and_keys" {
  command         = plan
  expect_failures = [var.mode, var.deployment, var.role_for_service, var.kms_key_arn, var.journal_table_name]
  variables {
    mode               = "rebalance"
    deployment         = "lease hold"
    role_for_service   = "lambda.amazonaws.com"
    kms_key_arn        = "alias/aws/sns"
    journal_table_name = "no"
  }
}

run "refuses_a_function_for_another_machine" {
  command         = plan
  expect_failures = [var.lambda]
  variables {
    lambda = { archive = "versions.tf", architecture = "riscv" }
  }
}

run "refuses_applications_that_no_table_can_be_named_by" {
  command         = plan
  expect_failures = [var.applications]
  variables {
    applications = ["orders-worker", "orders worker"]
  }
}

run "refuses_an_application_twice" {
  command         = plan
  expect_failures = [var.applications]
  variables {
    applications = ["orders-worker", "orders-worker"]
  }
}

run "refuses_a_policy_that_nothing_reads" {
  command         = plan
  expect_failures = [output.function_arn]
  variables {
    policy = "shards_min = 4"
  }
}

run "refuses_more_variables_than_lambda_takes" {
  command         = plan
  expect_failures = [aws_lambda_function.autoscaler]
  variables {
    lambda = { archive = "versions.tf" }
    policy = join("\n", concat(["shards_min = 4"], [for line in range(200) : "# why there are four"]))
  }
}

run "warns_of_a_function_without_the_bounds_of_the_alarms" {
  command         = plan
  expect_failures = [check.function_has_the_bounds_of_the_alarms]
  variables {
    streams = { orders = { shards_min = 4, shards_max = 64 } }
    lambda  = { archive = "versions.tf" }
  }
}

run "observing_gives_no_permission_to_reshard" {
  command = plan

  assert {
    condition     = length(aws_iam_policy.apply) == 0 && length(aws_iam_role_policy_attachment.process_apply) == 0
    error_message = "mode observe must not make the policy to apply"
  }
}

run "doublings_reach_from_the_fewest_shards_to_the_most" {
  command = plan
  variables {
    streams = {
      fixed  = { shards_min = 4, shards_max = 4 }
      orders = { shards_min = 4, shards_max = 32 }
      wide   = {}
      own    = { doublings = 1 }
    }
  }

  assert {
    condition = toset(keys(aws_cloudwatch_metric_alarm.demand_doubled)) == toset([
      "orders/1", "orders/2", "orders/3", "own/1",
      "wide/1", "wide/2", "wide/3", "wide/4", "wide/5", "wide/6",
    ])
    error_message = "one alarm for each doubling, at most 6"
  }
  assert {
    condition     = aws_cloudwatch_metric_alarm.demand_doubled["orders/3"].alarm_name == "leasehold/wake/orders/demand-doubled-x8"
    error_message = "the alarm is named by its factor"
  }
}

run "timers_are_for_functions_and_their_names_fit" {
  command = plan
  variables {
    streams = { orders = {}, "a-name-that-is-as-long-as-anybody-would-ever-give-to-a-stream-of-orders" = {} }
    lambda  = { archive = "versions.tf" }
  }

  assert {
    condition     = alltrue([for rule in aws_cloudwatch_event_rule.look : length(rule.name) <= 64])
    error_message = "EventBridge takes names of at most 64 characters"
  }
  assert {
    condition     = length(aws_cloudwatch_event_rule.look) == 2 && aws_cloudwatch_event_rule.look["orders"].name == "leasehold-look-orders"
    error_message = "one timer for each stream"
  }
}

run "a_function_is_told_the_policy_and_the_applications" {
  command = plan
  variables {
    lambda       = { archive = "versions.tf" }
    policy       = "shards_min = 4\nshards_max = 64\n"
    applications = ["search", "orders-worker"]
  }

  assert {
    condition = aws_lambda_function.autoscaler[0].environment[0].variables == tomap({
      LEASEHOLD_AUTOSCALE_MODE         = "observe"
      LEASEHOLD_AUTOSCALE_STREAMS      = "orders"
      LEASEHOLD_AUTOSCALE_TABLE        = "leasehold_autoscaler"
      LEASEHOLD_AUTOSCALE_AUDIT_TABLE  = "leasehold_audit"
      LEASEHOLD_AUTOSCALE_POLICY       = "shards_min = 4\nshards_max = 64\n"
      LEASEHOLD_AUTOSCALE_APPLICATIONS = "search,orders-worker"
    })
    error_message = "every variable that the program reads, applications in the order in which they are believed"
  }
}

run "what_is_empty_is_not_told" {
  command = plan
  variables {
    lambda = { archive = "versions.tf" }
    policy = "\n"
  }

  assert {
    condition = toset(keys(aws_lambda_function.autoscaler[0].environment[0].variables)) == toset([
      "LEASEHOLD_AUTOSCALE_MODE", "LEASEHOLD_AUTOSCALE_STREAMS", "LEASEHOLD_AUTOSCALE_TABLE", "LEASEHOLD_AUTOSCALE_AUDIT_TABLE",
    ])
    error_message = "a variable that is empty would be one that means nothing"
  }
}

run "a_process_needs_no_timer" {
  command = plan

  assert {
    condition     = length(aws_cloudwatch_event_rule.look) == 0 && length(aws_lambda_function.autoscaler) == 0
    error_message = "no function, no timer"
  }
}
