"""A model behind a server that speaks the OpenAI chat API."""

from __future__ import annotations

import asyncio
import hashlib
import os
import random
import re
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, closing
from email.utils import parsedate_to_datetime
from functools import partial
from typing import Never
from urllib.parse import urlsplit

import httpx

from trimtab.models.apart import Put, iterate_apart
from trimtab.models.chat_api import Piece, read_piece, read_reply, write_body
from trimtab.records.charter import Endpoint, Generation
from trimtab.records.conversation import Conversation
from trimtab.records.errors import ModelError
from trimtab.records.protocols import OnReply
from trimtab.records.reply import Reply

MAX_ANSWER_BYTES = 10_000_000
MAX_WAIT_SECONDS = 60.0
CONNECT_SECONDS = 10.0
EXCERPT_CHARACTERS = 300

# The request itself is at fault: too long, too large, or of a form that the server cannot take.
REFUSED_REQUEST = frozenset({400, 413, 422})
MAY_PASS = frozenset({408, 429})


class EndpointModel:
    """Asks a server for replies, `in_flight` at once; can be called from any thread or loop.

    What may pass (a lost connection, a time-out, 408, 429, 5xx, an answer that is not a chat
    completion) is tried again, `retries` times, after a wait that doubles from `backoff_seconds`
    and adds to what `Retry-After` asks for; both stop at a minute. A reply that still did not come,
    or whose request was refused (400, 413, 422), is a Reply with `finish="error"`.

    What would fail every request raises ModelError: any other status (401, 403, 404 …), a
    connection refused before the server ever answered, or one that no try could open.
    """

    batched = False

    def __init__(self, endpoint: Endpoint, *, backoff_seconds: float = 0.5):
        self._endpoint = endpoint
        self._address = _address(endpoint.url)
        self._key = _read_key(endpoint)
        self._backoff_seconds = backoff_seconds
        self._has_answered = False

    def __repr__(self) -> str:
        return f"EndpointModel({self._endpoint!r})"

    @property
    def name(self) -> str:
        return self._endpoint.name

    @property
    def fingerprint(self) -> str:
        """A hash of address and name: the weights behind them cannot be seen."""
        return hashlib.sha256(f"{self._address}\n{self.name}".encode()).hexdigest()[:16]

    def generate(
        self,
        conversations: Sequence[Conversation],
        generation: Generation,
        on_reply: OnReply | None = None,
    ) -> list[Reply]:
        """One reply a conversation, in their order; `on_reply` is called on the caller's thread.

        An interrupt, or an exception from `on_reply`, ends the requests under way.
        """
        bodies = [write_body(self.name, asked, generation) for asked in conversations]
        replies: dict[int, Reply] = {}
        with closing(iterate_apart(partial(self._reply_to_all, bodies))) as arriving:
            for position, reply in arriving:
                replies[position] = reply
                if on_reply:
                    on_reply(position, reply)
        return [replies[position] for position in range(len(bodies))]

    def stream(self, conversation: Conversation, generation: Generation) -> Iterator[str]:
        """The reply's text as it comes, calls of tools left out.

        Nothing is tried again, since somebody waits: what goes wrong raises ModelError.
        """
        body = write_body(self.name, conversation, generation, stream=True)
        return iterate_apart(partial(self._stream_pieces, body))

    def log_probabilities(
        self,
        conversations: Sequence[Conversation],
    ) -> list[list[float]]:
        """Raises ModelError: the chat API does not tell."""
        raise self._cannot("the probabilities of given replies")

    def tokenise(self, text: str) -> list[int]:
        """Raises ModelError: the chat API does not tell."""
        raise self._cannot("its token ids")

    async def _reply_to_all(self, bodies: list[bytes], put: Put[tuple[int, Reply]]) -> None:
        waiting = iter(enumerate(bodies))

        async def work(client: httpx.AsyncClient) -> None:
            for position, body in waiting:
                put((position, await self._reply(client, body)))

        try:
            async with self._client() as client, asyncio.TaskGroup() as workers:
                for _ in range(min(self._endpoint.in_flight, len(bodies))):
                    workers.create_task(work(client))
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from None

    async def _reply(self, client: httpx.AsyncClient, body: bytes) -> Reply:
        tries = 0
        while True:
            try:
                return await self._try(client, body)
            except _TryError as caught:
                failed = caught
            tries += 1
            if not failed.may_pass or tries > self._endpoint.retries:
                break
            await asyncio.sleep(self._wait_seconds(tries, failed.retry_after))
        if not failed.connected:
            raise self._as_model_error(failed)
        return Reply("", "error", error=f"{failed} (tries: {tries})")

    async def _try(self, client: httpx.AsyncClient, body: bytes) -> Reply:
        async with self._post(client, body) as chunks:
            content = b"".join([chunk async for chunk in chunks])
        try:
            return read_reply(content)
        except ValueError as error:
            raise _TryError(f"not a chat completion: {error}: {self._excerpt(content)}") from None

    async def _stream_pieces(self, body: bytes, put: Put[str]) -> None:
        try:
            async with self._client() as client, self._post(client, body) as chunks:
                async for line in _lines(chunks):
                    piece = self._piece(line)
                    if piece.text:
                        put(piece.text)
                    if piece.last:
                        return
                raise _TryError("the answer ended before the reply did; does the server stream?")
        except _TryError as failed:
            raise self._as_model_error(failed) from None

    def _piece(self, line: bytes) -> Piece:
        try:
            return read_piece(line)
        except ValueError as error:
            raise _TryError(f"not a piece of a reply: {error}: {self._excerpt(line)}") from None

    @asynccontextmanager
    async def _post(
        self, client: httpx.AsyncClient, body: bytes
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        """The chunks of the answer to `body`, to be read inside, while its time-out runs.

        Raises _TryError where no answer comes, and what `_refuse` raises where it is no success.
        """
        try:
            async with (
                asyncio.timeout(self._endpoint.timeout_seconds),
                client.stream("POST", self._address, content=body) as response,
            ):
                self._has_answered = True
                chunks = _capped(response.aiter_raw())
                if not response.is_success:
                    self._refuse(response, b"".join([chunk async for chunk in chunks]))
                yield chunks
        except TimeoutError:
            seconds = self._endpoint.timeout_seconds
            raise _TryError(f"no whole answer within {seconds:g} seconds") from None
        except httpx.ConnectTimeout:
            why = f"no connection within {CONNECT_SECONDS:g} seconds"
            raise _TryError(why, connected=False) from None
        except httpx.ConnectError as error:
            why = f"cannot connect: {error}"
            raise _TryError(why, connected=False, may_pass=self._has_answered) from None
        except httpx.TransportError as error:
            raise _TryError(f"the connection broke: {type(error).__name__} {error}") from None

    def _refuse(self, response: httpx.Response, content: bytes) -> Never:
        status = response.status_code
        what = f"the server answered {status}: {self._excerpt(content)}"
        if status in MAY_PASS or status >= 500:
            retry_after = seconds_asked_for(response.headers.get("Retry-After", ""), time.time())
            raise _TryError(what, retry_after=retry_after)
        if status in REFUSED_REQUEST:
            raise _TryError(what, may_pass=False)
        raise ModelError(what, where=self._address, fix=self._fix(status))

    def _as_model_error(self, failed: _TryError) -> ModelError:
        fix = None if failed.connected else "Start the server, or check the endpoint's `url`."
        return ModelError(str(failed), where=self._address, fix=fix)

    def _fix(self, status: int) -> str:
        key_env = self._endpoint.key_env
        if status not in (401, 403):
            return f"Check `url`, up to and with /v1, and that a model is called {self.name!r}."
        if key_env is None:
            return "Name the environment variable that holds the key as `key_env`."
        return f"Check the key in the environment variable {key_env}, and what it gives access to."

    def _wait_seconds(self, tries: int, retry_after: float) -> float:
        backoff = min(self._backoff_seconds * 2.0 ** (tries - 1), MAX_WAIT_SECONDS)
        return retry_after + backoff * random.uniform(0.5, 1.0)

    def _client(self) -> httpx.AsyncClient:
        # Compressed answers could grow past the cap; the workers alone limit the connections.
        headers = {"Content-Type": "application/json", "Accept-Encoding": "identity"}
        if self._key:
            headers["Authorization"] = f"Bearer {self._key}"
        return httpx.AsyncClient(
            headers=headers,
            timeout=httpx.Timeout(None, connect=CONNECT_SECONDS),
            limits=httpx.Limits(
                max_connections=None, max_keepalive_connections=self._endpoint.in_flight
            ),
        )

    def _excerpt(self, content: bytes) -> str:
        """The start of what a server said, on one line, without the key if it repeats that."""
        text = content.decode(errors="replace")
        if self._key:
            text = text.replace(self._key, "[key]")
        text = " ".join(text[: 4 * EXCERPT_CHARACTERS].split())
        return f"{text[:EXCERPT_CHARACTERS]}…" if len(text) > EXCERPT_CHARACTERS else text

    def _cannot(self, tell: str) -> ModelError:
        return ModelError(
            f"an endpoint cannot tell {tell}",
            where=self._address,
            fix="Use a local model, by the name of its folder, for this.",
        )


class _TryError(Exception):
    """One try that brought no reply, and whether another could."""

    def __init__(
        self,
        why: str,
        *,
        may_pass: bool = True,
        connected: bool = True,
        retry_after: float = 0.0,
    ):
        super().__init__(why)
        self.may_pass = may_pass
        self.connected = connected
        self.retry_after = retry_after


def seconds_asked_for(retry_after: str, now: float) -> float:
    """How long a `Retry-After` header asks to wait (RFC 9110, 10.2.3), from 0 to a minute.

    `now` is in seconds since the epoch. What cannot be read asks for no wait.

    >>> [seconds_asked_for(header, now=0) for header in ("2", "1.5", "86400", "soon", "")]
    [2.0, 1.5, 60.0, 0.0, 0.0]
    >>> seconds_asked_for("Thu, 01 Jan 1970 00:00:30 GMT", now=10)
    20.0
    """
    if re.fullmatch(r"\d+(\.\d+)?", retry_after):
        seconds = float(retry_after)
    else:
        try:
            seconds = parsedate_to_datetime(retry_after).timestamp() - now
        except (ValueError, OverflowError):
            return 0.0
    return min(max(seconds, 0.0), MAX_WAIT_SECONDS)


def _address(url: str) -> str:
    try:
        # httpx knows about international names, urlsplit about brackets and the range of ports.
        valid = bool(httpx.URL(url).host and urlsplit(url).port != 0)
    except (ValueError, httpx.InvalidURL):
        valid = False
    if not valid:
        raise ModelError("not an address", where=url, fix="Write it like http://localhost:8000/v1.")
    return f"{url.rstrip('/')}/chat/completions"


def _read_key(endpoint: Endpoint) -> str | None:
    """The key, or None where none is wanted; errors name its variable and never its value."""
    if endpoint.key_env is None:
        return None
    key = os.environ.get(endpoint.key_env, "").strip()
    if not key:
        raise ModelError(
            f"the environment variable {endpoint.key_env} is not set",
            where=endpoint.url,
            fix=f"Put the server's key into it: export {endpoint.key_env}=…",
        )
    if not re.fullmatch(r"[!-~]+", key):
        raise ModelError(
            f"the environment variable {endpoint.key_env} holds no key: a key is one ASCII word",
            where=endpoint.url,
        )
    return key


async def _capped(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    size = 0
    async for chunk in chunks:
        size += len(chunk)
        if size > MAX_ANSWER_BYTES:
            raise _TryError(f"the answer is longer than {MAX_ANSWER_BYTES:,} bytes", may_pass=False)
        yield chunk


async def _lines(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Lines as server-sent events have them; httpx's `aiter_lines` also splits at U+2028."""
    begun: list[bytes] = []
    async for chunk in chunks:
        *ends, rest = chunk.split(b"\n")
        for end in ends:
            yield b"".join([*begun, end])
            begun = []
        begun.append(rest)
    yield b"".join(begun)
