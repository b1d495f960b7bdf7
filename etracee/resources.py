"""Find templates, profiles and rules: in a checkout, in an installed wheel, under /etc."""

from __future__ import annotations

from pathlib import Path

from etracee.inputs import note_lookup
from etracee.problems import Place, ProblemsError, did_you_mean, wrong

_PACKAGE = Path(__file__).parent
SYSTEM = Path("/etc/etracee")


def bundled(kind: str) -> Path:
    """Return the directory of `kind`: templates, profiles or rules."""
    installed = _PACKAGE / "_data" / kind
    return installed if installed.is_dir() else _PACKAGE.parent / kind


def names_of(kind: str) -> list[str]:
    """Return the names of what is bundled, and of what the system's directory has."""
    places = (bundled(kind), SYSTEM / kind)
    return sorted({path.stem for place in places for path in place.glob("*.yaml")})


def find_file(
    kind: str, name: str, *, relative_to: Path | None = None, where: Place | None = None
) -> Path:
    """Return the file that `name` means.

    A value with a slash is a path, from `relative_to` where that is given. Another one is looked
    up in the working directory (only for what the command line names: `relative_to` is None),
    under /etc/etracee, and in what is bundled. ProblemsError, with the nearest name, if there is
    none.
    """
    if "/" in name:
        path = (relative_to or Path()) / name
        if _is_file(path, where):
            return path
        what = f"{path} is no regular file" if path.exists() else f"there is no file {path}"
        raise wrong(where, what)
    directories = [SYSTEM / kind, bundled(kind)]
    if relative_to is None:
        directories.insert(0, Path())
    for directory in directories:
        for path in (directory / name, directory / f"{name}.yaml"):
            if _is_file(path, where):
                return path
    raise _not_found(kind, name, where)


def _is_file(path: Path, where: Place | None) -> bool:
    try:
        is_there = path.is_file()
    except OSError as error:  # a name of more than 255 bytes, or a directory that is not ours
        raise wrong(where, f"cannot look for {path}: {error.strerror}") from None
    note_lookup(path, is_there=is_there)
    return is_there


def _not_found(kind: str, name: str, where: Place | None) -> ProblemsError:
    hint = did_you_mean(name.removesuffix(".yaml"), names_of(kind))
    known = f"there are {', '.join(names_of(kind))}" if names_of(kind) else None
    return wrong(where, f"no {kind.removesuffix('s')} is named {name!r}", hint or known)
