"""Every claim that has an experiment, by number."""

from shared.errors import UsageError
from shared.lab.claims import c01_many_at_once
from shared.lab.claims import c02_documentation
from shared.lab.claims import c03_validation
from shared.lab.claims import c04_bytes_and_calls
from shared.lab.claims import c05_host_and_port
from shared.lab.claims import c06_load_dotenv
from shared.lab.claims import c07_dotenv_values
from shared.lab.claims import c08_find_dotenv
from shared.lab.claims import c09_sqlalchemy_parts
from shared.lab.claims import c10_order
from shared.lab.claims import c11_lazy_engine
from shared.lab.claims import c12_outage
from shared.lab.claims import c13_no_database_no_connection
from shared.lab.claims import c14_empty_pool
from shared.lab.claims import c15_drivers
from shared.lab.claims import c16_eleventh_waits
from shared.lab.claims import c17_one_engine
from shared.lab.claims import c18_engine_cost
from shared.lab.claims import c19_session_life
from shared.lab.claims import c20_get_db
from shared.lab.claims import c21_reuse
from shared.lab.claims import c22_shutdown
from shared.lab.claims import c23_blocking_handler
from shared.lab.claims import c24_many_users
from shared.lab.claims import c25_data_safety
from shared.lab.claims import c26_pool_gain
from shared.lab.claims.claim import Claim

CLAIMS: tuple[Claim, ...] = (
    c01_many_at_once.CLAIM,
    c02_documentation.CLAIM,
    c03_validation.CLAIM,
    c04_bytes_and_calls.CLAIM,
    c05_host_and_port.CLAIM,
    c06_load_dotenv.CLAIM,
    c07_dotenv_values.CLAIM,
    c08_find_dotenv.CLAIM,
    c09_sqlalchemy_parts.CLAIM,
    c10_order.CLAIM,
    c11_lazy_engine.CLAIM,
    c12_outage.CLAIM,
    c13_no_database_no_connection.CLAIM,
    c14_empty_pool.CLAIM,
    c15_drivers.CLAIM,
    c16_eleventh_waits.CLAIM,
    c17_one_engine.CLAIM,
    c18_engine_cost.CLAIM,
    c19_session_life.CLAIM,
    c20_get_db.CLAIM,
    c21_reuse.CLAIM,
    c22_shutdown.CLAIM,
    c23_blocking_handler.CLAIM,
    c24_many_users.CLAIM,
    c25_data_safety.CLAIM,
    c26_pool_gain.CLAIM,
)


def find(names: list[str]) -> tuple[Claim, ...]:
    """Return the claims that are named, such as C11 or c11 or 11, in their order; all without a name.

    Raises:
        UsageError: If there is no such claim.
    """
    by_name = {claim.name: claim for claim in CLAIMS}
    wanted = set()
    for name in names:
        number = name.strip().upper().removeprefix("C")
        if f"C{number}" not in by_name:
            raise UsageError(f"There is no claim {name!r}", why=f"there are {', '.join(by_name)}")
        wanted.add(f"C{number}")
    return tuple(claim for claim in CLAIMS if not names or claim.name in wanted)
