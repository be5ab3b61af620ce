"""A stand-in for an engine's own server: takes the command line of SGLang or vLLM, speaks their routes, misbehaves.

Run as a program (`engine_command=[sys.executable, ".../stand_in_engine.py"]`); it imports nothing of Conduit.
`--model-path` makes it SGLang, a model without a flag in front of it vLLM, neither a server to attach to. Text,
lengths and answers to schemas are deterministic: a token is a word of a prompt, and a word or four characters
of JSON in an answer. What only a test needs is passed in `engine_args`:

  --stand-in MODES     comma-separated, for example `late=2,token_s=0.01`
  --announce FILE      where to write {"pid", "port"} once it listens

Modes (a number follows `=`; the others are switches):
  late=S           in its first S seconds it answers 200 to checks and 503 to work
  late_hang=S      the same, but work gets no answer at all
  load_s=S         it listens only after S seconds
  exit=CODE        it writes a line to its log and ends with CODE while it loads
  exit_later=CODE  as exit, but the line comes after the socket listens
  token_s=S        seconds between two tokens (0.001)
  answer=N         tokens of a free answer (12)
  token_chars=N    characters of a token of a free answer, at least
  ignore_schema    schemas are taken and not obeyed
  cut_prompt=N     prompts are cut to N tokens, and nobody is told
  crash_at=N       the process is killed when an answer has N tokens
  hang_at=N        from the moment an answer has N tokens nothing is generated any more; checks answer 200
  busy_s=S         a prompt with the word "busy" stops all generation for S seconds at its first token
  no_tokenize      there is no tokenize route
  no_tools, no_completions, no_logprobs, no_seed   those requests are answered with 400
  ignore_sampling  top_k, min_p and ignore_eos are not read, as by a server that does not know them
  deaf             it does not notice that a caller has gone: only abort_request ends a sequence
  reasoning        each answer is preceded by a thought, in the engine's own field
  stubborn         TERM does nothing, and a child process ignores it too

Routes for tests: GET /stand_in/state (counts), POST /stand_in/modes (a JSON object switches modes on or off:
`{"hang": true}` stops all generation now and `{"hang": false}` goes on), POST /stand_in/crash.
"""

import argparse
import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from zlib import crc32

from aiohttp import web

WORDS = (
    "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi omicron pi rho sigma".split()
)
THOUGHT = ["let ", "me ", "think"]
CHECKS = {"/health", "/ready", "/metrics", "/stand_in/state", "/stand_in/modes", "/stand_in/crash"}
OPEN_TO_VLLM = {"/tokenize", "/version"}  # it guards /v1 alone
STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"


class Refused(Exception):
    """A 400 in the form of the engine."""


