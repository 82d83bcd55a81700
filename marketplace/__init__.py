"""Trade: who may use data, for how much, and who was paid. Also the Django project."""
