"""Training speed beside Hugging Face transformers, on the same shape, batch and optimizer work.

    make bench                       (about fifteen minutes on two cores)

Every contestant is a process of its own, so that its peak memory is its own; they take turns, a
step each, and a ratio is the median over the rounds, so that a machine whose speed drifts slows
both. Each peer runs in the fastest of its settings: float32, bfloat16 by autocast, bfloat16 weights
beside float32 masters, all with scaled_dot_product_attention and the fused AdamW; `--compile` tries
torch.compile too. Part of our lead is an allocator setting that any program could make
(`devices.keep_freed_memory`), so a second ratio is to the same peer with that setting as well.

A second table sets every objective beside clm: the share of the machine's rate of matrix products
that it uses, its operations and seconds for the same text, and what corruption takes of a step.
"""

import argparse
import statistics

from contestants import LAYERS, LENGTH, ROWS, SETTINGS, VOCAB, WIDTH, matmul, ours, peer
from turns import Contestant, fastest, median_ratio, serve, take_turns

from lmcompare.objectives import OBJECTIVES

PAIRS = {  # ours, and what it is measured against, with the ratio to reach
    "clm": {"LlamaForCausalLM": 1.5, "GPT2LMHeadModel": 1.6},
    "mlm": {"EuroBertForMaskedLM": 2.0, "BertForMaskedLM": 1.5, "ModernBertForMaskedLM": 1.5},
    "plm": {"XLNetLMHeadModel": 1.7},
    "t5": {"T5ForConditionalGeneration": 1.3},
    "bart": {"BartForConditionalGeneration": 1.3},
}


def contestant(name: str, setting: str) -> Contestant:
    return Contestant(__file__, name, setting)


def fastest_of(name: str, *, rounds: int, compiled: bool) -> Contestant:
    """The peer in its fastest setting."""
    settings = [*SETTINGS, *(f"{setting}+compile" for setting in SETTINGS if compiled)]
    tried = (contestant(name, setting) for setting in settings)
    return fastest(tried, rounds=rounds, work=ROWS * LENGTH, unit="tokens")


def speed(one: Contestant) -> float:
    """Tokens a second."""
    return ROWS * LENGTH / one.typical


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--trial-rounds", type=int, default=4)
    parser.add_argument("--compile", action="store_true", help="try torch.compile on the peers too")
    parser.add_argument(
        "--parts", nargs="+", choices=("peers", "objectives"), default=["peers", "objectives"]
    )
    parser.add_argument("--only", nargs="+", choices=PAIRS, default=list(PAIRS), metavar="OURS")
    parser.add_argument("--work", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.work:
        name, setting = arguments.work
        make = ours if name in OBJECTIVES else peer
        serve(matmul if name == "matmul" else lambda: make(name, setting))
        return
    rate = contestant("matmul", "")
    if "peers" in arguments.parts:
        against_peers(rate, arguments)
    if "objectives" in arguments.parts:
        among_ours(rate, arguments)
    rate.close()


def against_peers(rate: Contestant, arguments: argparse.Namespace) -> None:
    print(f"{LAYERS} layers, width {WIDTH}, vocabulary {VOCAB}, {ROWS} x {LENGTH} tokens a step")
    print(
        f"{'ours':5} {'tokens/s':>9} {'of matmul':>10} {'MB':>6}   {'peer':28} {'setting':10} "
        f"{'tokens/s':>9} {'MB':>6} {'size':>6} {'ratio':>6} {'to reach':>9} {'+allocator':>11}"
    )
    for objective in arguments.only:
        for name, wanted in PAIRS[objective].items():
            other = fastest_of(name, rounds=arguments.trial_rounds, compiled=arguments.compile)
            helped = contestant(name, f"{other.setting}+allocator")
            mine = contestant(objective, "bfloat16")
            rate.steps.clear()
            take_turns([mine, other, helped, rate], arguments.rounds)
            size = other.facts["parameters"] / mine.facts["parameters"]
            print(
                f"{objective:5} {speed(mine):9,.0f} "
                f"{median_ratio(mine.rates, rate.rates):10.0%} "
                f"{mine.megabytes:6,.0f}   {name:28} {other.setting:10} "
                f"{speed(other):9,.0f} {other.megabytes:6,.0f} "
                f"{size:6.3f} {mine.faster_than(other):5.2f}x {wanted:8.1f}x "
                f"{mine.faster_than(helped):10.2f}x",
                flush=True,
            )
            for each in (mine, other, helped):
                each.close()


def among_ours(rate: Contestant, arguments: argparse.Namespace) -> None:
    """Every objective beside clm: what it costs, and how well it uses the machine."""
    print(
        f"\n{'ours':8} {'tokens/s':>9} {'of matmul':>10} {'of clm':>7} {'FLOPs, clm 1':>13} "
        f"{'seconds, clm 1':>15} {'corruption':>11}"
    )
    clm = contestant("clm", "bfloat16")
    for name in OBJECTIVES:
        mine = contestant(name, "bfloat16")
        rate.steps.clear()
        clm.steps.clear()
        take_turns([mine, clm, rate], arguments.rounds)
        corruption = statistics.median(step["corruption"] / step["seconds"] for step in mine.steps)
        flops = [[step["flops"] for step in each.steps] for each in (mine, clm)]
        print(
            f"{name:8} {speed(mine):9,.0f} {median_ratio(mine.rates, rate.rates):10.0%} "
            f"{median_ratio(mine.rates, clm.rates):7.2f} {median_ratio(*flops):13.2f} "
            f"{median_ratio(mine.seconds, clm.seconds):15.2f} {corruption:11.1%}",
            flush=True,
        )
        mine.close()
    clm.close()


if __name__ == "__main__":
    main()
