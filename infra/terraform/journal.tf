# One item of a few kilobytes for each stream. Whoever holds its lock is the one that acts.
resource "aws_dynamodb_table" "journal" {
  count = var.journal_table_name == null ? 1 : 0

  name         = local.journal_table
  billing_mode = "PAY_PER_REQUEST"
  hash_key     = "stream"
  tags         = var.tags

  attribute {
    name = "stream"
    type = "S"
  }
  point_in_time_recovery {
    enabled = true
  }
}
