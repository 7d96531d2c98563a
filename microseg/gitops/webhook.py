"""Reporting by a request: JSON, POST, a time limit, no redirects."""

from __future__ import annotations

import hashlib
import hmac
import http.client
import json
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from microseg.gitops.reports import Report

SIGNATURE = "X-Microseg-Signature-256"
"""Header with `sha256=` and the HMAC of the body, when there is a secret."""


class WebhookError(Exception):
    """The request failed.

    Attributes:
        lasting: it would again; the other side has refused it.

    """

    def __init__(self, message: str, *, lasting: bool = False) -> None:
        super().__init__(message)
        self.lasting = lasting


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """Takes a redirect for a refusal: a report goes where it was told to, and nowhere else."""

    def redirect_request(self, *_: object) -> None:
        """Follow nothing."""


@dataclass(frozen=True, slots=True)
class Webhook:
    """Where to report to.

    Attributes:
        url: http or https.
        timeout_s: for how long a request may take to answer.
        secret: a file with what requests are signed with; None: they aren't.

    """

    url: str
    timeout_s: float
    secret: Path | None = None

    def send(self, report: Report) -> None:
        """Send a report; raises WebhookError."""
        body = json.dumps(report.to_json()).encode()
        headers = {"Content-Type": "application/json", "User-Agent": "microseg"}
        try:
            if self.secret:
                key = self.secret.read_bytes().strip()
                headers[SIGNATURE] = f"sha256={hmac.new(key, body, hashlib.sha256).hexdigest()}"
            request = urllib.request.Request(self.url, body, headers)  # noqa: S310  the settings allow http only
            with urllib.request.build_opener(_NoRedirects).open(request, timeout=self.timeout_s):
                pass
        except urllib.error.HTTPError as error:
            error.close()
            lasting = error.code < 500 and error.code != 429
            raise WebhookError(f"{self.url} answers {error.code} {error.reason}", lasting=lasting) from error
        except (OSError, http.client.HTTPException) as error:
            raise WebhookError(f"{self.url} can't be told: {error}") from error
