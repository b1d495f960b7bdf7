#!/usr/bin/env bash
# Installs etracee on this host: BCC's Python bindings from the distribution, a
# virtual environment that sees them, and the command etracee on the PATH.
# Running it again installs only what is missing.
#
# Variables for the tests of this script:
#   ETRACEE_HOST_ROOT  a directory that stands for / when the host is looked at
#   ETRACEE_VENV       the virtual environment's absolute path
set -euo pipefail

HOST=${ETRACEE_HOST_ROOT:-}
ROOT=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")
VENV=${ETRACEE_VENV:-$ROOT/.venv}
STAMP=$VENV/.etracee-setup            # says what was installed
UNFINISHED=$VENV/.etracee-unfinished  # there while it is being installed

MODE=install        # install, run or test
KERNELS=            # which kernel tests run on another kernel too: all, some or nothing
QUIET=false         # true: say only what was done or is wrong
PYTHON=             # the distribution's interpreter, see choose_python
VENV_PROBLEM=       # why the virtual environment cannot be used, see inspect_venv
VENV_VERSION=       # its Python, as 3.11
APT_UPDATED=false   # the package lists were fetched by this run
COMMAND=            # the last command that attempt ran
OUTPUT=             # and what it printed

usage() {
    cat <<'END'
usage: setup.sh                    install what is missing
       setup.sh run ARGUMENT...    install what is missing, then: etracee run ARGUMENT...
       setup.sh test [ARGUMENT...] install what is missing, then check the sources and
                                   run the tests; the arguments go to pytest
       setup.sh test --kernels[=some] [ARGUMENT...]
                                   the same, then the kernel tests, or some of
                                   them, on Debian's kernel in an emulator
       setup.sh -h | --help        print this
END
}

# ---------------------------------------------------------------- telling

# Everything goes to stderr: with "run", stdout belongs to etracee's events.
say() { printf 'setup: %s\n' "$*" >&2; }

found() { "$QUIET" || say "$@"; }

# The host cannot do it.
refuse() {
    say "$@"
    exit 3
}

# Runs a command and keeps its output, which matters only if the command fails.
# Descriptor 9 is the lock: nothing that the command leaves running may hold it.
attempt() {
    COMMAND=$*
    OUTPUT=$("$@" 2>&1 </dev/null 9<&-)
}

explain_failure() {
    say "this command failed: $COMMAND"
    tail -n 15 <<<"$OUTPUT" | sed 's/^/    /' >&2
}

# ---------------------------------------------------------------- the host

is_root() { [[ $(id -u) -eq 0 ]]; }

os_release() {
    [[ -r $HOST/etc/os-release ]] || return 0
    sed -n "s/^$1=//p" "$HOST/etc/os-release" | tr -d "\"'"
}

# Prints apt-get, dnf or nothing. The distribution's name decides, because a
# host may have the other one's tool too. A name that says nothing leaves it
# to the tool, if there is only one.
package_manager() {
    local names tool
    names=" $(os_release ID) $(os_release ID_LIKE) "
    case ${names,,} in
        *' debian '* | *' ubuntu '*) set -- apt-get ;;
        *' fedora '* | *' openeuler '* | *' rhel '*) set -- dnf ;;
        *) set -- apt-get dnf ;;
    esac
    local present=()
    for tool in "$@"; do
        if command -v "$tool" >/dev/null; then present+=("$tool"); fi
    done
    if ((${#present[@]} == 1)); then echo "${present[0]}"; fi
}

check_host() {
    if is_root; then
        found "running as root"
    else
        found "not running as root: distribution packages and mounts are left as they are"
    fi
    if [[ -r $HOST/sys/kernel/btf/vmlinux ]]; then
        found "the kernel's type information is at /sys/kernel/btf/vmlinux"
    else
        say "/sys/kernel/btf/vmlinux is missing: tracing needs a kernel built with CONFIG_DEBUG_INFO_BTF"
    fi
    ensure_mounted tracefs /sys/kernel/tracing "raw tracepoints are used instead of tracepoints"
    ensure_mounted bpf /sys/fs/bpf "nothing can be pinned there; tracing itself does not need it"
}

ensure_mounted() {
    local type=$1 directory=$2 consequence=$3
    if grep -qs " $directory $type " "$HOST/proc/self/mounts"; then
        found "$type is mounted at $directory"
    elif ! is_root; then
        say "$type is not mounted at $directory, and only root can mount it: $consequence"
    elif attempt mount -t "$type" "$type" "$HOST$directory"; then
        say "mounted $type at $directory"
    else
        explain_failure
        say "$type is not mounted at $directory: $consequence"
    fi
}

# ---------------------------------------------------------------- distribution packages

# For people: BCC's bindings in the words of this distribution.
bcc_package() {
    case $1 in
        apt-get) echo python3-bpfcc ;;
        dnf) echo python3-bcc ;;
    esac
}

