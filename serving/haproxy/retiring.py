"""The process behind a server of HAProxy comes and goes: no order is given to one that is about to end or is still cold.

Decided here: a session of its own each time, for it waits while plans go on; HAProxy's own checks say when a new process is there.
"""

import asyncio
from dataclasses import dataclass

from serving.haproxy.render import BACKEND
from serving.haproxy.runtime import Session
from serving.haproxy.settings import HAProxy

LOOK_S = 0.05


@dataclass(frozen=True)
class Front:
    """The HAProxy before the processes of a pool, which knows them by their addresses."""

    own: HAProxy

    async def drain(self, address: str) -> None:
        """Give a process no more orders; returns when it has finished those under way. Raises DataPlaneError."""
        session = await Session.open(self.own.socket)
        try:
            names = self.names(address)
            for name in names:
                await session.tell(f"set server {BACKEND}/{name} state drain")
            while await busy(session, names):
                await asyncio.sleep(LOOK_S)
        finally:
            await session.close()

    async def expect(self, address: str) -> None:
        """Give a process that was started orders once a check has found it. Raises DataPlaneError."""
        session = await Session.open(self.own.socket)
        try:
            for name in self.names(address):
                await session.tell(f"set server {BACKEND}/{name} health down")
                await session.tell(f"set server {BACKEND}/{name} state ready")
        finally:
            await session.close()

    def names(self, address: str) -> list[str]:
        """The servers at an address."""
        return [server.node for server in self.own.servers if server.address == address]


async def busy(session: Session, names: list[str]) -> bool:
    """Whether any of some servers has orders, or orders that wait for it."""
    rows = await session.statistics()
    here = (row for row in rows if row["pxname"] == BACKEND and row["svname"] in names)
    return any(int(row["scur"]) + int(row["qcur"]) for row in here)
