"""A policy behind a websocket and HTTP: the server of `rig serve`; `rig.client` is the other side."""
