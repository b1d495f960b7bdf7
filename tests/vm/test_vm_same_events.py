"""The same profile on the same program gives the same events on both kernels."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from vm_events import normalise, run_here

from etracee.catalog.load import load_catalog

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

WATCHED = (
    *("open", "openat", "unlink", "unlinkat", "rename", "renameat2", "link", "symlink", "fchmod"),
    *("fchmodat", "mkdir", "ftruncate", "chdir", "memfd_create", "socket", "connect", "bind"),
    *("listen", "accept4", "fork", "exec", "exit", "execve", "kill", "prctl", "setsid", "setuid"),
)
_ADDRESSES = {"prctl_arg2"}
"""Fields that hold an address in the program, which is another one in each run."""
_JOB = """
cd {place}
{python} -m etracee run -p profile.json -o /dev/shm/events-{name} -- {place}/program 3>&-
echo "status $?"
cat /dev/shm/events-{name} >&3
rm /dev/shm/events-{name}
"""


def write_profile(path: Path) -> None:
    """Write a profile of what the program does, each event with its path where it has one."""
    known = load_catalog().events
    events = {}
    for name in WATCHED:
        fields = [field for field in known[name].default if field not in _ADDRESSES]
        fields += [field for field in ("path", "path_source") if field in known[name].fields]
        events[name] = {"fields": fields} if fields else {}
    path.write_text(json.dumps({"name": "test", "extends": ["base"], "events": events}))


def test_both_kernels_give_the_same_events(boot_kernel, tmp_path):
    if os.geteuid() != 0:
        pytest.fail("this test needs root")
    place = tmp_path / "place"
    place.mkdir()
    (place / "program.c").write_text(PROGRAM)
    subprocess.run(["cc", "-O1", "-w", "-o", "program", "program.c"], cwd=place, check=True)
    write_profile(place / "profile.json")
    job = _JOB.format(place=shlex.quote(str(place)), python=sys.executable, name=os.getpid())
    there = boot_kernel(job, copied=[place])
    said, results = run_here(job, tmp_path)
    for output in (said, there.output):
        assert output.splitlines()[-1] == "status 3", output
    ours, theirs = normalise(results), normalise(there.results)
    assert len(ours) > 60
    assert {event["type"] for event in ours} == set(WATCHED)
    assert theirs == ours
