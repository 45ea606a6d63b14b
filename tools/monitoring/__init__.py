"""What Prometheus and Grafana are given: rules and a dashboard, made from the metrics that the gateway really has."""
