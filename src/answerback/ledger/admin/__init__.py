"""Rows that people and processes manage: endpoints, keys, alerts, leases, instances, the audit log."""