install_with() {
    local manager=$1
    shift
    case $manager in
        apt-get) install_with_apt "$@" ;;
        dnf) attempt dnf install -y --setopt=install_weak_deps=False "$@" ;;
    esac
}

install_with_apt() {
    # needrestart would restart services of the host after the installation.
    local -a install=(env DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1
        apt-get install -y --no-install-recommends -o DPkg::Lock::Timeout=120 "$@")
    if attempt "${install[@]}"; then return 0; fi
    "$APT_UPDATED" && return 1
    # The lists may be missing, or name versions that are gone.
    APT_UPDATED=true
    # Without --error-on it reports success even if nothing could be fetched.
    attempt env DEBIAN_FRONTEND=noninteractive apt-get update --error-on=any || explain_failure
    attempt "${install[@]}"
}

# Installs what etracee cannot do without, or ends the script.
require_package() {
    local manager=$1 package=$2
    is_root || refuse "$package is missing, and only root can install it: run with sudo"
    say "installing $package with $manager"
    if ! install_with "$manager" "$package"; then
        explain_failure
        refuse "$package could not be installed"
    fi
}

# The tests' own tools. A distribution may lack one: then it is said, and the
# tests that need it will say so again.
install_test_tools() {
    local manager headers=glibc-devel
    manager=$(package_manager)
    [[ $manager == apt-get ]] && headers=libc6-dev
    local missing=() package
    for package in strace bpftrace stress-ng gcc; do
        if ! command -v "$package" >/dev/null; then missing+=("$package"); fi
    done
    [[ -e $HOST/usr/include/stdio.h ]] || missing+=("$headers")
    for package in "${missing[@]}"; do
        install_test_tool "$manager" "$package"
    done
}

install_test_tool() {
    local manager=$1 package=$2
    if [[ -z $manager ]]; then
        say "$package is missing: install it by hand; without it some tests cannot run"
    elif ! is_root; then
        say "$package is missing: run with sudo to install it; without it some tests cannot run"
    elif install_with "$manager" "$package"; then
        say "installed $package with $manager"
    else
        explain_failure
        say "$package could not be installed: without it some tests cannot run"
    fi
}

# What boots another kernel: an image is made of the packages that dpkg knows,
# and the kernel is fetched with apt-get.
install_emulator() {
    local package packages=(qemu-system-x86 e2fsprogs busybox-static mount)
    [[ $(uname -m) == x86_64 && $(os_release ID) == debian ]] ||
        refuse "test --kernels needs Debian on x86_64: it boots Debian's kernel with this machine's packages"
    is_root || refuse "test --kernels needs root, to read all that the machine's packages hold: run with sudo"
    # The kernel for arm64 too, if there is time for all.
    if [[ $KERNELS == all ]]; then packages+=(qemu-system-arm); fi
    for package in "${packages[@]}"; do
        is_installed_package "$package" || require_package apt-get "$package"
    done
}

is_installed_package() {
    [[ $(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null) == installed ]]
}

# ---------------------------------------------------------------- the interpreter

