"""Becomes Envoy with the file CONFIG, once POD_IP and the resolver are in it.

KIT_DNS (`address:port`) names the resolver where the machine has none that knows Services.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from bailie.gateway.envoy import command

SETTINGS = os.environ  # noqa: TID251 - a program of its own

_RESOLVER = "type.googleapis.com/envoy.extensions.network.dns_resolver.cares.v3.CaresDnsResolverConfig"


def resolver(address: str) -> dict[str, Any]:
    """Returns the configuration of the resolver, by default that of the machine."""
    config: dict[str, Any] = {"@type": _RESOLVER}
    if address:
        host, _, port = address.partition(":")
        config["resolvers"] = [{"socket_address": {"address": host, "port_value": int(port)}}]
        config["dns_resolver_options"] = {"no_default_search_domain": True}
    return {"name": "envoy.network.dns_resolver.cares", "typed_config": config}


def main() -> None:
    """Writes the file into the working folder and replaces this process."""
    text = Path(SETTINGS["CONFIG"]).read_text()
    text = text.replace('"RESOLVER"', json.dumps(resolver(SETTINGS.get("KIT_DNS", ""))))
    path = Path("envoy.json").absolute()
    path.write_text(text.replace("POD_IP", SETTINGS["POD_IP"]))
    words = command(path, concurrency=1)
    os.execv(words[0], words)


if __name__ == "__main__":
    main()
