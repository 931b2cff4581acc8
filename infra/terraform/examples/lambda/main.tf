# The autoscaler as a function: no process to run, a look at the stream each minute and at each alarm.

variable "archive" {
  description = "What infra/aws/package made."
  type        = string
}

provider "aws" {
  region = "eu-west-1"
}

module "leasehold" {
  source = "../.."

  mode             = "apply"
  role_for_service = null
  streams          = { orders = { shards_min = 4, shards_max = 64 } }
  lambda           = { archive = var.archive }
  policy           = file("${path.module}/policy.toml")
  applications     = ["orders-worker"]
}

output "function" {
  value = module.leasehold.function_arn
}