class StandIn:
    def __init__(self, arguments):
        self.kind = arguments.kind
        self.model = arguments.served_model_name or "stand-in"
        self.context = arguments.context_length or arguments.max_model_len or 512
        self.places = asyncio.Semaphore(arguments.max_running_requests or arguments.max_num_seqs or 256)
        self.key = arguments.api_key or (os.environ.get("VLLM_API_KEY") if self.kind == "vllm" else None)
        self.embeds = arguments.is_embedding or arguments.runner == "pooling"
        self.modes = modes_of(arguments.stand_in)
        self.started = time.monotonic()
        self.running = {}
        self.count = {"finished": 0, "aborted": 0, "generated": 0, "prompt_tokens": 0}
        self.busy_until = 0.0
        self.last = None

    # routes

    def app(self):
        app = web.Application(middlewares=[self.guard], client_max_size=64 * 2**20)
        app.add_routes(
            [
                web.get("/health", self.healthy),
                web.get("/health_generate", self.health),
                web.get("/ready", self.healthy),
                web.get("/version", self.version),
                web.get("/server_info", self.version),
                web.get("/v1/models", self.models),
                web.get("/metrics", self.metrics),
                web.post("/tokenize", self.tokenize),
                web.post("/v1/tokenize", self.tokenize),
                web.post("/abort_request", self.abort),
                web.post("/v1/chat/completions", self.chat),
                web.post("/v1/completions", self.completions),
                web.post("/v1/embeddings", self.embeddings),
                web.get("/stand_in/state", self.state),
                web.post("/stand_in/modes", self.switch),
                web.post("/stand_in/crash", self.crash),
            ]
        )
        return app

    @web.middleware
    async def guard(self, request, handler):
        path = request.path
        free = path in CHECKS or path.startswith("/health") or (self.kind == "vllm" and path in OPEN_TO_VLLM)
        if self.key and not free and request.headers.get("authorization") != f"Bearer {self.key}":
            return web.json_response({"error": "Unauthorized"}, status=401)
        try:
            return await handler(request)
        except Refused as error:
            return self.refusal(str(error))

    def refusal(self, message, status=400):
        error = {"message": message, "type": "BadRequestError", "param": None, "code": status}
        return web.json_response(
            {"object": "error", **error} if self.kind == "sglang" else {"error": error}, status=status
        )

    async def healthy(self, _request):
        return web.Response()

    async def health(self, _request):
        """SGLang's check that generates; every other one lies when it hangs."""
        if self.is_late:
            return web.Response(status=503)
        await self.token()
        return web.Response()

    async def version(self, _request):
        return web.json_response({"version": "stand-in"})

    async def models(self, _request):
        card = {"id": self.model, "object": "model", "owned_by": "stand-in", "max_model_len": self.context}
        return web.json_response({"object": "list", "data": [card]})

    async def metrics(self, _request):
        share = min(1.0, sum(self.running.values()) / self.context)
        lines = {
            "sglang": f'sglang:token_usage{{model_name="m",tp_rank="0"}} {share}\n',
            "vllm": f'vllm:kv_cache_usage_perc{{engine="0",model_name="m"}} {share}\n'
            f'vllm:iteration_tokens_total_count{{engine="0"}} {self.count["generated"]}\n',
        }
        return web.Response(text="# HELP x y\n" + lines.get(self.kind, ""))

    async def tokenize(self, request):
        if self.modes.get("no_tokenize"):
            raise web.HTTPNotFound
        body = await request.json()
        count = prompt_length(body["messages"]) if "messages" in body else words(body["prompt"])
        return web.json_response(
            {"count": count, "max_model_len": self.context, "tokens": list(range(count))}
        )

    async def abort(self, request):
        body = await request.json()
        for task in list(asyncio.all_tasks()):
            if task.get_name() == body.get("rid"):
                task.cancel()
        return web.Response()

    async def state(self, _request):
        return web.json_response({"running": len(self.running), **self.count, "last": self.last})

    async def switch(self, request):
        self.modes.update(await request.json())
        return web.Response()

    async def crash(self, _request):
        os.kill(os.getpid(), signal.SIGKILL)

    # work

    @property
    def is_late(self):
        age = time.monotonic() - self.started
        return age < max(self.modes.get("late", 0), self.modes.get("late_hang", 0))

    async def token(self):
        """Wait for one step of the engine."""
        await asyncio.sleep(self.modes.get("token_s", 0.001))
        while self.modes.get("hang") or time.monotonic() < self.busy_until:  # noqa: ASYNC110
            await asyncio.sleep(0.01)

    async def admit(self):
        if self.is_late and "late_hang" in self.modes:
            await asyncio.sleep(3600)
        return None if not self.is_late else self.refusal("the model is still loading", 503)

    async def chat(self, request):
        body = await request.json()
        if self.embeds:
            raise Refused("The model does not support Chat Completions API")
        texts = " ".join(message.get("content") or "" for message in body["messages"])
        return await self.answer(request, body, texts, prompt_length(body["messages"]), chat=True)

    async def completions(self, request):
        body = await request.json()
        if self.modes.get("no_completions"):
            raise web.HTTPNotFound
        return await self.answer(request, body, body["prompt"], words(body["prompt"]), chat=False)

    async def embeddings(self, request):
        if (late := await self.admit()) is not None:
            return late
        body = await request.json()
        if not self.embeds:
            raise Refused("The model does not support Embeddings API")
        texts = [body["input"]] if isinstance(body["input"], str) else body["input"]
        await self.token()
        lengths = [words(text) for text in texts]
        if max(lengths) > self.context:
            raise Refused(self.too_long(max(lengths)))
        data = [
            {"object": "embedding", "index": at, "embedding": [crc32(text.encode()) / 2**32, float(length)]}
            for at, (text, length) in enumerate(zip(texts, lengths, strict=True))
        ]
        usage = {"prompt_tokens": sum(lengths), "total_tokens": sum(lengths)}
        self.count["prompt_tokens"] += sum(lengths)
        return web.json_response({"object": "list", "data": data, "model": self.model, "usage": usage})

    async def answer(self, request, body, text, length, *, chat):
        if (late := await self.admit()) is not None:
            return late
        if "cut_prompt" in self.modes:
            length = min(length, int(self.modes["cut_prompt"]))
        elif length + (body.get("max_tokens") or 1) > self.context:
            raise Refused(self.too_long(length))
        self.check(body)
        reply = Reply(self, body, text, length, chat=chat)
        self.last = {name: value for name, value in body.items() if name not in ("messages", "prompt")}
        if self.modes.get("busy_s") and "busy" in text:
            self.busy_until = time.monotonic() + self.modes["busy_s"]
        if self.modes.get("deaf"):  # a task of its own outlives the caller; only its name ends it
            task = asyncio.create_task(reply.send(request), name=body.get("rid"))
            return await asyncio.shield(task)
        return await reply.send(request)

    def check(self, body):
        for name, mode in (("tools", "no_tools"), ("logprobs", "no_logprobs"), ("seed", "no_seed")):
            if body.get(name) and self.modes.get(mode):
                raise Refused(f"{name} is not supported")
        if not self.modes.get("ignore_sampling"):
            for name, kinds in (("top_k", int), ("min_p", (int, float)), ("ignore_eos", bool)):
                if body.get(name) is not None and not isinstance(body[name], kinds):
                    raise Refused(f"1 validation error: {name}: Input should be a valid {kinds}")
        if "uniqueItems" in json.dumps(body.get("response_format") or {}):
            if self.kind == "sglang":
                raise Refused("Failed to compile json grammar: uniqueItems is not supported")
            raise Refused("Grammar error: Unimplemented keys: [uniqueItems]")

    def too_long(self, length):
        if self.kind == "sglang":
            return f"The input ({length} tokens) is longer than the model's context length ({self.context} tokens)."
        return (
            f"This model's maximum context length is {self.context} tokens. However, your prompt contains "
            f"{length} input tokens. Please reduce the length of the input messages."
        )