# Prints "3.11 recent bcc venv pip": the version of an interpreter and which of
# these hold: recent enough, imports BCC's bindings, can make virtual
# environments, is in one that has its own pip. PyPI's bcc is something else and
# has no BPF. Isolated (-I), so that nothing comes from the working directory.
facts_of() {
    "$1" -I -c '
import sys
facts = ["%d.%d" % sys.version_info[:2]]
if sys.version_info >= (3, 10):
    facts.append("recent")
try:
    import bcc
    bcc.BPF
    facts.append("bcc")
except Exception:
    pass
try:
    import ensurepip, venv
    facts.append("venv")
except Exception:
    pass
try:
    import importlib.util
    pip = importlib.util.find_spec("pip").origin
    if sys.prefix != sys.base_prefix and pip.startswith(sys.prefix):
        facts.append("pip")
except Exception:
    pass
print(" ".join(facts))
' 2>/dev/null </dev/null
}

# The distribution's interpreters. Not the PATH's python3: that one may come
# from pyenv or conda, and the distribution's packages are not for it.
interpreters() {
    local path
    path=$HOST/usr/bin/python3
    if [[ -x $path ]]; then echo "$path"; fi
    for path in "$HOST"/usr/bin/python3.*; do
        if [[ -x $path && $path =~ /python3\.[0-9]+$ ]]; then echo "$path"; fi
    done | sort -rV
}

# Sets PYTHON to the first interpreter that is recent and imports BCC's bindings.
choose_python() {
    local path facts
    while read -r path; do
        facts=$(facts_of "$path") || continue
        if [[ $facts == *' recent bcc'* ]]; then
            PYTHON=$path
            found "BCC's Python bindings: $PYTHON (Python ${facts%% *}) imports them"
            return 0
        fi
    done < <(interpreters)
    return 1
}

# Ends the script if there are interpreters and all of them are too old.
require_recent_python() {
    local path facts old=''
    while read -r path; do
        facts=$(facts_of "$path") || continue
        if [[ $facts == *' recent'* ]]; then return 0; fi
        old+="${old:+, }$path is ${facts%% *}"
    done < <(interpreters)
    [[ -z $old ]] || refuse "Python 3.10 or newer is needed ($old). Debian 12, Ubuntu 22.04, Fedora and openEuler 25.09 have it"
}

# Ends the script, naming what is to be installed by hand.
refuse_unknown_distribution() {
    local name
    name=$(os_release PRETTY_NAME)
    refuse "this distribution (${name:-unnamed}) is not known. Install by hand:" \
        "BCC's Python bindings (python3-bpfcc, python3-bcc or python-bcc, not PyPI's bcc)" \
        "for /usr/bin/python3, and Python 3.10 or newer with venv. Then run setup.sh again"
}

ensure_python() {
    local manager
    require_recent_python
    if choose_python; then return 0; fi
    manager=$(package_manager)
    [[ -n $manager ]] || refuse_unknown_distribution
    require_package "$manager" "$(bcc_package "$manager")"
    if choose_python; then return 0; fi
    # Installed, yet something else answers to the name bcc, or a library is missing.
    attempt "$HOST/usr/bin/python3" -I -c 'import bcc; print(bcc.__file__); bcc.BPF' || explain_failure
    refuse "no interpreter in /usr/bin, 3.10 or newer, imports BCC's Python bindings"
}

# Debian has a part of venv in a package of its own.
ensure_venv_module() {
    local manager
    if has_venv_module; then return 0; fi
    manager=$(package_manager)
    if [[ $manager == apt-get ]]; then require_package apt-get python3-venv; fi
    has_venv_module || refuse "$PYTHON cannot make virtual environments: its modules venv and ensurepip are needed"
}

has_venv_module() { [[ $(facts_of "$PYTHON") == *' venv'* ]]; }

# ---------------------------------------------------------------- the virtual environment

