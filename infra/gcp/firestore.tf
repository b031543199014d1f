# local.collections and local.unindexed_fields are in collections.tf.json, which
# "go generate ./..." writes from the table of collections in shared/store.

resource "google_firestore_database" "perigee" {
  project                           = var.project
  name                              = var.firestore.database
  location_id                       = var.firestore.location
  type                              = "FIRESTORE_NATIVE"
  concurrency_mode                  = "PESSIMISTIC"
  point_in_time_recovery_enablement = var.firestore.point_in_time_recovery ? "POINT_IN_TIME_RECOVERY_ENABLED" : "POINT_IN_TIME_RECOVERY_DISABLED"
  delete_protection_state           = var.firestore.delete_protection ? "DELETE_PROTECTION_ENABLED" : "DELETE_PROTECTION_DISABLED"
  deletion_policy                   = var.firestore.delete_protection ? "ABANDON" : "DELETE"
  depends_on                        = [google_project_service.used]
}

# Expired documents are deleted by Firestore, and nothing asks for the time, which
# only grows: an index of it would be written at one place by every request.
resource "google_firestore_field" "ttl" {
  for_each   = toset([for name, c in local.collections : name if c.ttl])
  project    = var.project
  database   = google_firestore_database.perigee.name
  collection = each.value
  field      = local.ttl_field
  ttl_config {}
  index_config {}
}

# Payloads and times are never asked for either; index entries of them would cost
# with every write.
resource "google_firestore_field" "unindexed" {
  for_each = {
    for pair in setproduct(keys(local.collections), local.unindexed_fields) : "${pair[0]}.${pair[1]}" => { collection = pair[0], field = pair[1] }
  }
  project    = var.project
  database   = google_firestore_database.perigee.name
  collection = each.value.collection
  field      = each.value.field
  index_config {}
}

resource "google_firestore_backup_schedule" "daily" {
  count     = var.firestore.daily_backup_retention == "" ? 0 : 1
  project   = var.project
  database  = google_firestore_database.perigee.name
  retention = var.firestore.daily_backup_retention
  daily_recurrence {}
}

resource "google_firestore_backup_schedule" "weekly" {
  count     = var.firestore.weekly_backup_retention == "" ? 0 : 1
  project   = var.project
  database  = google_firestore_database.perigee.name
  retention = var.firestore.weekly_backup_retention
  weekly_recurrence {
    day = "SUNDAY"
  }
}
