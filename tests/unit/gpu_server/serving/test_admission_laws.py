"""What holds for admission whatever comes, leaves, ends or fails, and in whatever order."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from gpu_server.serving.admission import QUIET_S, Admission
from gpu_server.serving.turn import MOST_PREEMPTIONS, QueueFull


@dataclass
class Time:
    now: float = 0.0
    calls: list[tuple[float, Callable[[], None]]] = field(default_factory=list)

    def __call__(self) -> float:
        return self.now

    def call_later(self, delay_s: float, function: Callable[[], None]) -> "Handle":
        self.calls.append((self.now + delay_s, function))
        return Handle(self, self.calls[-1])

    def advance(self, seconds: float) -> None:
        self.now += seconds
        due = [call for call in self.calls if call[0] <= self.now]
        self.calls = [call for call in self.calls if call[0] > self.now]
        for _, function in due:
            function()


@dataclass
class Handle:
    time: Time
    call: tuple[float, Callable[[], None]]

    def cancel(self) -> None:
        if self.call in self.time.calls:
            self.time.calls.remove(self.call)


@dataclass(eq=False)
class Request:
    caller: str
    batch: bool
    stream: bool
    leave: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None
    starts: int = 0
    inside: bool = False
    refused: bool = False
    cancelled: bool = False

    @property
    def waits(self) -> bool:
        return not (self.inside or self.refused or self.cancelled or (self.task is None or self.task.done()))


class World:
    """The admission, its requests, and every law checked at each entry and after each step."""

    def __init__(self, concurrency: int, share: int, window_s: float) -> None:
        self.time = Time()
        self.window_s = window_s
        self.admission = Admission(
            concurrency=concurrency,
            max_queue=3,
            max_batch_queue=4,
            batch_share=share,
            settle_s=0.5,
            window_s=window_s,
            call_later=self.time.call_later,
            clock=self.time,
        )
        self.requests: list[Request] = []

    def of(self, *, batch: bool, state: str) -> list[Request]:
        return [one for one in self.requests if one.batch == batch and getattr(one, state)]

    async def arrive(self, caller: str, *, batch: bool, stream: bool) -> None:
        request = Request(caller, batch, stream)
        idle = not self.of(batch=True, state="inside") and not self.of(batch=False, state="inside")
        idle = idle and not self.admission.waiting
        request.task = asyncio.create_task(self._come(request))
        self.requests.append(request)
        await settle()
        if idle and self.window_s and self.admission.concurrency > 1:
            assert request.waits, "an idle model with a window holds its first request"

    async def _come(self, request: Request) -> None:
        async def work() -> None:
            self._check_entry(request)
            request.starts += 1
            request.inside = True
            try:
                await request.leave.wait()
            finally:
                request.inside = False

        try:
            if request.stream:
                async with self.admission.place(request.caller, request.batch):
                    await work()
            else:
                await self.admission.run(work, request.caller, request.batch)
        except QueueFull:
            request.refused = True

    def _check_entry(self, request: Request) -> None:
        if request.batch:
            assert not self.of(batch=False, state="waits"), "a batch row overtook an interactive request"
        if request.starts == 0:
            mine = [o for o in self.requests if o.caller == request.caller and o.batch == request.batch]
            for other in mine[: mine.index(request)]:
                assert not (other.waits and other.starts == 0), "a caller's requests enter in order"
        if not request.stream:
            assert request.starts <= MOST_PREEMPTIONS
        else:
            assert request.starts == 0, "a stream begins once"

    def check(self) -> None:
        admission = self.admission
        inside = [one for one in self.requests if one.inside]
        assert admission.running == len(inside) <= admission.concurrency
        assert admission.running_batch == sum(one.batch for one in inside)
        assert admission.waiting == sum(one.waits for one in self.requests), (
            "who left or entered waits no more"
        )
        if self.time.calls and self.window_s and not inside:
            return  # a wave is held
        calls_wait = self.of(batch=False, state="waits")
        rows_wait = self.of(batch=True, state="waits")
        if calls_wait:
            assert admission.running == admission.concurrency, (
                "a place is free and an interactive request waits"
            )
        elif rows_wait and admission.running == 0:
            raise AssertionError("a row waits for an idle model")
        if self.of(batch=False, state="inside"):
            stay = sum(one.batch and (one.stream or one.starts > MOST_PREEMPTIONS) for one in inside)
            assert admission.running_batch <= max(admission.batch_share, stay), "rows above their share stay"

    async def end(self) -> None:
        for _ in range(len(self.requests) * 2 + 4):
            for request in self.requests:
                request.leave.set()
            self.time.advance(QUIET_S + self.window_s)
            await settle()
        assert all(one.task is not None and one.task.done() for one in self.requests), (
            "somebody never had a turn"
        )
        assert (self.admission.running, self.admission.waiting) == (0, 0)


async def settle() -> None:
    for _ in range(25):
        await asyncio.sleep(0)


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("arrive"), st.sampled_from("ab"), st.booleans(), st.booleans()),
        st.tuples(st.just("arrive"), st.sampled_from("ab"), st.just(True), st.just(False)),
        st.tuples(st.just("finish"), st.integers(0, 50)),
        st.tuples(st.just("cancel"), st.integers(0, 50)),
        st.tuples(st.just("advance"), st.sampled_from([1.0, QUIET_S])),
    ),
    min_size=5,
    max_size=40,
)


@settings(max_examples=150)
@given(st.integers(1, 5), st.integers(1, 5), st.sampled_from([0.0, 3.0]), STEPS)
def test_admission_keeps_its_laws(
    concurrency: int, share: int, window_s: float, steps: list[tuple[object, ...]]
) -> None:
    async def run() -> None:
        world = World(concurrency, share, window_s)
        for what, *arguments in steps:
            inside = [one for one in world.requests if one.inside]
            if what == "arrive":
                caller, batch, stream = arguments
                await world.arrive(str(caller), batch=bool(batch), stream=bool(stream))
            elif what == "finish" and inside:
                inside[int(str(arguments[0])) % len(inside)].leave.set()
            elif what == "cancel" and (alive := [o for o in world.requests if o.task and not o.task.done()]):
                leaver = alive[int(str(arguments[0])) % len(alive)]
                leaver.cancelled = True
                assert leaver.task is not None
                leaver.task.cancel()
            elif what == "advance":
                world.time.advance(float(str(arguments[0])))
            await settle()
            world.check()
        await world.end()

    asyncio.run(run())
