"""The local API and the web interface: a front end that other programs and browsers talk to.

    start       the order in which a server comes to be       serving   uvicorn on a Unix socket, and the airlock's door
    guard       who may do what                                keys, sessions   what proves who somebody is
    protocol    HTTP, bounded, behind the relay's line         app, routes      what is answered to

Importing this package imports none of its modules.
"""
