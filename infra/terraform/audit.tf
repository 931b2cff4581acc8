# One item for each decision, which the table deletes by itself when its time is over.
resource "aws_dynamodb_table" "audit" {
  name         = "${var.deployment}_audit"
  billing_mode = "PAY_PER_REQUEST"
  hash_key     = "stream"
  range_key    = "at"
  tags         = var.tags

  attribute {
    name = "stream"
    type = "S"
  }
  attribute {
    name = "at"
    type = "S"
  }
  ttl {
    attribute_name = "expires"
    enabled        = true
  }
  point_in_time_recovery {
    enabled = true
  }
}
