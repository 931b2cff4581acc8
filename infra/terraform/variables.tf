variable "deployment" {
  description = "What all names begin with."
  type        = string
  default     = "leasehold"

  validation {
    condition     = can(regex("^[A-Za-z0-9-]{1,40}$", var.deployment))
    error_message = "Give 1 to 40 letters, digits and hyphens."
  }
}

variable "streams" {
  description = <<-EOT
    The streams to look after, by name, with the values of the autoscaler's policy that the alarms compare with:
    - shards_min, shards_max: fewest and most shards.
    - grow_above: utilisation above which capacity is added, 0 to 1.
    - lag_max_seconds: how far readers may be behind.
    - retention_hours: how long the stream keeps records.
    - doublings: alarms at 2, 4, 8 ... times what shards_min take, 0 to 6; by default up to shards_max.
    - consumers: names of enhanced fan-out consumers, each of which gets an alarm on its lag.
    - write_bytes_per_second, write_records_per_second: what a shard takes.
  EOT
  type = map(object({
    shards_min               = optional(number, 1)
    shards_max               = optional(number, 1000)
    grow_above               = optional(number, 0.8)
    lag_max_seconds          = optional(number, 300)
    retention_hours          = optional(number, 24)
    doublings                = optional(number)
    consumers                = optional(set(string), [])
    write_bytes_per_second   = optional(number, 1000000)
    write_records_per_second = optional(number, 1000)
  }))

  validation {
    condition     = length(var.streams) > 0 && alltrue([for name in keys(var.streams) : can(regex("^[A-Za-z0-9_.-]{1,128}$", name))])
    error_message = "Give at least one stream; Kinesis takes names of 1 to 128 letters, digits and _ . -"
  }
  validation {
    condition = alltrue([
      for stream in values(var.streams) :
      stream.shards_min >= 1 && stream.shards_min <= stream.shards_max && stream.shards_max <= 10000
    ])
    error_message = "shards_min is at least 1, shards_max at least shards_min and at most 10000."
  }
  validation {
    condition     = alltrue([for stream in values(var.streams) : stream.grow_above > 0 && stream.grow_above <= 1])
    error_message = "grow_above is a share above 0 and up to 1."
  }
  validation {
    condition     = alltrue([for stream in values(var.streams) : stream.lag_max_seconds >= 1])
    error_message = "lag_max_seconds is at least 1."
  }
  validation {
    condition     = alltrue([for stream in values(var.streams) : stream.retention_hours >= 24 && stream.retention_hours <= 8760])
    error_message = "retention_hours is 24 to 8760, which Kinesis allows."
  }
  validation {
    condition     = alltrue([for stream in values(var.streams) : try(stream.doublings >= 0 && stream.doublings <= 6, stream.doublings == null)])
    error_message = "doublings is 0 to 6."
  }
}

variable "mode" {
  description = "observe gives no permission to change a stream; apply adds UpdateShardCount, SplitShard and MergeShards."
  type        = string
  default     = "observe"

  validation {
    condition     = contains(["observe", "apply"], var.mode)
    error_message = "Give observe or apply."
  }
}

variable "journal_table_name" {
  description = "A DynamoDB table that is there already, with the hash key stream (S), for the leader's lock, the journal and the calls made. null makes one, named by the deployment: leasehold_autoscaler."
  type        = string
  default     = null

  validation {
    condition     = try(can(regex("^[A-Za-z0-9_.-]{3,255}$", var.journal_table_name)), false) || var.journal_table_name == null
    error_message = "DynamoDB takes 3 to 255 letters, digits and _ . -"
  }
}

variable "policy" {
  description = "The text of a policy file, such as file(\"policy.toml\"), for the function; a process is given the file. Its bounds should be those in streams. Empty for the default policy."
  type        = string
  default     = ""
  nullable    = false
}

variable "applications" {
  description = "Names of the applications that read the streams, whose workers tell how far they are: while one is too far behind, no shards are merged; one that tells nothing is of unknown lag, and nothing is merged. Gives permission to read the tables <application> and <application>-Telemetry, and tells the function the names; a process is told by --applications. Without them the autoscaler knows the lag from CloudWatch only, and cannot see whether a closed shard is drained."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for name in var.applications : can(regex("^[A-Za-z0-9_.-]{3,245}$", name))])
    error_message = "Applications are named as their lease tables: by 3 to 245 letters, digits and _ . -"
  }
  validation {
    condition     = length(distinct(var.applications)) == length(var.applications)
    error_message = "Name each application once."
  }
}

variable "telemetry_table_names" {
  description = "Tables called <application>-Telemetry, for a policy that lets workers make and write them. None makes no policy."
  type        = set(string)
  default     = []

  validation {
    condition     = alltrue([for name in var.telemetry_table_names : endswith(name, "-Telemetry")])
    error_message = "Workers write tables called <application>-Telemetry."
  }
}

variable "role_for_service" {
  description = "Where the autoscaler runs as a process; null makes no role, for those who attach the policies to their own."
  type        = string
  default     = "ecs-tasks.amazonaws.com"
  nullable    = true

  validation {
    condition = try(
      contains(["ecs-tasks.amazonaws.com", "ec2.amazonaws.com", "pods.eks.amazonaws.com"], var.role_for_service),
      var.role_for_service == null,
    )
    error_message = "Give ecs-tasks.amazonaws.com, ec2.amazonaws.com, pods.eks.amazonaws.com or null."
  }
}

variable "event_bridge_wakes" {
  description = "Whether changes of alarm state reach the queue through EventBridge, too. The autoscaler takes the second copy for what it is."
  type        = bool
  default     = true
}

variable "operators_emails" {
  description = "Who gets the alarms that are for people. AWS asks each address to confirm."
  type        = set(string)
  default     = []
}

variable "kms_key_arn" {
  description = "Customer key for topics and queues. Its policy must allow kms:Decrypt and kms:GenerateDataKey* to cloudwatch.amazonaws.com, sns.amazonaws.com and events.amazonaws.com, or alarms are lost without an error; alias/aws/sns cannot be used. null for the encryption that SQS has by itself."
  type        = string
  default     = null

  validation {
    condition     = try(can(regex("^arn:[^:]+:kms:[^:]+:[0-9]{12}:key/", var.kms_key_arn)), false) || var.kms_key_arn == null
    error_message = "Give the ARN of a key, not of an alias."
  }
}

variable "lambda" {
  description = <<-EOT
    The autoscaler as a function in place of a process; null for none.
    - archive: path of the zip that infra/aws/package makes.
    - architecture: what it was built for.
    - timer: how often a wake-up for each stream is put into the queue without an alarm. A function does not look by itself,
      and the heartbeat alarm rings after 15 minutes without a look; null only if you schedule wake-ups of your own.
    - alarms_call: whether alarms call the function directly in place of the topic and queue.
    - log_retention_days: how long the log is kept.
  EOT
  type = object({
    archive            = string
    architecture       = optional(string, "arm64")
    timer              = optional(string, "rate(1 minute)")
    alarms_call        = optional(bool, false)
    log_retention_days = optional(number, 30)
  })
  default = null

  validation {
    condition     = try(contains(["arm64", "x86_64"], var.lambda.architecture), var.lambda == null)
    error_message = "architecture is arm64 or x86_64."
  }
  validation {
    condition     = try(can(regex("^rate\\((1 minute|[0-9]+ minutes)\\)$", var.lambda.timer)), false) || try(var.lambda.timer, null) == null
    error_message = "timer is rate(1 minute), rate(5 minutes) or the like."
  }
}

variable "tags" {
  description = "On everything that takes tags."
  type        = map(string)
  default     = {}
}
