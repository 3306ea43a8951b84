"""The command line: every command explains itself with an example."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.console import Console

from benchmark.cli_boards import Local, ProtocolName, Runs, boards, console, submit
from benchmark.cli_claims import claims
from benchmark.cli_sweep import sweep
from benchmark.errors import LyceumError, print_error

app = typer.Typer(
    name="lyceum",
    help=(
        "Compare curriculum strategies: a teacher decides what a student trains on next.\n\n"
        "Example: lyceum new my_teacher.py, then lyceum check my_teacher.py, then "
        "lyceum run digits-noise-v1 --teacher my_teacher.py"
    ),
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


Smoke = Annotated[
    bool, typer.Option("--smoke", help="Only see that it works: one short run, never ranked.")
]
EnvWorkers = Annotated[
    int, typer.Option(min=1, help="Processes per run that step its procedural worlds.")
]
Device = Annotated[
    str, typer.Option(help="Where students learn: cpu, cuda, or auto: cuda if there is one.")
]
CheckpointSeconds = Annotated[
    float, typer.Option(min=0.0, help="Seconds between two checkpoints of a run.")
]
Stack = Annotated[
    int, typer.Option(min=1, help="Seeds per process whose students learn as one stack: for ppo.")
]


@app.command()
def new(
    file: Annotated[Path, typer.Argument(help="The file to write, for example my_teacher.py.")],
) -> None:
    """Write a teacher of 25 lines that already runs.

    Example: lyceum new my_teacher.py
    """
    from benchmark.template import write_template

    name = write_template(file)
    console.print(f"Wrote {file} with the teacher {name}. Next:", highlight=False)
    console.print(f"  lyceum check {file}:{name}", highlight=False)
    console.print(f"  lyceum run digits-noise-v1 --teacher {file}:{name}", highlight=False)


@app.command("list")
def list_(
    what: Annotated[
        str, typer.Argument(help="teachers, protocols, worlds, tasks or students.")
    ] = "all",
    part: Annotated[
        str, typer.Argument(help="Of protocols: those whose name holds this, for example parkour.")
    ] = "",
    every: Annotated[
        bool, typer.Option("--all", help="Every protocol, also the members of families.")
    ] = False,
) -> None:
    """Show what there is: teachers, protocols, worlds, tasks and students.

    Example: lyceum list protocols stump_tracks-rugged
    """
    from benchmark.catalogue import print_catalogue

    print_catalogue(console, what, part, every)


@app.command()
def show(
    name: Annotated[str, typer.Argument(help="A teacher, protocol, world, task or student.")],
) -> None:
    """Explain one thing: source, departures, hyperparameters; of a protocol all that it pins.

    Example: lyceum show alp_gmm
    """
    from benchmark.show import print_thing

    print_thing(console, name)


@app.command()
def run(
    protocol: ProtocolName,
    teacher: Annotated[
        list[str],
        typer.Option("--teacher", "-t", help="A registered name or my_file.py:Mine; repeatable."),
    ],
    seeds: Annotated[
        str, typer.Option(help="How many of the protocol's seeds, or a list: 10 or 0,3,5 or 0-4.")
    ] = "",
    set_: Annotated[
        list[str],
        typer.Option("--set", help="A hyperparameter of the teacher, name=value; repeatable."),
    ] = [],  # noqa: B006 - typer copies it
    workers: Annotated[int, typer.Option(min=1, help="Runs side by side.")] = 2,
    env_workers: EnvWorkers = 1,
    device: Device = "cpu",
    stack: Stack = 1,
    runs: Runs = Path("runs"),
    local: Local = False,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Try runs again that failed before.")
    ] = False,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Delete what these runs left behind and start anew.")
    ] = False,
    checkpoint_seconds: CheckpointSeconds = 30.0,
    smoke: Smoke = False,
) -> None:
    """Train students under a protocol and rank their teachers.

    Finished runs are kept, interrupted ones continue from their checkpoint, and the number of
    workers changes no result.

    Example: lyceum run digits-noise-v1 --teacher my_teacher.py:Mine --seeds 10
    """
    from benchmark.commands import run_and_rank

    code = run_and_rank(
        console,
        protocol=protocol,
        teachers=teacher,
        seeds=seeds,
        settings=set_,
        workers=workers,
        local=local,
        retry_failed=retry_failed,
        fresh=fresh,
        options={
            "runs": str(runs),
            "workers": env_workers,
            "checkpoint_seconds": checkpoint_seconds,
            "device": device,
        },
        smoke=smoke,
        stack=stack,
    )
    raise typer.Exit(code)


app.command()(sweep)
app.command()(submit)


@app.command()
def status(
    runs: Runs = Path("runs"),
) -> None:
    """Show which runs are finished, running, interrupted or failed. Reads only.

    Example: lyceum status --runs runs
    """
    from benchmark.commands import print_status

    print_status(console, runs)


@app.command()
def compare(
    names: Annotated[
        list[str] | None,
        typer.Argument(help="A protocol and then teachers; with --protocol teachers only."),
    ] = None,
    protocol: Annotated[
        list[str] | None,
        typer.Option("--protocol", "-p", help="A protocol or a .toml file; repeatable."),
    ] = None,
    teacher: Annotated[
        list[str] | None, typer.Option("--teacher", "-t", help="Only this one; repeatable.")
    ] = None,
    runs: Runs = Path("runs"),
    local: Local = False,
    scores: Annotated[
        bool, typer.Option("--scores", help="All scores; named teachers always have them.")
    ] = False,
) -> None:
    """Rank your runs beside the published entries and say what can be concluded from them.

    Teachers that are named are compared pair by pair, with each other and with the reference.

    Example: lyceum compare uniform self_paced --protocol digits-noise-v1
    """
    from benchmark.compare import compare as compare_teachers
    from benchmark.compare import read_names

    protocols, teachers = read_names(names or [], protocol or [], teacher or [])
    compare_teachers(console, protocols, teachers, runs, local, scores)


@app.command()
def plot(
    protocol: Annotated[
        list[str], typer.Argument(help="Protocols (lyceum list protocols) or .toml files.")
    ],
    kind: Annotated[
        list[str] | None,
        typer.Option(
            "--kind",
            "-k",
            help="curves, intervals, profile, improvement, targets, tasks, costs, radar; of your "
            "own runs curriculum, snapshots, ridges, animation; or all. Repeatable.",
        ),
    ] = None,
    runs: Runs = Path("runs"),
    local: Local = False,
    out: Annotated[
        Path | None, typer.Option(help="The folder for the figures; default: RUNS/plots.")
    ] = None,
    over: Annotated[
        str, typer.Option(help="The curves' x axis: budget, updates or seconds (of your own runs).")
    ] = "budget",
    score: Annotated[
        str, typer.Option(help="What is compared: area (under the curve) or final.")
    ] = "area",
    teacher: Annotated[
        list[str] | None, typer.Option("--teacher", "-t", help="Only this one; repeatable.")
    ] = None,
) -> None:
    """Draw learning curves and the curriculum, or other figures, as PNG, SVG and CSV.

    Several protocols are pooled where a figure allows it; a radar needs at least three.

    Example: lyceum plot digits-noise-v1 --kind intervals --out figures
    """
    from benchmark.draw import Sources, draw

    draw(console, Sources(protocol, runs, local, teacher or [], over, score), out, kind)


@app.command()
def check(
    names: Annotated[
        list[str] | None,
        typer.Argument(help="my_file.py:Mine, or the name of a teacher, world, task or student."),
    ] = None,
    every: Annotated[
        bool, typer.Option("--all", help="Everything that is registered, a line for each.")
    ] = False,
) -> None:
    """Check a teacher, environment or student against its contract, in under 60 seconds.

    Example: lyceum check my_teacher.py:Mine
    """
    from benchmark.conformance import check_everything, check_names

    if every == bool(names):
        raise LyceumError("name what to check, for example my_teacher.py:Mine, or give --all")
    raise typer.Exit(check_everything(console) if every else check_names(console, names))


app.add_typer(boards, name="leaderboard")
app.add_typer(claims, name="claims")


@app.command()
def report(
    out: Annotated[Path, typer.Option(help="The folder for the site.")] = Path("out/report"),
    runs: Annotated[
        Path | None, typer.Option(help="Show the finished runs of this folder beside them.")
    ] = None,
    folder: Annotated[
        Path | None, typer.Option(help="The leaderboards' folder; default: the suite's own.")
    ] = None,
) -> None:
    """Write all leaderboards as a static site: sort, filter, point at curves; no server needed.

    Example: lyceum report --out report, then open report/index.html in a browser
    """
    from benchmark.commands import report_boards

    report_boards(console, out, runs, folder)


@app.command()
def play(
    world: Annotated[
        str, typer.Argument(help="A world (lyceum list worlds) or my_file.py:MyWorld.")
    ],
    task: Annotated[
        list[str],
        typer.Option(help="1.5,3 or stump_height=1.5; what is left out keeps its default."),
    ] = [],  # noqa: B006 - typer copies it
    body: Annotated[str | None, typer.Option(help="Which body the world gets.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the world and of random actions.")] = 0,
    set_: Annotated[
        list[str],
        typer.Option("--set", help="Another argument of the world, name=value; repeatable."),
    ] = [],  # noqa: B006 - typer copies it
    steps: Annotated[
        int | None, typer.Option(min=1, help="Stop after so many; default: when the episode ends.")
    ] = None,
    actions: Annotated[
        str, typer.Option(help="random, zero, or hold: random, but a climber keeps its grips.")
    ] = "random",
    video: Annotated[Path | None, typer.Option(help="Write a video, .mp4 or .gif.")] = None,
    frame: Annotated[Path | None, typer.Option(help="Write the last picture, .png.")] = None,
    human: Annotated[bool, typer.Option("--human", help="Watch it in a window.")] = False,
) -> None:
    """Play one episode of a world, to look at a task or a body.

    Random actions are held for ten steps each.

    Example: lyceum play stump_tracks --task 1.5,3 --body spider --video spider.mp4
    """
    from benchmark.play import play as play_episode

    play_episode(
        console,
        world,
        tasks=task,
        body=body,
        seed=seed,
        settings=set_,
        steps=steps,
        actions=actions,
        video=video,
        frame=frame,
        human=human,
    )


@app.command()
def gallery(
    out: Annotated[Path, typer.Option(help="The picture to write, .png.")] = Path("gallery.png"),
) -> None:
    """Draw all bodies and typical tasks on one sheet.

    Example: lyceum gallery --out gallery.png
    """
    from benchmark.gallery import write_gallery

    tiles = write_gallery(out)
    console.print(f"Written: {out} ({tiles} tiles)", highlight=False, soft_wrap=True)


def main() -> None:
    """Run the command line; a user's mistake ends in one sentence and exit code 2."""
    try:
        app(standalone_mode=True)
    except LyceumError as error:
        _complain(str(error))
    except OSError as error:
        # A full disk, a folder that may not be written, a name that is too long.
        place = f" ({error.filename})" if error.filename else ""
        _complain(f"{error.strerror or error}{place}; mend it and try again")
    except KeyboardInterrupt:
        Console(stderr=True).print("stopped; the same command continues", style="yellow")
        sys.exit(130)


def _complain(sentence: str) -> NoReturn:
    print_error(sentence)
    sys.exit(2)


if __name__ == "__main__":
    main()
