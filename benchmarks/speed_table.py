"""The numbers of replay_speed as a table; nothing here asserts a time."""

from __future__ import annotations

from typing import Any

OURS: dict[str, tuple[str, float | None]] = {  # row: what it is, and the wanted ratio
    "A": ("loop, fills, native Portfolio", 4.0),
    "B": ("loop, fills", 30.0),
    "C": ("replay(), from frames", None),
    "D": ("replay().portfolio()", None),
}
IMPORTS = {"import workbench": 0.3, "workbench --help": 0.6}


def show(out: dict[str, Any]) -> None:
    versions = ", ".join(f"{name} {number}" for name, number in out["versions"].items())
    print(f"data      {out['data']}: {out['bars']:,} bars x {out['symbols']} symbols")
    print(f"versions  {versions}")
    print(f"minimum of {out['repeats']} repeats, {out['cpus']} CPUs, one thread each;", end=" ")
    print("load average", " ".join(f"{x:.1f}" for x in out["load_average"]))
    for name, result in out["workloads"].items():
        if "equality" in result:
            show_peer(name, result)
    print("\nTHE LOOP (B)                          million asset-bars per CPU second   wanted")
    for name, result in out["workloads"].items():
        rate, floor = result["million_per_second"], result["floor"]
        print(
            f"  {name:<37}{result['fills']:>7,} fills {rate:>18.1f}"
            f" {floor:>8.0f}  {verdict(rate, floor)}"
        )
    first = ", ".join(f"{seconds:.1f} s {name}" for name, seconds in out["first_call"].items())
    print(f"\nFIRST CALL of the loop: {first}")
    print("\nIMPORTS, whole processes, byte code cached: seconds of wall time")
    for name, most in IMPORTS.items():
        cost = out["imports"][name]
        print(f"  {name:<20} {cost:>6.2f}   wanted < {most}: {verdict(cost, most, below=True)}")


def show_peer(name: str, result: dict[str, Any]) -> None:
    times, styles = result["times"], result["equality"]
    print(f"\nAGAINST VECTORBT   {name}")
    for style, equality in styles.items():
        print(f"  {style:<11} {words_on(equality)}")
    if not times:
        print("  the two disagree: nothing is timed")
        return
    print(f"\n  {'from_order_func':<42} ms: CPU    wall   first call, s   output")
    for style, equality in styles.items():
        output = "equal" if equality["equal"] else "NOT equal, same rules"
        first = equality["first_call"]
        print(f"     {style:<39}{milliseconds(times[style])} {first:>15.1f}   {output}")
    heads = "".join(f"{f'to {style}':>15}{'wanted':>13}" for style in styles)
    print(f"  {'ours (ratios of CPU time)':<42} ms: CPU    wall{heads}")
    for row, (label, target) in OURS.items():
        line = f"  {row}  {label:<39}{milliseconds(times[row])}"
        for ratio in result["ratios"][row].values():
            word = "" if target is None else f"{target:.0f}: {verdict(ratio, target)}"
            line += f"{ratio:>14.1f}x{word:>13}"
        print(line.rstrip())
    for label, side in (
        ("     of A, D: portfolio(), all of it", "portfolio()"),
        ("              vectorbt's own constructor", "constructor"),
        ("     of C, D: daily facts", "daily facts"),
    ):
        print(f"{label:<44}{milliseconds(times[side])}")
    share = times["constructor"]["cpu"] / times["A"]["cpu"]
    print(f"  vectorbt's own constructor is {share:.0%} of A")


def milliseconds(took: dict[str, float]) -> str:
    return f"{1e3 * took['cpu']:>9.1f} {1e3 * took['wall']:>7.1f}"


def words_on(equality: dict[str, Any]) -> str:
    """Whether it was the same work."""
    off, counts = equality["worst_equity_off"], f"{equality['fills_peer']:,} fills"
    if equality["equal"]:
        return f"{counts}, each equal to ours; refusals equal; equity off by at most {off:.0e}"
    return (
        f"{counts}, ours {equality['fills']:,}; {equality['shared']:,} at the same bar, symbol and"
        f" side; ours fill a symbol twice in a bar {equality['second']:,} times;\n{'':<14}final"
        f" equity {equality['equity_peer']:,.2f}, ours {equality['equity']:,.2f}"
        f" ({equality['final_equity_off']:+.1%}), on its way off by {off:.1%} at most;"
        f" {equality['refusals_differing']} of the reasons counted differently"
    )


def verdict(value: float, target: float, *, below: bool = False) -> str:
    reached = value < target if below else value >= target
    return "reached" if reached else "MISSED"
