"""From a plan to what a replica is started with: each machine that will do, with the models' shares on it."""

import asyncio
import time
from dataclasses import replace

import pytest

from conduit.compute import GPUS, Caps, ComputeProvider, Offering
from conduit.errors import ArgumentInvalid, BudgetExceeded, NothingFits
from conduit.lmlite.config import ModelConfig, resource_config
from conduit.lmlite.nodes.model_files import located
from conduit.lmlite.nodes.placing import place, plan
from conduit.lmlite.nodes.quote import quote, terms
from conduit.provisioning import LONGEST_LIFE_S
from support.world import World

QWEN, LLAMA = "Qwen/Qwen2.5-7B-Instruct", "meta-llama/Llama-3.2-1B-Instruct"
ON_PROCESSORS = ModelConfig(QWEN, engine="mistralrs")
FREE = Caps(this_machine=True, gpus=True)
ATTACHED = ModelConfig("theirs", engine="openai", url="http://127.0.0.1:1/v1")


def machine(gpu, memory_gib, usd, count=1, **more):
    return Offering("runpod", gpu, gpu, count, memory_gib, usd, compute_capability=8.9, **more)


SMALL, L4, L40S = (
    machine("NVIDIA RTX A4000", 7.5, 0.2),
    machine("NVIDIA L4", 22.0, 0.4),
    machine("NVIDIA L40S", 44.3, 0.9, region="EU-RO-1"),
)


class Rented(World):
    """A site whose provider rents out GPUs, and remembers what it was asked."""

    def __init__(self, tmp_path, on_sale=(L40S, SMALL, L4), *, serverless=True, **settings):
        super().__init__(tmp_path, **settings)
        self.provider.caps = Caps(this_machine=False, gpus=True, costs=True, serverless=serverless)
        self.provider.on_sale, self.asked = list(on_sale), []
        answer = self.provider.offerings

        async def offerings(query, /):
            self.asked.append(query)
            return await answer(query)

        self.provider.offerings = offerings

    def config(self, *models, **options):
        models = models or [ModelConfig(QWEN, max_model_len=2048), ModelConfig(LLAMA)]
        return resource_config(models, ComputeProvider.RUNPOD, **options)

    def place(self, *models, **options):
        config = self.config(*models, **options)
        found = [(model, located(model, self.settings)) for model in config.models]
        return asyncio.run(place(self.site, config, found))

    def plan(self, *models, **options):
        return asyncio.run(plan(self.site, self.config(*models, **options)))

    def quote(self, *models, **options):
        return asyncio.run(quote(self.site, self.config(*models, **options)))


@pytest.fixture
def rented(tmp_path):
    worlds = []

    def make(**options):
        worlds.append(Rented(tmp_path, **options))
        return worlds[-1]

    yield make
    for world in worlds:
        world.store.close()


def test_a_replica_may_run_on_each_machine_that_will_do_the_cheapest_first(rented):
    placed = rented().place()
    assert [candidate.offering for candidate in placed.candidates] == [L4, L40S]
    assert placed.plan["offering"]["gpu"] == "NVIDIA L4"
    assert not any(candidate.serverless for candidate in placed.candidates)


def test_the_server_is_told_each_models_share_on_that_machine_and_its_flags(rented):
    world = rented()
    own = ModelConfig(QWEN, max_model_len=2048, engine="sglang", engine_args=["--mine"])
    placed, planned = world.place(ModelConfig(LLAMA), own), world.plan(ModelConfig(LLAMA), own)
    for candidate, placement in zip(placed.candidates, planned.candidates, strict=True):
        told = candidate.config["models"]
        assert [m["model_id"] for m in told] == [m.model_id for m in placement.models], "the order of starts"
        for model, by_plan in zip(told, placement.models, strict=True):
            assert model["memory_fraction"] == by_plan.memory_fraction
            assert model["tensor_parallel"] == by_plan.tp
            assert model["engine_args"][: len(by_plan.flags)] == list(by_plan.flags)
    first, second = (c.config["models"][0]["memory_fraction"] for c in placed.candidates)
    assert first != second, "a larger machine, a smaller share"
    (mine,) = [m for m in placed.candidates[0].config["models"] if m["model_id"] == QWEN]
    assert mine["engine_args"][-1] == "--mine", "what the user gives comes last, and so it counts"


