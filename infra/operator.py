"""`tidegate operator`: invite somebody to operate the platform; the first operator can only come from here."""

import argparse
import asyncio
from urllib.parse import urlencode

from engine.settings import Settings
from engine.store.pool import Store
from engine.tenants import platform
from engine.tenants.errors import EmailMalformed
from infra.local.errors import SetupProblem


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The person's e-mail address."""
    parser.add_argument("email", metavar="E-MAIL", help="whom to invite; they choose a name and a password themselves")


def run(arguments: argparse.Namespace, settings: Settings) -> int:
    """Print a link that works once, for a week. Safe to repeat: the link before it ends. Raises SetupProblem."""
    secret = asyncio.run(_invited(settings.database_url, arguments.email))
    if secret is None:
        print(f"{arguments.email} operates this platform already.")
        return 0
    print(f"{arguments.email} may operate this platform: tenants from outside, and nothing that is in them.")
    print(f"  open  {settings.origin}/auth/accept?{urlencode({'token': secret})}")
    print("  (works once, for 7 days, and is not shown again)")
    return 0


async def _invited(database_url: str, email: str) -> str | None:
    owner = Store(database_url, size=1)
    try:
        return await platform.invite_operator(owner, email)
    except EmailMalformed as error:
        raise SetupProblem(error.message) from None
    finally:
        await owner.close()
