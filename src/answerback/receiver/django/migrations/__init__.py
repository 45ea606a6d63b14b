"""What `manage.py migrate` applies."""