def test_a_model_of_another_server_is_told_to_the_replica_and_takes_no_share(rented):
    (candidate, *_) = rented().place(ATTACHED, ModelConfig(QWEN, max_model_len=2048)).candidates
    assert [model["model_id"] for model in candidate.config["models"]] == [QWEN, "theirs"]
    assert candidate.config["models"][1]["memory_fraction"] is None


def test_where_there_is_nothing_to_choose_nothing_is_planned(rented):
    world = rented(on_sale=())
    assert world.place(ATTACHED).plan is None
    assert world.asked == [], "a model of another server needs no machine of its own"
    with pytest.raises(NothingFits, match="Nothing is on sale"):
        world.plan()
    world.provider.caps = FREE
    (candidate,) = world.place(ON_PROCESSORS).candidates
    assert candidate.offering is None, "a host without a GPU runs it on its processors"
    world.provider.caps = Caps(this_machine=True, gpus=False)
    assert world.plan() is None


def test_a_gpu_that_is_not_there_is_refused_also_where_nothing_is_on_sale(rented):
    with pytest.raises(NothingFits, match="Nothing is on sale"):
        rented(on_sale=()).plan(gpu=GPUS.NVIDIA_L4)


def test_the_provider_is_asked_for_what_was_wished(rented):
    world = rented()
    world.plan(num_gpus=1, regions=["EU-RO-1"])
    world.provider.on_sale = [machine("NVIDIA L40S", 44.3, 1.8, count=2, region="EU-RO-1")]
    assert world.plan(num_gpus=2, regions=["EU-RO-1"]).offering.gpu_count == 2
    assert [(q.gpu_counts, q.regions) for q in world.asked] == [((n,), ("EU-RO-1",)) for n in (1, 2)]


def test_regions_and_the_price_decide_among_what_fits(rented):
    world = rented(on_sale=[replace(L4, region="US-KS-2"), L40S])
    assert world.plan(regions=["EU-RO-1"]).offering is L40S
    world.provider.on_sale = [L4, L40S]
    with pytest.raises(NothingFits, match=r"0\.3"):
        world.plan(max_usd_per_hour=0.3)
    with pytest.raises(NothingFits):
        world.plan(max_usd_per_hour=0.7, replicas=2)  # of all replicas together
    assert world.plan(max_usd_per_hour=0.8, replicas=2).offering is L4


def test_an_endpoint_scales_to_as_many_workers_as_there_are_replicas(rented):
    config = rented().place(serverless=True, replicas=3).candidates[0]
    assert (config.serverless, config.max_workers) == (True, 3)


@pytest.mark.parametrize("caps", [Caps(this_machine=False, gpus=True), Caps(this_machine=True, gpus=False)])
def test_who_has_no_endpoints_says_so(rented, caps):
    world = rented()
    world.provider.caps = caps
    with pytest.raises(ArgumentInvalid, match="scale to zero") as caught:
        world.place(serverless=True)
    assert caught.value.argument == "serverless"


def test_a_provider_of_one_place_refuses_regions(rented):
    world = rented()
    world.provider.caps = Caps(this_machine=True, gpus=False)
    with pytest.raises(ArgumentInvalid, match="EU-RO-1") as caught:
        world.place(regions=["EU-RO-1"])
    assert caught.value.argument == "regions"


def test_without_a_gpu_an_engine_that_needs_one_is_refused_with_one_that_does_not(rented):
    world = rented(on_sale=())
    world.provider.caps = FREE
    with pytest.raises(ArgumentInvalid, match="sglang") as caught:
        world.place(ModelConfig(QWEN))
    assert "mistralrs" in caught.value.hint
    for able in (ON_PROCESSORS, ModelConfig(QWEN, engine_command=["own"]), ATTACHED):
        assert world.place(able).plan is None


