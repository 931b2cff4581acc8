# One stream, watched only: nothing is changed until mode is "apply".

provider "aws" {
  region = "eu-west-1"
}

module "leasehold" {
  source = "../.."

  streams = {
    orders = {
      shards_min = 4
      shards_max = 64
    }
  }
  operators_emails = ["oncall@example.com"]
}

output "queue" {
  value = module.leasehold.wake_queue_url
}
