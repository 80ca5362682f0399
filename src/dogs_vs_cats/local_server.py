"""The server of a page on this machine: Flask and waitress.

It listens on the loopback address, or on one that the user names: then every request needs the
token of the page's address. It refuses what other sites' pages ask, and its own page loads nothing
from other hosts. What is sent to it stays in memory.
"""

import errno
import json
import logging
import secrets
import socket
from typing import Any

from dogs_vs_cats import progress, stopping
from dogs_vs_cats.errors import UserError

HOST = "127.0.0.1"
# Connections at once, each with up to `limit` bytes; further ones wait to be accepted.
CONNECTIONS = 32
ANSWER = 64_000_000  # bytes of an answer that stay in memory
SENTENCES = {
    403: "Only the page itself, at 127.0.0.1 or localhost, may ask for this.",
    404: "There is nothing here. The page is at /.",
    401: "This page needs its token: open the whole address that the terminal shows.",
    500: "Something went wrong in the program; the terminal shows what.",
}


def application(name: str, limit: int, sentences: dict[int, str], token: str = "") -> Any:
    """Return a Flask application for a page at /, whose templates lie beside the module `name`.

    limit: bytes of a request. sentences: status -> what is said of it, beside SENTENCES. token:
    what each request must have as `?token=`, if any. What is refused gets a status of 4xx and
    {"problem": one sentence}.
    """
    import flask
    from werkzeug.exceptions import HTTPException

    app = flask.Flask(name, template_folder=".", static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = limit
    app.config["SENTENCES"] = SENTENCES | sentences

    @app.before_request
    def refuse_other_sites() -> None:
        # Another site's page could get here by a name that it points to this machine, or by a form.
        host = flask.request.host.partition(":")[0]
        origin = flask.request.headers.get("Origin", f"http://{flask.request.host}")
        # A site that doesn't know the token gets nowhere, whatever name it has for this machine.
        known = token or host in (HOST, "localhost")
        # A link to the page may be anywhere; what another page loads in itself says so.
        site = flask.request.headers.get("Sec-Fetch-Site", "none")
        mode = flask.request.headers.get("Sec-Fetch-Mode", "navigate")
        embedded = site not in ("none", "same-origin") and mode != "navigate"
        if not known or embedded or origin != f"http://{flask.request.host}":
            flask.abort(403)

    @app.before_request
    def require_token() -> None:
        given = flask.request.args.get("token", "")
        if token and not secrets.compare_digest(given.encode(), token.encode()):
            flask.abort(401)

    @app.errorhandler(HTTPException)
    def refused(error: HTTPException) -> Any:
        sentence = app.config["SENTENCES"].get(error.code, error.description)
        return {"problem": sentence}, error.code

    @app.after_request
    def keep_nowhere(response: Any) -> Any:
        response.headers["Cache-Control"] = "no-store"
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["Referrer-Policy"] = "no-referrer"
        return response

    return app


def rendered(template: str, **values: Any) -> Any:
    """Return the response with a page: only its own script runs, and reaches only this server.

    The template gets `nonce` for its <script> and <style>, and `values`.
    """
    import flask

    nonce = secrets.token_urlsafe(16)
    response = flask.make_response(flask.render_template(template, nonce=nonce, **values))
    response.headers["Content-Security-Policy"] = (
        f"default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; "
        "img-src 'self' data: blob:; connect-src 'self'; base-uri 'none'; "
        "form-action 'none'; frame-ancestors 'none'"
    )
    return response


def listening(port: int, command: str, host: str = HOST) -> socket.socket:
    """Return a socket bound to a port of `host`; with 0 the system chooses one.

    command: as in `make try`. UserError if another program has the port, if we may not take it, or
    if `host` is no address of this machine.
    """
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        # Two may bind but only one can listen. Connections wait for `server`.
        listener.listen()
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRNOTAVAIL:
            raise UserError(
                f"HOST={host} is no address of this machine. Name the one that it has in the "
                "network, such as 192.168.1.5: `ip address` lists them."
            ) from error
        raise UserError(
            f"Can't use port {port} of this machine: {error.strerror}. Run `{command} PORT=0`, "
            "which takes any free port, or name another."
        ) from error
    return listener


def address(listener: socket.socket, token: str = "") -> str:
    """Return the address of the page that is served on a socket, with its token, if any."""
    host, port = listener.getsockname()
    return f"http://{host}:{port}/?token={token}" if token else f"http://{host}:{port}"


def new_token(host: str) -> str:
    """Return a random token for a page that others can reach; "" for the loopback address."""
    return "" if host == HOST else secrets.token_urlsafe(16)


def server(app: Any, listener: socket.socket) -> Any:
    """Return a waitress server of an `application`; `run()` serves until Ctrl-C."""
    from waitress import create_server
    from waitress.channel import HTTPChannel
    from waitress.task import ErrorTask

    sentences, limit = app.config["SENTENCES"], app.config["MAX_CONTENT_LENGTH"]

    class Refusal(ErrorTask):
        """What waitress refuses by itself, such as a request whose Content-Length is too large."""

        def execute(self) -> None:
            error = self.request.error
            sentence = sentences.get(error.code, f"{error.reason}: {error.body}.")
            body = json.dumps({"problem": sentence}).encode()
            self.status = f"{error.code} {error.reason}"
            self.response_headers.append(("Content-Type", "application/json"))
            self.set_close_on_finish()
            self.content_length = len(body)
            self.write(body)

    class Channel(HTTPChannel):
        error_task_class = Refusal

    # It warns when requests wait for a thread: here that is normal.
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)
    made = create_server(
        app,
        sockets=[listener],
        threads=4,
        connection_limit=CONNECTIONS,
        max_request_body_size=limit + 1,
        # Beyond these, data goes to temporary files: no photo does.
        inbuf_overflow=2 * limit,
        outbuf_overflow=max(2 * limit, ANSWER),
        ident=None,
    )
    made.channel_class = Channel
    return made


def serve(app: Any, listener: socket.socket, stage: str, token: str = "") -> None:
    """Serve an `application` until Ctrl-C or SIGTERM, normal ends; say where, and that it ended.

    stage: as in `try`. token: the one that the application asks for, if any.
    """
    try:
        made = server(app, listener)
        progress.say(f"{stage}: ready at {address(listener, token)} (Ctrl-C ends it)")
        with stopping.answered(""):
            made.run()  # it ends on Ctrl-C, without an exception
    except KeyboardInterrupt:  # before it runs
        pass
    progress.say(f"{stage}: stopped.")