class Reply:
    """One answer on its way."""

    def __init__(self, engine, body, text, length, *, chat):
        self.engine, self.body, self.chat, self.prompt_tokens = engine, body, chat, length
        self.limit = body.get("max_tokens") or 16
        self.call = self.called()
        form = body.get("response_format") or {}
        schema = form.get("json_schema", {}).get("schema") if form.get("type") == "json_schema" else None
        if schema is not None and not engine.modes.get("ignore_schema"):
            tokens = pieces(json.dumps(example(schema, schema)))
        elif self.call:
            tokens = pieces(json.dumps(example(self.call["parameters"], self.call["parameters"])))
        else:
            width = int(engine.modes.get("token_chars", 0))
            words = free_text(text, body, int(engine.modes.get("answer", 12)), self.limit)
            tokens = [word.ljust(width) for word in words]
        self.thought = THOUGHT if engine.modes.get("reasoning") and chat else []
        self.tokens = tokens
        self.made = 0

    def called(self):
        choice, tools = self.body.get("tool_choice", "auto"), self.body.get("tools") or []
        text = json.dumps(self.body.get("messages", ""))
        if not tools or choice == "none" or (choice == "auto" and "call a tool" not in text):
            return None
        name = choice["function"]["name"] if isinstance(choice, dict) else tools[0]["function"]["name"]
        return next(tool["function"] for tool in tools if tool["function"]["name"] == name)

    def cut_at_stop(self, tokens):
        """Return the tokens before the first stop string, and whether there was one."""
        text = "".join(tokens)
        found = [text.find(stop) for stop in self.body.get("stop") or [] if stop in text]
        if not found:
            return tokens, False
        left, kept = min(found), []
        for token in tokens:
            if left > 0:
                kept.append(token[:left])
            left -= len(token)
        return kept, True

    async def generate(self):
        """Yield (channel, token) until the answer ends; `finish` is set then."""
        engine = self.engine
        room = self.limit - len(self.thought)
        tokens, stopped = self.cut_at_stop(self.tokens[: max(room, 0)])
        thought = [("reasoning", token) for token in self.thought[: self.limit]]
        for channel, token in [*thought, *(("content", token) for token in tokens)]:
            await engine.token()
            self.made += 1
            engine.count["generated"] += 1
            engine.running[id(self)] = self.prompt_tokens + self.made
            if self.made == engine.modes.get("crash_at"):
                os.kill(os.getpid(), signal.SIGKILL)
            if self.made == engine.modes.get("hang_at"):
                engine.modes["hang"] = True
                await engine.token()
            yield channel, token
        if stopped:
            self.finish = "stop"
        elif len(self.tokens) > room or self.body.get("ignore_eos"):
            self.finish = "length"
        else:
            self.finish = "tool_calls" if self.call else "stop"

    async def send(self, request):
        engine = self.engine
        async with engine.places:
            engine.running[id(self)] = self.prompt_tokens
            try:
                response = await (self.stream(request) if self.body.get("stream") else self.whole())
            except BaseException:
                engine.count["aborted"] += 1
                raise
            finally:
                del engine.running[id(self)]
        engine.count["finished"] += 1
        engine.count["prompt_tokens"] += self.prompt_tokens
        return response

    async def whole(self):
        parts = [part async for part in self.generate()]
        text = "".join(token for channel, token in parts if channel == "content")
        thought = "".join(token for channel, token in parts if channel == "reasoning")
        choice = {"index": 0, "finish_reason": self.finish, "logprobs": self.report([t for _, t in parts])}
        if self.chat:
            message = {"role": "assistant", "content": None if self.call else text}
            message |= {self.thought_field(): thought} if thought else {}
            message |= {"tool_calls": [self.call_part(text, first=True)]} if self.call else {}
            choice["message"] = message
        else:
            choice["text"] = text
        return web.json_response({**self.head("chat.completion"), "choices": [choice], "usage": self.usage()})

    async def stream(self, request):
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        first = True
        if self.chat:
            await self.write(response, [{"index": 0, "delta": {"role": "assistant", "content": ""}}])
        async for channel, token in self.generate():
            choice = {"index": 0, "finish_reason": None, "logprobs": self.report([token])}
            if not self.chat:
                choice["text"] = token
            elif channel == "reasoning":
                choice["delta"] = {self.thought_field(): token}
            elif self.call:
                choice["delta"] = {"tool_calls": [self.call_part(token, first=first)]}
                first = False
            else:
                choice["delta"] = {"content": token}
            await self.write(response, [choice])
        end = {"index": 0, "finish_reason": self.finish} | ({"delta": {}} if self.chat else {"text": ""})
        await self.write(response, [end])
        if (self.body.get("stream_options") or {}).get("include_usage"):
            await self.write(response, [], usage=self.usage())
        await response.write(b"data: [DONE]\n\n")
        return response

    async def write(self, response, choices, **more):
        line = json.dumps({**self.head("chat.completion.chunk"), "choices": choices, **more})
        try:
            await response.write(f"data: {line}\n\n".encode())
        except ConnectionError:
            if not self.engine.modes.get("deaf"):
                raise

    def head(self, kind):
        return {
            "id": "1",
            "object": kind if self.chat else "text_completion",
            "created": 1,
            "model": self.engine.model,
        }

    def usage(self):
        both = {"prompt_tokens": self.prompt_tokens, "completion_tokens": self.made}
        return both | {"total_tokens": sum(both.values())}

    def thought_field(self):
        return "reasoning" if self.engine.kind == "vllm" else "reasoning_content"

    def call_part(self, arguments, *, first):
        function = {"arguments": arguments} | ({"name": self.call["name"]} if first else {})
        return {"index": 0, "type": "function", "function": function} | ({"id": "call_1"} if first else {})

    def report(self, tokens):
        wanted = self.body.get("logprobs")
        if wanted is None or wanted is False:
            return None
        if not self.chat:
            top = [{token: -0.5} for token in tokens]
            return {"tokens": tokens, "token_logprobs": [-0.5] * len(tokens), "top_logprobs": top}
        top = self.body.get("top_logprobs") or 0
        others = [
            {"token": f"t{at}", "logprob": -0.5 - at, "bytes": list(f"t{at}".encode())} for at in range(top)
        ]
        rows = [
            {"token": token, "logprob": -0.5, "bytes": list(token.encode()), "top_logprobs": others}
            for token in tokens
        ]
        return {"content": rows}


