"""The shape of the house: what may import what, what stays light, and how large a file may grow."""

from __future__ import annotations

import ast
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

SRC = Path(__file__).resolve().parent.parent / "src" / "cinecmr"

FLOORS = {
    "cli": 6,
    "viewer": 5, "experiments": 5, "cohort": 5, "doctor": 5, "bill": 5,
    "analyze": 4,
    "tasks": 3, "pretrain": 3,
    "datasets": 2, "learn": 2, "motion": 2, "evaluate": 2,
    "measure": 1, "phantom": 1, "io": 1, "networks": 1,
    "study": 0, "geometry": 0, "anatomy": 0, "errors": 0, "cinecmr": 0,
}  # fmt: skip
SIDEWAYS = {
    ("phantom", "io"),  # synthetic studies are written with the writers that users' studies are
}
TORCH_FREE = {"io", "measure", "evaluate", "phantom", "datasets", "viewer", "study", "geometry", "anatomy", "errors"}
LONGEST_FILE, LONGEST_FUNCTION = 420, 60


@cache
def modules() -> dict[str, ast.Module]:
    """Dotted name of every module and its syntax tree."""
    found = {}
    for path in sorted(SRC.rglob("*.py")):
        parts = ["cinecmr", *path.relative_to(SRC).with_suffix("").parts]
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = ast.parse(path.read_text("utf-8"))
    return found


