"""What whoever asks has here, in numbers."""

from django.db.models import Count, Max
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from chat.models import Message, Session


class StatsView(APIView):
    """Zeros and `null` for somebody who has nothing yet. The last activity is the newest `updated_at` of a session."""

    def get(self, request: Request) -> Response:
        sessions = Session.objects.owned_by(request.user).aggregate(n=Count("pk"), last_activity=Max("updated_at"))
        counted = Message.objects.owned_by(request.user).values_list("role").annotate(n=Count("pk"))
        by_role = dict.fromkeys(Message.Role.values, 0) | dict(counted)
        return Response(
            {
                "sessions": sessions["n"],
                "messages": sum(by_role.values()),
                "messages_by_role": by_role,
                "last_activity": sessions["last_activity"],
            }
        )
