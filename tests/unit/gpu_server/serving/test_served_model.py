"""Supervision: what becomes of a model when its engine cannot be loaded, dies, falls silent, or only takes long."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import pytest

from gpu_server.engines.base import Abilities, EngineCounters, EngineLost, LoadError, UnfitHost
from gpu_server.errors import ApiError
from gpu_server.serving.back_off import BackOff
from gpu_server.serving.served_model import MAX_REASON_CHARS, ServedModel
from gpu_server.serving.served_models import ServedModels
from gpu_server.settings import ModelSettings
from gpu_server.weights.base import Progress

DEADLINE_S = 20


class Engine:
    """Loads, works and dies when it is told to."""

    def __init__(self, make: "Maker") -> None:
        self.make = make
        self.abilities = Abilities()
        self.counters = EngineCounters()
        self.death: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.silent = False
        self.asked = 0
        self.closed = False

    async def load(self) -> None:
        self.make.loading += 1
        self.make.most_loading = max(self.make.most_loading, self.make.loading)
        try:
            for _ in range(3):
                await asyncio.sleep(0)
            if self.make.failures:
                raise self.make.failures.pop(0)
        finally:
            self.make.loading -= 1

    async def lost(self) -> str:
        return await asyncio.shield(self.death)

    async def answers(self) -> bool:
        self.asked += 1
        if self.silent:
            await asyncio.Event().wait()
        return True

    async def close(self) -> None:
        self.closed = True
        self.die("closed")

    def die(self, why: str) -> None:
        if not self.death.done():
            self.death.set_result(why)

    async def work(self) -> None:
        """One request that ends only with the engine."""
        raise EngineLost(await asyncio.shield(self.death))


class Maker:
    """Makes engines and keeps them; `failures` are raised by the next loads."""

    def __init__(self, *failures: Exception) -> None:
        self.failures = list(failures)
        self.engines: list[Engine] = []
        self.loading = self.most_loading = 0

    def __call__(self, _: ModelSettings) -> Any:
        self.engines.append(Engine(self))
        return self.engines[-1]


class House:
    """One supervised model."""

    def __init__(self, *failures: Exception, **settings: Any) -> None:
        self.make = Maker(*failures)
        settings = {"model_id": "m", "max_model_concurrency": 2, **settings}
        self.model = ServedModel(
            ModelSettings(**settings), self.make, back_off=BackOff(first_s=0.001, most_s=0.01)
        )

    @property
    def engine(self) -> Engine:
        return self.make.engines[-1]

    async def __aenter__(self) -> Self:
        await self.model.load()
        self.supervision = asyncio.create_task(self.model.supervise())
        await asyncio.sleep(0)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert not self.supervision.done(), "supervision never ends by itself"
        self.supervision.cancel()
        await asyncio.wait((self.supervision,))

    def send(self) -> asyncio.Task[None]:
        return asyncio.create_task(self.model.admission.run(self.engine.work))


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while not condition():  # noqa: ASYNC110  (nothing signals it)
            await asyncio.sleep(0.001)


def test_a_first_engine_that_cannot_be_loaded_is_a_failure_for_good() -> None:
    async def run() -> None:
        house = House(LoadError("the folder\n  is empty " + "x" * 1000))
        await house.model.load()
        assert (house.model.state, house.model.answers) == ("failed", False)
        assert (house.model.reason or "").startswith("the folder is empty xxx")
        assert len(house.model.reason or "") == MAX_REASON_CHARS
        assert house.engine.closed
        assert house.model.not_ready().headers["retry-after"] == "60"

    asyncio.run(run())


@pytest.mark.parametrize("failure", [RuntimeError("panic"), TimeoutError()])
def test_whatever_loading_raises_is_a_reason_and_not_a_crash(failure: Exception) -> None:
    async def run() -> None:
        house = House(failure)
        await house.model.load()
        assert house.model.state == "failed"
        assert house.model.reason

    asyncio.run(run())


def test_a_lost_engine_is_closed_and_a_new_one_serves() -> None:
    async def run() -> None:
        async with House() as house:
            first = house.engine
            first.counters.steps = 7
            running = house.send()
            await until(lambda: house.model.admission.running == 1)
            first.die("exit status 139")
            await until(lambda: house.model.restarts == 1)
            assert isinstance(await asyncio.wait_for(_outcome(running), DEADLINE_S), EngineLost)
            assert first.closed
            assert house.model.engine is house.engine is not first
            assert (house.model.state, house.model.reason) == ("ready", None)
            assert house.model.progress >= 7  # only grows
            assert not house.engine.closed

    asyncio.run(run())


def test_while_there_is_no_engine_waiting_and_new_requests_are_told_so_at_once() -> None:
    async def run() -> None:
        async with House() as house:
            house.make.failures = [LoadError("no memory")] * 10_000
            calls = [house.send() for _ in range(5)]
            await until(lambda: house.model.admission.waiting == 3)
            house.engine.die("killed")
            outcomes = [await asyncio.wait_for(_outcome(call), DEADLINE_S) for call in calls]
            assert all(isinstance(outcome, EngineLost | ApiError) for outcome in outcomes)
            await until(lambda: not house.model.answers)
            told = await asyncio.wait_for(_outcome(house.send()), DEADLINE_S)
            assert isinstance(told, ApiError)
            assert (told.status, told.code) == (503, "model_not_ready")
            assert int(told.headers["retry-after"]) >= 1
            await until(lambda: "no memory" in (house.model.reason or ""))
            assert (house.model.state, house.model.answers) == ("starting", False)
            house.make.failures.clear()
            await until(lambda: house.model.answers)
            assert house.model.restarts == 1

    asyncio.run(run())


def test_a_silent_engine_is_busy_then_ready_when_it_goes_on() -> None:
    async def run() -> None:
        async with House(stall_timeout_s=5) as house:
            engine = house.engine
            engine.silent = True
            call = house.send()
            await until(lambda: house.model.state == "busy")
            assert house.model.answers  # a busy model still takes requests
            assert not engine.closed
            engine.counters.completion_tokens += 1
            await until(lambda: house.model.state == "ready")
            assert house.make.engines == [engine]
            call.cancel()

    asyncio.run(run())


def test_a_silent_engine_is_dead_at_its_time_out_and_replaced() -> None:
    async def run() -> None:
        async with House(stall_timeout_s=0.3) as house:
            engine = house.engine
            engine.silent = True
            call = house.send()
            await until(lambda: house.model.restarts == 1)
            assert engine.closed
            assert isinstance(await asyncio.wait_for(_outcome(call), DEADLINE_S), EngineLost)
            assert house.model.state == "ready"

    asyncio.run(run())


def test_an_engine_that_answers_is_kept_and_an_idle_one_is_not_asked() -> None:
    async def run() -> None:
        async with House(stall_timeout_s=0.2) as house, House(stall_timeout_s=0.2) as idle:
            engine = house.engine
            call = house.send()
            await until(lambda: engine.asked >= 25 or house.model.restarts)  # three time-outs long
            assert house.make.engines == [engine]
            assert idle.engine.asked == 0
            call.cancel()
            await asyncio.wait((call,))
            assert house.model.answers

    asyncio.run(run())


def test_engines_load_one_after_another_at_the_start_and_again_after_losses() -> None:
    async def run() -> None:
        make = Maker()
        models = ServedModels([ModelSettings(model_id=name) for name in "abc"], make)
        await models.load()
        assert (models.ready, make.most_loading) == (True, 1)
        for each in models:
            each._back_off = BackOff(first_s=0.001)
        for engine in make.engines[:3]:
            engine.die("power cut")
        await until(lambda: all(model.restarts == 1 for model in models))
        assert make.most_loading == 1
        assert models.ready
        await models.close()
        assert all(engine.closed for engine in make.engines)

    asyncio.run(run())


def test_the_loss_of_one_engine_leaves_the_other_models_serving() -> None:
    async def run() -> None:
        make = Maker()
        models = ServedModels([ModelSettings(model_id=name) for name in "ab"], make)
        await models.load()
        lost, other = make.engines
        call = asyncio.create_task(models.get("b").admission.run(other.work))
        lost.die("panic")
        await until(lambda: models.get("b") and not next(iter(models)).answers)
        with pytest.raises(ApiError) as told:
            models.get("a")
        assert told.value.code == "model_not_ready"
        assert not models.ready
        assert (models.failed, call.done(), other.closed) == (False, False, False)
        call.cancel()
        await models.close()

    asyncio.run(run())


def test_what_ready_says_of_a_model_can_be_read_back() -> None:
    async def run() -> None:
        async with House(stall_timeout_s=9) as house:
            house.engine.counters.facts = {"dtype": "f32"}
            house.engine.counters.steps = 4
            said = house.model.describe()
            assert {key: said[key] for key in ("model_id", "state", "reason", "running", "waiting")} == {
                "model_id": "m", "state": "ready", "reason": None, "running": 0, "waiting": 0,
            }  # fmt: skip
            assert (said["progress"], said["restarts"], said["engine"]) == (4, 0, "mistralrs")
            assert said["abilities"]["generate"] is True
            assert (said["settings"]["dtype"], said["settings"]["stall_timeout_s"]) == ("f32", 9)

    asyncio.run(run())


async def _outcome(task: asyncio.Task[None]) -> BaseException | None:
    await asyncio.wait((task,))
    return task.exception()


class Preparing:
    """Prepares a model when it is let to; notes some progress before."""

    def __init__(self, failure: Exception | None = None) -> None:
        self.go = asyncio.Event()
        self.failure = failure
        self.begun: list[str] = []

    async def __call__(self, model: ModelSettings, progress: Progress) -> ModelSettings:
        self.begun.append(model.model_id)
        progress.total_bytes = 100
        progress.note("weights", 40)
        await self.go.wait()
        if self.failure:
            raise self.failure
        return model.model_copy(update={"path": Path("/downloaded")})


def test_loading_is_told_by_stage_and_bytes_until_the_model_serves() -> None:
    async def main() -> None:
        preparing, made = Preparing(), []
        maker = Maker()

        def make(settings: ModelSettings) -> Any:
            made.append(settings.path)
            return maker(settings)

        model = ServedModel(ModelSettings(model_id="m"), make, prepare=preparing)
        prepared = asyncio.create_task(model.prepare())
        await until(lambda: preparing.begun)
        assert model.describe()["loading"] == {"stage": "download", "done_bytes": 40, "total_bytes": 100}
        preparing.go.set()
        await prepared
        loading = asyncio.create_task(model.load())
        await asyncio.sleep(0)
        assert maker.loading
        assert model.describe()["loading"]["stage"] == "load"
        model.engine.counters.warming = True
        assert model.describe()["loading"]["stage"] == "warm"
        await loading
        assert model.describe()["loading"] is None
        assert made[-1] == Path("/downloaded")
        await model.close()

    asyncio.run(asyncio.wait_for(main(), DEADLINE_S))


@pytest.mark.parametrize(
    ("failure", "reason", "unfit"),
    [
        (LoadError("no room"), "no room", False),
        (UnfitHost("driver"), "driver", True),
        (RuntimeError("odd"), "RuntimeError: odd", False),
    ],
)
def test_what_cannot_be_prepared_fails_and_no_engine_is_loaded(
    failure: Exception, reason: str, unfit: bool
) -> None:
    async def main() -> None:
        preparing, maker = Preparing(failure), Maker()
        preparing.go.set()
        models = ServedModels([ModelSettings(model_id="m")], maker, preparing)
        await models.load()
        [model] = models
        assert (model.state, model.reason, models.unfit_host) == ("failed", reason, unfit)
        assert maker.most_loading == 0
        await models.close()

    asyncio.run(asyncio.wait_for(main(), DEADLINE_S))


def test_files_of_all_models_come_at_the_same_time() -> None:
    async def main() -> None:
        preparing, maker = Preparing(), Maker()
        models = ServedModels([ModelSettings(model_id="a"), ModelSettings(model_id="b")], maker, preparing)
        loading = asyncio.create_task(models.load())
        await until(lambda: len(preparing.begun) == 2)
        assert maker.most_loading == 0
        preparing.go.set()
        await loading
        assert models.ready
        assert maker.most_loading == 1
        await models.close()

    asyncio.run(asyncio.wait_for(main(), DEADLINE_S))


def test_an_end_while_files_come_leaves_no_task() -> None:
    async def main() -> None:
        preparing = Preparing()
        models = ServedModels([ModelSettings(model_id="a")], Maker(), preparing)
        loading = asyncio.create_task(models.load())
        await until(lambda: preparing.begun)
        loading.cancel()
        await asyncio.wait([loading])
        await models.close()
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(main())