def words(text):
    return len(text.split())


def prompt_length(messages):
    return 2 + sum(3 + words(message.get("content") or "") for message in messages)


def free_text(prompt, body, length, limit):
    """Words that depend on the prompt, and on the seed when the answer is sampled."""
    seed = f"{prompt}{body.get('seed') if body.get('temperature') else ''}"
    start = crc32(seed.encode())
    count = limit if body.get("ignore_eos") else length
    return [WORDS[(start + at * (1 + start % 7)) % len(WORDS)] + " " for at in range(count)]


def pieces(text):
    return [text[at : at + 4] for at in range(0, len(text), 4)]


def example(schema, root):
    """The plainest value that a simple schema allows."""
    if "$ref" in schema:
        found = root
        for part in schema["$ref"].removeprefix("#/").split("/"):
            found = found[part]
        return example(found, root)
    for choices in ("anyOf", "oneOf", "allOf"):
        if choices in schema:
            return example(schema[choices][0], root)
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return schema["enum"][0]
    kind = schema.get("type", "object")
    kind = kind[0] if isinstance(kind, list) else kind
    if kind == "object":
        properties = schema.get("properties", {})
        return {name: example(each, root) for name, each in properties.items()}
    if kind == "array":
        return [example(schema.get("items", {}), root)] * schema.get("minItems", 0)
    if kind == "string":
        return "a" * max(schema.get("minLength", 0), 1)
    return {"integer": schema.get("minimum", 0), "number": 0.5, "boolean": True, "null": None}[kind]