# Sets VENV_VERSION, and VENV_PROBLEM to why it cannot be used, or to nothing.
inspect_venv() {
    local facts=''
    VENV_PROBLEM='' VENV_VERSION=''
    facts=$(facts_of "$VENV/bin/python") || true
    VENV_VERSION=${facts%% *}
    if [[ -e $UNFINISHED ]]; then
        VENV_PROBLEM="its installation was interrupted"
    elif [[ -z $facts ]]; then
        VENV_PROBLEM="its interpreter does not start"
    elif [[ $facts != *' pip' ]]; then
        VENV_PROBLEM="it is incomplete or made for another version of Python"
    elif [[ $facts != *' recent bcc'* ]]; then
        VENV_PROBLEM="its interpreter is older than 3.10 or does not import BCC's bindings"
    elif [[ -e $STAMP ]] && ! grep -qxF "$(stamped_place)" "$STAMP"; then
        VENV_PROBLEM="it was made for another directory"
    fi
}

stamped_place() { echo "place $ROOT $VENV"; }

# What a finished installation leaves in STAMP; $1: dev or none, the extras.
stamp_text() {
    stamped_place
    echo "python $VENV_VERSION"
    echo "pyproject $(sha256sum <"$ROOT/pyproject.toml")"
    echo "extras $1"
}

stamp_says() { [[ $(cat "$STAMP" 2>/dev/null) == "$(stamp_text "$1")" ]]; }

# With the extras, what a plain installation needs is there too.
is_installed() {
    [[ -e $STAMP && -x $VENV/bin/etracee ]] || return 1
    inspect_venv
    [[ -z $VENV_PROBLEM ]] || return 1
    stamp_says dev || { [[ $MODE != test ]] && stamp_says none; }
}

install_etracee() {
    ensure_python
    require_writable_venv
    inspect_venv
    if [[ -n $VENV_PROBLEM ]]; then
        remove_venv
        make_venv
    fi
    install_python_packages
}

require_writable_venv() {
    local place=$VENV
    [[ -e $place ]] || place=$(dirname "$VENV")
    [[ -w $place ]] || refuse "$place is not writable for this user: run with sudo"
}

remove_venv() {
    [[ -e $VENV || -L $VENV ]] || return 0
    if ! looks_like_venv; then
        rmdir "$VENV" 2>/dev/null || refuse "$VENV is in the way and is no virtual environment: move it"
        return 0
    fi
    say "making $VENV anew: $VENV_PROBLEM"
    if ! attempt rm -rf "$VENV"; then
        explain_failure
        refuse "$VENV could not be removed"
    fi
}

# Nothing else is ever removed.
looks_like_venv() {
    [[ -e $UNFINISHED || -e $VENV/pyvenv.cfg || -L $VENV/bin/python || -L $VENV ]]
}

make_venv() {
    ensure_venv_module
    found "making the virtual environment $VENV"
    mkdir -p "$VENV"
    : >"$UNFINISHED"
    if ! attempt "$PYTHON" -I -m venv --system-site-packages "$VENV"; then
        explain_failure
        refuse "the virtual environment could not be made"
    fi
}

install_python_packages() {
    local extras=none what=.
    if [[ $MODE == test ]]; then extras=dev what='.[dev]'; fi
    found "installing etracee and the Python packages it needs"
    # An interrupted installation is never taken for a finished one, nor built upon.
    rm -f "$STAMP"
    : >"$UNFINISHED"
    # PIP_USER: a user's configuration must not lead past the virtual environment.
    if ! attempt env -C "$ROOT" PIP_USER=0 \
        "$VENV/bin/python" -I -m pip install --no-input --disable-pip-version-check -e "$what"; then
        # pip ended by itself, so what is there is whole.
        rm -f "$UNFINISHED"
        explain_failure
        refuse "the Python packages could not be installed"
    fi
    rm -f "$UNFINISHED"
    inspect_venv
    [[ -z $VENV_PROBLEM ]] || refuse "$VENV cannot be used: $VENV_PROBLEM"
    stamp_text "$extras" >"$STAMP.new"
    mv "$STAMP.new" "$STAMP"
    say "etracee is installed in $VENV"
}

