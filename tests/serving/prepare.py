"""`python -m tests.serving.prepare`: an empty database in, tables and callers out, each caller with a token."""

import django

CALLERS = 8  # Their tokens are caller-0, caller-1, …

if __name__ == "__main__":
    django.setup()
    from django.contrib.auth.models import User
    from django.core.management import call_command
    from rest_framework.authtoken.models import Token

    call_command("migrate", verbosity=0)
    for number in range(CALLERS):
        user = User.objects.create(pk=number + 1, username=f"caller-{number}")
        Token.objects.create(user=user, key=f"caller-{number}")