def test_a_model_too_large_for_all_is_refused_with_the_numbers_and_a_way(rented):
    with pytest.raises(NothingFits, match=r"GiB") as caught:
        rented().plan(ModelConfig("Qwen/Qwen2.5-72B-Instruct"))
    assert caught.value.hint


def test_a_folder_of_this_machine_cannot_be_read_elsewhere_and_what_ships_goes_by_its_name(rented, tmp_path):
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    with pytest.raises(ArgumentInvalid, match="folder of this machine") as caught:
        rented().place(ModelConfig(str(folder)))
    assert caught.value.argument == "model_id"
    (model,) = rented().place(ModelConfig("conduit/tiny")).candidates[0].config["models"]
    assert (model["model_id"], model["path"], model["source"]) == ("conduit/tiny", None, None)


def test_an_alias_is_loaded_there_and_answers_to_its_models_name(rented):
    aliases = {QWEN: "conduit/tiny", LLAMA: "owner/other"}
    world = rented(model_aliases=aliases, tls_certificate=__file__, tls_key=__file__)
    config = world.place(ModelConfig(QWEN, max_model_len=2048)).candidates[0].config
    (model,) = config["models"]
    assert (model["model_id"], model["source"], model["path"]) == (QWEN, "conduit/tiny", None)
    assert (config["tls_certificate"], config["tls_key"]) == (None, None), "files of this machine"


def test_a_quote_is_the_price_of_all_replicas_for_as_long_as_they_may_live(rented):
    offer = rented().quote(replicas=2)
    assert (offer.plan.offering, offer.replicas, offer.usd_per_hour) == (L4, 2, pytest.approx(0.8))
    assert offer.longest_s == pytest.approx(LONGEST_LIFE_S, abs=5)
    assert offer.most_usd == pytest.approx(0.8 * LONGEST_LIFE_S / 3600, rel=1e-3)
    shorter = rented().quote(max_lifetime=3600)
    assert shorter.most_usd == pytest.approx(0.4, rel=1e-2)


def test_a_quote_never_promises_more_than_the_budgets(rented):
    offer = rented().quote(replicas=2, budget_usd=2.0)
    assert offer.budget_usd == 2.0
    assert 1.9 < offer.most_usd <= 2.0
    assert rented(budget_usd=1.0).quote(replicas=2, budget_usd=2.0).most_usd <= 1.0
    with pytest.raises(BudgetExceeded, match=r"2 nodes at 0\.40 USD/h"):
        rented().quote(replicas=2, budget_usd=0.1)


def test_what_is_free_costs_nothing_however_long(rented):
    world = rented(on_sale=[replace(L4, usd_per_hour=0.0)])
    assert (world.quote().most_usd, world.quote().longest_s) == (0.0, None)
    assert world.quote(max_lifetime=60).most_usd == 0.0
    world.provider.caps, world.provider.on_sale = FREE, []
    offer = world.quote(ON_PROCESSORS, replicas=3)
    assert (offer.plan, offer.usd_per_hour, offer.most_usd, offer.replicas) == (None, 0.0, 0.0, 3)


def test_an_endpoint_is_one_node_at_the_price_of_all_its_workers(rented):
    world = rented()
    offer = world.quote(serverless=True, replicas=3, budget_usd=6.0)
    assert (offer.replicas, offer.usd_per_hour) == (3, pytest.approx(1.2))
    assert offer.most_usd <= 6.0


def test_a_quote_starts_and_records_nothing(rented):
    world = rented()
    world.quote(replicas=2, budget_usd=5.0)
    assert world.provider.specs == {}
    assert world.store.deployments() == []


def test_the_terms_of_a_node_are_the_configurations_and_the_owners(rented):
    world = rented(budget_usd=9.0)
    found = terms(world.site, world.config(budget_usd=4.0, max_lifetime=60), 2)
    assert (found.max_lifetime_s, found.deployment_cap_usd, found.owner_cap_usd, found.nodes) == (60, 4, 9, 2)
    assert world.quote().longest_s < time.time()