# ---------------------------------------------------------------- the command on the PATH

link_command() {
    local directory=/usr/local/bin target=$VENV/bin/etracee
    local link=$HOST$directory/etracee
    if [[ -L $link && $(readlink "$link") == "$target" ]]; then
        found "the command etracee is $directory/etracee"
    elif ! is_root; then
        found "only root can make $directory/etracee; the command is $target"
    elif ! may_make_link "$link"; then
        found "$directory/etracee was not made by this checkout and stays as it is; the command is $target"
    elif attempt mkdir -p "$HOST$directory" && attempt ln -sfn "$target" "$link"; then
        say "made the command $directory/etracee"
        # sudo's PATH is without this directory on some distributions.
        command -v etracee >/dev/null || say "$directory is not on this PATH: call it by its full name, or add it"
    else
        explain_failure
        say "the command is $target"
    fi
}

# A link to another checkout goes only when its checkout is gone, or when an
# installation was asked for. Files and links of others stay.
may_make_link() {
    if [[ ! -e $1 && ! -L $1 ]]; then return 0; fi
    [[ -L $1 && $(readlink "$1") == */.venv/bin/etracee ]] || return 1
    [[ ! -e $1 || $MODE == install ]]
}

# ---------------------------------------------------------------- one at a time

lock() {
    command -v flock >/dev/null || return 0
    exec 9<"$ROOT"
    if flock -n 9; then return 0; fi
    say "waiting for another setup.sh in $ROOT"
    flock 9 || say "no lock on $ROOT: going on without it"
}

unlock() { exec 9<&-; }

# ---------------------------------------------------------------- the three modes

install_what_is_missing() {
    if is_installed; then
        QUIET=true
    else
        lock
    fi
    check_host
    # Another setup.sh may have done it while this one waited.
    if ! "$QUIET" && ! is_installed; then
        # What root installs is for everybody; etracee itself keeps the caller's umask.
        local mask
        mask=$(umask)
        umask 022
        install_etracee
        umask "$mask"
    fi
    link_command
    unlock
}

# Runs one check of the sources; a failure ends the script.
check() {
    local name=$1 status=0
    shift
    say "running $name"
    "$@" || status=$?
    ((status == 0)) && return 0
    say "stopped at $name, which failed with status $status: $*"
    exit "$status"
}

run_checks() {
    local python=$VENV/bin/python parallel=()
    cd "$ROOT"
    if "$python" -c 'import xdist' 2>/dev/null; then parallel=(-n auto); fi
    check "ruff check" "$python" -m ruff check .
    check "ruff format --check" "$python" -m ruff format --check .
    check "mypy" "$python" -m mypy
    check "lint-imports" "$VENV/bin/lint-imports"
    check "pytest" "$python" -m pytest "${parallel[@]}" "$@"
    if [[ -n $KERNELS ]]; then
        check "pytest on another kernel" env ETRACEE_VM_TESTS="$KERNELS" "$python" -m pytest tests/vm "$@"
    fi
    say "all checks passed"
}

main() {
    case ${1-install} in
        install) if (($# > 0)); then wrong_usage; fi ;;
        run | test) MODE=$1 && shift ;;
        -h | --help) usage && exit 0 ;;
        *) wrong_usage ;;
    esac
    if [[ $MODE == test ]]; then
        case ${1-} in
            --kernels) KERNELS=all && shift ;;
            --kernels=some) KERNELS=some && shift ;;
            --kernels=*) wrong_usage ;;
        esac
    fi
    trap 'say "interrupted"; exit 130' INT
    install_what_is_missing
    case $MODE in
        install) if "$QUIET"; then say "etracee is installed in $VENV: nothing to do"; fi ;;
        run) exec "$VENV/bin/etracee" run "$@" ;;
        test)
            install_test_tools
            if [[ -n $KERNELS ]]; then install_emulator; fi
            run_checks "$@"
            ;;
    esac
}

wrong_usage() {
    usage >&2
    exit 2
}

main "$@"
