"""The same profile on the same program gives the same events on both kernels."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from etracee.catalog.load import load_catalog
from vm_machine import CHECKOUT

PROGRAM = r"""
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static void files(void)
{
	int fd, other;

	mkdir("d", 0750);
	fd = openat(AT_FDCWD, "d/made", O_CREAT | O_RDWR | O_EXCL, 0640);
	openat(AT_FDCWD, "d/made", O_CREAT | O_WRONLY | O_EXCL, 0640);	/* EEXIST */
	openat(AT_FDCWD, "d/made/below", O_RDONLY);			/* ENOTDIR */
	openat(AT_FDCWD, "no\n\xff such", O_RDONLY | O_NOFOLLOW);	/* ENOENT */
	openat(AT_FDCWD, (char *)8, O_RDONLY);				/* EFAULT */
	openat(AT_FDCWD, "", O_RDONLY);					/* ENOENT */
	syscall(SYS_open, "/../..//etc/./passwd", O_RDONLY | O_CLOEXEC);
	fchmod(fd, 0600);
	ftruncate(fd, 4096);
	rename("d/made", "d/renamed");
	link("d/renamed", "d/linked");
	symlink("renamed", "d/soft");
	other = openat(AT_FDCWD, "d", O_PATH | O_DIRECTORY);
	openat(other, "soft", O_RDONLY);
	openat(other, "soft", O_RDONLY | O_NOFOLLOW);			/* ELOOP */
	renameat2(other, "linked", other, "renamed", 1 | 2);		/* EINVAL */
	fchmodat(other, "linked", 04755, 0);
	chdir("d");
	openat(AT_FDCWD, "linked", O_WRONLY | O_APPEND | O_TRUNC);
	unlink("linked");
	unlinkat(other, "soft", 0);
	unlinkat(other, "soft", 0);					/* ENOENT */
	chdir("..");
	unlink("d/renamed");
	unlinkat(AT_FDCWD, "d", AT_REMOVEDIR);
	memfd_create("in memory", MFD_CLOEXEC);
}

static void sockets(void)
{
	struct sockaddr_in address = {AF_INET, htons(9), {htonl(INADDR_LOOPBACK)}};
	struct sockaddr_in6 six = {AF_INET6, htons(9), 0, IN6ADDR_LOOPBACK_INIT};
	struct sockaddr_un local = {AF_UNIX, "\0of the test"};
	socklen_t size = offsetof(struct sockaddr_un, sun_path) + 12;
	int server = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	connect(socket(AF_INET, SOCK_STREAM, 0), (void *)&address, sizeof(address));
	connect(socket(AF_INET, SOCK_DGRAM, 0), (void *)&address, sizeof(address));
	connect(socket(AF_INET6, SOCK_DGRAM, 0), (void *)&six, sizeof(six));
	connect(server, (void *)&local, size);				/* ECONNREFUSED */
	bind(server, (void *)&local, size);
	listen(server, 4);
	connect(socket(AF_UNIX, SOCK_STREAM, 0), (void *)&local, size);
	accept4(server, NULL, NULL, SOCK_NONBLOCK);
	strcpy(local.sun_path, "socket");
	connect(server, (void *)&local, sizeof(local));
}

static void child(char *program, char *argument)
{
	char *arguments[] = {"renamed to anything", argument, "", NULL}, *none[] = {NULL};
	pid_t pid = fork();

	if (pid == 0) {
		prctl(PR_SET_NAME, "a child's name");
		execve("/nowhere/program", arguments, none);		/* ENOENT */
		execve(program, arguments, none);
		_exit(99);
	}
	if (argument[0] == 'w')
		kill(pid, SIGTERM);
	waitpid(pid, NULL, 0);
}

int main(int count, char **arguments)
{
	if (count > 1 && arguments[1][0] == 'e')
		return atoi(arguments[1] + 1);
	if (count > 1)
		pause();
	files();
	sockets();
	child(arguments[0], "e7");
	child(arguments[0], "e0");
	child(arguments[0], "w");
	kill(getpid(), 0);
	setsid();
	setuid(12345);
	setuid(0);							/* EPERM */
	openat(AT_FDCWD, "/proc/1/mem", O_RDONLY);			/* EACCES */
	return 3;
}
"""

WATCHED = """
open openat creat unlink unlinkat rename renameat2 link linkat symlink chmod fchmod fchmodat mkdir
rmdir truncate ftruncate memfd_create chdir socket connect bind listen accept4 fork exec exit execve
kill prctl setsid setuid
""".split()
_PROCESSES = ("pid", "ppid", "tid", "target_pid", "child_pid")
_MOMENTS = ("timestamp", "human_time")


def write_profile(place: Path) -> Path:
    """Write a profile of what the program does, each event with its path where it has one."""
    known = load_catalog().events
    events = {}
    for name in WATCHED:
        if name in known:
            paths = [field for field in ("path", "path_source") if field in known[name].fields]
            events[name] = {"fields": [*known[name].default, *paths]}
    path = place / "profile.yaml"
    path.write_text(json.dumps({"name": "test", "extends": ["base"], "events": events}))
    return path


def normalise(output: str) -> list[dict[str, Any]]:
    """Return the events without moments, and with processes numbered as they appear."""
    numbers: dict[int, int] = {}
    events = [json.loads(line) for line in output.splitlines()]
    for event in events:
        for name in _MOMENTS:
            del event[name]
        for name in _PROCESSES:
            if event.get(name) is not None:
                event[name] = numbers.setdefault(event[name], len(numbers))
    return events


def test_both_kernels_give_the_same_events(boot_kernel, tmp_path):
    if os.geteuid() != 0:
        pytest.skip("it is not run as root")
    place = tmp_path / "place"
    place.mkdir()
    (place / "program.c").write_text(PROGRAM)
    subprocess.run(["cc", "-O1", "-w", "-o", "program", "program.c"], cwd=place, check=True)
    traced = [sys.executable, "-m", "etracee", "run", "-p", str(write_profile(place))]
    command = shlex.join([*traced, "-o", "/dev/shm/events", "--", str(place / "program")])
    job = f"cd {shlex.quote(str(place))}; {command} 3>&-; echo $?; cat /dev/shm/events >&3"
    here = tmp_path / "events"
    with here.open("wb") as file:
        said = subprocess.run(
            ["bash", "-c", f"cd {CHECKOUT}; exec 3>&1 >&2; {job}"], stdout=file, stderr=subprocess.PIPE
        ).stderr
    there = boot_kernel(job, copied=[place])
    print(said.decode(), there.output)
    a, b = normalise(here.read_text()), normalise(there.results.decode())
    (tmp_path/"a").write_text("\n".join(map(str,a)))
    (tmp_path/"b").write_text("\n".join(map(str,b)))
    print(tmp_path)
    assert a == b
