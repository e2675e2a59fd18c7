#include "base/loop.h"

#include "base/array.h"
#include "base/cleanup.h"

#include <errno.h>
#include <stdbool.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>

enum source_kind { SOURCE_FD, SOURCE_TIMER, SOURCE_SIGNALS };

struct loop_source {
	struct loop *loop;
	enum source_kind kind;
	int fd;
	bool removed;
	struct loop_source *next, **link;
	void *arg;
	union {
		void (*on_fd)(void *arg, uint32_t events);
		void (*on_timer)(void *arg);
		void (*on_signal)(void *arg, int signal);
	};
};

struct loop {
	int epoll_fd;
	bool quit;
	int status;
	unsigned depth; /* of loop_run(), which a callback may call again */
	struct loop_source *sources;
	/* Removed while callbacks run: a batch of events may still hold their pointers, so they are freed
	 * after the outermost one. */
	struct loop_source *graveyard;
};

static struct error *fail(const char *what)
{
	return error_create(ERROR_GENERAL, errno, NULL, "%s", what);
}

struct error *loop_create(struct loop **ret)
{
	struct loop *loop = calloc(1, sizeof(*loop));

	if (!loop)
		return error_create(ERROR_GENERAL, ENOMEM, NULL, "event loop");
	loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (loop->epoll_fd < 0) {
		free(loop);
		return fail("epoll_create1");
	}
	*ret = loop;
	return NULL;
}

static void bury(struct loop *loop)
{
	while (loop->graveyard) {
		struct loop_source *source = loop->graveyard;

		loop->graveyard = source->next;
		free(source);
	}
}

void loop_destroy(struct loop *loop)
{
	if (!loop)
		return;
	while (loop->sources)
		loop_remove(loop->sources);
	bury(loop);
	close(loop->epoll_fd);
	free(loop);
}

static struct error *add_source(struct loop *loop, enum source_kind kind, int fd, uint32_t events, void *arg,
				struct loop_source **ret)
{
	struct loop_source *source = calloc(1, sizeof(*source));
	struct epoll_event event = {.events = events, .data.ptr = source};

	if (!source)
		return error_create(ERROR_GENERAL, ENOMEM, NULL, "event loop");
	if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, fd, &event)) {
		free(source);
		return fail("epoll_ctl");
	}
	*source = (struct loop_source){.loop = loop, .kind = kind, .fd = fd, .arg = arg};
	source->next = loop->sources;
	source->link = &loop->sources;
	if (source->next)
		source->next->link = &source->next;
	loop->sources = source;
	*ret = source;
	return NULL;
}

struct error *loop_add_fd(struct loop *loop, int fd, uint32_t events,
			  void (*callback)(void *arg, uint32_t events), void *arg, struct loop_source **ret)
{
	struct error *error = add_source(loop, SOURCE_FD, fd, events, arg, ret);

	if (!error)
		(*ret)->on_fd = callback;
	return error;
}

struct error *loop_change_fd(struct loop_source *source, uint32_t events)
{
	struct epoll_event event = {.events = events, .data.ptr = source};

	if (epoll_ctl(source->loop->epoll_fd, EPOLL_CTL_MOD, source->fd, &event))
		return fail("epoll_ctl");
	return NULL;
}

struct error *loop_set_timer(struct loop_source *timer, unsigned first_ms, unsigned period_ms)
{
	struct itimerspec times = {
		.it_value = {first_ms / 1000, first_ms % 1000 * 1000000L},
		.it_interval = {period_ms / 1000, period_ms % 1000 * 1000000L},
	};

	if (timerfd_settime(timer->fd, 0, &times, NULL))
		return fail("timerfd_settime");
	return NULL;
}

struct error *loop_add_timer(struct loop *loop, unsigned first_ms, unsigned period_ms,
			     void (*callback)(void *arg), void *arg, struct loop_source **ret)
{
	_cleanup_close_ int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	struct loop_source *timer = NULL;
	struct error *error;

	if (fd < 0)
		return fail("timerfd_create");
	error = add_source(loop, SOURCE_TIMER, fd, EPOLLIN, arg, &timer);
	if (error)
		return error;
	take_fd(&fd);
	timer->on_timer = callback;
	error = loop_set_timer(timer, first_ms, period_ms);
	if (error) {
		loop_remove(timer);
		return error;
	}
	*ret = timer;
	return NULL;
}

struct error *loop_add_signals(struct loop *loop, const sigset_t *signals,
			       void (*callback)(void *arg, int signal), void *arg)
{
	struct loop_source *source = NULL;
	_cleanup_close_ int fd = -1;
	struct error *error;

	if (sigprocmask(SIG_BLOCK, signals, NULL))
		return fail("sigprocmask");
	fd = signalfd(-1, signals, SFD_CLOEXEC | SFD_NONBLOCK);
	if (fd < 0)
		return fail("signalfd");
	error = add_source(loop, SOURCE_SIGNALS, fd, EPOLLIN, arg, &source);
	if (error)
		return error;
	take_fd(&fd);
	source->on_signal = callback;
	return NULL;
}

void loop_remove(struct loop_source *source)
{
	struct loop *loop;

	if (!source || source->removed)
		return;
	loop = source->loop;
	source->removed = true;
	epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, source->fd, NULL);
	if (source->kind != SOURCE_FD)
		close(source->fd);
	*source->link = source->next;
	if (source->next)
		source->next->link = source->link;
	source->next = loop->graveyard;
	loop->graveyard = source;
}

static void dispatch(struct loop_source *source, uint32_t events)
{
	struct signalfd_siginfo info;
	uint64_t expirations;

	switch (source->kind) {
	case SOURCE_FD:
		source->on_fd(source->arg, events);
		return;
	case SOURCE_TIMER:
		if (read(source->fd, &expirations, sizeof(expirations)) == sizeof(expirations))
			source->on_timer(source->arg);
		return;
	case SOURCE_SIGNALS:
		while (!source->removed && read(source->fd, &info, sizeof(info)) == sizeof(info))
			source->on_signal(source->arg, (int)info.ssi_signo);
		return;
	}
}

int loop_run(struct loop *loop)
{
	struct epoll_event events[32];

	loop->quit = false;
	loop->depth++;
	while (!loop->quit) {
		int count = epoll_wait(loop->epoll_fd, events, 32, -1);

		if (count < 0 && errno != EINTR) {
			loop->status = ERROR_GENERAL;
			break;
		}
		for (int i = 0; i < count && !loop->quit; i++) {
			struct loop_source *source = events[i].data.ptr;

			if (!source->removed)
				dispatch(source, events[i].events);
		}
		if (loop->depth == 1)
			bury(loop);
	}
	loop->depth--;
	return loop->status;
}

void loop_quit(struct loop *loop, int status)
{
	loop->quit = true;
	loop->status = status;
}
