"""What an agent needs to answer for models itself, put together. Made by `runtime.life`."""

import asyncio
from collections.abc import Callable
from typing import Final

from foreshore_agent import settings
from foreshore_agent.hosting import children, hosts, hub, marks, models, residents


class OwnModels:
    """The models of one agent, none yet."""

    def __init__(
        self,
        configured: settings.AgentSettings,
        ends: marks.UncleanEnds,
        tasks: asyncio.TaskGroup,
        changed: Callable[[], None],
    ) -> None:
        """Prepare; `changed` is called when something began or ceased to answer."""
        source, state = configured.source, configured.state
        is_in_cluster = isinstance(source, settings.HubSettings)
        if isinstance(source, settings.FolderSettings):
            folder = source.models or source.resources
        else:
            folder = state.absolute() / residents.FOLDER
        self._configured: Final = configured
        here = residents.prepared(state, folder, configured.model_memory_mib, ends)
        self.runner: Final = here.runner
        self.hosts: Final = hosts.Hosts(
            here,
            children.Children(state, folder),
            tasks,
            changed,
            is_confined=is_in_cluster,
        )

    def of_cluster(self, deciding: models.InForce) -> hub.HubModels:
        """Return those that a cluster's assignments ask for."""
        stores = models.Stores(None, self._configured.credentials)
        return hub.HubModels(self._configured.node, self.hosts, stores, deciding)