def modes_of(text):
    modes = {}
    for part in filter(None, text.split(",")):
        name, _, value = part.partition("=")
        modes[name] = float(value) if value else True
    return modes


def read_arguments():
    """Read either engine's command line; a flag that neither has ends the program as it would end them."""
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("model", nargs="?")
    for flag in ("--model-path", "--served-model-name", "--host", "--api-key", "--dtype", "--revision"):
        parser.add_argument(flag)
    for flag in ("--quantization", "--grammar-backend", "--structured-outputs-config", "--runner"):
        parser.add_argument(flag)
    for flag in ("--tool-call-parser", "--reasoning-parser", "--generation-config", "--tokenizer-path"):
        parser.add_argument(flag)
    for flag in ("--context-length", "--max-model-len", "--max-running-requests", "--max-num-seqs"):
        parser.add_argument(flag, type=int)
    for flag in ("--tp-size", "--tensor-parallel-size", "--max-logprobs"):
        parser.add_argument(flag, type=int)
    for flag in ("--mem-fraction-static", "--gpu-memory-utilization"):
        parser.add_argument(flag, type=float)
    for flag in (
        "--is-embedding",
        "--enable-metrics",
        "--enable-auto-tool-choice",
        "--enable-deterministic-inference",
        "--constrained-json-disable-any-whitespace",
        "--disable-uvicorn-access-log",
        "--enforce-eager",
    ):
        parser.add_argument(flag, action="store_true")
    parser.add_argument("--config", type=Path)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--stand-in", default="")
    parser.add_argument("--announce", type=Path)
    arguments = parser.parse_args()
    arguments.kind = "sglang" if arguments.model_path else "vllm" if arguments.model else "openai"
    if arguments.config:  # the one line that is passed this way
        arguments.api_key = arguments.config.read_text().partition(":")[2].strip().strip('"')
    return arguments


async def serve(arguments):
    engine = StandIn(arguments)
    modes = engine.modes
    await asyncio.sleep(modes.get("load_s", 0))
    if "exit" in modes:
        sys.stderr.write("RuntimeError: out of memory while loading\n")
        sys.exit(int(modes["exit"]))
    runner = web.AppRunner(engine.app(), handler_cancellation=not modes.get("deaf"), access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, arguments.host or "127.0.0.1", arguments.port, shutdown_timeout=0.1)
    await site.start()
    if "exit_later" in modes:
        sys.stderr.write("RuntimeError: warming up failed\n")
        os._exit(int(modes["exit_later"]))
    if arguments.announce:
        draft = arguments.announce.with_suffix(".draft")
        draft.write_text(json.dumps({"pid": os.getpid(), "port": site._server.sockets[0].getsockname()[1]}))
        draft.replace(arguments.announce)
    ended = asyncio.Event()
    if modes.get("stubborn"):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        subprocess.Popen([sys.executable, "-c", STUBBORN], start_new_session=True)  # noqa: ASYNC220
    else:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    await ended.wait()
    await runner.cleanup()


if __name__ == "__main__":
    asyncio.run(serve(read_arguments()))
