output "wake_topic_arn" {
  description = "Alarms that wake the autoscaler act on this topic."
  value       = aws_sns_topic.wake.arn
}

output "operators_topic_arn" {
  description = "Alarms for people act on this topic. Subscribe whom you like."
  value       = aws_sns_topic.operators.arn
}

output "wake_queue_url" {
  description = "The queue that the autoscaler receives from."
  value       = aws_sqs_queue.wake.url
}

output "dead_letter_queue_url" {
  description = "Wake-ups that could not be used or delivered."
  value       = aws_sqs_queue.dead_letters.url
}

output "policy_arns" {
  description = "For a role of your own: what the mode needs."
  value       = concat([aws_iam_policy.observe.arn], aws_iam_policy.apply[*].arn)
}

output "tell_policy_arn" {
  description = "For the role of the workers, if they tell."
  value       = one(aws_iam_policy.tell[*].arn)
}

output "role_arn" {
  description = "The role of the process, if one was asked for."
  value       = one(aws_iam_role.process[*].arn)
}

output "function_arn" {
  description = "The function, if one was asked for."
  value       = one(aws_lambda_function.autoscaler[*].arn)

  precondition {
    condition     = local.has_function || trimspace(var.policy) == ""
    error_message = "policy is what the function plans by, and there is none: give a process the file by --policy."
  }
}

output "audit_table_name" {
  description = "The table of its decisions."
  value       = aws_dynamodb_table.audit.name
}

output "journal_table_name" {
  description = "The table of the autoscaler."
  value       = local.journal_table
}
