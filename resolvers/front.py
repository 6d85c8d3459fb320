"""What every face of the contract is made of, whichever way it is spoken to."""

from dataclasses import dataclass

from resolvers.auth import Authenticator, Origins
from resolvers.context import Services
from resolvers.execution import Operations
from resolvers.watch import Watches


@dataclass(frozen=True, slots=True)
class Front:
    """The operations and what they run on; who may ask, from which pages, and how we hear that this has ended."""

    operations: Operations
    services: Services
    authenticator: Authenticator
    origins: Origins
    watches: Watches
