#include "symbolizer/debuginfod.h"

#include "base/array.h"
#include "base/cleanup.h"
#include "base/signals.h"
#include "symbolizer/debuginfod_servers.h"
#include "symbolizer/frame.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define FETCHES_AT_ONCE 2

struct fetch {
	struct debuginfod *debuginfod;
	struct debuginfod_file file;
	pid_t pid; /* 0: it waits */
	int pidfd, output;
	struct loop_source *source;
};

struct debuginfod {
	struct loop *loop;
	debuginfod_fetched *fetched;
	void *arg;
	char *client, *servers, *home;
	ARRAY(struct fetch *)
	fetches; /* in order; the first ones are under way */
};

static void start_some(struct debuginfod *debuginfod);

/* ---- one child ---- */

/* In the child. It has no terminal, and does not outlive kiln. */
static void run_client(const struct fetch *fetch, int output, pid_t parent)
{
	const struct debuginfod *debuginfod = fetch->debuginfod;
	char build_id[2 * BUILD_ID_MAX + 1] = "";
	char *arguments[] = {"debuginfod-find", "debuginfo", build_id, NULL};
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	for (uint32_t i = 0; i < fetch->file.build_id_length; i++)
		sprintf(build_id + 2 * i, "%02x", fetch->file.build_id[i]);
	signals_reset();
	setsid();
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (null < 0 || dup2(null, 0) < 0 || dup2(output, 1) < 0 || dup2(null, 2) < 0 || getppid() != parent)
		_exit(127);
	setenv("DEBUGINFOD_URLS", debuginfod->servers, 1);
	unsetenv("DEBUGINFOD_PROGRESS");
	/* sudo leaves root's: the cache is the user's. */
	if (debuginfod->home)
		setenv("HOME", debuginfod->home, 1);
	execv(debuginfod->client, arguments);
	_exit(127);
}

static void end_fetch(struct fetch *fetch)
{
	loop_remove(fetch->source);
	cleanup_close(&fetch->pidfd);
	cleanup_close(&fetch->output);
	if (fetch->pid > 0) {
		kill(fetch->pid, SIGKILL);
		waitpid(fetch->pid, NULL, 0);
	}
	free(fetch);
}

static void take_out(struct debuginfod *debuginfod, const struct fetch *fetch)
{
	size_t kept = 0;

	for (size_t i = 0; i < debuginfod->fetches.count; i++) {
		if (debuginfod->fetches.items[i] != fetch)
			debuginfod->fetches.items[kept++] = debuginfod->fetches.items[i];
	}
	debuginfod->fetches.count = kept;
}

/* Its output is one line, the file's path; more than a pipe holds it never writes. */
static bool read_path(int output, char *ret, size_t capacity)
{
	ssize_t length = read(output, ret, capacity - 1);

	if (length <= 0)
		return false;
	ret[length] = '\0';
	ret[strcspn(ret, "\n")] = '\0';
	return ret[0] == '/';
}

static void on_end(void *arg, uint32_t events)
{
	struct fetch *fetch = arg;
	struct debuginfod *debuginfod = fetch->debuginfod;
	struct debuginfod_file file = fetch->file;
	char path[4096];
	int status = 0;

	waitpid(fetch->pid, &status, 0);
	fetch->pid = 0;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0 && read_path(fetch->output, path, sizeof(path)))
		file.path = path;
	take_out(debuginfod, fetch);
	end_fetch(fetch);
	start_some(debuginfod);
	debuginfod->fetched(debuginfod->arg, &file);
}

static bool start_fetch(struct fetch *fetch)
{
	struct debuginfod *debuginfod = fetch->debuginfod;
	pid_t parent = getpid();
	int pair[2];

	if (pipe2(pair, O_CLOEXEC | O_NONBLOCK))
		return false;
	fetch->output = pair[0];
	fetch->pid = fork();
	if (fetch->pid == 0)
		run_client(fetch, pair[1], parent);
	close(pair[1]);
	if (fetch->pid < 0)
		return false;
	fetch->pidfd = (int)syscall(SYS_pidfd_open, fetch->pid, 0);
	if (fetch->pidfd < 0)
		return false;
	error_destroy(loop_add_fd(debuginfod->loop, fetch->pidfd, EPOLLIN, on_end, fetch, &fetch->source));
	return fetch->source;
}

/* ---- all of them ---- */

/* One that cannot even be started is as one that no server has. */
static void start_some(struct debuginfod *debuginfod)
{
	for (size_t i = 0; i < debuginfod->fetches.count && i < FETCHES_AT_ONCE;) {
		struct fetch *fetch = debuginfod->fetches.items[i];
		struct debuginfod_file file = fetch->file;

		if (fetch->pid || start_fetch(fetch)) {
			i++;
			continue;
		}
		take_out(debuginfod, fetch);
		end_fetch(fetch);
		debuginfod->fetched(debuginfod->arg, &file);
	}
}

struct error *debuginfod_create(struct loop *loop, debuginfod_fetched *fetched, void *arg,
				struct debuginfod **ret)
{
	struct debuginfod *debuginfod = calloc(1, sizeof(*debuginfod));
	const struct passwd *user = getpwuid(getuid());
	struct error *error = NULL;

	if (!debuginfod)
		return error_create(ERROR_GENERAL, ENOMEM, NULL, "debuginfod");
	debuginfod->loop = loop;
	debuginfod->fetched = fetched;
	debuginfod->arg = arg;
	if (user && user->pw_dir)
		debuginfod->home = strdup(user->pw_dir);
	error = debuginfod_find_client(&debuginfod->client);
	if (!error)
		error = debuginfod_find_servers(&debuginfod->servers);
	if (error) {
		debuginfod_destroy(debuginfod);
		return error;
	}
	*ret = debuginfod;
	return NULL;
}

void debuginfod_destroy(struct debuginfod *debuginfod)
{
	if (!debuginfod)
		return;
	for (size_t i = 0; i < debuginfod->fetches.count; i++)
		end_fetch(debuginfod->fetches.items[i]);
	array_deinit(&debuginfod->fetches);
	free(debuginfod->client);
	free(debuginfod->servers);
	free(debuginfod->home);
	free(debuginfod);
}

struct error *debuginfod_fetch(struct debuginfod *debuginfod, uint32_t module, const uint8_t *build_id,
			       uint32_t length)
{
	struct fetch *fetch = calloc(1, sizeof(*fetch));

	if (!fetch || length > BUILD_ID_MAX || !array_append(&debuginfod->fetches, fetch)) {
		free(fetch);
		return error_create(ERROR_GENERAL, ENOMEM, NULL, "debuginfod");
	}
	*fetch = (struct fetch){.debuginfod = debuginfod, .pidfd = -1, .output = -1};
	fetch->file.module = module;
	fetch->file.build_id_length = length;
	memcpy(fetch->file.build_id, build_id, length);
	start_some(debuginfod);
	return NULL;
}

size_t debuginfod_count(const struct debuginfod *debuginfod)
{
	return debuginfod->fetches.count;
}