def imports(tree: ast.Module) -> set[str]:
    """Everything a module imports, anywhere in it, as dotted names ("from a import b" gives a.b)."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports hide the floor they come from"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def room(name: str) -> str:
    """The room of a dotted name: cinecmr.io.read is in io, cinecmr.Study in cinecmr itself."""
    parts = name.split(".")
    return parts[1] if len(parts) > 1 and parts[1] in FLOORS else "cinecmr"


def arrows() -> set[tuple[str, str, str]]:
    """(module, its room, the room it imports) for every import between rooms; the front door may show what it likes."""
    return {
        (module, room(module), room(name))
        for module, tree in modules().items()
        for name in imports(tree)
        if name.split(".")[0] == "cinecmr" and room(name) != room(module) and module != "cinecmr"
    }


def test_every_room_has_a_floor():
    rooms = {path.stem for path in SRC.iterdir() if path.suffix == ".py" or (path / "__init__.py").is_file()}
    assert rooms - {"__init__", "_plugins"} <= FLOORS.keys()


def test_imports_point_down_the_floors():
    upwards = [
        f"{module} imports {there}"
        for module, here, there in arrows()
        if FLOORS[there] >= FLOORS[here] and (here, there) not in SIDEWAYS and there != "cinecmr" and FLOORS[here] > 0
    ]
    assert upwards == []


def test_nothing_imports_the_command_line():
    assert [module for module, _, there in arrows() if there == "cli"] == []


def test_no_room_imports_what_another_keeps_to_itself():
    private = [
        f"{module} imports {name}"
        for module, tree in modules().items()
        for name in imports(tree)
        if name.startswith("cinecmr.")
        and room(name) != room(module)
        and any(part.startswith("_") and not part.startswith("__") for part in name.split("."))
    ]
    assert private == []


def test_rooms_that_need_no_torch_never_import_it():
    heavy = [
        f"{module} imports {name}"
        for module, tree in modules().items()
        for name in imports(tree)
        if room(module) in TORCH_FREE and name.split(".")[0] in ("torch", "safetensors")
    ]
    heavy += [
        f"{module} imports {there}" for module, here, there in arrows() if here in TORCH_FREE and there == "networks"
    ]
    assert heavy == []


def test_no_file_and_no_function_grows_too_long():
    too_long = [path.name for path in SRC.rglob("*.py") if len(path.read_text("utf-8").splitlines()) > LONGEST_FILE]
    for module, tree in modules().items():
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef) and node.end_lineno - node.lineno >= LONGEST_FUNCTION:
                too_long.append(f"{module}.{node.name}")
    assert too_long == []


def test_there_is_no_room_for_things_that_belong_nowhere():
    assert [name for name in modules() if name.split(".")[-1] in {"utils", "util", "helpers", "common", "misc"}] == []


RUN_CODE = {"pickle", "dill", "marshal", "shelve", "joblib", "cloudpickle"}
CALLS = {"eval", "exec", "compile", "__import__", "os.system", "os.popen", "torch.load", "torch.jit.load", "yaml.load"}
CALLS |= {"yaml.full_load", "yaml.unsafe_load", "torch.serialization.load", "torch.serialization.add_safe_globals"}


def aliases(tree: ast.Module) -> dict[str, str]:
    """What a name of a module stands for: `import torch as t` makes t torch, `from torch import load` makes load."""
    found = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.asname: alias.name for alias in node.names if alias.asname}
        elif isinstance(node, ast.ImportFrom):
            found |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    return found


def is_literally(call: ast.Call, argument: str, value: object) -> bool:
    """Whether a call names an argument with that very constant."""
    given = [k.value for k in call.keywords if k.arg == argument]
    return len(given) == 1 and isinstance(given[0], ast.Constant) and given[0].value is value


def dangers(tree: ast.Module) -> list[str]:
    """What in a module lets data run code; of torch.load only the safe loader, named in so many letters, is none."""
    found = [f"import {name}" for name in sorted(imports(tree)) if name.split(".")[0] in RUN_CODE]
    stands_for = aliases(tree)
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        first, *rest = ast.unparse(node.func).split(".")
        name = ".".join([stands_for.get(first, first), *rest])
        if name in CALLS and not (name == "torch.load" and is_literally(node, "weights_only", True)):
            found.append(name)
        if name.endswith(".load") and any(k.arg is None for k in node.keywords):
            found.append(f"{name} with what nobody can read here")
        for word in ("shell", "allow_pickle"):
            if any(k.arg == word for k in node.keywords) and not is_literally(node, word, False):
                found.append(word)
    return found


def test_data_can_never_run_code():
    assert {module: dangers(tree) for module, tree in modules().items() if dangers(tree)} == {}


@pytest.mark.parametrize(
    "code",
    [
        "import torch; torch.load(p)",
        "import torch; torch.load(p, weights_only=False)",
        "import torch; torch.load(p, weights_only=safe)",
        "import torch; torch.load(p, None, None, weights_only=1)",
        "import torch; torch.load(p, **given)",
        "import torch; torch.load(p, weights_only=True, **given)",
        "import torch as t; t.load(p)",
        "from torch import load as read; read(p)",
        "import torch; torch.serialization.load(p)",
        "from torch.serialization import add_safe_globals; add_safe_globals([x])",
        "import yaml; yaml.load(p, yaml.Loader)",
        "from yaml import unsafe_load; unsafe_load(p)",
        "import pickle",
        "from pickle import loads",
        "import numpy as np; np.load(p, allow_pickle=True)",
        "import subprocess; subprocess.run(p, shell=flag)",
        "eval(p)",
    ],
)
def test_what_lets_data_run_code_is_noticed(code):
    assert dangers(ast.parse(code)) != []


@pytest.mark.parametrize(
    "code",
    ["import torch; torch.load(p, map_location='cpu', weights_only=True)", "import yaml; yaml.safe_load(p)",
     "import numpy as np; np.load(p, allow_pickle=False)", "import re; re.compile(p)"],
)  # fmt: skip
def test_safe_loaders_are_let_through(code):
    assert dangers(ast.parse(code)) == []


@pytest.mark.parametrize("command", ["import cinecmr", "import cinecmr.cli", "from cinecmr.analyze import pipeline"])
def test_importing_the_package_brings_in_nothing_heavy(command):
    heavy = ("torch", "pydicom", "matplotlib", "nibabel", "pydantic", "jinja2")
    code = f"{command}; import sys; print([name for name in {heavy} if name in sys.modules])"
    told = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert told.stdout.strip() == "[]"
